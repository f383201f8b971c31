//! Why a request is answered with a failure; the text is for the client.

use i2ftp::{
    packet::TooLong,
    request::{BadRequest, FileRequest},
};
use ipc::reason::Reason;
use rustix::io::Errno;

use crate::{
    files::{Call, FileError},
    ftp::path::PathError,
};

/// Why a request is answered with a failure. The connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request itself is wrong.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// The account may not do this.
    #[error("this account may not do that")]
    NoRight,
    /// The account may change nothing.
    #[error("this server is read-only")]
    ReadOnly,
    /// No ticket of this id, or not one for this purpose.
    #[error("unknown session id")]
    UnknownId,
    /// Data for a download, or the other way round.
    #[error("the session is for the other direction")]
    Direction,
    /// No more tickets, or the supervisor refuses one.
    #[error("too many open sessions; close some")]
    TooManySessions,
    /// The file system says no.
    #[error("{0}")]
    File(#[from] FileError),
    /// No file can have this path.
    #[error("{0}")]
    Path(#[from] PathError),
    /// The root cannot be the object of an operation.
    #[error("the root itself cannot be changed")]
    Root,
    /// A directory cannot be put into itself.
    #[error("a directory cannot be copied into itself")]
    IntoItself,
    /// Begins behind the end of the file.
    #[error("the range begins behind the end of the file")]
    BehindEnd,
    /// The upload would become too large.
    #[error("the file would be larger than allowed here")]
    TooLarge,
    /// The file became shorter while it was read.
    #[error("the file has become shorter")]
    Shrunk,
    /// The MD5 is not ready.
    #[error("the MD5 is not ready yet; ask again")]
    NotReady,
    /// The upload is not what the client said it would be.
    #[error("the upload does not have the MD5 that was announced; it was discarded")]
    WrongHash,
    /// A listing, or the work of an operation, has no bounds.
    #[error("too many entries")]
    TooMany,
    /// A copy left something out.
    #[error("copied, but for links and special files, which are not copied")]
    Incomplete,
    /// The server is going down, or an administrator ended the session.
    #[error("the server ended this")]
    Ordered,
}

impl Refusal {
    /// Its word in the log.
    pub fn reason(&self) -> Reason {
        match self {
            Refusal::Request(_) | Refusal::UnknownId | Refusal::Direction | Refusal::NotReady => {
                Reason::BadRequest
            }
            Refusal::NoRight | Refusal::ReadOnly => Reason::NoRight,
            Refusal::TooManySessions | Refusal::TooMany => Reason::TooManyEntries,
            Refusal::File(error) => error.reason(),
            Refusal::Path(_) => Reason::BadName,
            Refusal::Root => Reason::InUse,
            Refusal::IntoItself => Reason::BadRequest,
            Refusal::BehindEnd => Reason::BadOffset,
            Refusal::TooLarge => Reason::TooLarge,
            Refusal::Shrunk => Reason::FileChanged,
            Refusal::WrongHash => Reason::WrongHash,
            Refusal::Incomplete => Reason::NotSupported,
            Refusal::Ordered => Reason::Kicked,
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::File(FileError::of(Call::Write, errno))
    }
}

impl From<TooLong> for Refusal {
    fn from(_: TooLong) -> Refusal {
        Refusal::TooMany
    }
}

/// The paths of an operation, for the log.
pub fn paths_of(request: &FileRequest) -> (&str, Option<&str>) {
    match request {
        FileRequest::Rename(from, to)
        | FileRequest::Move(from, to)
        | FileRequest::Copy(from, to) => (from.as_str(), Some(to.as_str())),
        FileRequest::Remove(path) | FileRequest::MakeDirectory(path) => (path.as_str(), None),
    }
}
