//! STOR, APPE and STOU (RFC 959 section 4.1.3, RFC 1123 section 4.1.2.9).

use ipc::{
    account::{Rights, Uploads},
    session::TransferKind,
};

use super::{Answer, ok_or_answer};
use crate::{
    files::{Call, FileError, Replace},
    ftp::{argument::TransferType, ascii::FromWire, path::VirtualPath, reply::Reply},
    session::Session,
    transfer::{Job, Target, Transfer, Upload},
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
        let (target, offset) = ok_or_answer!(self.stor_target(&path, offset, argument));
        let replies = (Reply::opening(argument, None), Reply::COMPLETE);
        self.begin_upload(TransferKind::Upload, path, target, offset, replies)
    }

    pub(super) fn appe(&mut self, argument: &[u8]) -> Answer {
        let offset = std::mem::take(&mut self.offset);
        ok_or_answer!(self.announced_data_way());
        if offset > 0 {
            return Ok(Some(Reply::APPEND_AFTER_REST));
        }
        if self.settings.uploads == Uploads::Atomic {
            return Ok(Some(Reply::ATOMIC_NO_APPEND));
        }
        let path = ok_or_answer!(self.resolve(argument));
        let (target, offset) = match self.root.open_write(&path) {
            Ok((file, metadata)) => {
                if !self.account.rights.contains(Rights::APPEND) {
                    return Ok(Some(Reply::RIGHT_MISSING));
                }
                (Target::Keep(file), metadata.size)
            }
            Err(FileError::NotFound) if self.account.rights.contains(Rights::WRITE) => {
                (Target::Create, 0)
            }
            Err(error) => return Ok(Some(Reply::file_error(error, argument))),
        };
        let replies = (Reply::opening(argument, None), Reply::COMPLETE);
        self.begin_upload(TransferKind::Append, path, target, offset, replies)
    }

    pub(super) fn stou(&mut self, argument: &[u8]) -> Answer {
        let offset = std::mem::take(&mut self.offset);
        ok_or_answer!(self.announced_data_way());
        if offset > 0 {
            return Ok(Some(Reply::STOU_AFTER_REST));
        }
        let wanted = if argument.is_empty() { UNNAMED } else { argument };
        let (name, path) = ok_or_answer!(self.unused_name(wanted));
        let target = match self.settings.uploads {
            Uploads::InPlace => Target::Create,
            Uploads::Atomic => ok_or_answer!(beside(&path, Replace::Never)),
        };
        let replies = (Reply::opening_unique(&name), Reply::complete_unique(&name));
        self.begin_upload(TransferKind::Upload, path, target, 0, replies)
    }

    fn stor_target(
        &self,
        path: &VirtualPath,
        offset: u64,
        name: &[u8],
    ) -> Result<(Target, u64), Reply> {
        let rights = self.account.rights;
        let atomic = self.settings.uploads == Uploads::Atomic;
        if atomic && offset > 0 {
            return Err(Reply::ATOMIC_NO_REST);
        }
        match self.root.open_write(path) {
            Ok((_, metadata)) if offset > metadata.size => Err(Reply::BEYOND_END),
            Ok((file, metadata)) if offset > 0 => {
                let needed = if offset < metadata.size {
                    // Bytes that are there are replaced.
                    Rights::APPEND.with(Rights::OVERWRITE)
                } else {
                    Rights::APPEND
                };
                if !rights.contains(needed) {
                    return Err(Reply::OVERWRITE_REFUSED);
                }
                Ok((Target::Keep(file), offset))
            }
            Ok((file, metadata)) => {
                if !rights.contains(Rights::OVERWRITE) {
                    return Err(Reply::OVERWRITE_REFUSED);
                }
                if atomic {
                    return Ok((beside(path, Replace::Allowed)?, 0));
                }
                Ok((Target::Replace { file, size: metadata.size }, 0))
            }
            Err(FileError::NotFound) => {
                if !rights.contains(Rights::WRITE) {
                    return Err(Reply::RIGHT_MISSING);
                }
                if offset > 0 {
                    return Err(Reply::BEYOND_END);
                }
                if atomic {
                    return Ok((beside(path, Replace::Never)?, 0));
                }
                Ok((Target::Create, 0))
            }
            Err(error) => Err(Reply::file_error(error, name)),
        }
    }

    fn begin_upload(
        &mut self,
        kind: TransferKind,
        path: VirtualPath,
        target: Target,
        offset: u64,
        (opening, complete): (Reply, Reply),
    ) -> Answer {
        let ascii = self.kind == TransferType::Ascii;
        if ascii && offset > 0 && kind == TransferKind::Upload {
            return Ok(Some(Reply::REST_IN_ASCII));
        }
        let mut upload = Upload::new(target, offset, 0o666 & !self.umask);
        upload.text = ascii.then(FromWire::new);
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

/// A hidden file beside the target, under a name that nobody can guess.
fn beside(path: &VirtualPath, replace: Replace) -> Result<Target, Reply> {
    let mut random = [0u8; 8];
    let failed = |errno| Reply::file_error(FileError::of(Call::Other, errno), b"");
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(failed)?;
    let name = format!(".bulkhead-{:016x}", u64::from_ne_bytes(random));
    let hidden = path.parent().child(name.as_bytes()).map_err(Reply::path_error)?;
    Ok(Target::Beside { hidden, replace })
}
