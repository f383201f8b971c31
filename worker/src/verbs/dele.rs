//! DELE (RFC 959 section 4.1.3).

use ipc::session::FileOperation;

use super::{Answer, ok_or_answer};
use crate::{ftp::reply::Reply, session::Session};

impl Session<'_> {
    pub(super) fn dele(&mut self, argument: &[u8]) -> Answer {
        let path = ok_or_answer!(self.resolve(argument));
        let done = self.root.delete(&path);
        self.note(FileOperation::Delete, &path, None, &done)?;
        Ok(Some(match done {
            Ok(()) => Reply::DELETED,
            Err(error) => Reply::file_error(error, argument),
        }))
    }
}
