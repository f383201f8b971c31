//! RNFR and RNTO (RFC 959 section 4.1.3).

use ipc::{account::Rights, session::FileOperation};

use super::{Answer, ok_or_answer, ok_or_reply};
use crate::{
    files::{FileError, Replace},
    ftp::reply::Reply,
    session::Session,
};

impl Session<'_> {
    pub(super) fn rnfr(&mut self, argument: &[u8]) -> Reply {
        let path = ok_or_reply!(self.resolve(argument));
        match self.root.link_metadata(&path) {
            Ok(_) => {
                self.rename_from = Some(path);
                Reply::RENAME_TO
            }
            Err(error) => Reply::file_error(error, argument),
        }
    }

    pub(super) fn rnto(&mut self, argument: &[u8]) -> Answer {
        let Some(from) = self.rename_from.take() else { return Ok(Some(Reply::RNFR_FIRST)) };
        let to = ok_or_answer!(self.resolve(argument));
        let replace = if self.account.rights.contains(Rights::OVERWRITE) {
            Replace::Allowed
        } else {
            Replace::Never
        };
        let done = self.root.rename(&from, &to, replace);
        self.note(FileOperation::Rename, &from, Some(&to), &done)?;
        Ok(Some(match done {
            Ok(()) => Reply::RENAMED,
            Err(FileError::Exists) if replace == Replace::Never => Reply::OVERWRITE_REFUSED,
            Err(error) => Reply::file_error(error, argument),
        }))
    }
}
