//! The invariant of the fuzz target for policy files, with bounds.
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/bounded.rs"]
mod bounded;
#[path = "../../fuzz/src/policy_file.rs"]
mod policy_file;

#[test]
fn every_policy_file_is_refused_or_can_be_raised() {
    bounded::check(&policy_file::ALL, 300);
}
