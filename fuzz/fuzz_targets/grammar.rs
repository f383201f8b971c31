#![no_main]
//! See `invariants::grammar`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::grammar(data));
