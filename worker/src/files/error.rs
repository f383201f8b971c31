//! What the file system answered, sorted by what the client is told.

use ipc::reason::Reason;
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
    /// A directory that is renamed to a place beneath itself.
    #[error("a directory cannot be moved into itself")]
    IntoItself,
    /// The directory, or the file, has as many links as its file system allows.
    #[error("the file system allows no more links or directories there")]
    TooManyLinks,
    /// Another file system is mounted there.
    #[error("a file system is mounted there")]
    Mounted,
    /// Its mode lets its owner open it in no way, and by descriptor only it can be changed here.
    #[error("its mode keeps its owner out; it can be changed on the host only")]
    OwnerKeptOut,
    /// The account's root, which has no name.
    #[error("the root directory cannot be changed")]
    Root,
    /// A program runs from the file.
    #[error("a program is running from this file; try again later")]
    Running,
    /// It is in use, or was changed while the kernel looked at it.
    #[error("in use at the moment; try again")]
    Again,
    /// Another upload writes to it at this moment.
    #[error("another upload is writing to it; try again when that has ended")]
    BeingWritten,
    /// The server's own limits: descriptors or memory.
    #[error("the server has no resources left (errno {})", .0.raw_os_error())]
    Resources(Errno),
    /// The disk, or the server the file system comes from.
    #[error("the disk or file server failed (errno {}); try again later", .0.raw_os_error())]
    Device(Errno),
    /// Anything else.
    #[error("the file system failed with errno {}", .0.raw_os_error())]
    Failed(Errno),
}

/// The result of a file operation.
pub type FileResult<T> = Result<T, FileError>;

/// A system call on files, as far as its errors mean something of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// openat2 beneath the root.
    Open,
    /// statx, fstatfs.
    Stat,
    /// getdents64.
    ReadDirectory,
    /// readlinkat.
    ReadLink,
    /// mkdirat.
    MakeDirectory,
    /// unlinkat with `AT_REMOVEDIR`.
    RemoveDirectory,
    /// unlinkat without.
    Delete,
    /// renameat2.
    Rename,
    /// fchmod, utimensat.
    Change,
    /// symlinkat.
    MakeSymlink,
    /// ftruncate, pwrite64, splice into a file, fsync.
    Write,
    /// fcntl with `F_OFD_SETLK`.
    Lock,
    /// pread64.
    Read,
    /// sendfile.
    Send,
    /// What is not about one file: pipe2, accept4, getrandom.
    Other,
}

impl Call {
    /// Every one.
    pub const ALL: [Call; 15] = [
        Call::Open,
        Call::Stat,
        Call::ReadDirectory,
        Call::ReadLink,
        Call::MakeDirectory,
        Call::RemoveDirectory,
        Call::Delete,
        Call::Rename,
        Call::Change,
        Call::MakeSymlink,
        Call::Write,
        Call::Lock,
        Call::Read,
        Call::Send,
        Call::Other,
    ];
}

impl FileError {
    /// The table: what an errno of a call means. The first row that fits holds. What is in no row is
    /// [`FileError::Failed`]: permanent, for nobody knows that it will pass.
    pub fn of(call: Call, errno: Errno) -> FileError {
        match (call, errno) {
            (Call::Open, Errno::XDEV) => FileError::Beneath,
            (Call::Open, Errno::AGAIN | Errno::INTR) => FileError::Again,
            (Call::Open | Call::MakeDirectory | Call::MakeSymlink, Errno::INVAL) => FileError::Name,
            (Call::Open | Call::Write, Errno::TXTBSY) => FileError::Running,
            // POSIX lets a file system say either of a directory that is not empty.
            (Call::RemoveDirectory, Errno::EXIST | Errno::NOTEMPTY) => FileError::NotEmpty,
            (Call::RemoveDirectory | Call::Delete | Call::Rename, Errno::BUSY) => {
                FileError::Mounted
            }
            (Call::Lock, Errno::AGAIN) => FileError::BeingWritten,
            (Call::Rename, Errno::INVAL) => FileError::IntoItself,
            (Call::Write, Errno::INVAL) => FileError::TooLarge,
            (Call::ReadLink, Errno::INVAL) => FileError::NotRegular,
            (Call::Send, Errno::INVAL) => FileError::NotSupported,

            (_, Errno::NOENT) => FileError::NotFound,
            (_, Errno::ACCESS | Errno::PERM | Errno::NOKEY) => FileError::Denied,
            (_, Errno::EXIST) => FileError::Exists,
            (_, Errno::NOTEMPTY) => FileError::NotEmpty,
            (_, Errno::ISDIR) => FileError::IsDirectory,
            (_, Errno::NOTDIR) => FileError::NotDirectory,
            (_, Errno::NXIO | Errno::NODEV) => FileError::NotRegular,
            (_, Errno::XDEV) => FileError::CrossesFileSystems,
            (_, Errno::LOOP) => FileError::LinkLoop,
            (_, Errno::NAMETOOLONG | Errno::ILSEQ) => FileError::Name,
            (_, Errno::MLINK) => FileError::TooManyLinks,
            (_, Errno::NOSPC) => FileError::NoSpace,
            (_, Errno::DQUOT) => FileError::Quota,
            (_, Errno::FBIG | Errno::OVERFLOW) => FileError::TooLarge,
            (_, Errno::ROFS) => FileError::ReadOnly,
            (_, Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY) => FileError::NotSupported,
            (_, Errno::BUSY | Errno::TXTBSY | Errno::AGAIN | Errno::INTR | Errno::DEADLK) => {
                FileError::Again
            }
            (_, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::NOLCK) => {
                FileError::Resources(errno)
            }
            // A disk or a server of files that may come back.
            (
                _,
                Errno::IO
                | Errno::REMOTEIO
                | Errno::STALE
                | Errno::TIMEDOUT
                | Errno::NOTCONN
                | Errno::CONNABORTED
                | Errno::CONNREFUSED
                | Errno::CONNRESET
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::NETUNREACH,
            ) => FileError::Device(errno),
            (_, errno) => FileError::Failed(errno),
        }
    }

    /// Whether the same command may succeed later though the client changes nothing: only then its
    /// reply begins with a 4, which clients such as lftp take as an order to repeat it.
    pub fn is_transient(self) -> bool {
        match self {
            FileError::NoSpace
            | FileError::Again
            | FileError::BeingWritten
            | FileError::Running
            | FileError::Resources(_)
            | FileError::Device(_) => true,
            FileError::NotFound
            | FileError::Denied
            | FileError::Exists
            | FileError::NotEmpty
            | FileError::IsDirectory
            | FileError::NotDirectory
            | FileError::NotRegular
            | FileError::Beneath
            | FileError::LinkLoop
            | FileError::Name
            | FileError::Quota
            | FileError::TooLarge
            | FileError::ReadOnly
            | FileError::CrossesFileSystems
            | FileError::IntoItself
            | FileError::TooManyLinks
            | FileError::Mounted
            | FileError::Root
            | FileError::OwnerKeptOut
            | FileError::NotSupported
            | FileError::Failed(_) => false,
        }
    }
}

impl FileError {
    /// Its word in the log.
    pub fn reason(self) -> Reason {
        match self {
            FileError::NotFound => Reason::NotFound,
            FileError::Denied => Reason::Permission,
            FileError::Exists => Reason::Exists,
            FileError::NotEmpty => Reason::NotEmpty,
            FileError::IsDirectory => Reason::IsDirectory,
            FileError::NotDirectory => Reason::NotDirectory,
            FileError::NotRegular => Reason::NotRegular,
            FileError::Beneath => Reason::OutsideRoot,
            FileError::LinkLoop => Reason::LinkLoop,
            FileError::Name => Reason::BadName,
            FileError::NoSpace => Reason::NoSpace,
            FileError::Quota => Reason::Quota,
            FileError::TooLarge => Reason::TooLarge,
            FileError::ReadOnly => Reason::ReadOnlyFileSystem,
            FileError::CrossesFileSystems => Reason::OtherFileSystem,
            FileError::NotSupported => Reason::NotSupported,
            FileError::IntoItself => Reason::BadName,
            FileError::TooManyLinks => Reason::NoSpace,
            FileError::OwnerKeptOut => Reason::Permission,
            FileError::BeingWritten
            | FileError::Mounted
            | FileError::Root
            | FileError::Running
            | FileError::Again => Reason::InUse,
            FileError::Resources(_) => Reason::NoResources,
            FileError::Device(_) | FileError::Failed(_) => Reason::FileSystemError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftp::reply::Reply;

    /// Calls, and the codes of the replies to their errnos.
    type Known = (&'static [Call], &'static [(Errno, u16)]);

    /// The errnos that the manual pages of the calls name.
    #[rustfmt::skip]
    const KNOWN: &[Known] = &[
        (&Call::ALL, &[
            (Errno::NOENT, 550), (Errno::ACCESS, 550), (Errno::PERM, 550), (Errno::NOTDIR, 550),
            (Errno::LOOP, 550), (Errno::NAMETOOLONG, 553), (Errno::ILSEQ, 553), (Errno::ROFS, 550),
            (Errno::NOSPC, 452), (Errno::DQUOT, 552), (Errno::NOMEM, 451), (Errno::IO, 451),
            (Errno::STALE, 451), (Errno::NOSYS, 550), (Errno::OPNOTSUPP, 550), (Errno::NOKEY, 550),
            (Errno::MFILE, 451), (Errno::NFILE, 451), (Errno::AGAIN, 450), (Errno::INTR, 450),
            (Errno::FBIG, 552), (Errno::OVERFLOW, 552), (Errno::NOLCK, 451), (Errno::DEADLK, 450),
            (Errno::FAULT, 550), (Errno::BADF, 550), (Errno::UCLEAN, 550),
        ]),
        (&[Call::Open], &[
            (Errno::XDEV, 550), (Errno::ISDIR, 550), (Errno::EXIST, 550), (Errno::NXIO, 550),
            (Errno::NODEV, 550), (Errno::TXTBSY, 450), (Errno::BUSY, 450), (Errno::INVAL, 553),
        ]),
        (&[Call::MakeDirectory, Call::MakeSymlink], &[
            (Errno::EXIST, 550), (Errno::MLINK, 550), (Errno::INVAL, 553),
        ]),
        (&[Call::RemoveDirectory], &[
            (Errno::BUSY, 550), (Errno::NOTEMPTY, 550), (Errno::EXIST, 550), (Errno::INVAL, 550),
        ]),
        (&[Call::Delete], &[(Errno::BUSY, 550), (Errno::ISDIR, 550)]),
        (&[Call::Rename], &[
            (Errno::BUSY, 550), (Errno::INVAL, 550), (Errno::XDEV, 550), (Errno::NOTEMPTY, 550),
            (Errno::EXIST, 550), (Errno::ISDIR, 550), (Errno::MLINK, 550),
        ]),
        (&[Call::Write], &[(Errno::INVAL, 552), (Errno::TXTBSY, 450)]),
        (&[Call::ReadLink, Call::Send, Call::Change, Call::Stat, Call::Read], &[(Errno::INVAL, 550)]),
    ];

    #[test]
    fn g3_every_errno_that_a_call_gives_has_the_reply_of_the_table() {
        for (calls, errnos) in KNOWN {
            for (call, (errno, code)) in
                calls.iter().flat_map(|c| errnos.iter().map(move |e| (c, e)))
            {
                let reply = Reply::file_error(FileError::of(*call, *errno), b"name");
                assert_eq!(reply.code(), *code, "{call:?} {errno:?}");
            }
        }
    }

    #[test]
    fn g3_a_permanent_error_never_has_a_4xx_whatever_the_call_and_the_errno() {
        // What another try may mend, and nothing else.
        let transient = |call: Call, errno: Errno| match errno {
            Errno::BUSY => !matches!(call, Call::RemoveDirectory | Call::Delete | Call::Rename),
            Errno::NOSPC | Errno::TXTBSY | Errno::AGAIN | Errno::INTR | Errno::DEADLK => true,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::NOLCK => true,
            Errno::IO | Errno::REMOTEIO | Errno::STALE | Errno::TIMEDOUT | Errno::NOTCONN => true,
            Errno::CONNABORTED | Errno::CONNREFUSED | Errno::CONNRESET | Errno::HOSTDOWN => true,
            Errno::HOSTUNREACH | Errno::NETDOWN | Errno::NETUNREACH => true,
            _ => false,
        };
        for call in Call::ALL {
            for number in 1..=133 {
                let errno = Errno::from_raw_os_error(number);
                let error = FileError::of(call, errno);
                let code = Reply::file_error(error, b"name").code();
                assert_eq!(code < 500, transient(call, errno), "{call:?} {number}: {code}");
                assert_eq!(error.is_transient(), code < 500, "{call:?} {number}: {code}");
            }
        }
    }
}
