//! Sums of files: HASH, XCRC, XMD5, XSHA1, XSHA256, XSHA512.

use aws_lc_rs::digest;
use md5::Digest as _;

/// An algorithm of HASH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// SHA-256, in force unless another one is chosen.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
    /// CRC-32 (ISO 3309, as zlib has it).
    Crc32,
}

impl Algorithm {
    /// All of them, in the order FEAT names them.
    pub const ALL: [Algorithm; 5] =
        [Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5, Self::Crc32];

    /// The name as FEAT, OPTS and HASH write it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512 => "SHA-512",
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Md5 => "MD5",
            Algorithm::Crc32 => "CRC32",
        }
    }

    /// The algorithm of a name, in whatever case it is written.
    pub fn from_name(name: &[u8]) -> Option<Algorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Makes one sum by each algorithm, before the lockdown: the cryptographic library sets itself up
/// at the first use of each, with system calls that no policy allows.
pub fn prepare() {
    for algorithm in Algorithm::ALL {
        Sum::new(algorithm).finish();
    }
}

/// A sum that is being made.
#[derive(Clone)]
pub struct Sum(State);

#[derive(Clone)]
enum State {
    Sha(digest::Context),
    Md5(md5::Md5),
    Crc32(crc32fast::Hasher),
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sum").finish_non_exhaustive()
    }
}

impl Sum {
    /// The sum of nothing yet.
    pub fn new(algorithm: Algorithm) -> Sum {
        Sum(match algorithm {
            Algorithm::Sha256 => State::Sha(digest::Context::new(&digest::SHA256)),
            Algorithm::Sha512 => State::Sha(digest::Context::new(&digest::SHA512)),
            Algorithm::Sha1 => State::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Crc32 => State::Crc32(crc32fast::Hasher::new()),
        })
    }

    /// Takes in what follows.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha(context) => context.update(bytes),
            State::Md5(md5) => md5.update(bytes),
            State::Crc32(crc) => crc.update(bytes),
        }
    }

    /// The sum in lower-case hexadecimal.
    pub fn finish(self) -> String {
        match self.0 {
            State::Sha(context) => hexadecimal(context.finish().as_ref()),
            State::Md5(md5) => hexadecimal(&md5.finalize()),
            State::Crc32(crc) => hexadecimal(&crc.finalize().to_be_bytes()),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published sums of `abc`.
    #[test]
    fn sums_are_those_of_the_standards() {
        let sums = [
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c\
             23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "900150983cd24fb0d6963f7d28e17f72",
            "352441c2",
        ];
        for (algorithm, expected) in Algorithm::ALL.into_iter().zip(sums) {
            let mut sum = Sum::new(algorithm);
            sum.update(b"a");
            sum.update(b"");
            sum.update(b"bc");
            assert_eq!(sum.finish(), expected, "{}", algorithm.name());
            let lower = algorithm.name().to_ascii_lowercase();
            assert_eq!(Algorithm::from_name(lower.as_bytes()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name(b"SHA"), None);
    }
}
