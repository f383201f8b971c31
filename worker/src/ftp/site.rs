//! The arguments of SITE.

use super::{
    argument::{
        Argument,
        ArgumentError::{self, NotImplemented, Syntax},
        first_word, mode_bits, number,
    },
    calendar,
};

/// A SITE command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site<'a> {
    /// SITE CHMOD.
    Chmod {
        /// Permission bits, at most 0o777.
        mode: u32,
        /// Whose.
        path: &'a [u8],
    },
    /// SITE UMASK; `None`: show it.
    Umask(Option<u32>),
    /// SITE IDLE, in seconds; `None`: show it.
    Idle(Option<u64>),
    /// SITE UTIME.
    Utime {
        /// Time of modification, seconds since 1970.
        modify: i64,
        /// Time of access, when it is given.
        access: Option<i64>,
        /// Whose.
        path: &'a [u8],
    },
    /// SITE SYMLINK.
    Symlink {
        /// What the link says.
        target: &'a [u8],
        /// Where it is made.
        link: &'a [u8],
    },
    /// SITE HELP, and for which command.
    Help(&'a [u8]),
    /// SITE WHO.
    Who,
}

/// SITE and what stands behind it.
///
/// # Errors
/// `NotImplemented` for another SITE command (504), `Syntax` for a wrong argument.
pub fn site(argument: &[u8]) -> Argument<Site<'_>> {
    let (name, rest) = first_word(argument.trim_ascii_start());
    let upper = name.to_ascii_uppercase();
    match upper.as_slice() {
        b"CHMOD" => {
            let (mode, path) = first_word(rest);
            if path.is_empty() {
                return Err(Syntax("SITE CHMOD needs a mode and a path."));
            }
            Ok(Site::Chmod { mode: mode_bits(mode)?, path })
        }
        b"UMASK" => match rest.trim_ascii() {
            b"" => Ok(Site::Umask(None)),
            mask => Ok(Site::Umask(Some(mode_bits(mask)?))),
        },
        b"IDLE" => match rest.trim_ascii() {
            b"" => Ok(Site::Idle(None)),
            seconds => number(seconds)
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Site::Idle(Some(seconds)))
                .ok_or(Syntax("SITE IDLE needs a number of seconds.")),
        },
        b"UTIME" => utime(rest),
        b"SYMLINK" => symlink(rest),
        b"HELP" => Ok(Site::Help(rest.trim_ascii())),
        b"WHO" if rest.trim_ascii().is_empty() => Ok(Site::Who),
        b"WHO" => Err(Syntax("SITE WHO has no argument.")),
        b"" => Err(Syntax("SITE needs a command; SITE HELP names them.")),
        _ => Err(NotImplemented("Unknown SITE command; SITE HELP names them.")),
    }
}

/// Both forms of SITE UTIME: `time path`, and `path atime mtime ctime UTC`.
fn utime(argument: &[u8]) -> Argument<Site<'_>> {
    const ERROR: ArgumentError =
        Syntax("SITE UTIME needs YYYYMMDDhhmm[ss] and a path, or path atime mtime ctime UTC.");
    /// The last word and what stands before it.
    fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
        let space = text.iter().rposition(|byte| *byte == b' ')?;
        Some((text.get(..space)?, text.get(space + 1..)?))
    }
    let long = || {
        let (rest, zone) = last_word(argument)?;
        let (rest, change) = last_word(rest)?;
        let (rest, modify) = last_word(rest)?;
        let (path, access) = last_word(rest)?;
        calendar::parse(change)?;
        let times = (calendar::parse(access)?, calendar::parse(modify)?);
        (zone.eq_ignore_ascii_case(b"UTC") && !path.is_empty()).then_some((path, times))
    };
    if let Some((path, (access, modify))) = long() {
        return Ok(Site::Utime { modify, access: Some(access), path });
    }
    let (time, path) = first_word(argument);
    if path.is_empty() {
        return Err(ERROR);
    }
    let modify = calendar::parse(time).or_else(|| calendar::parse_minutes(time)).ok_or(ERROR)?;
    Ok(Site::Utime { modify, access: None, path })
}

/// SITE SYMLINK target link: a target with spaces stands in quotes. The link is all that follows, byte
/// for byte; in quotes it may begin with one.
fn symlink(argument: &[u8]) -> Argument<Site<'_>> {
    const ERROR: ArgumentError =
        Syntax("SITE SYMLINK needs a target, in quotes if it contains spaces, and a link.");
    fn target(text: &[u8]) -> Option<(&[u8], &[u8])> {
        let Some(quoted) = text.strip_prefix(b"\"") else {
            return Some(first_word(text));
        };
        let close = quoted.iter().position(|byte| *byte == b'"')?;
        let rest = quoted.get(close + 1..)?;
        Some((quoted.get(..close)?, rest.strip_prefix(b" ").unwrap_or(rest)))
    }
    let (target, rest) = target(argument).ok_or(ERROR)?;
    let quoted = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let link = quoted.unwrap_or(rest);
    if target.is_empty() || link.is_empty() {
        return Err(ERROR);
    }
    Ok(Site::Symlink { target, link })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_commands_are_read_in_any_case() {
        assert_eq!(site(b"chmod 644 a b"), Ok(Site::Chmod { mode: 0o644, path: b"a b" }));
        assert_eq!(site(b"UMASK"), Ok(Site::Umask(None)));
        assert_eq!(site(b"UMASK 077"), Ok(Site::Umask(Some(0o77))));
        assert_eq!(site(b"IDLE 60"), Ok(Site::Idle(Some(60))));
        assert_eq!(site(b"HELP WHO"), Ok(Site::Help(b"WHO")));
        assert_eq!(site(b"WHO"), Ok(Site::Who));
    }

    #[test]
    fn wrong_ones_are_told_apart() {
        for wrong in
            ["", "CHMOD 644", "CHMOD x a", "IDLE 0", "IDLE x", "WHO x", "UTIME x y", "SYMLINK a"]
        {
            assert!(matches!(site(wrong.as_bytes()), Err(Syntax(_))), "{wrong}");
        }
        assert!(matches!(site(b"EXEC ls"), Err(NotImplemented(_))));
        assert!(matches!(site(b"CHMOD 4755 a"), Err(NotImplemented(_))));
    }

    #[test]
    fn utime_has_two_forms_and_symlink_takes_quotes() {
        let seconds = 951_782_400;
        let short = Site::Utime { modify: seconds, access: None, path: b"a b" };
        assert_eq!(site(b"UTIME 200002290000 a b"), Ok(short));
        let long = Site::Utime { modify: seconds, access: Some(0), path: b"a b" };
        let text = b"UTIME a b 19700101000000 20000229000000 20000229000000 UTC";
        assert_eq!(site(text), Ok(long));
        let link = Site::Symlink { target: b"a b", link: b"c" };
        assert_eq!(site(b"SYMLINK \"a b\" c"), Ok(link));
        let link = |link| Ok(Site::Symlink { target: b"a", link });
        assert_eq!(site(b"SYMLINK a  b c"), link(b" b c"));
        assert_eq!(site(b"SYMLINK a \"\"b \""), link(b"\"b "));
        assert_eq!(site(b"SYMLINK a \"b"), link(b"\"b"));
    }
}
