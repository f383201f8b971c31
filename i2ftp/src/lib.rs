//! The I2FTP protocol: keys, the ICCode transform, packets, requests and replies. It does no I/O,
//! starts nothing and keeps no clock; callers hand in bytes and the time.
//!
//! It is a crate of its own because two processes need it that share no other protocol code: the
//! authenticator (the supervisor's binary) checks the keys of the handshake, since it alone holds
//! the pre-shared key before login, and the worker speaks packets and requests after it.
//!
//! What comes in was written by a stranger. Nothing here trusts a length before the bytes are
//! there, and every violation is an error value that ends the connection.
//!
//! The protocol by itself protects nothing but the login (MD5-based codes of a shared key), and
//! its "secured" mode is obfuscation: see docs/i2ftp.md.
//!
//! The one unsafe expression is in `md5::avx2`: the call of safe code that is compiled for registers
//! which not every processor has.

#![deny(unsafe_code)]

pub mod dynkey;
pub mod iccode;
pub mod listing;
mod md5;
pub mod message;
pub mod packet;
pub mod path;
pub mod psk;
pub mod reply;
pub mod request;
pub mod secured;
pub mod version;

pub use psk::Psk;
pub use version::WireVersion;

/// The port the existing client uses when told none.
pub const DEFAULT_PORT: u16 = 26842;

/// Length of a session id (a ticket) in bytes.
pub const ID_BYTES: usize = 16;

/// Most bytes of a file in one DOWN reply and, by agreement, in one UPLD request.
pub const CHUNK: usize = 524_128;
