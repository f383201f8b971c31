//! ICCode: the byte-wise transform of the handshake's proof and of the secured mode.
//!
//! It is not a cipher: the lowest bit of every byte passes unchanged, and one known row gives the
//! key away. It is here because the protocol has it.
//!
//! Every byte belongs to one of 1024 columns that know nothing of each other, so a row of 1024
//! bytes is one step for all columns at once. The substitution table of the published description
//! is a polynomial over bytes; evaluating it, instead of looking it up, turns a row into plain
//! multiplications and additions that the compiler makes vector instructions of.

use aws_lc_rs::digest;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a row: the number of columns.
pub const ROW: usize = 1024;

/// Level of the transform in secured mode.
pub const SESSION_LEVEL: u8 = 3;

/// One direction's state of the transform.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Coder {
    base: [u8; ROW],
    /// `base * (1 + sum of the earlier plain bytes)` of each column.
    state: [u8; ROW],
    /// The column of the next byte.
    column: usize,
    level: u8,
}

/// The substitution of a level, which the published description tabulates: `v` starts as the byte,
/// and each power up to the level adds `v^p`.
#[inline(always)]
fn substitute(byte: u8, level: u8) -> u8 {
    let mut v = byte;
    for power in 2..=level {
        let mut product = v;
        for _ in 1..power {
            product = product.wrapping_mul(v);
        }
        v = v.wrapping_add(product);
    }
    v
}

/// One step of one column, both directions: what the byte becomes, and the state after it.
#[inline(always)]
fn step<const ENCODE: bool>(byte: &mut u8, state: &mut u8, base: u8, level: u8) {
    let mask = substitute(state.wrapping_add(base), level);
    let plain = if ENCODE {
        let plain = *byte;
        *byte = plain.wrapping_add(mask);
        plain
    } else {
        *byte = byte.wrapping_sub(mask);
        *byte
    };
    *state = state.wrapping_add(plain.wrapping_mul(base));
}

#[inline(always)]
fn steps<const ENCODE: bool>(bytes: &mut [u8], state: &mut [u8], base: &[u8], level: u8) {
    for ((byte, state), base) in bytes.iter_mut().zip(state).zip(base) {
        step::<ENCODE>(byte, state, *base, level);
    }
}

impl Coder {
    /// A coder of a key and a level, before its first byte. An empty key is possible and useless.
    pub fn new(key: &[u8], level: u8) -> Coder {
        let mut grown = zeroize::Zeroizing::new(Vec::with_capacity(key.len() + ROW));
        grown.extend_from_slice(key);
        for _ in 0..ROW / 64 {
            let next = digest::digest(&digest::SHA512, &grown);
            grown.extend_from_slice(next.as_ref());
        }
        let mut base = [0u8; ROW];
        for (place, byte) in base.iter_mut().zip(grown.iter().skip(key.len())) {
            *place = *byte;
        }
        Coder { base, state: base, column: 0, level }
    }

    /// Forgets every byte coded so far. Secured mode does this before each message.
    pub fn reset(&mut self) {
        self.state = self.base;
        self.column = 0;
    }

    /// Encodes in place, going on where the last call ended.
    pub fn encode(&mut self, bytes: &mut [u8]) {
        self.code::<true>(bytes);
    }

    /// Decodes in place, going on where the last call ended.
    pub fn decode(&mut self, bytes: &mut [u8]) {
        self.code::<false>(bytes);
    }

    fn code<const ENCODE: bool>(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at_mut(bytes.len().min(ROW - self.column));
            let columns = self.column..self.column + now.len();
            let (state, base) = (&mut self.state[columns.clone()], &self.base[columns]);
            // The constant lets the compiler unroll the powers of the level that carries files.
            if self.level == SESSION_LEVEL {
                steps::<ENCODE>(now, state, base, SESSION_LEVEL);
            } else {
                steps::<ENCODE>(now, state, base, self.level);
            }
            self.column = (self.column + now.len()) % ROW;
            bytes = rest;
        }
    }
}

/// The key is in it, so it does not print itself.
impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").field("level", &self.level).finish_non_exhaustive()
    }
}

/// The substitution as the published table writes it, for the tests against its vectors.
pub fn table(level: u8) -> [u8; 256] {
    std::array::from_fn(|i| substitute(u8::try_from(i).unwrap_or_default(), level))
}
