//! The invariants of the fuzz targets for frames, with bounds.
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/bounded.rs"]
mod bounded;
#[path = "../../fuzz/src/frames.rs"]
mod frames;

#[test]
fn every_frame_is_a_message_or_an_error() {
    bounded::check(&frames::ALL, 2000);
}
