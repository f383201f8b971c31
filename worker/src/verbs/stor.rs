//! STOR, APPE and STOU (RFC 959 section 4.1.3, RFC 1123 section 4.1.2.9).

use ipc::{account::Uploads, session::TransferKind};

use super::{Answer, ok_or_answer};
use crate::{
    files::FileError,
    ftp::{argument::TransferType, ascii::FromWire, path::VirtualPath, reply::Reply},
    session::Session,
    transfer::{Job, Transfer, Upload, UploadForm, UploadRequest},
};

/// Names that STOU tries beside the one it was given.
const MAX_TRIES: u32 = 1000;
/// The name of STOU without a name.
const UNNAMED: &[u8] = b"upload";

impl Session<'_> {
    pub(super) fn stor(&mut self, argument: &[u8]) -> Answer {
        let offset = std::mem::take(&mut self.offset);
        ok_or_answer!(self.announced_data_way());
        let path = ok_or_answer!(self.resolve(argument));
        if self.kind == TransferType::Ascii && offset > 0 {
            return Ok(Some(Reply::REST_IN_ASCII));
        }
        let replies = (Reply::opening(argument, None), Reply::COMPLETE);
        self.begin_upload(UploadForm::Store { offset }, path, argument, replies)
    }

    pub(super) fn appe(&mut self, argument: &[u8]) -> Answer {
        let offset = std::mem::take(&mut self.offset);
        ok_or_answer!(self.announced_data_way());
        if offset > 0 {
            return Ok(Some(Reply::APPEND_AFTER_REST));
        }
        let path = ok_or_answer!(self.resolve(argument));
        let replies = (Reply::opening(argument, None), Reply::COMPLETE);
        self.begin_upload(UploadForm::Append, path, argument, replies)
    }

    pub(super) fn stou(&mut self, argument: &[u8]) -> Answer {
        let offset = std::mem::take(&mut self.offset);
        ok_or_answer!(self.announced_data_way());
        if offset > 0 {
            return Ok(Some(Reply::STOU_AFTER_REST));
        }
        let wanted = if argument.is_empty() { UNNAMED } else { argument };
        let (name, path) = ok_or_answer!(self.unused_name(wanted));
        let replies = (Reply::opening_unique(&name), Reply::complete_unique(&name));
        self.begin_upload(UploadForm::Unique, path, wanted, replies)
    }

    /// Begins an upload that is allowed as things are now; `name` is what the client called the file.
    fn begin_upload(
        &mut self,
        form: UploadForm,
        path: VirtualPath,
        name: &[u8],
        (opening, complete): (Reply, Reply),
    ) -> Answer {
        let request = UploadRequest {
            form,
            path: path.clone(),
            rights: self.account.rights,
            atomic: self.settings.uploads == Uploads::Atomic,
            mode: 0o666 & !self.umask,
        };
        if let Err(refusal) = request.check(&self.root) {
            return Ok(Some(refusal.reply(name)));
        }
        let kind = match form {
            UploadForm::Append => TransferKind::Append,
            UploadForm::Store { .. } | UploadForm::Unique => TransferKind::Upload,
        };
        let mut upload = Upload::new(request);
        upload.text = (self.kind == TransferType::Ascii).then(FromWire::new);
        upload.limit = self.limits.file_size;
        upload.sync = self.settings.sync_uploads;
        let transfer = Transfer::new(kind, path, Job::Upload(Box::new(upload)))
            .with_replies(opening, complete);
        self.begin_transfer(transfer)
    }

    /// A name that nothing has: the one that is wanted, or one with a number behind it.
    fn unused_name(&self, wanted: &[u8]) -> Result<(Vec<u8>, VirtualPath), Reply> {
        for number in 0..MAX_TRIES {
            let mut name = wanted.to_vec();
            if number > 0 {
                name.extend_from_slice(format!(".{number}").as_bytes());
            }
            let path = self.resolve(&name)?;
            match self.root.link_metadata(&path) {
                Ok(_) => {}
                Err(FileError::NotFound) => return Ok((name, path)),
                Err(error) => return Err(Reply::file_error(error, wanted)),
            }
        }
        Err(Reply::file_error(FileError::Exists, wanted))
    }
}
