//! Bounded runs of the invariants, for every test run: the corpus of each fuzz target, and a number
//! of inputs made of it. They are the same in every run, so a failure can be repeated.

use std::{fs, path::Path};

/// xorshift64*: good enough to choose places and pieces.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % limit.max(1)
    }
}

/// The name of a fuzz target, and its invariant.
pub type Named = (&'static str, fn(&[u8]));

/// Checks each invariant on the corpus of its name in fuzz/corpus, and on `rounds` inputs more.
///
/// # Panics
/// When an invariant is broken, or there is no corpus.
pub fn check(invariants: &[Named], rounds: usize) {
    for (name, invariant) in invariants {
        let corpus = corpus(name);
        for input in &corpus {
            invariant(input);
        }
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..rounds {
            invariant(&made_of(&corpus, &mut dice));
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let entries = fs::read_dir(&directory);
    let entries = entries.unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it is listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths.iter().map(|path| fs::read(path).expect("the corpus can be read")).collect()
}

/// One of the corpus with a few changes.
fn made_of(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        match dice.below(6) {
            0 => input.truncate(at),
            1 => input.insert(at, u8::try_from(dice.below(256)).unwrap_or(0)),
            2 if at < input.len() => drop(input.remove(at)),
            3 if at < input.len() => input[at] = u8::try_from(dice.below(256)).unwrap_or(0),
            4 if at < input.len() => input[at] ^= 1 << dice.below(8),
            _ => {
                let other = &corpus[dice.below(corpus.len())];
                let start = dice.below(other.len());
                let end = (start + dice.below(64)).min(other.len());
                input.splice(at..at, other[start..end].iter().copied());
            }
        }
    }
    input
}
