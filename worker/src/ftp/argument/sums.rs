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
    let (first, last) = (words.next().and_then(number), words.next().and_then(number));
    match (first, last, words.next()) {
        (Some(1), Some(0), None) => Ok(None),
        (Some(first), Some(last), None) if first <= last && last < MAX_OFFSET => {
            Ok(Some(ByteRange { first, last }))
        }
        _ => Err(ERROR),
    }
}

/// What an X-sum is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumRequest<'a> {
    /// The file.
    pub path: &'a [u8],
    /// Its first byte.
    pub start: u64,
    /// Behind its last byte; `None`: to the end of the file.
    pub end: Option<u64>,
}

/// XCRC and its sisters: `file`, or `"file" start end`; a name without quotes is the whole rest.
///
/// # Errors
/// `Syntax`.
pub fn sum(argument: &[u8]) -> Argument<SumRequest<'_>> {
    const ERROR: ArgumentError = Syntax("A file is needed; with a range: \"file\" start end.");
    let Some(quoted) = argument.strip_prefix(b"\"") else {
        return if argument.is_empty() {
            Err(ERROR)
        } else {
            Ok(SumRequest { path: argument, start: 0, end: None })
        };
    };
    let close = quoted.iter().rposition(|byte| *byte == b'"').ok_or(ERROR)?;
    let (path, rest) = quoted.split_at(close);
    let rest = rest.get(1..).unwrap_or_default();
    if path.is_empty() || !(rest.is_empty() || rest.starts_with(b" ")) {
        return Err(ERROR);
    }
    let mut numbers =
        words(rest).map(|word| number(word).filter(|n| *n <= MAX_OFFSET).ok_or(ERROR));
    let start = numbers.next().transpose()?.unwrap_or(0);
    let end = numbers.next().transpose()?;
    if numbers.next().is_some() || end.is_some_and(|end| end < start) {
        return Err(ERROR);
    }
    Ok(SumRequest { path, start, end })
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
    fn sums_are_asked_for_with_and_without_range() {
        let request = |path, start, end| Ok(SumRequest { path, start, end });
        assert_eq!(sum(b"a b 1 2"), request(b"a b 1 2", 0, None));
        assert_eq!(sum(b"\"a \"b\" 1 2"), request(b"a \"b", 1, Some(2)));
        assert_eq!(sum(b"\"a\" 7"), request(b"a", 7, None));
        assert!(syntax(sum(b"\"a")) && syntax(sum(b"\"a\" 3 2")) && syntax(sum(b"\"a\"x")));
    }
}
