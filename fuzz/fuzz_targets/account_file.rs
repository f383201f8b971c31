#![no_main]
//! See `administration::account_file`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::administration::account_file(data));
