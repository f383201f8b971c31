#![no_main]
//! See `invariants::line_reader`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::invariants::line_reader(data));
