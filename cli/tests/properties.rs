//! The invariants of the fuzz targets for what administrators write, with bounds.
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/administration.rs"]
mod administration;
#[path = "../../fuzz/src/bounded.rs"]
mod bounded;

#[test]
fn every_configuration_and_account_file_is_accepted_or_refused_in_one_safe_line() {
    bounded::check(&administration::ALL, 2000);
}
