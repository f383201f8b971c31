//! How fast the transforms of the data path are, on one core:
//! `cargo run --release -p bulkhead-i2ftp --example speed`.

use std::{hint::black_box, time::Instant};

use i2ftp::{
    CHUNK, Psk, WireVersion,
    iccode::{Coder, SESSION_LEVEL},
    packet::{Decoder, MAX_REQUEST, Wire},
};
use md5::{Digest, Md5};

#[allow(clippy::print_stdout, reason = "its purpose")]
fn row(name: &str, bytes: usize, mut work: impl FnMut()) {
    work();
    let start = Instant::now();
    let mut rounds = 0usize;
    while start.elapsed().as_millis() < 500 {
        work();
        rounds += 1;
    }
    let rate = (bytes * rounds) as f64 / start.elapsed().as_secs_f64() / 1e9;
    println!("{name:32} {rate:6.2} GB/s");
}

fn main() {
    let file = vec![0xa5; CHUNK];
    row("MD5 of a file", CHUNK, || {
        black_box(Md5::digest(black_box(&file)));
    });
    let mut bytes = vec![0x5a; CHUNK];
    let mut coder = Coder::new(&[7; 64], SESSION_LEVEL);
    row("ICCode encode", CHUNK, || {
        coder.reset();
        coder.encode(black_box(&mut bytes));
    });
    row("ICCode decode", CHUNK, || {
        coder.reset();
        coder.decode(black_box(&mut bytes));
    });
    let wire = Wire { version: WireVersion::V2_2, psk: Psk::new(&[9; 32]) };
    let mut stream = Vec::new();
    let mut message = Some(bytes);
    row("packets of a message", CHUNK, || {
        if let Some(full) = message.take()
            && let Ok(outgoing) = wire.packets(full, 1)
        {
            if stream.is_empty() {
                stream = outgoing.to_vec();
            }
            message = Some(black_box(outgoing).into_buffer());
        }
    });
    let mut decoder = Decoder::new(wire, MAX_REQUEST);
    row("message of packets", CHUNK, || {
        let mut input = stream.as_slice();
        black_box(decoder.take(&mut input).is_ok());
    });
}
