//! STOR, APPE and STOU: from the client to a file.

use std::{os::fd::OwnedFd, time::Instant};

use rustix::event::PollFlags;

use super::{DataConnection, Job, Outcome, Scratch, Step, Transfer};
use crate::{
    files::{
        Call, FileError, FileResult, Moved, Pipe, Replace, Root, set_length, splice_from,
        splice_to, sync,
    },
    ftp::{ascii::FromWire, path::VirtualPath},
};

/// Bytes the pipe holds, if the system allows.
const PIPE: usize = 1 << 20;
/// Bytes that move before the rest of the world is looked at.
const TURN: u64 = 32 << 20;
/// Bytes that are read at a time where the kernel cannot move them itself.
const BUFFER: usize = 256 * 1024;

/// Where an upload goes. Nothing is touched before the data connection is up.
#[derive(Debug)]
pub enum Target {
    /// A file that is there, opened for writing; everything in it is replaced.
    Replace {
        /// The file.
        file: OwnedFd,
        /// Its size.
        size: u64,
    },
    /// A file that is there, opened for writing; bytes are written from the offset on.
    Keep(OwnedFd),
    /// A file that is made.
    Create,
    /// A hidden file that is made beside its target, and takes its place when it is complete.
    Beside {
        /// Where the hidden file is.
        hidden: VirtualPath,
        /// Whether something may be there to be replaced.
        replace: Replace,
    },
}

/// A file on its way from the client.
#[derive(Debug)]
pub struct Upload {
    /// Where it goes.
    pub target: Target,
    /// The next byte.
    pub offset: u64,
    /// Mode of a file that is made, without the umask's bits.
    pub mode: u32,
    /// TYPE A: unmakes line ends.
    pub text: Option<FromWire>,
    /// Largest file, in bytes; 0: no limit.
    pub limit: u64,
    /// Whether the file is synced to disk before the transfer is complete.
    pub sync: bool,
    file: Option<OwnedFd>,
    /// Bytes that are in the pipe.
    piped: usize,
    pub(super) unused: usize,
}

impl Upload {
    /// An upload that has touched nothing yet.
    pub fn new(target: Target, offset: u64, mode: u32) -> Upload {
        Upload {
            target,
            offset,
            mode,
            text: None,
            limit: 0,
            sync: false,
            file: None,
            piped: 0,
            unused: 0,
        }
    }

    /// The data connection is up: now the file is made or emptied.
    pub(super) fn open(&mut self, root: &Root, path: &VirtualPath) -> FileResult<()> {
        self.file = Some(match std::mem::replace(&mut self.target, Target::Create) {
            Target::Replace { file, size } => {
                if size > 0 {
                    set_length(&file, 0)?;
                }
                file
            }
            Target::Keep(file) => file,
            Target::Create => root.create(path, self.mode)?,
            Target::Beside { hidden, replace } => {
                let file = root.create(&hidden, self.mode)?;
                self.target = Target::Beside { hidden, replace };
                file
            }
        });
        Ok(())
    }

    /// Every byte has come: the file is synced and takes its place, as the settings say.
    pub(super) fn complete(&mut self, root: &Root, path: &VirtualPath) -> FileResult<()> {
        if let (true, Some(file)) = (self.sync, &self.file) {
            sync(file)?;
        }
        match &self.target {
            Target::Beside { hidden, replace } => root.rename(hidden, path, *replace),
            Target::Replace { .. } | Target::Keep(_) | Target::Create => Ok(()),
        }
    }

    /// The transfer failed: a hidden file goes, what was written in place stays for a resume.
    pub(super) fn abandon(&mut self, root: &Root) {
        if let (Target::Beside { hidden, .. }, Some(_)) = (&self.target, &self.file) {
            // If it cannot be deleted, it stays hidden; the target is untouched either way.
            root.delete(hidden).ok();
        }
    }
}

impl Transfer {
    pub(super) fn step_upload(
        &mut self,
        connection: &mut DataConnection,
        scratch: &mut Scratch,
    ) -> Step {
        let Job::Upload(upload) = &self.job else { return Step::Done };
        match connection.as_plain() {
            Some(_) if upload.text.is_none() => self.receive_spliced(connection, scratch),
            None if upload.text.is_none() => self.receive_sealed(connection),
            Some(_) | None => self.receive_buffered(connection, scratch),
        }
    }

    fn receive_spliced(&mut self, connection: &DataConnection, scratch: &mut Scratch) -> Step {
        let Some(socket) = connection.as_plain() else { return Step::Done };
        let pipe = match &mut scratch.pipe {
            Some(pipe) => pipe,
            empty @ None => match Pipe::new(PIPE) {
                Ok(pipe) => empty.insert(pipe),
                Err(error) => return Step::Over(Outcome::File(error)),
            },
        };
        let step = self.splice(socket, pipe);
        let Job::Upload(upload) = &mut self.job else { return step };
        if upload.piped > 0 {
            // What is left in the pipe belongs to this upload and to no other.
            scratch.pipe = None;
        }
        step
    }

    fn splice(&mut self, socket: std::os::fd::BorrowedFd<'_>, pipe: &Pipe) -> Step {
        let mut turn = TURN;
        loop {
            let now = Instant::now();
            let allowed = self.bucket.as_mut().map_or(u64::MAX, |bucket| bucket.allowance(now));
            if allowed == 0 {
                return Step::Pause;
            }
            let Job::Upload(upload) = &mut self.job else { return Step::Done };
            let Some(file) = &upload.file else { return Step::Done };
            let count = usize::try_from(allowed).unwrap_or(usize::MAX).min(pipe.capacity());
            let got = match splice_from(socket, pipe, count) {
                Ok(Moved::Bytes(got)) => got,
                Ok(Moved::WouldBlock) => return Step::Wait(PollFlags::IN),
                Ok(Moved::End) => return Step::Done,
                Ok(Moved::Gone) => return Step::Over(Outcome::Gone),
                Err(error) => return Step::Over(Outcome::File(error)),
            };
            upload.piped = got;
            if beyond(upload.limit, upload.offset, got) {
                return Step::Over(Outcome::TooLarge);
            }
            while upload.piped > 0 {
                match splice_to(pipe, file, &mut upload.offset, upload.piped) {
                    Ok(Moved::Bytes(bytes)) => upload.piped = upload.piped.saturating_sub(bytes),
                    Ok(Moved::End | Moved::Gone) => {
                        let error = FileError::Failed(rustix::io::Errno::IO);
                        return Step::Over(Outcome::File(error));
                    }
                    Ok(Moved::WouldBlock) => {}
                    Err(error) => return Step::Over(Outcome::File(error)),
                }
            }
            self.count(got, now);
            turn = turn.saturating_sub(u64::try_from(got).unwrap_or(u64::MAX));
            if turn == 0 {
                return Step::Again;
            }
        }
    }

    /// From the connection's records straight into the file.
    fn receive_sealed(&mut self, connection: &mut DataConnection) -> Step {
        for _ in 0..16 {
            let now = Instant::now();
            let allowed = self.bucket.as_mut().map_or(u64::MAX, |bucket| bucket.allowance(now));
            if allowed == 0 {
                return Step::Pause;
            }
            let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
            let Job::Upload(upload) = &mut self.job else { return Step::Done };
            let mut stored = Ok(());
            let moved = connection.receive(|plain| {
                let taken = plain.get(..allowed.min(plain.len())).unwrap_or_default();
                stored = upload.store(taken);
                taken.len()
            });
            if let Err(outcome) = stored {
                return Step::Over(outcome);
            }
            match moved {
                Moved::Bytes(bytes) => self.count(bytes, now),
                Moved::End => return Step::Done,
                Moved::WouldBlock => return Step::Wait(connection.interest(PollFlags::IN)),
                Moved::Gone => return Step::Over(Outcome::Gone),
            }
        }
        Step::Again
    }

    /// Through buffers: for text.
    fn receive_buffered(&mut self, connection: &mut DataConnection, scratch: &mut Scratch) -> Step {
        for _ in 0..16 {
            let now = Instant::now();
            let allowed = self.bucket.as_mut().map_or(u64::MAX, |bucket| bucket.allowance(now));
            if allowed == 0 {
                return Step::Pause;
            }
            let count = usize::try_from(allowed).unwrap_or(usize::MAX).min(BUFFER);
            scratch.raw.resize(BUFFER, 0);
            let buffer = scratch.raw.get_mut(..count).unwrap_or_default();
            let (got, ended) = match connection.read(buffer) {
                Moved::Bytes(got) => (got, false),
                Moved::End => (0, true),
                Moved::WouldBlock => return Step::Wait(connection.interest(PollFlags::IN)),
                Moved::Gone => return Step::Over(Outcome::Gone),
            };
            let Job::Upload(upload) = &mut self.job else { return Step::Done };
            let read = buffer.get(..got).unwrap_or_default();
            scratch.out.clear();
            let bytes = match &mut upload.text {
                Some(text) => {
                    text.convert(read, &mut scratch.out);
                    if ended {
                        text.finish(&mut scratch.out);
                    }
                    scratch.out.as_slice()
                }
                None => read,
            };
            if let Err(outcome) = upload.store(bytes) {
                return Step::Over(outcome);
            }
            scratch.out.clear();
            if ended {
                return Step::Done;
            }
            self.count(got, now);
        }
        Step::Again
    }
}

impl Upload {
    /// Writes bytes where the last ones ended.
    fn store(&mut self, mut bytes: &[u8]) -> Result<(), Outcome> {
        if beyond(self.limit, self.offset, bytes.len()) {
            return Err(Outcome::TooLarge);
        }
        let Some(file) = &self.file else { return Ok(()) };
        while !bytes.is_empty() {
            match rustix::io::pwrite(file, bytes, self.offset) {
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    let written = u64::try_from(written).unwrap_or(u64::MAX);
                    self.offset = self.offset.saturating_add(written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Outcome::File(FileError::of(Call::Write, errno))),
            }
        }
        Ok(())
    }
}

/// Whether so many bytes from the offset on would be more than the limit.
fn beyond(limit: u64, offset: u64, bytes: usize) -> bool {
    let end = offset.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    limit > 0 && end > limit
}
