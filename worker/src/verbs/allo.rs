//! ALLO (RFC 959 section 4.1.3) and AVBL (draft-peterson-streamlined-ftp-command-extensions).

use super::ok_or_reply;
use crate::{
    ftp::{argument, reply::Reply},
    session::Session,
};

impl Session<'_> {
    pub(super) fn allo(&mut self, argument: &[u8]) -> Reply {
        let bytes = ok_or_reply!(argument::allocation(argument).map_err(Reply::argument));
        if self.limits.file_size > 0 && bytes > self.limits.file_size {
            return Reply::FILE_SIZE_LIMIT;
        }
        match self.root.space(&self.directory) {
            Ok(space) if bytes > space.available => Reply::NO_ROOM,
            Ok(_) => Reply::ALLOCATED,
            Err(error) => Reply::file_error(error, b""),
        }
    }

    pub(super) fn avbl(&mut self, argument: &[u8]) -> Reply {
        let path = ok_or_reply!(self.resolve_or_here(argument));
        match self.root.space(&path) {
            Ok(space) => Reply::available(space.available),
            Err(error) => Reply::file_error(error, argument),
        }
    }
}
