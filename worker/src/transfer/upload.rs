//! STOR, APPE and STOU: from the client to a file.

use std::{os::fd::OwnedFd, time::Instant};

use rustix::event::PollFlags;

use super::{
    DataConnection, Job, Outcome, Scratch, Step, Transfer,
    target::{Beginning, Target, UploadRefusal, UploadRequest},
};
use crate::{
    files::{
        Call, FileError, FileResult, Moved, Pipe, Root, copy_range, splice_from, splice_to, sync,
    },
    ftp::ascii::FromWire,
};

/// Bytes the pipe holds, if the system allows.
const PIPE: usize = 1 << 20;
/// Bytes that move before the rest of the world is looked at.
const TURN: u64 = 32 << 20;
/// Bytes that are read at a time where the kernel cannot move them itself.
const BUFFER: usize = 256 * 1024;

/// A file on its way from the client.
#[derive(Debug)]
pub struct Upload {
    /// What was asked for; it is judged again when the data connection is up.
    pub request: UploadRequest,
    /// TYPE A: unmakes line ends.
    pub text: Option<FromWire>,
    /// Largest file, in bytes; 0: no limit.
    pub limit: u64,
    /// Whether the file is synced to disk before the transfer is complete.
    pub sync: bool,
    target: Option<Target>,
    /// Bytes that are in the pipe.
    piped: usize,
    pub(super) unused: usize,
}

impl Upload {
    /// An upload that has touched nothing yet.
    pub fn new(request: UploadRequest) -> Upload {
        Upload { request, text: None, limit: 0, sync: false, target: None, piped: 0, unused: 0 }
    }

    /// The data connection is up: now the file is made or emptied.
    pub(super) fn open(&mut self, root: &Root) -> Result<(), UploadRefusal> {
        self.target = Some(self.request.open(root)?);
        Ok(())
    }

    /// Every byte has come: the file is synced and takes its place, as the settings say.
    pub(super) fn complete(&mut self, root: &Root) -> FileResult<()> {
        let Some(target) = &self.target else { return Ok(()) };
        if self.sync {
            sync(&target.file)?;
        }
        match &target.hidden {
            Some(hidden) => root.rename(&hidden.path, &self.request.path, hidden.replace),
            None => Ok(()),
        }
    }

    /// The transfer failed: a hidden file goes, what was written in place stays for a resume.
    pub(super) fn abandon(&mut self, root: &Root) {
        if let Some(Target { hidden: Some(hidden), .. }) = &self.target {
            // If it cannot be deleted, it stays hidden until the next upload to this directory; the
            // target is untouched either way.
            root.delete(&hidden.path).ok();
        }
    }

    /// Whether the kernel may move the bytes from socket to file by itself. It does not where each
    /// write goes to the end of the file: splice(2) refuses such files.
    fn may_splice(&self) -> bool {
        self.text.is_none() && !self.target.as_ref().is_some_and(|target| target.appends)
    }

    /// The beginning of the file that is there, which is still to be copied.
    fn beginning(&mut self) -> Option<(&mut Beginning, &OwnedFd, &mut u64)> {
        let target = self.target.as_mut()?;
        let beginning = target.hidden.as_mut()?.beginning.as_mut()?;
        (beginning.at < beginning.end).then_some((beginning, &target.file, &mut target.offset))
    }
}

impl Transfer {
    pub(super) fn step_upload(
        &mut self,
        connection: &mut DataConnection,
        scratch: &mut Scratch,
    ) -> Step {
        let Job::Upload(upload) = &mut self.job else { return Step::Done };
        if upload.beginning().is_some() {
            return self.copy_beginning();
        }
        let Job::Upload(upload) = &self.job else { return Step::Done };
        match connection.as_plain() {
            Some(_) if upload.may_splice() => self.receive_spliced(connection, scratch),
            None if upload.text.is_none() => self.receive_sealed(connection),
            Some(_) | None => self.receive_buffered(connection, scratch),
        }
    }

    /// Copies on what comes before the client's bytes, at the upload's rate.
    fn copy_beginning(&mut self) -> Step {
        let mut turn = TURN;
        while turn > 0 {
            let now = Instant::now();
            let allowed = self.bucket.as_mut().map_or(u64::MAX, |bucket| bucket.allowance(now));
            if allowed == 0 {
                return Step::Pause;
            }
            let Job::Upload(upload) = &mut self.job else { return Step::Done };
            let Some((beginning, file, offset)) = upload.beginning() else { return Step::Again };
            let left = beginning.end.saturating_sub(beginning.at).min(allowed);
            let count = usize::try_from(left).unwrap_or(usize::MAX);
            match copy_range(&beginning.file, &mut beginning.at, file, offset, count) {
                Ok(Moved::Bytes(bytes)) => {
                    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                    if let Some(bucket) = &mut self.bucket {
                        bucket.take(bytes);
                    }
                    self.since = now;
                    turn = turn.saturating_sub(bytes);
                }
                Ok(Moved::End | Moved::WouldBlock | Moved::Gone) => {
                    return Step::Over(Outcome::Shrunk);
                }
                Err(error) => return Step::Over(Outcome::File(error)),
            }
        }
        Step::Again
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
            let Some(target) = &mut upload.target else { return Step::Done };
            let count = usize::try_from(allowed).unwrap_or(usize::MAX).min(pipe.capacity());
            let got = match splice_from(socket, pipe, count) {
                Ok(Moved::Bytes(got)) => got,
                Ok(Moved::WouldBlock) => return Step::Wait(PollFlags::IN),
                Ok(Moved::End) => return Step::Done,
                Ok(Moved::Gone) => return Step::Over(Outcome::Gone),
                Err(error) => return Step::Over(Outcome::File(error)),
            };
            upload.piped = got;
            if beyond(upload.limit, target.offset, got) {
                return Step::Over(Outcome::TooLarge);
            }
            while upload.piped > 0 {
                match splice_to(pipe, &target.file, &mut target.offset, upload.piped) {
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
        let Some(target) = &mut self.target else { return Ok(()) };
        if beyond(self.limit, target.offset, bytes.len()) {
            return Err(Outcome::TooLarge);
        }
        while !bytes.is_empty() {
            let written = if target.appends {
                rustix::io::write(&target.file, bytes)
            } else {
                rustix::io::pwrite(&target.file, bytes, target.offset)
            };
            match written {
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    let written = u64::try_from(written).unwrap_or(u64::MAX);
                    target.offset = target.offset.saturating_add(written);
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
