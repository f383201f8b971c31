//! MKD and RMD (RFC 959 section 4.1.3, RFC 775).

use ipc::session::FileOperation;

use super::{Answer, ok_or_answer};
use crate::{ftp::reply::Reply, session::Session};

impl Session<'_> {
    pub(super) fn mkd(&mut self, argument: &[u8]) -> Answer {
        let path = ok_or_answer!(self.resolve(argument));
        let done = self.root.make_directory(&path, 0o777 & !self.umask);
        self.note(FileOperation::MakeDirectory, &path, None, &done)?;
        Ok(Some(match done {
            Ok(()) => Reply::path(path.as_bytes(), "made."),
            Err(error) => Reply::file_error(error, argument),
        }))
    }

    pub(super) fn rmd(&mut self, argument: &[u8]) -> Answer {
        let path = ok_or_answer!(self.resolve(argument));
        let done = self.root.remove_directory(&path);
        self.note(FileOperation::RemoveDirectory, &path, None, &done)?;
        Ok(Some(match done {
            Ok(()) => Reply::DIRECTORY_REMOVED,
            Err(error) => Reply::file_error(error, argument),
        }))
    }
}
