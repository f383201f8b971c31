//! HASH and RANG (draft-bryan-ftpext-hash, draft-bryan-ftp-range), XCRC, XMD5, XSHA1, XSHA256 and
//! XSHA512 (FTP command registry).

use super::ok_or_reply;
use crate::{
    files::FileError,
    ftp::{
        argument,
        digest::{Algorithm, Sum},
        reply::Reply,
    },
    session::Session,
};

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

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

    pub(super) fn hash(&mut self, argument: &[u8]) -> Reply {
        let (start, end) = match self.range.take() {
            Some(range) => (range.first, Some(range.last.saturating_add(1))),
            None => (0, None),
        };
        let algorithm = self.algorithm;
        match self.sum_of(algorithm, argument, start, end) {
            Ok((sum, end)) => Reply::hash(algorithm, start, end, &sum, argument),
            Err(reply) => reply,
        }
    }

    pub(super) fn sum(&mut self, algorithm: Algorithm, argument: &[u8]) -> Reply {
        let request = ok_or_reply!(argument::sum(argument).map_err(Reply::argument));
        match self.sum_of(algorithm, request.path, request.start, request.end) {
            Ok((sum, _)) => Reply::sum(&sum),
            Err(reply) => reply,
        }
    }

    /// The sum of a file from `start` to (not including) `end`, and where it ended.
    fn sum_of(
        &mut self,
        algorithm: Algorithm,
        name: &[u8],
        start: u64,
        end: Option<u64>,
    ) -> Result<(String, u64), Reply> {
        let path = self.resolve(name)?;
        let failed = |error| Reply::file_error(error, name);
        let (file, metadata) = self.root.open_read(&path).map_err(failed)?;
        let end = end.unwrap_or(metadata.size);
        if end > metadata.size || start > end {
            return Err(Reply::RANGE_BEYOND_END);
        }
        let mut sum = Sum::new(algorithm);
        let mut offset = start;
        self.scratch.raw.resize(BUFFER, 0);
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX).min(BUFFER);
            let buffer = self.scratch.raw.get_mut(..left).unwrap_or_default();
            match rustix::io::pread(&file, &mut *buffer, offset) {
                Ok(0) => return Err(Reply::FILE_CHANGED),
                Ok(read) => {
                    sum.update(buffer.get(..read).unwrap_or_default());
                    offset = offset.saturating_add(u64::try_from(read).unwrap_or(0));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed(FileError::from(errno))),
            }
        }
        Ok((sum.finish(), end))
    }
}
