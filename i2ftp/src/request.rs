//! Requests of the user layer: four letters, a comma, and fields at fixed places. Numbers are
//! little endian (packet headers are big endian).

use crate::{
    ID_BYTES,
    path::{BadPath, RelativePath},
};

/// The id of a download or upload session.
pub type Id = [u8; ID_BYTES];

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// LIST: the entries of a directory, or one file.
    List(RelativePath),
    /// GETF: begin a download.
    BeginDownload(RelativePath),
    /// DOWN: bytes `start..end`, to the end of the file when `end <= start`.
    Download {
        /// Of which session.
        id: Id,
        /// First byte.
        start: u64,
        /// Byte behind the last.
        end: u64,
    },
    /// PULF: begin an upload.
    BeginUpload {
        /// Target.
        path: RelativePath,
        /// MD5 the finished file must have, where the server takes this extension.
        md5: Option<[u8; 16]>,
    },
    /// UPLD: write bytes.
    Upload {
        /// Of which session.
        id: Id,
        /// Where the bytes belong.
        offset: u64,
        /// The bytes.
        data: &'a [u8],
    },
    /// CLOZ: end a session.
    Close(Id),
    /// FIOP: a file operation.
    File(FileRequest),
    /// PCTL: the server's process id.
    ProcessControl,
}

/// What FIOP asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileRequest {
    /// 0: give another name.
    Rename(RelativePath, RelativePath),
    /// 1: move; the same as rename, since both paths are relative to the root.
    Move(RelativePath, RelativePath),
    /// 2: copy a file, or a directory with all beneath it.
    Copy(RelativePath, RelativePath),
    /// 3: remove a file, or a directory with all beneath it.
    Remove(RelativePath),
    /// 4: make a directory and its parents.
    MakeDirectory(RelativePath),
}

/// Why a request is refused; the connection goes on. The text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Not four letters, a comma and the rest.
    #[error("unknown command")]
    UnknownCommand,
    /// A field is missing or cut.
    #[error("the request is too short")]
    Short,
    /// No comma where one belongs between fields.
    #[error("a separator is missing")]
    Separator,
    /// FIOP with an operation there is not.
    #[error("unknown file operation")]
    UnknownOperation,
    /// FIOP with too few or too many paths.
    #[error("wrong number of paths (names with a comma cannot be used here)")]
    PathCount,
    /// A path that is not allowed.
    #[error(transparent)]
    Path(#[from] BadPath),
}

/// Fields are taken from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], BadRequest> {
        let (field, rest) = self.0.split_first_chunk().ok_or(BadRequest::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    fn comma(&mut self) -> Result<(), BadRequest> {
        match self.bytes()? {
            [b','] => Ok(()),
            [_] => Err(BadRequest::Separator),
        }
    }

    fn end(&self) -> Result<(), BadRequest> {
        if self.0.is_empty() { Ok(()) } else { Err(BadRequest::Separator) }
    }
}

impl<'a> Request<'a> {
    /// Reads a request. `pulf_hash`: whether `PULF,path,md5` is taken, which no client sends by
    /// itself; without it a comma belongs to the path.
    ///
    /// # Errors
    /// [`BadRequest`], to be answered with a failure.
    pub fn parse(message: &'a [u8], pulf_hash: bool) -> Result<Request<'a>, BadRequest> {
        let (command, rest) = message.split_first_chunk::<4>().ok_or(BadRequest::UnknownCommand)?;
        let payload = match rest.split_first() {
            Some((b',', payload)) => payload,
            _ => return Err(BadRequest::UnknownCommand),
        };
        let mut fields = Fields(payload);
        match command {
            b"LIST" => Ok(Request::List(RelativePath::parse(payload)?)),
            b"GETF" => Ok(Request::BeginDownload(RelativePath::parse(payload)?)),
            b"DOWN" => {
                let id = fields.bytes()?;
                fields.comma()?;
                let start = u64::from_le_bytes(fields.bytes()?);
                fields.comma()?;
                let end = u64::from_le_bytes(fields.bytes()?);
                fields.end()?;
                Ok(Request::Download { id, start, end })
            }
            b"PULF" => {
                let (path, md5) = match pulf_hash.then(|| hash_behind(payload)).flatten() {
                    Some((path, md5)) => (path, Some(md5)),
                    None => (payload, None),
                };
                Ok(Request::BeginUpload { path: RelativePath::parse(path)?, md5 })
            }
            b"UPLD" => {
                let id = fields.bytes()?;
                fields.comma()?;
                let offset = u64::from_le_bytes(fields.bytes()?);
                fields.comma()?;
                Ok(Request::Upload { id, offset, data: fields.0 })
            }
            b"CLOZ" => {
                let id = fields.bytes()?;
                fields.end()?;
                Ok(Request::Close(id))
            }
            b"FIOP" => {
                let [operation] = fields.bytes()?;
                fields.comma()?;
                Ok(Request::File(FileRequest::parse(operation, fields.0)?))
            }
            b"PCTL" => Ok(Request::ProcessControl),
            _ => Err(BadRequest::UnknownCommand),
        }
    }
}

impl FileRequest {
    fn parse(operation: u8, paths: &[u8]) -> Result<FileRequest, BadRequest> {
        let paths: Vec<&[u8]> = paths.splitn(3, |byte| *byte == b',').collect();
        let one = || match paths.as_slice() {
            [path] => Ok(RelativePath::parse(path)?),
            _ => Err(BadRequest::PathCount),
        };
        let two = || match paths.as_slice() {
            [from, to] => Ok((RelativePath::parse(from)?, RelativePath::parse(to)?)),
            _ => Err(BadRequest::PathCount),
        };
        match operation {
            0 => two().map(|(from, to)| FileRequest::Rename(from, to)),
            1 => two().map(|(from, to)| FileRequest::Move(from, to)),
            2 => two().map(|(from, to)| FileRequest::Copy(from, to)),
            3 => one().map(FileRequest::Remove),
            4 => one().map(FileRequest::MakeDirectory),
            _ => Err(BadRequest::UnknownOperation),
        }
    }
}

/// Splits `path,md5` where the last 32 bytes are hexadecimal digits behind a comma.
fn hash_behind(payload: &[u8]) -> Option<(&[u8], [u8; 16])> {
    let (front, digits) = payload.split_last_chunk::<32>()?;
    let path = front.strip_suffix(b",")?;
    let mut md5 = [0u8; 16];
    for (byte, pair) in md5.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    // from_str_radix takes a sign, hexadecimal digits have none.
    digits.iter().all(u8::is_ascii_hexdigit).then_some((path, md5))
}

/// The requests a client makes, for tests and load.
pub mod ask {
    use super::Id;

    /// LIST, GETF or PULF of a path.
    pub fn path(command: &[u8; 4], path: &str) -> Vec<u8> {
        [command.as_slice(), b",", path.as_bytes()].concat()
    }

    /// DOWN.
    pub fn download(id: &Id, start: u64, end: u64) -> Vec<u8> {
        [b"DOWN,", id.as_slice(), b",", &start.to_le_bytes(), b",", &end.to_le_bytes()].concat()
    }

    /// UPLD.
    pub fn upload(id: &Id, offset: u64, data: &[u8]) -> Vec<u8> {
        [b"UPLD,", id.as_slice(), b",", &offset.to_le_bytes(), b",", data].concat()
    }

    /// CLOZ.
    pub fn close(id: &Id) -> Vec<u8> {
        [b"CLOZ,", id.as_slice()].concat()
    }

    /// FIOP with its paths.
    pub fn file(operation: u8, paths: &[&str]) -> Vec<u8> {
        [b"FIOP,".as_slice(), &[operation, b','], paths.join(",").as_bytes()].concat()
    }
}
