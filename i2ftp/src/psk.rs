//! The pre-shared key of all clients, and what makes one unfit.

use aws_lc_rs::digest;
use zeroize::Zeroizing;

/// The pre-shared key: any bytes, at least one. Wiped when dropped, printable by nobody.
#[derive(Clone)]
pub struct Psk(Zeroizing<Vec<u8>>);

/// Why a pre-shared key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitKey {
    /// Shorter than [`Psk::MIN_BYTES`].
    #[error(
        "the I2FTP key is shorter than 16 bytes (32 hex digits), so that one recorded login is \
         enough to guess it; make one with `openssl rand -hex 32`"
    )]
    TooShort,
    /// The key the protocol's first implementation publishes as its default.
    #[error(
        "the I2FTP key is the published default, which everybody knows; make one with \
         `openssl rand -hex 32`"
    )]
    Published,
    /// Not an even number of hexadecimal digits.
    #[error("the I2FTP key is not written in hexadecimal digits, two for each byte")]
    NotHex,
}

/// How good an accepted key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStrength {
    /// At least [`Psk::GOOD_BYTES`].
    Good,
    /// Shorter: worth a warning.
    Short,
}

/// SHA-256 of the published default key, so that the key itself is not in this program.
const PUBLISHED_SHA256: [u8; 32] = [
    0xc9, 0x08, 0x3e, 0x29, 0x8d, 0xf8, 0xdd, 0x58, 0x47, 0x12, 0xab, 0x6d, 0xc7, 0x83, 0x5a, 0xb7,
    0x10, 0x93, 0x1c, 0xe1, 0xd5, 0x0d, 0x9d, 0x2d, 0x63, 0xa5, 0x94, 0x00, 0xd2, 0x5f, 0xd2, 0xb5,
];

impl Psk {
    /// Shortest key a server accepts, in bytes.
    pub const MIN_BYTES: usize = 16;
    /// Keys below this many bytes are worth a warning.
    pub const GOOD_BYTES: usize = 32;

    /// Adopts a key as it is; [`Psk::judge`] tells whether a server should accept it.
    pub fn new(bytes: &[u8]) -> Psk {
        Psk(Zeroizing::new(bytes.to_vec()))
    }

    /// Reads the key of a configuration, in hexadecimal digits, and judges it.
    ///
    /// # Errors
    /// [`UnfitKey`]; its text says what to do.
    pub fn from_hex(text: &str) -> Result<(Psk, KeyStrength), UnfitKey> {
        let digits = text.trim().as_bytes();
        if !digits.len().is_multiple_of(2) {
            return Err(UnfitKey::NotHex);
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
        for pair in digits.chunks_exact(2) {
            let mut byte = 0u8;
            for &digit in pair {
                let value = char::from(digit).to_digit(16).ok_or(UnfitKey::NotHex)?;
                byte = (byte << 4) | u8::try_from(value).unwrap_or_default();
            }
            bytes.push(byte);
        }
        let strength = Psk::judge(&bytes)?;
        Ok((Psk(bytes), strength))
    }

    /// Whether a server should accept this key.
    ///
    /// # Errors
    /// [`UnfitKey`]; its text says what to do.
    pub fn judge(bytes: &[u8]) -> Result<KeyStrength, UnfitKey> {
        if digest::digest(&digest::SHA256, bytes).as_ref() == PUBLISHED_SHA256 {
            return Err(UnfitKey::Published);
        }
        if bytes.len() < Psk::MIN_BYTES {
            Err(UnfitKey::TooShort)
        } else if bytes.len() < Psk::GOOD_BYTES {
            Ok(KeyStrength::Short)
        } else {
            Ok(KeyStrength::Good)
        }
    }

    /// The bytes. Callers must not keep a copy that is not wiped.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Psk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(key)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfit_keys_are_refused_and_short_ones_told() {
        assert_eq!(Psk::from_hex("zz").unwrap_err(), UnfitKey::NotHex);
        assert_eq!(Psk::from_hex("abc").unwrap_err(), UnfitKey::NotHex);
        assert_eq!(Psk::from_hex("").unwrap_err(), UnfitKey::TooShort);
        assert_eq!(Psk::from_hex(&"ab".repeat(15)).unwrap_err(), UnfitKey::TooShort);
        assert_eq!(Psk::from_hex(&"ab".repeat(16)).unwrap().1, KeyStrength::Short);
        assert_eq!(Psk::from_hex(&"ab".repeat(32)).unwrap().1, KeyStrength::Good);
        let published = "263930255d3e5f5f41646649324654502446255f2b40245e3a6142617369634b6579255f2b402d245e3a3e";
        assert_eq!(Psk::from_hex(published).unwrap_err(), UnfitKey::Published);
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", Psk::new(b"secret")), "(key)");
    }
}
