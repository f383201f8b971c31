//! What a client wants of the session as a whole: OPTS, LANG and HOST.

use std::net::Ipv6Addr;

use super::{
    Argument,
    ArgumentError::{self, NotImplemented, Syntax},
    first_word,
};
use crate::ftp::{digest::Algorithm, listing::FactSet};

/// What OPTS sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// `UTF8 ON`: names are bytes here, and UTF-8 as RFC 2640 wants it wherever files have it.
    Utf8On,
    /// The facts MLST and MLSD give.
    Facts(FactSet),
    /// The algorithm of HASH; `None`: say which one is in force.
    Hash(Option<Algorithm>),
}

/// OPTS (RFC 2389 section 4, RFC 3659 section 7.9).
///
/// # Errors
/// `NotImplemented` for an option that cannot be set so; `Syntax` for the rest.
pub fn options(argument: &[u8]) -> Argument<Options> {
    let (name, value) = first_word(argument);
    let value = value.trim_ascii();
    if name.eq_ignore_ascii_case(b"UTF8") || name.eq_ignore_ascii_case(b"UTF-8") {
        return match value {
            b"" => Ok(Options::Utf8On),
            on if on.eq_ignore_ascii_case(b"ON") => Ok(Options::Utf8On),
            off if off.eq_ignore_ascii_case(b"OFF") => {
                Err(NotImplemented("UTF8 cannot be switched off."))
            }
            _ => Err(Syntax("OPTS UTF8 needs ON.")),
        };
    }
    if name.eq_ignore_ascii_case(b"MLST") {
        return Ok(Options::Facts(FactSet::from_names(value)));
    }
    if name.eq_ignore_ascii_case(b"HASH") {
        if value.is_empty() {
            return Ok(Options::Hash(None));
        }
        return Algorithm::from_name(value)
            .map(|algorithm| Options::Hash(Some(algorithm)))
            .ok_or(NotImplemented("HASH knows SHA-256, SHA-512, SHA-1, MD5 and CRC32."));
    }
    Err(Syntax("OPTS knows UTF8, MLST and HASH."))
}

/// LANG (RFC 2640 section 4): English, or nothing for the default.
///
/// # Errors
/// `NotImplemented` for another language.
pub fn language(argument: &[u8]) -> Argument<()> {
    let tag = argument.trim_ascii();
    let primary = tag.split(|byte| *byte == b'-').next().unwrap_or_default();
    if tag.is_empty() || primary.eq_ignore_ascii_case(b"EN") {
        Ok(())
    } else {
        Err(NotImplemented("Replies are in English (EN) only."))
    }
}

/// HOST (RFC 7151 section 3.2): a name, an IPv4 address, or an IPv6 address in brackets.
///
/// # Errors
/// `Syntax`.
pub fn host(argument: &[u8]) -> Argument<&str> {
    const ERROR: ArgumentError = Syntax("HOST needs a host name, or an IPv6 address in brackets.");
    let host = std::str::from_utf8(argument.trim_ascii()).map_err(|_| ERROR)?;
    if host.len() > 255 || host.is_empty() {
        return Err(ERROR);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').ok_or(ERROR)?;
        return address.parse::<Ipv6Addr>().map(|_| host).map_err(|_| ERROR);
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    if labels.split('.').all(label) { Ok(host) } else { Err(ERROR) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax<T: std::fmt::Debug>(result: Argument<T>) -> bool {
        matches!(result, Err(Syntax(_)))
    }

    #[test]
    fn options_are_told_from_what_cannot_be_set() {
        assert_eq!(options(b"utf8 on"), Ok(Options::Utf8On));
        assert!(matches!(options(b"UTF8 OFF"), Err(NotImplemented(_))));
        assert_eq!(options(b"HASH md5"), Ok(Options::Hash(Some(Algorithm::Md5))));
        assert!(matches!(options(b"HASH x"), Err(NotImplemented(_))) && syntax(options(b"X")));
        let Ok(Options::Facts(facts)) = options(b"MLST size;Type;bogus;") else {
            panic!("no facts");
        };
        assert_eq!(facts.names(), "type;size;");
    }

    #[test]
    fn hosts_and_languages_are_those_of_the_rfc() {
        assert_eq!(host(b"ftp.example.org"), Ok("ftp.example.org"));
        assert_eq!(host(b"[::1]"), Ok("[::1]"));
        assert!(syntax(host(b"[::1")) && syntax(host(b"a b")) && syntax(host(b"a..b")));
        assert!(language(b"en-GB").is_ok() && language(b"de").is_err());
    }
}
