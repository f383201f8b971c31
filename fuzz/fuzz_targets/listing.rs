#![no_main]
//! See `invariants::listing`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::listing(data));
