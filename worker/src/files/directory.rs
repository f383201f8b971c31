//! Reading a directory as a stream.

use std::{cell::Cell, ffi::CStr, mem::MaybeUninit, os::fd::OwnedFd};

use rustix::fs::{AtFlags, RawDir, readlinkat_raw, statx};

use super::{
    error::{Call, FileError, FileResult},
    metadata::Metadata,
};

/// Bytes of directory entries that the first system call may return: a client sees the first names
/// of a large directory at once.
const FIRST_BATCH: usize = 4 * 1024;
/// Bytes of directory entries that every further one may return.
const BATCH: usize = 64 * 1024;
/// Longest target of a symbolic link that is shown (PATH_MAX).
const MAX_TARGET: usize = 4096;

/// What a session reads directories with, made once and used for each.
#[derive(Debug, Default)]
pub struct DirectoryBuffer {
    entries: Vec<u8>,
}

impl DirectoryBuffer {
    /// An empty one; memory is taken when the first directory is read.
    pub fn new() -> Self {
        Self::default()
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    /// Bytes of entries that the next system call may return.
    batch: Cell<usize>,
}

/// An entry of a directory; never `.` or `..`.
#[derive(Debug)]
pub struct Entry<'a> {
    directory: &'a OwnedFd,
    name: &'a CStr,
}

impl Entry<'_> {
    /// Its name: any bytes but NUL and `/`.
    pub fn name(&self) -> &[u8] {
        self.name.to_bytes()
    }

    /// Its name, to ask for it again by [`Directory::entry`].
    pub fn c_name(&self) -> &CStr {
        self.name
    }

    /// Its facts; a symbolic link's are its own. `None`: it has been deleted meanwhile.
    ///
    /// # Errors
    /// Any other failure.
    pub fn metadata(&self) -> FileResult<Option<Metadata>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match statx(self.directory, self.name, flags, Metadata::MASK) {
            Ok(statx) => Ok(Some(Metadata::from(&statx))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(FileError::of(Call::Stat, errno)),
        }
    }

    /// What it says, if it is a symbolic link, into `target`, which is emptied before. Nothing,
    /// when it is none, or one no longer.
    pub fn target(&self, target: &mut Vec<u8>) {
        target.clear();
        target.reserve(MAX_TARGET);
        let spare = rustix::buffer::spare_capacity(target);
        if readlinkat_raw(self.directory, self.name, spare).is_err() {
            target.clear();
        }
    }
}

impl Directory {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Directory { fd, batch: Cell::new(FIRST_BATCH) }
    }

    /// Reads on: gives some entries (as many as one system call returns) to `each`. Whether there
    /// may be more. `each` ends the reading by an error.
    ///
    /// # Errors
    /// What the file system says, or `each`.
    pub fn read_some<E: From<FileError>>(
        &self,
        buffer: &mut DirectoryBuffer,
        mut each: impl FnMut(&Entry<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        buffer.entries.clear();
        let batch = self.batch.replace(BATCH);
        buffer.entries.reserve_exact(batch);
        let spare: &mut [MaybeUninit<u8>] = buffer.entries.spare_capacity_mut();
        let spare = spare.get_mut(..batch).unwrap_or_default();
        let mut entries = RawDir::new(&self.fd, spare);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|errno| FileError::of(Call::ReadDirectory, errno))?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                each(&Entry { directory: &self.fd, name })?;
            }
            if entries.is_buffer_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An entry by the name that [`Directory::read_some`] gave.
    pub fn entry<'a>(&'a self, name: &'a CStr) -> Entry<'a> {
        Entry { directory: &self.fd, name }
    }

    /// The facts of the directory itself.
    ///
    /// # Errors
    /// What the file system says.
    pub fn metadata(&self) -> FileResult<Metadata> {
        super::open_metadata(&self.fd)
    }
}
