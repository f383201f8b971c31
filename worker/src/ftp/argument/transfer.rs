//! How data travels, from where on and how much: TYPE, STRU, MODE, REST and ALLO.

use super::{
    Argument,
    ArgumentError::{self, NotImplemented, Syntax},
    MAX_OFFSET, number, words,
};

/// How data is represented on a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferType {
    /// Text: line ends travel as CR LF.
    Ascii,
    /// Bytes as they are.
    Binary,
}

/// TYPE (RFC 959 section 3.1.1).
///
/// # Errors
/// `NotImplemented` for E, A T, A C and L other than 8; `Syntax` for the rest.
pub fn transfer_type(argument: &[u8]) -> Argument<TransferType> {
    const ERROR: ArgumentError = Syntax("TYPE needs A, A N, I or L 8.");
    let mut words = words(argument);
    let kind = words.next().ok_or(ERROR)?;
    let form = words.next();
    if words.next().is_some() {
        return Err(ERROR);
    }
    match (kind, form) {
        (b"A" | b"a", None | Some(b"N" | b"n")) => Ok(TransferType::Ascii),
        (b"I" | b"i", None) => Ok(TransferType::Binary),
        (b"L" | b"l", Some(b"8")) | (b"L8" | b"l8", None) => Ok(TransferType::Binary),
        (b"L" | b"l", Some(size)) if number(size).is_some() => {
            Err(NotImplemented("Only L 8 is implemented."))
        }
        (b"A" | b"a" | b"E" | b"e", Some(b"T" | b"t" | b"C" | b"c"))
        | (b"E" | b"e", None | Some(b"N" | b"n")) => {
            Err(NotImplemented("Only TYPE A, A N, I and L 8 are implemented."))
        }
        _ => Err(ERROR),
    }
}

/// STRU (RFC 959 section 3.1.2): F only.
///
/// # Errors
/// `NotImplemented` for R and P; `Syntax` for the rest.
pub fn structure(argument: &[u8]) -> Argument<()> {
    match argument.trim_ascii() {
        b"F" | b"f" => Ok(()),
        b"R" | b"r" | b"P" | b"p" => Err(NotImplemented("Only STRU F is implemented.")),
        _ => Err(Syntax("STRU needs F.")),
    }
}

/// MODE (RFC 959 section 3.4): S only.
///
/// # Errors
/// `NotImplemented` for B, C and Z; `Syntax` for the rest.
pub fn mode(argument: &[u8]) -> Argument<()> {
    match argument.trim_ascii() {
        b"S" | b"s" => Ok(()),
        b"B" | b"b" | b"C" | b"c" | b"Z" | b"z" => {
            Err(NotImplemented("Only MODE S is implemented."))
        }
        _ => Err(Syntax("MODE needs S.")),
    }
}

/// REST (RFC 3659 section 5.3): an offset in bytes.
///
/// # Errors
/// `Syntax`.
pub fn offset(argument: &[u8]) -> Argument<u64> {
    number(argument.trim_ascii())
        .filter(|offset| *offset <= MAX_OFFSET)
        .ok_or(Syntax("REST needs an offset in bytes."))
}

/// ALLO (RFC 959 section 4.1.3): bytes, and a record size that says nothing here.
///
/// # Errors
/// `Syntax`.
pub fn allocation(argument: &[u8]) -> Argument<u64> {
    const ERROR: ArgumentError = Syntax("ALLO needs a number of bytes.");
    let mut words = words(argument);
    let bytes = words.next().and_then(number).filter(|size| *size <= MAX_OFFSET).ok_or(ERROR)?;
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Ok(bytes),
        (Some(b"R" | b"r"), Some(size), None) if number(size).is_some() => Ok(bytes),
        _ => Err(ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax<T: std::fmt::Debug>(result: Argument<T>) -> bool {
        matches!(result, Err(Syntax(_)))
    }

    #[test]
    fn type_mode_and_structure_tell_wrong_from_not_implemented() {
        for (text, expected) in [
            ("A", TransferType::Ascii),
            ("a n", TransferType::Ascii),
            ("I", TransferType::Binary),
            ("L 8", TransferType::Binary),
        ] {
            assert_eq!(transfer_type(text.as_bytes()), Ok(expected), "{text}");
        }
        for text in ["E", "A T", "L 7", "A C"] {
            assert!(matches!(transfer_type(text.as_bytes()), Err(NotImplemented(_))), "{text}");
        }
        assert!(syntax(transfer_type(b"X")) && syntax(transfer_type(b"I N")));
        assert!(matches!(structure(b"R"), Err(NotImplemented(_))) && syntax(structure(b"X")));
        assert!(matches!(mode(b"Z"), Err(NotImplemented(_))) && mode(b"s").is_ok());
    }

    #[test]
    fn offsets_and_sizes_stay_within_what_a_file_can_be() {
        assert_eq!(offset(b"9223372036854775807"), Ok(MAX_OFFSET));
        for wrong in ["9223372036854775808", "99999999999999999999", "-1", "", "1 2", "0x1"] {
            assert!(syntax(offset(wrong.as_bytes())), "{wrong}");
        }
        assert_eq!(allocation(b"10 R 5"), Ok(10));
        assert!(syntax(allocation(b"10 5")));
    }
}
