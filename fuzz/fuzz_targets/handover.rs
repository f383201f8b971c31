#![no_main]
//! See `invariants::handover`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::handover(data));
