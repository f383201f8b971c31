#![no_main]
//! See `invariants::glob`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::glob(data));
