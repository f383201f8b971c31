#![no_main]
//! See `frames::frames_of_workers`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::frames::frames_of_workers(data));
