//! Protection by TLS: AUTH, PBSZ and PROT (RFC 4217).

use super::{
    Argument,
    ArgumentError::{NotImplemented, Syntax},
    number,
};

/// What AUTH asks for: TLS.
///
/// # Errors
/// `NotImplemented` for another mechanism (RFC 4217 section 4).
pub fn mechanism(argument: &[u8]) -> Argument<()> {
    let name = argument.trim_ascii();
    let is_one_of =
        |names: [&str; 2]| names.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(name));
    if is_one_of(["TLS", "TLS-C"]) {
        Ok(())
    } else if is_one_of(["SSL", "TLS-P"]) {
        // In the drafts before RFC 4217 these protect data connections without a word of PROT; a
        // client that means that must not find its files in the clear.
        Err(NotImplemented("AUTH SSL is of an old draft: AUTH TLS, then PBSZ 0 and PROT P."))
    } else {
        Err(NotImplemented("Only AUTH TLS is implemented."))
    }
}

/// PBSZ (RFC 4217 section 8): for TLS the size is always 0, whatever was asked.
///
/// # Errors
/// `Syntax` unless it is a number of 32 bits.
pub fn buffer_size(argument: &[u8]) -> Argument<()> {
    number(argument.trim_ascii())
        .filter(|size| *size <= u64::from(u32::MAX))
        .map(|_| ())
        .ok_or(Syntax("PBSZ needs a number; with TLS it is 0."))
}

/// A level of PROT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionLevel {
    /// C: plain.
    Clear,
    /// P: TLS.
    Private,
    /// S or E, which TLS does not have: 536.
    NotSupported,
}

/// PROT (RFC 4217 section 9).
///
/// # Errors
/// `NotImplemented` for a level no RFC has (504).
pub fn protection_level(argument: &[u8]) -> Argument<ProtectionLevel> {
    match argument.trim_ascii() {
        b"C" | b"c" => Ok(ProtectionLevel::Clear),
        b"P" | b"p" => Ok(ProtectionLevel::Private),
        b"S" | b"s" | b"E" | b"e" => Ok(ProtectionLevel::NotSupported),
        _ => Err(NotImplemented("PROT needs C or P.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax<T: std::fmt::Debug>(result: Argument<T>) -> bool {
        matches!(result, Err(Syntax(_)))
    }

    #[test]
    fn levels_and_mechanisms_are_those_of_tls() {
        assert_eq!(protection_level(b"p"), Ok(ProtectionLevel::Private));
        assert_eq!(protection_level(b"S"), Ok(ProtectionLevel::NotSupported));
        assert!(matches!(protection_level(b"X"), Err(NotImplemented(_))));
        assert!(mechanism(b"tls").is_ok() && mechanism(b"TLS-C").is_ok());
        for refused in [b"SSL".as_slice(), b"tls-p", b"GSSAPI", b""] {
            assert!(matches!(mechanism(refused), Err(NotImplemented(_))));
        }
        assert!(buffer_size(b"0").is_ok() && syntax(buffer_size(b"4294967296")));
    }
}
