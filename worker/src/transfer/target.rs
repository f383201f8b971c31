//! Where an upload goes: what the account may do with what is there. It is judged when the command
//! comes, so that the client is told at once, and again when the data connection is up, because
//! others may have written, deleted or made the file in between. Only then is anything touched.

use std::os::fd::OwnedFd;

use ipc::{account::Rights, reason::Reason};

use crate::{
    files::{FileError, Replace, Root, Temporary, Writer, lock, open_metadata, set_length},
    ftp::{path::VirtualPath, reply::Reply},
};

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadForm {
    /// STOR: to the beginning, or behind REST from an offset on.
    Store {
        /// The offset; 0: everything that is there is replaced.
        offset: u64,
    },
    /// APPE: to the end of what is there.
    Append,
    /// STOU: to a name that nothing has.
    Unique,
}

/// What a client asks for, and who it is.
#[derive(Debug, Clone)]
pub struct UploadRequest {
    /// Where the bytes go.
    pub form: UploadForm,
    /// The file.
    pub path: VirtualPath,
    /// What the account may do.
    pub rights: Rights,
    /// Whether the file gets its name when it is complete.
    pub atomic: bool,
    /// Mode of a file that is made, without the umask's bits.
    pub mode: u32,
}

/// Why there is no upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadRefusal {
    /// The file system says no.
    File(FileError),
    /// The account lacks a right.
    RightMissing,
    /// The account may not replace what is there.
    Overwrite,
    /// The offset is behind the end of what is there.
    BeyondEnd,
    /// Uploads are atomic, and the account may not read or not replace what it wants to go on with.
    AtomicGoesOn,
}

impl From<FileError> for UploadRefusal {
    fn from(error: FileError) -> UploadRefusal {
        UploadRefusal::File(error)
    }
}

impl UploadRefusal {
    /// The word in the log.
    pub(crate) fn reason(self) -> Reason {
        match self {
            UploadRefusal::File(error) => error.reason(),
            UploadRefusal::RightMissing | UploadRefusal::AtomicGoesOn => Reason::NoRight,
            UploadRefusal::Overwrite => Reason::NoOverwrite,
            UploadRefusal::BeyondEnd => Reason::BadOffset,
        }
    }

    /// The reply; `name` is what the client called the file.
    pub(crate) fn reply(self, name: &[u8]) -> Reply {
        match self {
            UploadRefusal::File(error) => Reply::file_error(error, name),
            UploadRefusal::RightMissing => Reply::RIGHT_MISSING,
            UploadRefusal::Overwrite => Reply::OVERWRITE_REFUSED,
            UploadRefusal::BeyondEnd => Reply::BEYOND_END,
            UploadRefusal::AtomicGoesOn => Reply::ATOMIC_GOES_ON,
        }
    }
}

/// What is there, as things are.
#[derive(Debug)]
enum Present {
    /// A file, opened for writing.
    File(OwnedFd),
    /// Nothing: a file is made.
    Nothing,
}

/// The open file that an upload writes to.
#[derive(Debug)]
pub struct Target {
    /// The file; this descriptor has its lock.
    pub file: OwnedFd,
    /// Where the next byte goes.
    pub offset: u64,
    /// Bytes go to the end of the file, wherever that is (`O_APPEND`): the account may not replace
    /// any that are there.
    pub appends: bool,
    /// A hidden file that gets its name when it is complete.
    pub hidden: Option<Hidden>,
}

/// A hidden file beside the target.
#[derive(Debug)]
pub struct Hidden {
    /// Where it is.
    pub path: VirtualPath,
    /// Whether something may be there to be replaced.
    pub replace: Replace,
    /// What is there now, locked so that no other upload replaces it meanwhile.
    _present: Option<OwnedFd>,
    /// What comes before the client's bytes.
    pub beginning: Option<Beginning>,
}

/// The beginning of a file that an atomic upload goes on with.
#[derive(Debug)]
pub struct Beginning {
    /// The file, opened for reading.
    pub file: OwnedFd,
    /// The next byte to copy.
    pub at: u64,
    /// Behind the last one.
    pub end: u64,
}

impl UploadRequest {
    /// Whether the upload would be accepted as things are now. Nothing is touched.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, root: &Root) -> Result<(), UploadRefusal> {
        let present = self.present(root)?;
        self.judge(&present).map(drop)
    }

    /// The same judgement again, and what it allows: the file is locked, made or emptied.
    ///
    /// # Errors
    /// Why not; what is there is untouched then.
    pub(crate) fn open(&self, root: &Root) -> Result<Target, UploadRefusal> {
        let present = self.present(root)?;
        if let Present::File(file) = &present {
            lock(file, Writer::Alone)?;
        }
        // Behind the lock the size stays what it is, but for programs that take no lock.
        let offset = self.judge(&present)?;
        if self.atomic {
            return self.open_hidden(root, present, offset);
        }
        let appends = self.appends();
        let file = match present {
            Present::File(file) => {
                if offset == 0 && self.form != UploadForm::Append {
                    set_length(&file, 0)?;
                }
                file
            }
            Present::Nothing => {
                let file = root.create(&self.path, self.mode, appends)?;
                lock(&file, Writer::Alone)?;
                file
            }
        };
        Ok(Target { file, offset, appends, hidden: None })
    }

    /// Whether the account may replace no byte that is there.
    fn appends(&self) -> bool {
        !self.rights.contains(Rights::OVERWRITE)
    }

    fn present(&self, root: &Root) -> Result<Present, UploadRefusal> {
        if self.form == UploadForm::Unique {
            return Ok(Present::Nothing);
        }
        let opened =
            if self.appends() { root.open_append(&self.path) } else { root.open_write(&self.path) };
        match opened {
            Ok((file, _)) => Ok(Present::File(file)),
            Err(FileError::NotFound) => Ok(Present::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the account may: where the first byte goes.
    fn judge(&self, present: &Present) -> Result<u64, UploadRefusal> {
        let offset = match (present, self.form) {
            (Present::Nothing, UploadForm::Store { offset: 1.. }) => {
                return Err(UploadRefusal::BeyondEnd);
            }
            (Present::Nothing, _) => {
                self.need(Rights::WRITE, UploadRefusal::RightMissing)?;
                0
            }
            (Present::File(_), UploadForm::Store { offset: 0 }) => {
                self.need(Rights::OVERWRITE, UploadRefusal::Overwrite)?;
                0
            }
            (Present::File(file), UploadForm::Store { offset }) => {
                let size = open_metadata(file)?.size;
                if offset > size {
                    return Err(UploadRefusal::BeyondEnd);
                }
                // Before the end, bytes that are there are replaced.
                let needed = if offset < size { Rights::OVERWRITE } else { Rights::NONE };
                self.need(Rights::APPEND.with(needed), UploadRefusal::Overwrite)?;
                offset
            }
            (Present::File(file), UploadForm::Append | UploadForm::Unique) => {
                self.need(Rights::APPEND, UploadRefusal::RightMissing)?;
                open_metadata(file)?.size
            }
        };
        if self.atomic && offset > 0 {
            // The file that is there is copied as far as that, and replaced at the end.
            self.need(Rights::READ.with(Rights::OVERWRITE), UploadRefusal::AtomicGoesOn)?;
        }
        Ok(offset)
    }

    fn need(&self, rights: Rights, refusal: UploadRefusal) -> Result<(), UploadRefusal> {
        if self.rights.contains(rights) { Ok(()) } else { Err(refusal) }
    }

    fn open_hidden(
        &self,
        root: &Root,
        present: Present,
        offset: u64,
    ) -> Result<Target, UploadRefusal> {
        let (present, replace) = match present {
            Present::File(file) => (Some(file), Replace::Allowed),
            Present::Nothing => (None, Replace::Never),
        };
        let beginning = match offset {
            0 => None,
            end => {
                let (file, _) = root.open_read(&self.path)?;
                Some(Beginning { file, at: 0, end })
            }
        };
        let name = Temporary::Upload.name()?;
        // A name beside one that is possible is possible, unless the path is too long with it.
        let path = self.path.parent().child(name.as_bytes()).map_err(|_| FileError::Name)?;
        let file = root.create(&path, self.mode, false)?;
        lock(&file, Writer::Alone)?;
        let hidden = Hidden { path, replace, _present: present, beginning };
        Ok(Target { file, offset: 0, appends: false, hidden: Some(hidden) })
    }
}
