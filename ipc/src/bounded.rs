//! Values that cannot be too long or ill-formed: their limits are checked when they are decoded, so
//! an over-long name never exists behind a channel.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value is longer than its type allows, empty, or contains what it must not.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BoundError {
    /// Longer than the type allows.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// Empty, where something is needed.
    #[error("empty")]
    Empty,
    /// Contains a control character.
    #[error("contains a control character")]
    Control,
}

/// The name somebody logs in with: 1 to 255 bytes of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = BoundError;
    fn try_from(name: String) -> Result<Self, BoundError> {
        if name.is_empty() {
            return Err(BoundError::Empty);
        }
        if name.len() > Self::MAX {
            return Err(BoundError::TooLong(Self::MAX));
        }
        if name.chars().any(char::is_control) {
            return Err(BoundError::Control);
        }
        Ok(UserName(name))
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> String {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password, code or key: at most 1024 bytes, wiped when dropped, printable by nobody.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The longest secret, in bytes.
    pub const MAX: usize = 1024;

    /// The bytes. Callers must not keep a copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Says nothing of the contents; exists so that messages with a secret in them can be matched in
/// assertions.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl TryFrom<Vec<u8>> for Secret {
    type Error = BoundError;
    fn try_from(mut bytes: Vec<u8>) -> Result<Self, BoundError> {
        if bytes.len() > Self::MAX {
            bytes.zeroize();
            return Err(BoundError::TooLong(Self::MAX));
        }
        Ok(Secret(bytes))
    }
}

impl From<Secret> for Vec<u8> {
    fn from(mut secret: Secret) -> Vec<u8> {
        std::mem::take(&mut secret.0)
    }
}

/// Bytes of at most `N`: paths, lines, certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Bytes<const N: usize>(Vec<u8>);

impl<const N: usize> Bytes<N> {
    /// Keeps the first `N` bytes; for texts that may be cut, such as a path in a log line.
    pub fn cut(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(N);
        Bytes(bytes)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> TryFrom<Vec<u8>> for Bytes<N> {
    type Error = BoundError;
    fn try_from(bytes: Vec<u8>) -> Result<Self, BoundError> {
        if bytes.len() > N { Err(BoundError::TooLong(N)) } else { Ok(Bytes(bytes)) }
    }
}

impl<const N: usize> From<Bytes<N>> for Vec<u8> {
    fn from(bytes: Bytes<N>) -> Vec<u8> {
        bytes.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(UserName::try_from("alice".to_string()).is_ok());
        assert_eq!(UserName::try_from(String::new()), Err(BoundError::Empty));
        assert_eq!(UserName::try_from("a\nb".to_string()), Err(BoundError::Control));
        assert_eq!(UserName::try_from("x".repeat(256)), Err(BoundError::TooLong(255)));
    }

    #[test]
    fn bytes_and_secrets_are_bounded() {
        assert!(Bytes::<4>::try_from(vec![0; 4]).is_ok());
        assert!(Bytes::<4>::try_from(vec![0; 5]).is_err());
        assert!(Secret::try_from(vec![0; 1025]).is_err());
    }
}
