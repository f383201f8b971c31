#![no_main]
//! See `tls_stream::tls_stream`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::tls_stream::tls_stream(data));
