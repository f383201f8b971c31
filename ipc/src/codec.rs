//! The only place that names bincode: message to bytes and back, exactly.

use serde::{Serialize, de::DeserializeOwned};

/// Integers have variable length; the limit below is only a second line of defence, because the
/// channel bounds a frame before it gets here.
const LIMIT: usize = 1 << 20;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

/// Appends the encoding of `message` to `out`.
///
/// # Errors
/// The codec's words: a type it cannot write.
pub fn encode<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), String> {
    struct Sink<'a>(&'a mut Vec<u8>);
    impl bincode::enc::write::Writer for Sink<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    bincode::serde::encode_into_writer(message, Sink(out), config()).map_err(|e| e.to_string())
}

/// Decodes a message that must fill `bytes` to the last byte (bincode itself accepts a rest).
///
/// # Errors
/// The codec's words, or how many bytes are left.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, String> {
    let (message, used) = bincode::serde::decode_from_slice(bytes, config())
        .map_err(|e: bincode::error::DecodeError| e.to_string())?;
    if used == bytes.len() {
        Ok(message)
    } else {
        Err(format!("{} bytes follow the message", bytes.len().saturating_sub(used)))
    }
}
