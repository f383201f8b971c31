//! CWD, CDUP and PWD (RFC 959 sections 4.1.1 and 4.1.3, RFC 775).

use super::ok_or_reply;
use crate::{
    ftp::{path::VirtualPath, reply::Reply},
    session::Session,
};

impl Session<'_> {
    pub(super) fn cwd(&mut self, argument: &[u8]) -> Reply {
        let path = ok_or_reply!(self.resolve(argument));
        self.enter(path, argument)
    }

    pub(super) fn cdup(&mut self) -> Reply {
        self.enter(self.directory.parent(), b"..")
    }

    pub(super) fn pwd(&mut self) -> Reply {
        Reply::path(self.directory.as_bytes(), "is the working directory.")
    }

    fn enter(&mut self, path: VirtualPath, name: &[u8]) -> Reply {
        match self.root.enter(&path) {
            Ok(()) => {
                self.directory = path;
                Reply::DIRECTORY_CHANGED
            }
            Err(error) => Reply::file_error(error, name),
        }
    }
}
