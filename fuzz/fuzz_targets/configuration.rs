#![no_main]
//! See `administration::configuration`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::administration::configuration(data));
