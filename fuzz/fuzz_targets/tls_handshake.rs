#![no_main]
//! See `tls_stream::tls_handshake`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulkhead_fuzz::tls_stream::tls_handshake(data));
