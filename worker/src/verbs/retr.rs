//! RETR (RFC 959 section 4.1.3).

use ipc::session::TransferKind;

use super::{Answer, ok_or_answer};
use crate::{
    ftp::{argument::TransferType, ascii::ToWire, reply::Reply},
    session::Session,
    transfer::{Download, Job, Transfer},
};

impl Session<'_> {
    pub(super) fn retr(&mut self, argument: &[u8]) -> Answer {
        let offset = std::mem::take(&mut self.offset);
        ok_or_answer!(self.announced_data_way());
        let ascii = self.kind == TransferType::Ascii;
        if ascii && offset > 0 {
            return Ok(Some(Reply::REST_IN_ASCII));
        }
        let path = ok_or_answer!(self.resolve(argument));
        let opened = self.root.open_read(&path).map_err(|e| Reply::file_error(e, argument));
        let (file, metadata) = ok_or_answer!(opened);
        if offset > metadata.size {
            return Ok(Some(Reply::BEYOND_END));
        }
        // In TYPE A the number of bytes on the wire is not the file's size.
        let size = (!ascii).then_some(metadata.size);
        let download = Download {
            file,
            offset,
            end: metadata.size,
            text: ascii.then(ToWire::new),
            written: 0,
        };
        let transfer = Transfer::new(TransferKind::Download, path, Job::Download(download))
            .with_replies(Reply::opening(argument, size), Reply::COMPLETE);
        self.begin_transfer(transfer)
    }
}
