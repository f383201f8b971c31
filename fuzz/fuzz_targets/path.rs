#![no_main]
//! See `invariants::path`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::path(data));
