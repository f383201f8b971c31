//! The invariants of the fuzz targets, with bounds: every test run tries some thousand inputs that
//! proptest makes up, half of them of the bytes that mean something to FTP; and for TLS, where each
//! input costs a handshake, the corpus and some hundred inputs made of it.
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/bounded.rs"]
mod bounded;
#[path = "../../fuzz/src/invariants.rs"]
mod invariants;
#[path = "../../fuzz/src/tls_stream.rs"]
mod tls_stream;

use proptest::{collection::vec, prelude::*, sample::select};

/// Pieces that lines, paths and listings are made of.
const PIECES: [&[u8]; 32] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xff\xff",
    b"\xff\xf4",
    b"\xff\xfd\x0a",
    b"\xff\xfa",
    b" ",
    b"/",
    b"..",
    b".",
    b"~",
    b"*",
    b"?",
    b"\"",
    b"-",
    b"-la",
    b";",
    b"|",
    b",",
    b"0",
    b"226 ",
    b"modify=20000229000000;",
    b"CHMOD 7777 ",
    b"PORT 127,0,0,1,",
    b"USER",
    b"a",
    b"\xc3\xa4",
    b"99999999999999999999",
    b"|2|::1|",
];

fn input() -> impl Strategy<Value = Vec<u8>> {
    let meaningful = vec(select(&PIECES), 0..60).prop_map(|pieces| pieces.concat());
    let long = (select(&PIECES), 4000usize..9000).prop_map(|(piece, times)| piece.repeat(times));
    prop_oneof![8 => meaningful, 8 => vec(any::<u8>(), 0..600), 1 => long]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_invariant_holds_for_every_input(data in input()) {
        for (_, invariant) in invariants::ALL {
            invariant(&data);
        }
    }
}

#[test]
fn every_tls_connection_brings_what_was_sent_or_an_error() {
    bounded::check(&tls_stream::ALL, 200);
}
