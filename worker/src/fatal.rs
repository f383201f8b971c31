//! Why a worker ends before its client does.

use ipc::{ChannelError, process::LockdownFailure};

use crate::{i2ftp::connection::Ended, tls::TlsError};

/// Why a gate, a relay or a session could not go on; it is the channel's last line in each case, and
/// the supervisor sees the process end.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The supervisor is gone, or broke the rules of the channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The supervisor sent a message that has no place in this phase.
    #[error("a message of the supervisor came out of turn")]
    OutOfTurn,
    /// The sandbox is not up; the supervisor has been told.
    #[error("the sandbox is not up")]
    NotLockedDown,
    /// The sandbox of a gate cannot be narrowed for the relay.
    #[error("the relay's sandbox layer {}: {}", .0.layer, .0.reason)]
    NotNarrowed(LockdownFailure),
    /// TLS cannot be set up with what the supervisor sent.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A system call failed that should not.
    #[error("a system call failed: {0}")]
    System(#[from] std::io::Error),
    /// The last words of a session of I2FTP reached nobody.
    #[error(transparent)]
    I2ftp(#[from] Ended),
}
