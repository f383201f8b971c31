//! The messages of a session's start, both modes.

/// The line that says what comes: plain mode, "authentication only".
pub const PLAIN_MODE: &[u8] = b"AUTHENTICATION_ONLY\x07";
/// Secured mode; the public key follows.
pub const SECURED_MODE: &[u8] = b"SECURED_SESSION_KEY_REQUIRED\x07";
/// Secured mode, after the session key; still plain.
pub const CODER_READY: &[u8] = b"CODER READY";
/// The greeting; secured mode encodes it.
pub const GREETING: &[u8] = b"I2FTP 1.0";
/// The client's answer to the version, the last bytes before packets.
pub const VERSION_OK: &[u8; 2] = b"OK";

/// How long a server waits between [`CODER_READY`] and the greeting, in milliseconds, at least: the
/// client turns its decoder on in another thread, and takes a greeting that is already there
/// undecoded. Nothing tells that it has; a client on a busy machine needs longer.
pub const CODER_PAUSE_MILLIS: u64 = 100;

/// How long after a CLOZ reply a heartbeat is sent, in milliseconds, if nothing else was: it wakes
/// the client's receiver, which otherwise holds the connection open until its own time-out.
pub const CLOSE_HEARTBEAT_MILLIS: u64 = 100;
