//! Secured mode: the client encrypts a session key of 64 bytes for a public key the server
//! announces, and both directions are ICCode-encoded with it from then on. This hides contents
//! from a glance and no more: nothing authenticates the public key, and ICCode is not a cipher.
//!
//! The client encrypts with PKCS#1 v1.5 (RFC 8017 section 7.2), and nothing else is possible. The
//! padding oracle that this invites is removed by a key used once and by going on with a random
//! session key when the ciphertext does not decrypt (RFC 8017 section 7.2.2, note).

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    error::Unspecified,
    rand,
    rsa::{KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey, PublicEncryptingKey},
};
use zeroize::Zeroizing;

use crate::{
    iccode::{Coder, SESSION_LEVEL},
    message::SECURED_MODE,
};

/// Length of the session key.
pub const SESSION_KEY_BYTES: usize = 64;
/// Length of the client's ciphertext: the modulus of our key.
pub const CIPHERTEXT_BYTES: usize = 256;

/// What precedes the PKCS#1 RSAPublicKey in a SubjectPublicKeyInfo of a 2048-bit key with exponent
/// 65537: two sequences, the algorithm rsaEncryption, and the head of a bit string.
const SPKI_HEAD: [u8; 24] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
];

/// A key pair for one connection.
pub struct Offer {
    key: Pkcs1PrivateDecryptingKey,
    announcement: Vec<u8>,
}

impl Offer {
    /// Makes a fresh 2048-bit key; takes some tens of milliseconds.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Offer, Unspecified> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
        let announcement = announcement(&key.public_key())?;
        let offer = Offer { key: Pkcs1PrivateDecryptingKey::new(key)?, announcement };
        offer.prove()?;
        Ok(offer)
    }

    /// A key that does not decrypt what is encrypted for it is useless. Proving it also makes the
    /// library set up, now, what it sets up at the first use: a sandbox may forbid that later.
    fn prove(&self) -> Result<(), Unspecified> {
        let mut key = [0u8; SESSION_KEY_BYTES];
        rand::fill(&mut key)?;
        let ciphertext = accept(&self.announcement, &key)?;
        let mut plain = vec![0u8; self.key.min_output_size()];
        if *self.key.decrypt(&ciphertext, &mut plain)? == key { Ok(()) } else { Err(Unspecified) }
    }

    /// The first message of secured mode.
    pub fn announcement(&self) -> &[u8] {
        &self.announcement
    }

    /// The coders of a session, receiving and sending: of the key the client sent, or of a random
    /// one when it sent something else, so that nothing tells the two apart.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn coders(self, ciphertext: &[u8]) -> Result<(Coder, Coder), Unspecified> {
        let mut key = Zeroizing::new([0u8; SESSION_KEY_BYTES]);
        rand::fill(&mut *key)?;
        let mut plain = Zeroizing::new(vec![0u8; self.key.min_output_size()]);
        if let Ok(decrypted) = self.key.decrypt(ciphertext, &mut plain)
            && let Ok(sent) = <&[u8; SESSION_KEY_BYTES]>::try_from(&*decrypted)
        {
            key.copy_from_slice(sent);
        }
        let coder = Coder::new(&*key, SESSION_LEVEL);
        Ok((coder.clone(), coder))
    }
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Offer")
    }
}

fn announcement(key: &PublicEncryptingKey) -> Result<Vec<u8>, Unspecified> {
    let der: PublicKeyX509Der<'_> = key.as_der()?;
    let pkcs1 = der.as_ref().strip_prefix(&SPKI_HEAD).ok_or(Unspecified)?;
    Ok([SECURED_MODE, public_key_pem(pkcs1).as_bytes()].concat())
}

/// A PKCS#1 RSAPublicKey as the client wants it: base64 in lines of 64 characters.
pub fn public_key_pem(der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN RSA PUBLIC KEY-----\n");
    for line in der.chunks(48) {
        push_base64(&mut pem, line);
        pem.push('\n');
    }
    pem.push_str("-----END RSA PUBLIC KEY-----\n");
    pem
}

/// RFC 4648 section 4.
fn push_base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS.get((bits >> shift & 63) as usize).copied().unwrap_or(b'=');
            out.push(char::from(if i <= group.len() { digit } else { b'=' }));
        }
    }
}

/// The client's half: encrypts a session key for an announcement.
///
/// # Errors
/// When the announcement is not one of [`Offer`].
pub fn accept(announcement: &[u8], key: &[u8; SESSION_KEY_BYTES]) -> Result<Vec<u8>, Unspecified> {
    use aws_lc_rs::rsa::Pkcs1PublicEncryptingKey;
    let pem = announcement.strip_prefix(SECURED_MODE).ok_or(Unspecified)?;
    let text = std::str::from_utf8(pem).map_err(|_| Unspecified)?;
    let mut der = SPKI_HEAD.to_vec();
    for line in text.lines().filter(|line| !line.starts_with('-')) {
        from_base64(line, &mut der).ok_or(Unspecified)?;
    }
    let key_of_server = Pkcs1PublicEncryptingKey::new(PublicEncryptingKey::from_der(&der)?)?;
    let mut ciphertext = vec![0u8; key_of_server.ciphertext_size()];
    let length = key_of_server.encrypt(key, &mut ciphertext)?.len();
    ciphertext.truncate(length);
    Ok(ciphertext)
}

fn from_base64(line: &str, out: &mut Vec<u8>) -> Option<()> {
    for group in line.as_bytes().chunks(4) {
        let mut bits = 0u32;
        let mut count = 0usize;
        for &c in group.iter().filter(|c| **c != b'=') {
            let value = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
            count += 1;
        }
        bits <<= 6 * (4 - count);
        out.extend(bits.to_be_bytes().get(1..count)?);
    }
    Some(())
}
