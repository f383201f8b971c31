//! Of what sums are made: RANG, XCRC and its sisters.

use super::{
    Argument,
    ArgumentError::{self, Syntax},
    MAX_OFFSET, number, words,
};

/// A range of bytes of a file, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

/// RANG (draft-bryan-ftp-range): first and last byte; `1 0` forgets the range (`None`).
///
/// # Errors
/// `Syntax`.
pub fn range(argument: &[u8]) -> Argument<Option<ByteRange>> {
    const ERROR: ArgumentError = Syntax("RANG needs the first and the last byte, or 1 0.");
    let mut words = words(argument);
    match (words.next(), words.next(), words.next()) {
        (Some(b"1"), Some(b"0"), None) => Ok(None),
        (Some(first), Some(last), None) => byte_range(first, last).map(Some).ok_or(ERROR),
        _ => Err(ERROR),
    }
}

/// What an X-sum is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumRequest<'a> {
    /// The file.
    pub path: &'a [u8],
    /// Its bytes; `None`: all of them.
    pub range: Option<ByteRange>,
    /// What else the argument may mean, if no file has the whole of it for a name: a name without
    /// quotes, and a range.
    pub or: Option<(&'a [u8], ByteRange)>,
}

/// XCRC and its sisters: `file [first last]`, the range as in RANG. The file may stand in quotes, and
/// has to where its own name ends in two numbers and a range is meant.
///
/// # Errors
/// `Syntax`.
pub fn sum(argument: &[u8]) -> Argument<SumRequest<'_>> {
    const ERROR: ArgumentError =
        Syntax("A file is needed, and for a range its first and last byte.");
    if argument.is_empty() {
        return Err(ERROR);
    }
    let Some(quoted) = argument.strip_prefix(b"\"") else {
        return Ok(SumRequest { path: argument, range: None, or: trailing_range(argument) });
    };
    let close = quoted.iter().rposition(|byte| *byte == b'"').ok_or(ERROR)?;
    let (path, rest) = quoted.split_at(close);
    let rest = rest.get(1..).unwrap_or_default();
    if path.is_empty() || !(rest.is_empty() || rest.starts_with(b" ")) {
        return Err(ERROR);
    }
    let mut words = words(rest);
    let range = match (words.next(), words.next(), words.next()) {
        (None, None, None) => None,
        (Some(first), Some(last), None) => Some(byte_range(first, last).ok_or(ERROR)?),
        _ => return Err(ERROR),
    };
    Ok(SumRequest { path, range, or: None })
}

/// A name and the two numbers behind it.
fn trailing_range(argument: &[u8]) -> Option<(&[u8], ByteRange)> {
    let mut parts = argument.rsplitn(3, |byte| *byte == b' ');
    let (last, first, path) = (parts.next()?, parts.next()?, parts.next()?);
    Some((path, byte_range(first, last)?)).filter(|(path, _)| !path.is_empty())
}

/// Two numbers in order.
fn byte_range(first: &[u8], last: &[u8]) -> Option<ByteRange> {
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last < MAX_OFFSET).then_some(ByteRange { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax<T: std::fmt::Debug>(result: Argument<T>) -> bool {
        matches!(result, Err(Syntax(_)))
    }

    #[test]
    fn a_range_has_two_ends_in_order() {
        assert_eq!(range(b"1 0"), Ok(None));
        assert_eq!(range(b"5 5"), Ok(Some(ByteRange { first: 5, last: 5 })));
        assert!(syntax(range(b"6 5")) && syntax(range(b"6")));
    }

    #[test]
    fn g12_sums_have_one_form_and_the_range_of_rang() {
        let range = |first, last| Some(ByteRange { first, last });
        let quoted = |path, range| Ok(SumRequest { path, range, or: None });
        assert_eq!(sum(b"\"a \"b\" 1 2"), quoted(b"a \"b", range(1, 2)));
        assert_eq!(sum(b"\"a 1 2\""), quoted(b"a 1 2", None));
        assert_eq!(sum(b"\"a\" 0 0"), quoted(b"a", range(0, 0)));
        let plain = sum(b"a b 1 2").unwrap();
        assert_eq!((plain.path, plain.range), (b"a b 1 2".as_slice(), None));
        assert_eq!(plain.or, range(1, 2).map(|range| (b"a b".as_slice(), range)));
        for name in [b"a".as_slice(), b"a 1", b"1 2", b" 1 2", b"a 2 1", b"a 1 x"] {
            assert_eq!(sum(name), quoted(name, None), "{name:?}");
        }
        assert!(syntax(sum(b"\"a")) && syntax(sum(b"\"a\" 3 2")) && syntax(sum(b"\"a\"x")));
        assert!(syntax(sum(b"")) && syntax(sum(b"\"\"")) && syntax(sum(b"\"a\" 7")));
        assert!(syntax(sum(b"\"a\" 0 9223372036854775807")));
        assert!(sum(b"\"a\" 0 9223372036854775806").is_ok());
    }
}
