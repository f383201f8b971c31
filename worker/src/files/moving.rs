//! Bytes between files, pipes and sockets; all but copies never pass through this process.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::sendfile,
    io::{Errno, pread, pwrite},
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};

use super::error::{Call, FileError, FileResult};

/// What became of an attempt to move bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes, at least 1.
    Bytes(usize),
    /// The source is at its end.
    End,
    /// The socket has to be waited for.
    WouldBlock,
    /// The peer has gone.
    Gone,
}

/// A failure of a moving call: the peer's is a [`Moved`], the file's an error.
fn moved(call: Call, result: Result<usize, Errno>) -> FileResult<Moved> {
    match result {
        Ok(0) => Ok(Moved::End),
        Ok(bytes) => Ok(Moved::Bytes(bytes)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Moved::WouldBlock),
        Err(Errno::PIPE | Errno::CONNRESET | Errno::TIMEDOUT | Errno::NOTCONN) => Ok(Moved::Gone),
        Err(errno) => Err(FileError::of(call, errno)),
    }
}

/// File to socket: at most `count` bytes from `*offset` on, which moves along.
///
/// # Errors
/// The file system's.
pub fn send_file(
    socket: impl AsFd,
    file: impl AsFd,
    offset: &mut u64,
    count: usize,
) -> FileResult<Moved> {
    moved(Call::Send, sendfile(socket, file, Some(offset), count))
}

/// A pipe for splice.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    capacity: usize,
}

impl Pipe {
    /// A pipe of `wanted` bytes, or of 64 KiB if the system does not allow as much.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new(wanted: usize) -> FileResult<Pipe> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(|errno| FileError::of(Call::Other, errno))?;
        let capacity = fcntl_setpipe_size(&writer, wanted).unwrap_or(64 * 1024);
        Ok(Pipe { reader, writer, capacity })
    }

    /// How many bytes it holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

/// Socket to pipe: at most `count` bytes. [`Moved::WouldBlock`] also when the pipe is full.
///
/// # Errors
/// The system's.
pub fn splice_from(socket: impl AsFd, pipe: &Pipe, count: usize) -> FileResult<Moved> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    moved(Call::Other, splice(socket, None, &pipe.writer, None, count, flags))
}

/// Pipe to file: at most `count` bytes to `*offset` on, which moves along. The caller repeats it
/// until what it spliced into the pipe is out.
///
/// # Errors
/// The file system's: no space, quota, too large.
pub fn splice_to(
    pipe: &Pipe,
    file: impl AsFd,
    offset: &mut u64,
    count: usize,
) -> FileResult<Moved> {
    moved(Call::Write, splice(&pipe.reader, None, file, Some(offset), count, SpliceFlags::MOVE))
}

/// Bytes of one step of [`copy_range`].
const COPY_PIECE: usize = 32 * 1024;

/// File to file: at most `count` bytes, both offsets move along. With pread and pwrite, which a
/// session needs anyway: copies are rare, and copy_file_range would be one more call to allow.
///
/// # Errors
/// The file system's.
pub fn copy_range(
    from: impl AsFd,
    from_offset: &mut u64,
    to: impl AsFd,
    to_offset: &mut u64,
    count: usize,
) -> FileResult<Moved> {
    let mut piece = [0; COPY_PIECE];
    let room = piece.get_mut(..count.min(COPY_PIECE)).unwrap_or_default();
    let read =
        pread(&from, &mut *room, *from_offset).map_err(|errno| FileError::of(Call::Read, errno))?;
    let written = match room.get(..read) {
        None | Some([]) => return Ok(Moved::End),
        Some(bytes) => {
            pwrite(&to, bytes, *to_offset).map_err(|errno| FileError::of(Call::Write, errno))?
        }
    };
    let moved = u64::try_from(written).unwrap_or(u64::MAX);
    *from_offset = from_offset.saturating_add(moved);
    *to_offset = to_offset.saturating_add(moved);
    Ok(Moved::Bytes(written))
}
