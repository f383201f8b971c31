//! The shipped programs with one rule less. A program carries the data of its policies; in a copy of
//! it that data is exchanged for the same data without a rule, and nothing else is changed: no
//! feature of a build, no option, nothing that a shipped program could be talked into.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use policy::{Role, model::Policy, policy_of};

/// The programs of a server.
const PROGRAMS: [&str; 3] = ["bulkhead", "bulkhead-worker", "bulkhead-helper"];

/// A role's policy inside the program that runs it.
pub struct Embedded {
    dist: PathBuf,
    program: &'static str,
    policy: Policy,
    bytes: Vec<u8>,
    offset: usize,
}

impl Embedded {
    /// Finds the policy of `role` in the programs of `dist`.
    pub fn find(dist: &Path, role: Role) -> Embedded {
        let program = match role {
            Role::Gate | Role::Relay | Role::Session => "bulkhead-worker",
            Role::Helper => "bulkhead-helper",
            _ => "bulkhead",
        };
        let policy = policy_of(role).unwrap();
        let bytes = encoded(&policy);
        let contents = fs::read(dist.join(program)).unwrap();
        let found: Vec<usize> = places(&contents, &bytes).collect();
        let [offset] = found[..] else { panic!("{program}, {role}: found at {found:?}") };
        Embedded { dist: dist.to_owned(), program, policy, bytes, offset }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The name of the program.
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Makes `place`, a directory of programs in which the role's policy lacks these rules, by their
    /// place in the list.
    pub fn without(&self, rules: &[usize], place: &Path) {
        let mut reduced = self.policy.clone();
        let mut index = 0;
        reduced.syscalls.retain(|_| {
            index += 1;
            !rules.contains(&(index - 1))
        });
        let bytes = padded(reduced, self.bytes.len());
        fs::create_dir(place).unwrap();
        for program in PROGRAMS {
            let (from, to) = (self.dist.join(program), place.join(program));
            if program != self.program {
                fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
                continue;
            }
            fs::copy(&from, &to).unwrap();
            let mut file = fs::File::options().write(true).open(&to).unwrap();
            file.seek(SeekFrom::Start(self.offset.try_into().unwrap())).unwrap();
            file.write_all(&bytes).unwrap();
        }
    }
}

fn encoded(policy: &Policy) -> Vec<u8> {
    let mut bytes = Vec::new();
    ipc::codec::encode(policy, &mut bytes).unwrap();
    bytes
}

/// The encoding of a policy at a given length: what it lacks becomes spaces behind its texts. Two of
/// them, because the length of a text takes more room itself from some length on.
fn padded(policy: Policy, length: usize) -> Vec<u8> {
    let missing = length - encoded(&policy).len();
    for spare in 0..8 {
        for taken in 0..=missing.min(8) {
            let mut candidate = policy.clone();
            let about = (missing - taken).saturating_sub(spare);
            candidate.about.push_str(&" ".repeat(about));
            candidate.identity.why.push_str(&" ".repeat(taken));
            let bytes = encoded(&candidate);
            if bytes.len() == length {
                return bytes;
            }
        }
    }
    panic!("no padding makes the policy {length} bytes long");
}

/// Where `needle` begins in `haystack`.
fn places<'a>(haystack: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    // Role and length of the first text come first; the text is rarer.
    let (skip, rare) = (4, &needle[4..12]);
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + haystack.get(from..)?.iter().position(|byte| *byte == rare[0])?;
            from = at + 1;
            let start = at.checked_sub(skip);
            if let Some(start) = start
                && haystack[start..].starts_with(needle)
            {
                return Some(start);
            }
        }
    })
}
