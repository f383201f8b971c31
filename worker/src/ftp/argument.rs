//! The arguments of verbs, each read by one function from the bytes a client sent.

mod data_address;
mod facts;
mod listing;
mod options;
mod protection;
mod sums;
mod transfer;

pub use data_address::{ExtendedPassive, extended_passive, extended_port, host_port};
pub use facts::{FactChanges, mode_bits, modify_facts, modify_time};
pub use listing::{Listing, listing};
pub use options::{Options, host, language, options};
pub use protection::{ProtectionLevel, buffer_size, mechanism, protection_level};
pub use sums::{ByteRange, SumRequest, range, sum};
pub use transfer::{TransferType, allocation, mode, offset, structure, transfer_type};

/// Why an argument is none; the reply is [`super::reply::Reply::argument`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not what the grammar says: 501 with what was expected.
    #[error("{0}")]
    Syntax(&'static str),
    /// Right by the grammar, but this server does not do it: 504.
    #[error("{0}")]
    NotImplemented(&'static str),
    /// A network protocol EPRT or EPSV cannot use here: 522 (RFC 2428 section 2).
    #[error("Network protocol not supported, use (1,2).")]
    Protocol,
}

/// The result of reading an argument.
pub type Argument<T> = Result<T, ArgumentError>;

/// Longest offset or size: what the kernel's signed 64 bits hold.
const MAX_OFFSET: u64 = i64::MAX.unsigned_abs();

/// A number of decimal digits, with nothing around them.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Words between spaces; doubled spaces say nothing.
pub(super) fn words(argument: &[u8]) -> impl Iterator<Item = &[u8]> {
    argument.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// The first word, and everything behind the one space that follows it.
pub(super) fn first_word(argument: &[u8]) -> (&[u8], &[u8]) {
    match argument.iter().position(|byte| *byte == b' ') {
        None => (argument, b""),
        Some(space) => (
            argument.get(..space).unwrap_or_default(),
            argument.get(space + 1..).unwrap_or_default(),
        ),
    }
}
