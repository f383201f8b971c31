//! The account's root: from its descriptor every path is resolved by the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{
        AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags, Timespec, Timestamps,
        UTIME_OMIT, fchmod, fstatfs, fsync, ftruncate, futimens, mkdirat, openat2, readlinkat,
        renameat_with, statx, symlinkat, unlinkat,
    },
    io::Errno,
};

use super::{
    directory::Directory,
    error::{Call, FileError, FileResult},
    metadata::{Metadata, Space, open_metadata},
};
use crate::ftp::path::VirtualPath;

/// How often a resolution is tried that the kernel gave up because of a rename elsewhere.
const ATTEMPTS: u32 = 128;
/// `O_PATH`: a place, not its contents.
const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// What every opening of a file has: nothing blocks, no terminal is adopted.
const FILE: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What happens to what stands where something new is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It stays, and the operation fails with [`FileError::Exists`].
    Never,
    /// It goes.
    Allowed,
}

/// The account's root.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// A place: a name, and the descriptor of the directory it is in.
struct Place<'a> {
    /// `None`: the root itself.
    parent: Option<OwnedFd>,
    root: BorrowedFd<'a>,
    name: &'a [u8],
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root, AsFd::as_fd)
    }
}

impl Root {
    /// The root of this descriptor (`O_PATH` is enough), which the lockdown opened.
    pub fn new(fd: OwnedFd) -> Root {
        Root { fd }
    }

    /// Opens a regular file for reading. Never blocks, and never opens a FIFO or a device.
    ///
    /// # Errors
    /// [`FileError::IsDirectory`], [`FileError::NotRegular`], or what the file system says.
    pub fn open_read(&self, path: &VirtualPath) -> FileResult<(OwnedFd, Metadata)> {
        self.open_regular(path, OFlags::RDONLY)
    }

    /// Opens an existing regular file for writing, without touching what is in it: the caller
    /// truncates when the data connection is up.
    ///
    /// # Errors
    /// [`FileError::IsDirectory`], [`FileError::NotRegular`], or what the file system says.
    pub fn open_write(&self, path: &VirtualPath) -> FileResult<(OwnedFd, Metadata)> {
        self.open_regular(path, OFlags::WRONLY)
    }

    /// As [`Root::open_write`], and each write goes to the end of the file, wherever that is then:
    /// no byte that is there can be replaced.
    ///
    /// # Errors
    /// As [`Root::open_write`].
    pub fn open_append(&self, path: &VirtualPath) -> FileResult<(OwnedFd, Metadata)> {
        self.open_regular(path, OFlags::WRONLY | OFlags::APPEND)
    }

    /// Makes a new file and opens it for writing, as [`Root::open_append`] does if it `appends`. The
    /// caller has taken the umask off `mode`.
    ///
    /// # Errors
    /// [`FileError::Exists`] when anything is there, a dangling link included.
    pub fn create(&self, path: &VirtualPath, mode: u32, appends: bool) -> FileResult<OwnedFd> {
        if path.is_root() {
            return Err(FileError::IsDirectory);
        }
        let mut flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE;
        flags.set(OFlags::APPEND, appends);
        self.open(path.relative(), flags, permission_bits(mode))
    }

    /// Opens a directory for reading.
    ///
    /// # Errors
    /// [`FileError::NotDirectory`], or what the file system says.
    pub fn open_directory(&self, path: &VirtualPath) -> FileResult<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.open(path.relative(), flags, Mode::empty()).map(Directory::new)
    }

    /// The facts of what a path leads to; symbolic links are followed, beneath the root.
    ///
    /// # Errors
    /// What the file system says.
    pub fn metadata(&self, path: &VirtualPath) -> FileResult<Metadata> {
        open_metadata(self.open(path.relative(), PLACE, Mode::empty())?)
    }

    /// The facts of the last component itself, though it may be a symbolic link.
    ///
    /// # Errors
    /// What the file system says.
    pub fn link_metadata(&self, path: &VirtualPath) -> FileResult<Metadata> {
        open_metadata(self.open(path.relative(), PLACE | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// Whether the path leads to a directory that may be entered.
    ///
    /// # Errors
    /// [`FileError::NotDirectory`], [`FileError::Denied`], or what the file system says.
    pub fn enter(&self, path: &VirtualPath) -> FileResult<()> {
        let directory = self.open(path.relative(), PLACE | OFlags::DIRECTORY, Mode::empty())?;
        // Resolving a name in it needs the right to search it, which opening the place does not.
        let inside = statx(&directory, c".", AtFlags::SYMLINK_NOFOLLOW, Metadata::MASK);
        inside.map_err(failed(Call::Stat))?;
        Ok(())
    }

    /// What a symbolic link says.
    ///
    /// # Errors
    /// What the file system says; [`FileError::Failed`] when it is none.
    pub fn read_link(&self, path: &VirtualPath) -> FileResult<Vec<u8>> {
        let place = self.place(path)?;
        Ok(readlinkat(&place, place.name, Vec::new()).map_err(failed(Call::ReadLink))?.into_bytes())
    }

    /// Makes a directory. The caller has taken the umask off `mode`.
    ///
    /// # Errors
    /// [`FileError::Exists`], or what the file system says.
    pub fn make_directory(&self, path: &VirtualPath, mode: u32) -> FileResult<()> {
        if path.is_root() {
            return Err(FileError::Exists);
        }
        let place = self.place(path)?;
        mkdirat(&place, place.name, permission_bits(mode)).map_err(failed(Call::MakeDirectory))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`FileError::NotEmpty`], [`FileError::NotDirectory`], or what the file system says.
    pub fn remove_directory(&self, path: &VirtualPath) -> FileResult<()> {
        let place = self.place(path)?;
        unlinkat(&place, place.name, AtFlags::REMOVEDIR).map_err(failed(Call::RemoveDirectory))
    }

    /// Deletes a file, a symbolic link, a FIFO, a socket: anything but a directory.
    ///
    /// # Errors
    /// [`FileError::IsDirectory`], or what the file system says.
    pub fn delete(&self, path: &VirtualPath) -> FileResult<()> {
        if path.is_root() {
            return Err(FileError::IsDirectory);
        }
        let place = self.place(path)?;
        unlinkat(&place, place.name, AtFlags::empty()).map_err(failed(Call::Delete))
    }

    /// Renames a file or directory, as the kernel does it: at one stroke.
    ///
    /// # Errors
    /// [`FileError::Exists`] when something is there and `replace` is [`Replace::Never`];
    /// [`FileError::CrossesFileSystems`]; or what the file system says.
    pub fn rename(&self, from: &VirtualPath, to: &VirtualPath, replace: Replace) -> FileResult<()> {
        let flags = match replace {
            Replace::Never => RenameFlags::NOREPLACE,
            Replace::Allowed => RenameFlags::empty(),
        };
        let (from, to) = (self.place(from)?, self.place(to)?);
        match renameat_with(&from, from.name, &to, to.name, flags) {
            // The file system cannot promise to replace nothing (some network file systems): look,
            // then rename. Between the two somebody else may have made the target.
            Err(Errno::INVAL) if replace == Replace::Never => {
                match statx(&to, to.name, AtFlags::SYMLINK_NOFOLLOW, Metadata::MASK) {
                    Ok(_) => Err(FileError::Exists),
                    Err(Errno::NOENT) => {
                        renameat_with(&from, from.name, &to, to.name, RenameFlags::empty())
                            .map_err(failed(Call::Rename))
                    }
                    Err(errno) => Err(FileError::of(Call::Stat, errno)),
                }
            }
            result => result.map_err(failed(Call::Rename)),
        }
    }

    /// Sets the permission bits of what a path leads to; set-uid, set-gid and sticky are never
    /// among them. By descriptor only: `fchmodat` takes a name, Landlock does not watch it, and so
    /// no policy allows it. The price: a file that its owner may neither read nor write is refused.
    ///
    /// # Errors
    /// [`FileError::NotRegular`] for anything but files and directories, or what the file system
    /// says: only the owner may.
    pub fn change_mode(&self, path: &VirtualPath, mode: u32) -> FileResult<()> {
        fchmod(&self.open_to_change(path)?, permission_bits(mode)).map_err(failed(Call::Change))
    }

    /// Opens a file or directory in whatever way it may be opened, to change what is known of it.
    fn open_to_change(&self, path: &VirtualPath) -> FileResult<OwnedFd> {
        let metadata = self.metadata(path)?;
        // By which of the owner's bits it can be opened.
        let (kind, openable) = match must_be_file(metadata) {
            Ok(_) => (OFlags::empty(), 0o600),
            Err(FileError::IsDirectory) => (OFlags::DIRECTORY, 0o400),
            Err(error) => return Err(error),
        };
        let open = |how: OFlags| self.open(path.relative(), how | FILE | kind, Mode::empty());
        match open(OFlags::RDONLY) {
            Err(FileError::Denied) if metadata.mode & openable == 0 => Err(FileError::OwnerKeptOut),
            Err(FileError::Denied) => open(OFlags::WRONLY).map_err(|_| FileError::Denied),
            result => result,
        }
    }

    /// Sets the times of what a path leads to, in seconds since 1970; `None` leaves one as it is. By
    /// descriptor only, as [`Root::change_mode`] and for its reason.
    ///
    /// # Errors
    /// As [`Root::change_mode`].
    pub fn change_times(
        &self,
        path: &VirtualPath,
        access: Option<i64>,
        modify: Option<i64>,
    ) -> FileResult<()> {
        let time = |seconds: Option<i64>| match seconds {
            Some(tv_sec) => Timespec { tv_sec, tv_nsec: 0 },
            None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        let times = Timestamps { last_access: time(access), last_modification: time(modify) };
        futimens(&self.open_to_change(path)?, &times).map_err(failed(Call::Change))
    }

    /// Makes a symbolic link that says `target`. Where it leads is decided when it is followed.
    ///
    /// # Errors
    /// [`FileError::Exists`], or what the file system says.
    pub fn make_symlink(&self, target: &[u8], link: &VirtualPath) -> FileResult<()> {
        if link.is_root() {
            return Err(FileError::Exists);
        }
        let place = self.place(link)?;
        symlinkat(target, &place, place.name).map_err(failed(Call::MakeSymlink))
    }

    /// The space of the file system a path is on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn space(&self, path: &VirtualPath) -> FileResult<Space> {
        let fd = self.open(path.relative(), PLACE, Mode::empty())?;
        Ok(Space::from(&fstatfs(&fd).map_err(failed(Call::Stat))?))
    }

    /// Looks before it opens, so that no FIFO or device is opened for effect, and looks again at
    /// what it opened, for it may have been replaced between the two.
    fn open_regular(&self, path: &VirtualPath, how: OFlags) -> FileResult<(OwnedFd, Metadata)> {
        must_be_file(self.metadata(path)?)?;
        let fd = self.open(path.relative(), how | FILE, Mode::empty())?;
        let metadata = must_be_file(open_metadata(&fd)?)?;
        Ok((fd, metadata))
    }

    /// openat2 beneath the root.
    fn open(&self, relative: &[u8], flags: OFlags, mode: Mode) -> FileResult<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut attempts = 0;
        loop {
            match openat2(&self.fd, relative, flags, mode, resolve) {
                Ok(fd) => return Ok(fd),
                // A rename or mount elsewhere made it impossible to say that `..` stays beneath.
                Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => attempts += 1,
                Err(errno) => return Err(FileError::of(Call::Open, errno)),
            }
        }
    }

    /// The directory of a path, resolved, and the name in it. The root has none.
    fn place<'a>(&'a self, path: &'a VirtualPath) -> FileResult<Place<'a>> {
        let (directory, name) = path.split().ok_or(FileError::Root)?;
        let parent = if directory == b"." {
            None
        } else {
            Some(self.open(directory, PLACE | OFlags::DIRECTORY, Mode::empty())?)
        };
        Ok(Place { parent, root: self.fd.as_fd(), name })
    }
}

/// What a failure of this call means.
fn failed(call: Call) -> impl Fn(Errno) -> FileError {
    move |errno| FileError::of(call, errno)
}

/// Read, write and execute for owner, group and others: nothing above.
fn permission_bits(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

fn must_be_file(metadata: Metadata) -> FileResult<Metadata> {
    if metadata.is_regular() {
        Ok(metadata)
    } else if metadata.is_directory() {
        Err(FileError::IsDirectory)
    } else {
        Err(FileError::NotRegular)
    }
}

/// How many bytes of an open file are on the disk; holes are not.
///
/// # Errors
/// What the file system says.
pub fn allocated(file: impl AsFd) -> FileResult<u64> {
    const BLOCK: u64 = 512;
    let statx = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BLOCKS)
        .map_err(|errno| FileError::of(Call::Stat, errno))?;
    Ok(statx.stx_blocks.saturating_mul(BLOCK))
}

/// Makes an open file this long: cuts it, or lets a hole follow.
///
/// # Errors
/// What the file system says.
pub fn set_length(file: impl AsFd, length: u64) -> FileResult<()> {
    ftruncate(file, length).map_err(failed(Call::Write))
}

/// Waits until what was written to a file is on its disk.
///
/// # Errors
/// What the file system says: then the upload is not complete.
pub fn sync(file: impl AsFd) -> FileResult<()> {
    fsync(file).map_err(failed(Call::Write))
}
