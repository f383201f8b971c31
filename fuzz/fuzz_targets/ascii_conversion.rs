#![no_main]
//! See `invariants::ascii_conversion`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::ascii_conversion(data));
