#![no_main]
//! See `invariants::reply`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::reply(data));
