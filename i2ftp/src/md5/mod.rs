//! MD5, alone and in lanes. The protocol wants the MD5 of every packet's body; the packets of a
//! message are equally long and independent, so many of them are hashed in lockstep in vector
//! registers: eight, for a third of the time, in those that every x86-64 and ARM has, and sixteen,
//! for a tenth, in those of AVX2. MD5 protects nothing here; it is what the protocol says.

#[cfg(target_arch = "x86_64")]
mod avx2;

use md5::{Digest, Md5};

/// How many bodies are hashed at a time where there is nothing better.
const LANES: usize = 8;

/// A variable of all lanes.
type Lane = [u32; LANES];

/// The MD5 of parts, one behind the other.
pub(crate) fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The MD5 of each body, in order.
pub(crate) fn md5_each(bodies: &[&[u8]]) -> Vec<[u8; 16]> {
    let mut sums = Vec::with_capacity(bodies.len());
    let mut rest = bodies;
    #[cfg(target_arch = "x86_64")]
    while let Some(group) = equally_long(rest)
        && let Some(of_group) = avx2::md5(group)
    {
        sums.extend(of_group);
        rest = &rest[group.len()..];
    }
    while let Some(first) = rest.first() {
        let before = sums.len();
        match equally_long::<LANES>(rest) {
            Some(group) => sums.extend(md5_lanes(group)),
            None => sums.push(md5(&[first])),
        }
        rest = &rest[sums.len() - before..];
    }
    sums
}

/// The first `N` bodies, if they are equally long.
fn equally_long<'a, 'b, const N: usize>(bodies: &'a [&'b [u8]]) -> Option<&'a [&'b [u8]; N]> {
    let group = bodies.first_chunk::<N>()?;
    group.iter().all(|body| body.len() == group[0].len()).then_some(group)
}

/// floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The rotations of the four rounds.
const ROTATIONS: [[u32; 4]; 4] =
    [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// Initial state, RFC 1321 section 3.3.
const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

const BLOCK: usize = 64;

/// The word of the block that a step takes, RFC 1321 section 3.4.
const fn word_of(step: usize) -> usize {
    match step / 16 {
        0 => step,
        1 => (5 * step + 1) % 16,
        2 => (3 * step + 5) % 16,
        _ => (7 * step) % 16,
    }
}

/// The MD5 of bodies of equal length.
fn md5_lanes(bodies: &[&[u8]; LANES]) -> [[u8; 16]; LANES] {
    let length = bodies[0].len();
    let mut state = INITIAL.map(|word| [word; LANES]);
    let whole = length - length % BLOCK;
    for at in (0..whole).step_by(BLOCK) {
        let blocks: [&[u8; BLOCK]; LANES] =
            std::array::from_fn(|lane| bodies[lane][at..].first_chunk().unwrap_or(&[0; BLOCK]));
        compress(&mut state, &blocks);
    }
    let (tails, used) = padded(bodies, whole);
    for at in (0..used).step_by(BLOCK) {
        let blocks: [&[u8; BLOCK]; LANES] =
            std::array::from_fn(|lane| tails[lane][at..].first_chunk().unwrap_or(&[0; BLOCK]));
        compress(&mut state, &blocks);
    }
    std::array::from_fn(|lane| {
        let mut sum = [0u8; 16];
        for (place, word) in sum.chunks_exact_mut(4).zip(&state) {
            place.copy_from_slice(&word[lane].to_le_bytes());
        }
        sum
    })
}

/// What is left of equally long bodies behind the `whole` blocks, and the padding: one bit, zeros,
/// and the length in bits in the last eight bytes. With the number of bytes it takes, one block or
/// two.
fn padded<const N: usize>(bodies: &[&[u8]; N], whole: usize) -> ([[u8; 2 * BLOCK]; N], usize) {
    let length = bodies[0].len();
    let rest = length - whole;
    let used = if rest < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
    let mut tails = [[0u8; 2 * BLOCK]; N];
    for (tail, body) in tails.iter_mut().zip(bodies) {
        tail[..rest].copy_from_slice(&body[whole..]);
        tail[rest] = 0x80;
        tail[used - 8..used].copy_from_slice(&(length as u64).wrapping_mul(8).to_le_bytes());
    }
    (tails, used)
}

#[inline(always)]
fn lanes(f: impl Fn(usize) -> u32) -> Lane {
    std::array::from_fn(f)
}

#[inline(always)]
fn compress(state: &mut [Lane; 4], blocks: &[&[u8; BLOCK]; LANES]) {
    let words: [Lane; 16] = std::array::from_fn(|word| {
        lanes(|lane| {
            let bytes = blocks[lane][4 * word..].first_chunk().copied().unwrap_or_default();
            u32::from_le_bytes(bytes)
        })
    });
    let [mut a, mut b, mut c, mut d] = *state;
    for i in 0..64 {
        let mixed = match i / 16 {
            0 => lanes(|l| d[l] ^ (b[l] & (c[l] ^ d[l]))),
            1 => lanes(|l| c[l] ^ (d[l] & (b[l] ^ c[l]))),
            2 => lanes(|l| b[l] ^ c[l] ^ d[l]),
            _ => lanes(|l| c[l] ^ (b[l] | !d[l])),
        };
        let rotation = ROTATIONS[i / 16][i % 4];
        let next = operation(a, b, mixed, words[word_of(i)], SINES[i], rotation);
        (a, d, c, b) = (d, c, b, next);
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = lanes(|i| old[i].wrapping_add(new[i]));
    }
}

/// One operation of RFC 1321 in all lanes.
#[inline(always)]
fn operation(a: Lane, b: Lane, mixed: Lane, word: Lane, sine: u32, rotation: u32) -> Lane {
    let sum = lanes(|i| a[i].wrapping_add(word[i]).wrapping_add(sine).wrapping_add(mixed[i]));
    let turned = lanes(|i| sum[i].rotate_left(rotation));
    lanes(|i| b[i].wrapping_add(turned[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_give_what_md5_gives() {
        for length in [0u32, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, 32758] {
            let bodies: Vec<Vec<u8>> = (0u32..24 + 3)
                .map(|lane| {
                    (0..length).map(|i| (i * 31 + lane * 7 + i / 256).to_le_bytes()[0]).collect()
                })
                .collect();
            let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let want: Vec<[u8; 16]> = slices.iter().map(|body| md5(&[body])).collect();
            assert_eq!(md5_each(&slices), want, "length {length}");
        }
    }

    #[test]
    fn bodies_of_different_lengths_are_hashed_one_by_one() {
        let bodies: Vec<Vec<u8>> = (0..LANES * 4 + 3).map(|n| vec![7; n / 2]).collect();
        let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        let want: Vec<[u8; 16]> = slices.iter().map(|body| md5(&[body])).collect();
        assert_eq!(md5_each(&slices), want);
    }
}
