//! Why a transfer ended, and what the client is told.

use ipc::reason::Reason;

use super::UploadRefusal;
use crate::{files::FileError, ftp::reply::Reply, session::NoConnection, tls::TlsError};

/// Why a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every byte is where it belongs.
    Complete,
    /// ABOR.
    Aborted,
    /// The data connection never came up.
    NoConnection(NoConnection),
    /// The client did not connect in time.
    NotConnected,
    /// An administrator ended the session.
    Kicked,
    /// The client closed or reset the data connection.
    Gone,
    /// No byte moved for too long.
    Stalled,
    /// The upload is not allowed, or not possible, any more.
    Refused(UploadRefusal),
    /// The file system failed.
    File(FileError),
    /// The file became shorter while it was sent.
    Shrunk,
    /// The listing has more entries than the limit.
    TooManyEntries,
    /// The upload is larger than the limit.
    TooLarge,
    /// The TLS handshake of the data connection failed, and why, for the log.
    NoHandshake(String),
    /// The data connection does not resume the TLS session of the control connection.
    NotResumed,
    /// The upload ended without close_notify.
    Truncated,
    /// The client broke the TLS protocol, or sent an alert, and which, for the log.
    TlsBroken(String),
}

impl Outcome {
    /// What went wrong with TLS, for the log: the reply says less.
    pub(crate) fn tls_failure(&self) -> Option<String> {
        match self {
            Outcome::NoHandshake(cause) | Outcome::TlsBroken(cause) => Some(cause.clone()),
            Outcome::NotResumed => Some(TlsError::NotResumed.to_string()),
            Outcome::Truncated => Some(TlsError::Truncated.to_string()),
            Outcome::Complete
            | Outcome::Aborted
            | Outcome::Kicked
            | Outcome::NoConnection(_)
            | Outcome::NotConnected
            | Outcome::Gone
            | Outcome::Stalled
            | Outcome::Refused(_)
            | Outcome::File(_)
            | Outcome::Shrunk
            | Outcome::TooManyEntries
            | Outcome::TooLarge => None,
        }
    }
}

impl Outcome {
    /// Its word in the log; nothing for a transfer that is complete.
    pub(crate) fn reason(&self) -> Option<Reason> {
        Some(match self {
            Outcome::Complete => return None,
            Outcome::Aborted => Reason::ClientAborted,
            Outcome::Kicked => Reason::Kicked,
            Outcome::NoConnection(_) => Reason::NoDataConnection,
            Outcome::NotConnected => Reason::NotConnected,
            Outcome::Gone => Reason::ClientClosed,
            Outcome::Stalled => Reason::Stalled,
            Outcome::Refused(refusal) => refusal.reason(),
            Outcome::File(error) => error.reason(),
            Outcome::Shrunk => Reason::FileChanged,
            Outcome::TooManyEntries => Reason::TooManyEntries,
            Outcome::TooLarge => Reason::TooLarge,
            Outcome::NoHandshake(_) | Outcome::TlsBroken(_) => Reason::TlsFailed,
            Outcome::NotResumed => Reason::TlsNotResumed,
            Outcome::Truncated => Reason::TlsTruncated,
        })
    }
}

/// The reply to a transfer that did not complete. `name` is what the client called the file.
pub(crate) fn ended(outcome: &Outcome, name: &[u8]) -> Reply {
    match outcome {
        Outcome::Complete => Reply::COMPLETE,
        Outcome::Aborted | Outcome::Kicked => Reply::TRANSFER_ABORTED,
        Outcome::NoConnection(NoConnection::Refused(refusal)) => Reply::refusal(*refusal),
        Outcome::NoConnection(NoConnection::NoHelper) => Reply::HELPER_GONE,
        Outcome::NotConnected => Reply::CLIENT_DID_NOT_CONNECT,
        Outcome::Gone => Reply::CLIENT_CLOSED_DATA,
        Outcome::Stalled => Reply::DATA_STALLED,
        Outcome::Refused(refusal) => refusal.reply(name),
        Outcome::File(error) => Reply::file_error(*error, name),
        Outcome::Shrunk => Reply::FILE_CHANGED,
        Outcome::TooManyEntries => Reply::TOO_MANY_ENTRIES,
        Outcome::TooLarge => Reply::FILE_SIZE_LIMIT,
        Outcome::NoHandshake(_) => Reply::DATA_TLS_FAILED,
        Outcome::NotResumed => Reply::DATA_TLS_NOT_RESUMED,
        Outcome::Truncated => Reply::UPLOAD_TRUNCATED,
        Outcome::TlsBroken(_) => Reply::DATA_TLS_BROKEN,
    }
}
