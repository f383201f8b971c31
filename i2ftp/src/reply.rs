//! Replies of the user layer: a status byte, a comma, and data. On failure the data is a text for
//! people; its wording is free, its comma is not.

use crate::request::Id;

const SUCCESS: &[u8; 2] = b"\x01,";
const FAILURE: &[u8; 2] = b"\x00,";

/// Length of what precedes the file's bytes in a DOWN reply.
pub const DOWNLOAD_PREFIX: usize = 2 + 8 + 1;

/// A failure with its text.
pub fn failure(text: &str) -> Vec<u8> {
    [FAILURE.as_slice(), text.as_bytes()].concat()
}

/// A success with data.
pub fn success(data: &[u8]) -> Vec<u8> {
    [SUCCESS.as_slice(), data].concat()
}

/// GETF and PULF: the id.
pub fn begun(id: &Id) -> Vec<u8> {
    success(id)
}

/// The front of a DOWN reply; the file's bytes follow.
pub fn download_prefix(start: u64) -> [u8; DOWNLOAD_PREFIX] {
    let mut prefix = [b','; DOWNLOAD_PREFIX];
    prefix[..2].copy_from_slice(SUCCESS);
    prefix[2..10].copy_from_slice(&start.to_le_bytes());
    prefix
}

/// UPLD: the position behind the bytes written.
pub fn uploaded(position: u64) -> Vec<u8> {
    success(&position.to_le_bytes())
}

/// CLOZ of a download: the MD5 of the whole file in lower-case digits.
pub fn download_closed(md5: &[u8; 16]) -> Vec<u8> {
    let mut reply = SUCCESS.to_vec();
    for byte in md5 {
        for nibble in [byte >> 4, byte & 15] {
            reply.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
    }
    reply
}

/// CLOZ of an upload.
pub fn upload_closed() -> Vec<u8> {
    SUCCESS.to_vec()
}

/// FIOP.
pub fn file_operation_done() -> Vec<u8> {
    success(b"done")
}

/// PCTL, where the configuration allows it.
pub fn process_id(pid: u32) -> Vec<u8> {
    success(&pid.to_le_bytes())
}
