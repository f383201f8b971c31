//! One writer per file: a lock on the open file, which every session of every process here takes
//! before it changes what is in a file, and which ends with its descriptor, however its process ends.
//!
//! Locks of open file descriptions (fcntl(2), `F_OFD_SETLK`): unlike those of a process they do not
//! end when another descriptor of the same file is closed, and unlike flock(2) they need no system
//! call that a session does not have.

use std::os::fd::AsFd;

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use super::error::{Call, FileError, FileResult};

/// Where the bytes begin that [`Writer::OneOfSeveral`] locks: no file is as long.
const MARKS: u64 = 1 << 61;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// By this descriptor alone.
    Alone,
    /// By several connections that know of one another (the uploads of one I2FTP ticket): each locks
    /// a byte of its own, far behind every file's end, which this random number names.
    OneOfSeveral(u64),
}

impl Writer {
    /// One of several, with a mark that nobody else has.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn one_of_several() -> FileResult<Writer> {
        let mut mark = [0; 8];
        rustix::rand::getrandom(&mut mark, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| FileError::of(Call::Other, errno))?;
        Ok(Writer::OneOfSeveral(u64::from_le_bytes(mark)))
    }
}

/// Takes the lock, without waiting. The descriptor must be open for writing.
///
/// # Errors
/// [`FileError::BeingWritten`] when somebody else writes to the file, or what the file system says:
/// where nobody can be kept away, nothing is written.
pub fn lock(file: impl AsFd, writer: Writer) -> FileResult<()> {
    let (start, length) = match writer {
        // 0: to the end, wherever it will be.
        Writer::Alone => (0, 0),
        Writer::OneOfSeveral(mark) => (MARKS | (mark % MARKS), 1),
    };
    let lock = libc::flock {
        l_type: lock_word(libc::F_WRLCK),
        l_whence: lock_word(libc::SEEK_SET),
        l_start: i64::try_from(start).unwrap_or(i64::MAX),
        l_len: length,
        l_pid: 0,
    };
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => {
                let errno = rustix::io::Errno::from_raw_os_error(errno as i32);
                return Err(FileError::of(Call::Lock, errno));
            }
        }
    }
}

/// A constant of C's `int` as the `short` that the structure has.
fn lock_word(constant: i32) -> i16 {
    i16::try_from(constant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options().append(true).create(true).open(path).unwrap()
    }

    #[test]
    fn b5_a_file_has_one_writer_or_several_that_know_of_one_another() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let (one, other, third) = (open(&path), open(&path), open(&path));
        lock(&one, Writer::Alone).unwrap();
        lock(&one, Writer::Alone).unwrap();
        assert_eq!(lock(&other, Writer::Alone), Err(FileError::BeingWritten));
        assert_eq!(lock(&other, Writer::OneOfSeveral(7)), Err(FileError::BeingWritten));
        // Another descriptor of the same process that is closed takes nothing away.
        drop(open(&path));
        assert_eq!(lock(&other, Writer::Alone), Err(FileError::BeingWritten));
        drop(one);
        lock(&other, Writer::OneOfSeveral(7)).unwrap();
        lock(&third, Writer::OneOfSeveral(u64::MAX)).unwrap();
        assert_eq!(lock(open(&path), Writer::Alone), Err(FileError::BeingWritten));
    }
}
