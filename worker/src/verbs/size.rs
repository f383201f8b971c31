//! SIZE and MDTM (RFC 3659 sections 4 and 3).

use super::ok_or_reply;
use crate::{
    files::FileError,
    ftp::{argument::TransferType, reply::Reply},
    session::Session,
};

impl Session<'_> {
    pub(super) fn size(&mut self, argument: &[u8]) -> Reply {
        if self.kind == TransferType::Ascii {
            return Reply::SIZE_IN_ASCII;
        }
        let path = ok_or_reply!(self.resolve(argument));
        match self.root.metadata(&path) {
            Ok(metadata) if metadata.is_regular() => Reply::size(metadata.size),
            Ok(metadata) if metadata.is_directory() => {
                Reply::file_error(FileError::IsDirectory, argument)
            }
            Ok(_) => Reply::file_error(FileError::NotRegular, argument),
            Err(error) => Reply::file_error(error, argument),
        }
    }

    pub(super) fn mdtm(&mut self, argument: &[u8]) -> Reply {
        let path = ok_or_reply!(self.resolve(argument));
        match self.root.metadata(&path) {
            Ok(metadata) => Reply::modified(metadata.modified),
            Err(error) => Reply::file_error(error, argument),
        }
    }
}
