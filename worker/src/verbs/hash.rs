//! HASH and RANG (draft-bryan-ftpext-hash, draft-bryan-ftp-range), XCRC, XMD5, XSHA1, XSHA256 and
//! XSHA512 (FTP command registry).

use std::{os::fd::OwnedFd, time::Instant};

use ipc::account::Limits;

use super::ok_or_reply;
use crate::{
    files::{Call, FileError},
    ftp::{
        argument::{self, ByteRange, SumRequest},
        digest::{Algorithm, Sum},
        reply::Reply,
    },
    rate::Bucket,
    session::Session,
};

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;
/// Pieces that are read before the rest of the world is looked at.
const PIECES: usize = 32;

impl Session<'_> {
    pub(super) fn rang(&mut self, argument: &[u8]) -> Reply {
        match ok_or_reply!(argument::range(argument).map_err(Reply::argument)) {
            Some(range) => {
                self.range = Some(range);
                Reply::range(range.first, range.last)
            }
            None => {
                self.range = None;
                Reply::RANGE_FORGOTTEN
            }
        }
    }

    pub(super) fn hash(&mut self, argument: &[u8]) -> Option<Reply> {
        let range = self.range.take();
        let opened = self.open_to_sum(argument);
        self.begin_sum(self.algorithm, opened, range, Form::Hash)
    }

    pub(super) fn sum(&mut self, algorithm: Algorithm, argument: &[u8]) -> Option<Reply> {
        match argument::sum(argument) {
            Ok(SumRequest { path, range, or }) => {
                let mut opened = self.open_to_sum(path);
                let mut range = range;
                if let (Err(_), Some((path, other))) = (&opened, or)
                    && let Ok(found) = self.open_to_sum(path)
                {
                    (opened, range) = (Ok(found), Some(other));
                }
                self.begin_sum(algorithm, opened, range, Form::SumAlone)
            }
            Err(error) => Some(Reply::argument(error)),
        }
    }

    fn open_to_sum(&self, name: &[u8]) -> Result<Source, Reply> {
        let path = self.resolve(name)?;
        let opened = self.root.open_read(&path);
        let (file, metadata) = opened.map_err(|error| Reply::file_error(error, name))?;
        Ok(Source { file, size: metadata.size, name: name.to_vec() })
    }

    /// Begins the sum of a range, or of the whole file. The reply when it cannot be made.
    fn begin_sum(
        &mut self,
        algorithm: Algorithm,
        opened: Result<Source, Reply>,
        range: Option<ByteRange>,
        form: Form,
    ) -> Option<Reply> {
        let Source { file, size, name } = match opened {
            Ok(source) => source,
            Err(reply) => return Some(reply),
        };
        let (start, end) = match range {
            Some(ByteRange { first, last }) => (first, last.saturating_add(1)),
            None => (0, size),
        };
        if end > size {
            return Some(Reply::RANGE_BEYOND_END);
        }
        let mut summing = Summing {
            file,
            sum: Sum::new(algorithm),
            algorithm,
            start,
            offset: start,
            end,
            name,
            form,
            bucket: None,
        };
        summing.limit_rate(&self.limits);
        self.summing = Some(summing);
        None
    }

    /// Goes on with the sum that is being made, for a while.
    pub(crate) fn sum_on(&mut self) {
        let Some(mut summing) = self.summing.take() else { return };
        match summing.step(&mut self.scratch.raw) {
            Some(reply) => {
                self.say(&reply);
                self.last_transfer = Instant::now();
            }
            None => self.summing = Some(summing),
        }
    }
}

/// A file that was opened for its sum.
struct Source {
    file: OwnedFd,
    size: u64,
    /// As the client wrote it.
    name: Vec<u8>,
}

/// How a sum is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As HASH does.
    Hash,
    /// The sum and nothing else.
    SumAlone,
}

/// A sum that is being made, in pieces, so that ABOR and the rest of the world are heard.
#[derive(Debug)]
pub(crate) struct Summing {
    file: OwnedFd,
    sum: Sum,
    algorithm: Algorithm,
    start: u64,
    offset: u64,
    end: u64,
    name: Vec<u8>,
    form: Form,
    /// Bytes that are read count as downloaded: they cost the same.
    bucket: Option<Bucket>,
}

impl Summing {
    /// From now on bytes are read as fast as these limits allow a download.
    pub(crate) fn limit_rate(&mut self, limits: &Limits) {
        self.bucket = Bucket::new(limits.download_rate, Instant::now());
    }

    /// When it is worth going on.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        let Some(bucket) = &mut self.bucket else { return now };
        if bucket.allowance(now) == 0 { bucket.next(now) } else { now }
    }

    /// Reads on; the reply when the sum is made or cannot be.
    fn step(&mut self, buffer: &mut Vec<u8>) -> Option<Reply> {
        buffer.resize(BUFFER, 0);
        for _ in 0..PIECES {
            let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            if left == 0 {
                let sum = self.sum.clone().finish();
                return Some(match self.form {
                    Form::Hash => {
                        Reply::hash(self.algorithm, self.start, self.end, &sum, &self.name)
                    }
                    Form::SumAlone => Reply::sum(&sum),
                });
            }
            let allowed = match &mut self.bucket {
                Some(bucket) => bucket.allowance(Instant::now()),
                None => u64::MAX,
            };
            let left = left.min(usize::try_from(allowed).unwrap_or(usize::MAX));
            if left == 0 {
                return None;
            }
            let piece = buffer.get_mut(..left.min(BUFFER)).unwrap_or_default();
            match rustix::io::pread(&self.file, &mut *piece, self.offset) {
                Ok(0) => return Some(Reply::FILE_CHANGED),
                Ok(read) => {
                    self.sum.update(piece.get(..read).unwrap_or_default());
                    let read = u64::try_from(read).unwrap_or(u64::MAX);
                    self.offset = self.offset.saturating_add(read);
                    if let Some(bucket) = &mut self.bucket {
                        bucket.take(read);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    return Some(Reply::file_error(FileError::of(Call::Read, errno), &self.name));
                }
            }
        }
        None
    }
}
