//! The time-dependent keys of the handshake: 16 bytes to knock, 64 bytes bound to the server's
//! nonce to prove. Both come from the pre-shared key and the time in coarse units.
//!
//! They are MD5-based codes: they keep out whoever lacks the key, and let whoever records one
//! connection test guesses of the key at leisure. Only a random key resists.

use aws_lc_rs::{constant_time, digest};
use zeroize::Zeroizing;

use crate::{Psk, iccode::Coder, md5::md5};

/// Length of the knock.
pub const KNOCK_BYTES: usize = 16;
/// Length of the server's nonce.
pub const NONCE_BYTES: usize = 64;
/// Length of the proof.
pub const PROOF_BYTES: usize = 64;

/// Seconds in a unit of the knock.
const KNOCK_UNIT: f64 = 60.0;
/// What the time is multiplied by to get a unit of the proof; it enters the arithmetic of the key
/// as well.
const PROOF_SCALE: f64 = 0.01;
/// Level of the ICCode transform of the proof.
const PROOF_LEVEL: u8 = 6;

/// The 60-second unit of a Unix time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the protocol truncates; `as` saturates, and a clock before 1970 is unit 0"
)]
pub fn knock_unit(unix_time: f64) -> u32 {
    (unix_time / KNOCK_UNIT) as u32
}

/// The 100-second unit of a Unix time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the protocol truncates; `as` saturates, and a clock before 1970 is unit 0"
)]
pub fn proof_unit(unix_time: f64) -> u64 {
    (unix_time * PROOF_SCALE) as u64
}

/// The first 16 bytes a client sends in a unit.
pub fn knock(psk: &Psk, unit: u32) -> [u8; KNOCK_BYTES] {
    let k = md5(&[&md5(&[psk.bytes()])]);
    let d = md5(&[&md5(&[&unit.to_le_bytes()]), &k]);
    let s = reversed(md5(&[&d]));
    let c = first3(&s).map(|byte| {
        let byte = u16::from(byte);
        low_byte(u32::from((byte + byte % 32) % 255 + 1))
    });
    let m = mixed(&s, &c);
    md5(&[&s[..3], &m, &s[14..], &c, &k])
}

/// The 64 bytes a client proves its key with in a unit, before they are bound to the nonce.
pub fn proof_key(psk: &Psk, unit: u64) -> Zeroizing<[u8; PROOF_BYTES]> {
    let t = md5(&[unit.to_string().as_bytes()]);
    let k = md5(&[psk.bytes()]);
    let s = reversed(md5(&[&t, &k]));
    let c = first3(&s).map(|byte| byte % 255 + 1);
    let m = mixed(&s, &c);
    let a = reversed(md5(&[&s[..3], &c]));

    let mut b = Zeroizing::new([0u8; 80]);
    let parts = [a, md5(&[&a, &m]), md5(&[&m]), md5(&[&m, psk.bytes()]), k];
    for (place, part) in b.chunks_exact_mut(16).zip(parts) {
        place.copy_from_slice(&part);
    }

    for r in 0..4 {
        let w: [f64; 4] = std::array::from_fn(|i| f64::from(t[4 * r + i]));
        let sum =
            u32::from(k[r]) + u32::from(k[r + 4]) + u32::from(k[r + 8]) + u32::from(k[r + 12]);
        let f = PROOF_SCALE + f64::from(sum / 4);
        // Each round shortens the key by four bytes, in place: byte i needs bytes i to i + 4.
        for i in 0..76 - 4 * r {
            let at = |offset: usize| f64::from(b[i + offset]);
            // The order of the operations is part of the protocol: each rounds.
            let mut x = at(0) * w[0] + at(1) * w[1];
            x += at(2) * f;
            x += at(3) * w[2];
            x += at(4) * w[3];
            b[i] = truncated(x % 256.0);
        }
    }
    let mut key = Zeroizing::new([0u8; PROOF_BYTES]);
    key.copy_from_slice(&b[..PROOF_BYTES]);
    key
}

/// The 64 bytes a client answers the nonce with.
pub fn proof(psk: &Psk, nonce: &[u8; NONCE_BYTES], unit: u64) -> [u8; PROOF_BYTES] {
    let mut bytes = *proof_key(psk, unit);
    proof_coder(psk, nonce).encode(&mut bytes);
    bytes
}

/// Whether `key` is the knock of the unit of `unix_time` or of one of its neighbours. Takes the
/// same time whatever the answer.
pub fn knock_is_right(psk: &Psk, key: &[u8; KNOCK_BYTES], unix_time: f64) -> bool {
    let unit = knock_unit(unix_time);
    let mut right = false;
    for unit in [unit.saturating_sub(1), unit, unit.saturating_add(1)] {
        right |= constant_time::verify_slices_are_equal(&knock(psk, unit), key).is_ok();
    }
    right
}

/// Whether `answer` proves the key for this nonce, in the unit of `unix_time` or one of its
/// neighbours. Takes the same time whatever the answer.
pub fn proof_is_right(
    psk: &Psk,
    nonce: &[u8; NONCE_BYTES],
    answer: &[u8; PROOF_BYTES],
    unix_time: f64,
) -> bool {
    let mut claimed = Zeroizing::new(*answer);
    proof_coder(psk, nonce).decode(&mut *claimed);
    let unit = proof_unit(unix_time);
    let mut right = false;
    for unit in [unit.saturating_sub(1), unit, unit.saturating_add(1)] {
        let key = proof_key(psk, unit);
        right |= constant_time::verify_slices_are_equal(&*key, &*claimed).is_ok();
    }
    right
}

fn proof_coder(psk: &Psk, nonce: &[u8; NONCE_BYTES]) -> Coder {
    let mut input = Zeroizing::new(Vec::with_capacity(32 + NONCE_BYTES));
    input.extend_from_slice(digest::digest(&digest::SHA256, psk.bytes()).as_ref());
    input.extend_from_slice(nonce);
    Coder::new(digest::digest(&digest::SHA256, &input).as_ref(), PROOF_LEVEL)
}

fn reversed(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes.reverse();
    bytes
}

fn first3(s: &[u8; 16]) -> [u8; 3] {
    [s[0], s[1], s[2]]
}

/// Eleven bytes, each a weighted sum of three neighbours of `s`.
fn mixed(s: &[u8; 16], c: &[u8; 3]) -> [u8; 11] {
    std::array::from_fn(|i| {
        let term = |j: usize| u32::from(s[3 + i + j]) * u32::from(c[j]);
        low_byte(term(0) + term(1) + term(2))
    })
}

fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the argument is in 0.0 .. 256.0, and truncation is what the protocol asks for"
)]
fn truncated(value: f64) -> u8 {
    value as u8
}
