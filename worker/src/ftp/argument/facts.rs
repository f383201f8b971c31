//! Facts of files that a client sets: MFMT, MFF, and the mode of SITE CHMOD.

use super::{
    Argument,
    ArgumentError::{self, NotImplemented, Syntax},
    first_word,
};
use crate::ftp::calendar;

/// MFMT (draft-somers-ftp-mfxx section 3.1): seconds since 1970 and a path.
///
/// # Errors
/// `Syntax`.
pub fn modify_time(argument: &[u8]) -> Argument<(i64, &[u8])> {
    const ERROR: ArgumentError = Syntax("MFMT needs YYYYMMDDHHMMSS and a path.");
    let (time, path) = first_word(argument);
    if path.is_empty() {
        return Err(ERROR);
    }
    Ok((calendar::parse(time).ok_or(ERROR)?, path))
}

/// What MFF sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactChanges {
    /// Seconds since 1970.
    pub modify: Option<i64>,
    /// Permission bits, at most 0o777.
    pub unix_mode: Option<u32>,
}

/// MFF (draft-somers-ftp-mfxx section 5.1): `modify=…;UNIX.mode=…; path`.
///
/// # Errors
/// `NotImplemented` for other facts, `Syntax` for the rest.
pub fn modify_facts(argument: &[u8]) -> Argument<(FactChanges, &[u8])> {
    const ERROR: ArgumentError = Syntax("MFF needs fact=value; and a path.");
    let (facts, path) = first_word(argument);
    let facts = facts.strip_suffix(b";").filter(|_| !path.is_empty()).ok_or(ERROR)?;
    let mut changes = FactChanges::default();
    for fact in facts.split(|byte| *byte == b';') {
        let equals = fact.iter().position(|byte| *byte == b'=').ok_or(ERROR)?;
        let (name, value) = fact.split_at(equals);
        let value = value.get(1..).ok_or(ERROR)?;
        if name.eq_ignore_ascii_case(b"modify") {
            changes.modify = Some(calendar::parse(value).ok_or(ERROR)?);
        } else if name.eq_ignore_ascii_case(b"unix.mode") {
            changes.unix_mode = Some(mode_bits(value)?);
        } else {
            return Err(NotImplemented("MFF sets modify and UNIX.mode only."));
        }
    }
    Ok((changes, path))
}

/// Three or four octal digits.
///
/// # Errors
/// `NotImplemented` for set-uid, set-gid and sticky; `Syntax` for the rest.
pub fn mode_bits(digits: &[u8]) -> Argument<u32> {
    const ERROR: ArgumentError = Syntax("A mode is three octal digits, such as 644.");
    if !(1..=5).contains(&digits.len()) {
        return Err(ERROR);
    }
    let mode = digits.iter().try_fold(0u32, |mode, byte| match byte {
        b'0'..=b'7' => Ok(mode * 8 + u32::from(byte - b'0')),
        _ => Err(ERROR),
    })?;
    match mode {
        0..=0o777 => Ok(mode),
        0o1000..=0o7777 => Err(NotImplemented("The set-uid, set-gid and sticky bits are not set.")),
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
    fn times_facts_and_modes() {
        assert_eq!(modify_time(b"20000229000000 a b"), Ok((951_782_400, b"a b".as_slice())));
        assert!(syntax(modify_time(b"20000229000000")) && syntax(modify_time(b"2000 a")));
        let (changes, path) = modify_facts(b"Modify=20000229000000;UNIX.mode=0644; f").unwrap();
        assert_eq!((changes.modify, changes.unix_mode), (Some(951_782_400), Some(0o644)));
        assert_eq!(path, b"f");
        assert!(matches!(modify_facts(b"create=20000229000000; f"), Err(NotImplemented(_))));
        assert!(syntax(modify_facts(b"modify=20000229000000 f")));
        assert_eq!(mode_bits(b"0755"), Ok(0o755));
        assert!(matches!(mode_bits(b"4755"), Err(NotImplemented(_))));
        assert!(syntax(mode_bits(b"888")) && syntax(mode_bits(b"")) && syntax(mode_bits(b"u+x")));
    }
}
