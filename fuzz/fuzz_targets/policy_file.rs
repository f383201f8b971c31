#![no_main]
//! See `policy_file::policy_file`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::policy_file::policy_file(data));
