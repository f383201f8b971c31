//! The invariant of the fuzz target for policy files, with bounds.
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/bounded.rs"]
mod bounded;
#[path = "../../fuzz/src/policy_file.rs"]
mod policy_file;

use policy::{Role, source};

#[test]
fn every_policy_file_is_refused_or_can_be_raised() {
    bounded::check(&policy_file::ALL, 300);
}

/// Chance seldom finds these: the real files, each without one of its reasons, and each with a rule
/// twice.
#[test]
fn so_is_every_real_file_with_one_flaw() {
    for (role, number) in Role::ALL.into_iter().zip(0..) {
        let text = source(role);
        let check = |flawed: String| {
            policy_file::policy_file(&[&[number, 0, 0], flawed.as_bytes()].concat());
        };
        for (at, why) in text.match_indices("why = \"") {
            let (before, reason) = text.split_at(at + why.len());
            let end = reason.find('"').unwrap_or_default();
            check(format!("{before}{}", &reason[end..]));
        }
        for (at, _) in text.match_indices("[[syscall]]") {
            let rule = text[at..].split("\n\n").next().unwrap_or_default();
            check(format!("{text}\n{rule}\n"));
        }
    }
}
