//! Values that cannot be too long or ill-formed: their limits are checked when they are decoded, so
//! an over-long name never exists behind a channel.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};
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

/// Decodes a list of at most `N` elements; the first one beyond ends the decoding. For
/// `#[serde(deserialize_with = "…")]`, which every list of a message has.
///
/// # Errors
/// When there are more, or when an element does not decode.
pub fn list<'de, const N: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct AtMost<T, const N: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for AtMost<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {N} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::with_capacity(elements.size_hint().unwrap_or(0).min(N));
            while let Some(element) = elements.next_element()? {
                if list.len() >= N {
                    return Err(A::Error::custom(format_args!("a list of more than {N} elements")));
                }
                list.push(element);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(AtMost::<T, N>(PhantomData))
}

/// Decodes a text of at most `N` bytes; for `#[serde(deserialize_with = "…")]`, which every text of a
/// message has.
///
/// # Errors
/// When it is longer, or no UTF-8.
pub fn text<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > N {
        return Err(D::Error::custom(format_args!("a text of more than {N} bytes")));
    }
    Ok(text)
}

/// As [`text()`], for a text that may be missing.
///
/// # Errors
/// As [`text()`].
pub fn optional_text<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Bounded<const N: usize>(#[serde(deserialize_with = "text::<N, _>")] String);
    Ok(Option::<Bounded<N>>::deserialize(deserializer)?.map(|bounded| bounded.0))
}

/// Cuts a text to at most `bytes` bytes, between two characters.
pub fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Cuts a text to at most `characters` characters; the last one is then an ellipsis.
pub fn cut_characters(text: &mut String, characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        let end = text.get(..end).and_then(|kept| kept.char_indices().next_back());
        text.truncate(end.map_or(0, |(last, _)| last));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Bounded {
        #[serde(deserialize_with = "list::<3, _, _>")]
        list: Vec<u8>,
        #[serde(deserialize_with = "text::<4, _>")]
        text: String,
    }

    #[test]
    fn a1_lists_and_texts_are_bounded_while_they_are_decoded() {
        let decoded = |list: &[u8], text: &str| {
            let mut bytes = Vec::new();
            let sent = Bounded { list: list.to_vec(), text: text.into() };
            crate::codec::encode(&sent, &mut bytes).unwrap();
            crate::codec::decode::<Bounded>(&bytes).map(|got| assert_eq!(got, sent))
        };
        assert_eq!(decoded(&[1, 2, 3], "four"), Ok(()));
        assert!(decoded(&[1, 2, 3, 4], "four").unwrap_err().contains("more than 3 elements"));
        assert!(decoded(&[], "fives").unwrap_err().contains("more than 4 bytes"));
    }

    #[test]
    fn a9_a_text_that_is_cut_says_so() {
        let mut text = "größer".to_owned();
        cut_characters(&mut text, 6);
        assert_eq!(text, "größer");
        cut_characters(&mut text, 4);
        assert_eq!(text, "grö…");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut text = "grö".to_owned();
        cut(&mut text, 3);
        assert_eq!(text, "gr");
        cut(&mut text, 3);
        assert_eq!(text, "gr");
    }

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
