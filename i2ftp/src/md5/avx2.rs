//! Sixteen bodies at a time, in the registers of AVX2: two of them for each variable, because a step
//! of MD5 waits for the one before, and two chains fill the time.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_extract_epi32,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_setr_epi64x,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::{BLOCK, INITIAL, SINES, padded, word_of};

/// How many bodies.
pub(super) const LANES: usize = 16;
/// Lanes of a register.
const HALF: usize = 8;

/// A variable of all lanes.
type Wide = [__m256i; 2];

/// The MD5 of bodies of equal length; nothing where the processor has no AVX2.
#[allow(unsafe_code, reason = "what the processor can do is known when the program runs")]
pub(super) fn md5(bodies: &[&[u8]; LANES]) -> Option<[[u8; 16]; LANES]> {
    // SAFETY: the function is compiled for AVX2, which this processor says it has; it is safe code.
    is_x86_feature_detected!("avx2").then(|| unsafe { md5_with_avx2(bodies) })
}

#[target_feature(enable = "avx2")]
fn md5_with_avx2(bodies: &[&[u8]; LANES]) -> [[u8; 16]; LANES] {
    let mut state: [Wide; 4] = INITIAL.map(|word| [_mm256_set1_epi32(word.cast_signed()); 2]);
    let length = bodies[0].len();
    let whole = length - length % BLOCK;
    for at in (0..whole).step_by(BLOCK) {
        let block = |lane: usize| bodies[lane][at..].first_chunk().unwrap_or(&[0; BLOCK]);
        compress(&mut state, &std::array::from_fn(block));
    }
    let (tails, used) = padded(bodies, whole);
    for at in (0..used).step_by(BLOCK) {
        let block = |lane: usize| tails[lane][at..].first_chunk().unwrap_or(&[0; BLOCK]);
        compress(&mut state, &std::array::from_fn(block));
    }
    let mut sums = [[0u8; 16]; LANES];
    for (word, halves) in state.iter().enumerate() {
        for (half, lanes) in halves.iter().zip(sums.chunks_exact_mut(HALF)) {
            for (sum, value) in lanes.iter_mut().zip(words(*half)) {
                sum[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    sums
}

#[target_feature(enable = "avx2")]
fn words(lanes: __m256i) -> [i32; HALF] {
    [
        _mm256_extract_epi32::<0>(lanes),
        _mm256_extract_epi32::<1>(lanes),
        _mm256_extract_epi32::<2>(lanes),
        _mm256_extract_epi32::<3>(lanes),
        _mm256_extract_epi32::<4>(lanes),
        _mm256_extract_epi32::<5>(lanes),
        _mm256_extract_epi32::<6>(lanes),
        _mm256_extract_epi32::<7>(lanes),
    ]
}

/// Eight words of a block.
#[target_feature(enable = "avx2")]
#[inline]
fn load(block: &[u8; BLOCK], from: usize) -> __m256i {
    let word = |at: usize| {
        let bytes = block[from + 8 * at..].first_chunk().copied().unwrap_or_default();
        i64::from_le_bytes(bytes)
    };
    _mm256_setr_epi64x(word(0), word(1), word(2), word(3))
}

/// Eight blocks' words `from` to `from + 8`, as eight words of all lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed(blocks: &[&[u8; BLOCK]], from: usize) -> [__m256i; HALF] {
    let row = |lane: usize| load(blocks[lane], 4 * from);
    let pairs = |a: usize| {
        let (low, high) = (row(a), row(a + 1));
        (_mm256_unpacklo_epi32(low, high), _mm256_unpackhi_epi32(low, high))
    };
    let ((l0, h0), (l1, h1), (l2, h2), (l3, h3)) = (pairs(0), pairs(2), pairs(4), pairs(6));
    let four = |low, high| (_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
    let ((a0, a1), (a2, a3)) = (four(l0, l1), four(h0, h1));
    let ((b0, b1), (b2, b3)) = (four(l2, l3), four(h2, h3));
    let lower = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
    let upper = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
    [
        lower(a0, b0),
        lower(a1, b1),
        lower(a2, b2),
        lower(a3, b3),
        upper(a0, b0),
        upper(a1, b1),
        upper(a2, b2),
        upper(a3, b3),
    ]
}

/// RFC 1321 section 3.4: what each round mixes of three variables.
#[target_feature(enable = "avx2")]
#[inline]
fn mixed<const STEP: usize>(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    match STEP / 16 {
        0 => _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))),
        // The two parts have no bit in common. The one without `b`, which is the last to be known, is
        // made ahead.
        1 => _mm256_or_si256(_mm256_andnot_si256(d, c), _mm256_and_si256(d, b)),
        2 => _mm256_xor_si256(b, _mm256_xor_si256(c, d)),
        _ => {
            let ones = _mm256_set1_epi32(-1);
            _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, ones)))
        }
    }
}

/// One step of RFC 1321 in all lanes. `LEFT` and `RIGHT` are the shifts of its rotation.
#[target_feature(enable = "avx2")]
#[inline]
fn step<const STEP: usize, const LEFT: i32, const RIGHT: i32>(
    state: &mut [Wide; 4],
    words: &[Wide; 16],
) {
    // The variables change places with every step: here they stay, and the names move.
    let (a, b, c, d) = ((64 - STEP) % 4, (65 - STEP) % 4, (66 - STEP) % 4, (67 - STEP) % 4);
    let sine = _mm256_set1_epi32(SINES[STEP].cast_signed());
    for half in 0..2 {
        let (b, c, d) = (state[b][half], state[c][half], state[d][half]);
        let early = _mm256_add_epi32(words[word_of(STEP)][half], sine);
        let early = _mm256_add_epi32(state[a][half], early);
        let sum = _mm256_add_epi32(early, mixed::<STEP>(b, c, d));
        let turned =
            _mm256_or_si256(_mm256_slli_epi32::<LEFT>(sum), _mm256_srli_epi32::<RIGHT>(sum));
        state[a][half] = _mm256_add_epi32(b, turned);
    }
}

/// Four steps each, with the rotations of their round.
macro_rules! steps {
    ($state:ident, $words:ident, $(($r0:literal $r1:literal $r2:literal $r3:literal: $($first:literal)*))*) => {
        $($(
            step::<{ $first }, $r0, { 32 - $r0 }>($state, $words);
            step::<{ $first + 1 }, $r1, { 32 - $r1 }>($state, $words);
            step::<{ $first + 2 }, $r2, { 32 - $r2 }>($state, $words);
            step::<{ $first + 3 }, $r3, { 32 - $r3 }>($state, $words);
        )*)*
    };
}

#[target_feature(enable = "avx2")]
fn compress(state: &mut [Wide; 4], blocks: &[&[u8; BLOCK]; LANES]) {
    let (left, right) = blocks.split_at(HALF);
    let [l0, r0] = [transposed(left, 0), transposed(right, 0)];
    let [l1, r1] = [transposed(left, HALF), transposed(right, HALF)];
    let words: &[Wide; 16] = &std::array::from_fn(|word| match word {
        0..HALF => [l0[word], r0[word]],
        _ => [l1[word - HALF], r1[word - HALF]],
    });
    let before = *state;
    steps!(state, words,
        (7 12 17 22: 0 4 8 12)
        (5 9 14 20: 16 20 24 28)
        (4 11 16 23: 32 36 40 44)
        (6 10 15 21: 48 52 56 60)
    );
    for (new, old) in state.iter_mut().zip(before) {
        for (new, old) in new.iter_mut().zip(old) {
            *new = _mm256_add_epi32(*new, old);
        }
    }
}
