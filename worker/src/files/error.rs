//! What the file system answered, sorted by what the client is told.

use rustix::io::Errno;

/// Why a file operation was not done. [`crate::ftp::reply::Reply::file_error`] has the replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("no such file or directory")]
    NotFound,
    /// The account may not, by mode bits or sandbox.
    #[error("permission denied")]
    Denied,
    /// Something is there already.
    #[error("already exists")]
    Exists,
    /// The directory is not empty.
    #[error("the directory is not empty")]
    NotEmpty,
    /// It is a directory, and should not be.
    #[error("is a directory")]
    IsDirectory,
    /// It, or something before it in the path, is not a directory.
    #[error("not a directory")]
    NotDirectory,
    /// It is a FIFO, a device or a socket.
    #[error("not a regular file")]
    NotRegular,
    /// A symbolic link or `..` leads out of the root.
    #[error("leads out of the root directory")]
    Beneath,
    /// Too many symbolic links, one behind the other.
    #[error("too many symbolic links")]
    LinkLoop,
    /// A name or path is longer than the file system takes, or has a byte it does not take.
    #[error("the name is not possible on this file system")]
    Name,
    /// The file system is full.
    #[error("no space left")]
    NoSpace,
    /// The account's quota is used up.
    #[error("disk quota exceeded")]
    Quota,
    /// The file would be larger than the file system or the limits allow.
    #[error("the file is too large")]
    TooLarge,
    /// The file system is mounted read-only.
    #[error("the file system is read-only")]
    ReadOnly,
    /// Renaming from one file system to another.
    #[error("not on the same file system")]
    CrossesFileSystems,
    /// The operation is not possible on this file system, or on this kind of file.
    #[error("not supported by the file system")]
    NotSupported,
    /// It is in use: a program that runs, a mount point, the root itself.
    #[error("in use")]
    Busy,
    /// The server's own limits: descriptors or memory.
    #[error("the server has no resources left (errno {})", .0.raw_os_error())]
    Resources(Errno),
    /// Anything else.
    #[error("the file system failed with errno {}", .0.raw_os_error())]
    Failed(Errno),
}

/// The result of a file operation.
pub type FileResult<T> = Result<T, FileError>;

impl From<Errno> for FileError {
    fn from(errno: Errno) -> FileError {
        match errno {
            Errno::NOENT => FileError::NotFound,
            Errno::ACCESS | Errno::PERM => FileError::Denied,
            Errno::EXIST => FileError::Exists,
            Errno::NOTEMPTY => FileError::NotEmpty,
            Errno::ISDIR => FileError::IsDirectory,
            Errno::NOTDIR => FileError::NotDirectory,
            Errno::NXIO | Errno::NODEV => FileError::NotRegular,
            Errno::XDEV => FileError::CrossesFileSystems,
            Errno::LOOP => FileError::LinkLoop,
            Errno::NAMETOOLONG | Errno::ILSEQ => FileError::Name,
            Errno::NOSPC => FileError::NoSpace,
            Errno::DQUOT => FileError::Quota,
            Errno::FBIG => FileError::TooLarge,
            Errno::ROFS => FileError::ReadOnly,
            Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY => FileError::NotSupported,
            Errno::BUSY | Errno::TXTBSY => FileError::Busy,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
                FileError::Resources(errno)
            }
            other => FileError::Failed(other),
        }
    }
}
