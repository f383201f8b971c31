//! What is known of a file.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, StatFs, Statx, StatxFlags, statx};

use super::error::{Call, FileError, FileResult};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A device of characters.
    CharacterDevice,
    /// A device of blocks.
    BlockDevice,
    /// Something else.
    Unknown,
}

/// The facts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// The permission bits, with set-uid, set-gid and sticky: at most 0o7777.
    pub mode: u32,
    /// Number of hard links.
    pub links: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last modified, seconds since 1970.
    pub modified: i64,
    /// And the nanoseconds of that second.
    pub modified_nanoseconds: u32,
    /// Device number of the file system, major and minor.
    pub device: (u32, u32),
    /// Number on the file system.
    pub inode: u64,
}

impl Metadata {
    /// What is asked of statx.
    pub(super) const MASK: StatxFlags = StatxFlags::TYPE
        .union(StatxFlags::MODE)
        .union(StatxFlags::NLINK)
        .union(StatxFlags::UID)
        .union(StatxFlags::GID)
        .union(StatxFlags::MTIME)
        .union(StatxFlags::SIZE)
        .union(StatxFlags::INO);

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        self.kind == FileKind::Regular
    }
}

impl From<&Statx> for Metadata {
    fn from(statx: &Statx) -> Metadata {
        let mode = u32::from(statx.stx_mode);
        Metadata {
            kind: match FileType::from_raw_mode(mode) {
                FileType::RegularFile => FileKind::Regular,
                FileType::Directory => FileKind::Directory,
                FileType::Symlink => FileKind::Symlink,
                FileType::Fifo => FileKind::Fifo,
                FileType::Socket => FileKind::Socket,
                FileType::CharacterDevice => FileKind::CharacterDevice,
                FileType::BlockDevice => FileKind::BlockDevice,
                FileType::Unknown => FileKind::Unknown,
            },
            mode: mode & 0o7777,
            links: statx.stx_nlink,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            size: statx.stx_size,
            modified: statx.stx_mtime.tv_sec,
            modified_nanoseconds: statx.stx_mtime.tv_nsec,
            device: (statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
        }
    }
}

/// The space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for this account.
    pub available: u64,
    /// All of it.
    pub total: u64,
}

impl From<&StatFs> for Space {
    fn from(statfs: &StatFs) -> Space {
        let block = u64::try_from(statfs.f_bsize).unwrap_or(0);
        Space {
            available: statfs.f_bavail.saturating_mul(block),
            total: statfs.f_blocks.saturating_mul(block),
        }
    }
}

/// The facts of an open file or place.
///
/// # Errors
/// What the file system says.
pub fn open_metadata(file: impl AsFd) -> FileResult<Metadata> {
    let statx = statx(file, c"", AtFlags::EMPTY_PATH, Metadata::MASK);
    Ok(Metadata::from(&statx.map_err(|errno| FileError::of(Call::Stat, errno))?))
}
