//! Protection by TLS: AUTH, PBSZ and PROT (RFC 4217).

use super::{
    Argument,
    ArgumentError::{NotImplemented, Syntax},
    number,
};

/// What AUTH asks for: TLS, whatever it is called.
///
/// # Errors
/// `NotImplemented` for another mechanism (RFC 4217 section 4).
pub fn mechanism(argument: &[u8]) -> Argument<()> {
    let name = argument.trim_ascii();
    if [b"TLS".as_slice(), b"TLS-C", b"SSL", b"TLS-P"].iter().any(|n| n.eq_ignore_ascii_case(name))
    {
        Ok(())
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
        assert!(mechanism(b"tls").is_ok() && mechanism(b"GSSAPI").is_err());
        assert!(buffer_size(b"0").is_ok() && syntax(buffer_size(b"4294967296")));
    }
}
