//! Every vector of the protocol's description, in both directions.

#![allow(clippy::unwrap_used, reason = "tests end by panicking")]

use aws_lc_rs::digest;
use i2ftp::{
    Psk, WireVersion, dynkey,
    iccode::{self, Coder, SESSION_LEVEL},
    listing, message,
    packet::{BODY_BYTES, Decoder, Event, HEADER_BYTES, HEARTBEAT, MAX_MESSAGE, MAX_REQUEST, Wire},
    reply,
    request::{BadRequest, FileRequest, Request, ask},
    secured,
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from(((i * i * 31 + i * 7 + seed) & 255) ^ ((i >> 8) & 255)).unwrap())
        .collect()
}

fn wire(vector: &Value, version: &str) -> Wire {
    Wire {
        version: WireVersion::from_name(vector[version].as_str().unwrap()).unwrap(),
        psk: Psk::new(&hex(&vector["psk"])),
    }
}

/// All messages of a byte stream, fed in portions of `step`.
fn messages(decoder: &mut Decoder, stream: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for mut portion in stream.chunks(step) {
        while let Some(event) = decoder.take(&mut portion).unwrap() {
            if event == Event::Message {
                all.push(decoder.message().to_vec());
            }
        }
    }
    all
}

#[test]
fn dynkey16() {
    let vectors = vectors();
    let list = vectors["dynkey16"].as_array().unwrap();
    assert_eq!(list.len(), 63);
    for vector in list {
        let psk = Psk::new(&hex(&vector["psk"]));
        let time = vector["unix_time"].as_f64().unwrap();
        let unit = dynkey::knock_unit(time);
        assert_eq!(u64::from(unit), vector["unit"].as_u64().unwrap());
        for (unit, field) in
            [(unit, "key"), (unit - 1, "key_prev_unit"), (unit + 1, "key_next_unit")]
        {
            let key = hex(&vector[field]);
            assert_eq!(dynkey::knock(&psk, unit).to_vec(), key, "{vector}");
            let key = key.try_into().unwrap();
            assert!(dynkey::knock_is_right(&psk, &key, time), "within the window");
            assert!(!dynkey::knock_is_right(&psk, &key, time + 190.0), "behind the window");
            assert!(!dynkey::knock_is_right(&psk, &key, time - 190.0), "before the window");
        }
    }
}

#[test]
fn dynkey64() {
    let vectors = vectors();
    let list = vectors["dynkey"].as_array().unwrap();
    assert_eq!(list.len(), 63);
    let nonce = [0x5a; dynkey::NONCE_BYTES];
    for vector in list {
        let psk = Psk::new(&hex(&vector["psk"]));
        let time = vector["unix_time"].as_f64().unwrap();
        let unit = dynkey::proof_unit(time);
        assert_eq!(unit, vector["unit"].as_u64().unwrap());
        for (unit, field) in
            [(unit, "key"), (unit - 1, "key_prev_unit"), (unit + 1, "key_next_unit")]
        {
            assert_eq!(dynkey::proof_key(&psk, unit).to_vec(), hex(&vector[field]), "{vector}");
            let mut proof = dynkey::proof(&psk, &nonce, unit);
            assert!(dynkey::proof_is_right(&psk, &nonce, &proof, time), "within the window");
            assert!(!dynkey::proof_is_right(&psk, &nonce, &proof, time + 310.0), "behind it");
            assert!(!dynkey::proof_is_right(&psk, &[0x5b; 64], &proof, time), "another nonce");
            proof[63] ^= 1;
            assert!(!dynkey::proof_is_right(&psk, &nonce, &proof, time), "one bit off");
        }
    }
}

#[test]
fn iccode_tables_and_base() {
    let vectors = vectors();
    for level in [3u8, 6] {
        let want = hex(&vectors["iccode_tables"][level.to_string()]);
        assert_eq!(iccode::table(level).to_vec(), want);
    }
    // The base shows in the cipher of zeros: c = S[2 * base] has a column for each base byte.
    let base = hex(&vectors["iccode_base_key"]["base"]);
    let mut zeros = vec![0u8; iccode::ROW];
    Coder::new(&hex(&vectors["iccode_base_key"]["key"]), 3).encode(&mut zeros);
    let table = iccode::table(3);
    let want: Vec<u8> = base.iter().map(|b| table[usize::from(b.wrapping_mul(2))]).collect();
    assert_eq!(zeros, want);
}

#[test]
fn iccode() {
    let vectors = vectors();
    let mut seen = 0;
    for vector in vectors["iccode"].as_array().unwrap() {
        let level = u8::try_from(number(&vector["level"])).unwrap();
        let key = hex(&vector["key"]);
        if let Some(cipher) = vector.get("cipher") {
            let plain = pattern(number(&vector["length"]), number(&vector["plain_pattern_seed"]));
            assert_eq!(sha256(&plain), hex(&vector["plain_sha256"]));
            let mut bytes = plain.clone();
            Coder::new(&key, level).encode(&mut bytes);
            assert_eq!(sha256(&bytes), hex(&cipher["sha256"]), "{vector}");
            // Decoded in portions that do not respect rows.
            let mut coder = Coder::new(&key, level);
            for portion in bytes.chunks_mut(333) {
                coder.decode(portion);
            }
            assert_eq!(bytes, plain);
        } else {
            let mut coder = Coder::new(&key, level);
            for (seed, field) in [(3, "cipher_1_sha256"), (4, "cipher_2_sha256")] {
                let mut bytes = pattern(700, seed);
                coder.encode(&mut bytes);
                assert_eq!(sha256(&bytes), hex(&vector[field]), "{vector}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 74);
}

#[test]
fn framing() {
    let vectors = vectors();
    let list = vectors["framing"].as_array().unwrap();
    assert_eq!(list.len(), 32);
    for vector in list {
        let wire = wire(vector, "version");
        let payload =
            pattern(number(&vector["payload_length"]), number(&vector["payload_pattern_seed"]));
        let id = u8::try_from(number(&vector["package_id"])).unwrap();
        let mut outgoing = wire.packets(payload.clone(), id).unwrap();
        let stream = outgoing.to_vec();
        assert_eq!(stream.len(), outgoing.remaining());
        assert_eq!(sha256(&stream), hex(&vector["wire_sha256"]), "{vector}");
        let headers: Vec<Vec<u8>> = stream
            .chunks(HEADER_BYTES + BODY_BYTES)
            .map(|packet| packet[..HEADER_BYTES].to_vec())
            .collect();
        let want: Vec<Vec<u8>> =
            vector["packets"].as_array().unwrap().iter().map(|p| hex(&p["header"])).collect();
        assert_eq!(headers, want);

        // Sent in odd portions, it is the same stream.
        let mut sent = Vec::new();
        while outgoing.remaining() > 0 {
            let portion: Vec<u8> =
                outgoing.slices(3, 40_000).iter().flat_map(|s| s.to_vec()).collect();
            assert!(portion.len() <= 40_000);
            let now = portion.len().min(777);
            sent.extend_from_slice(&portion[..now]);
            outgoing.advance(now);
        }
        assert_eq!(sent, stream);

        for step in [1, 7, 4096, stream.len()] {
            let mut decoder = Decoder::new(wire.clone(), MAX_REQUEST);
            assert_eq!(messages(&mut decoder, &stream, step), std::slice::from_ref(&payload));
            assert!(!decoder.is_within_message());
        }
    }
    assert_eq!(hex(&vectors["heartbeat"]), HEARTBEAT);
}

#[test]
fn a_recorded_plain_session() {
    let vectors = vectors();
    let session = &vectors["recorded_sessions"]["plain"];
    let wire = wire(session, "wire_version");
    let segments = session["segments"].as_array().unwrap();
    let bytes: Vec<Vec<u8>> = segments.iter().map(|segment| hex(&segment["hex"])).collect();
    check_login(session, &bytes);
    let start = messages(&mut Decoder::new(wire.clone(), MAX_REQUEST), &bytes[5], 5);
    assert_eq!(start, [message::PLAIN_MODE.to_vec(), message::GREETING.to_vec()]);
    let mut ours = wire.packets(message::PLAIN_MODE.to_vec(), 0x58).unwrap().to_vec();
    ours.extend(wire.packets(message::GREETING.to_vec(), 0xbd).unwrap().to_vec());
    assert_eq!(ours, bytes[5]);
    let requests = messages(&mut Decoder::new(wire.clone(), MAX_REQUEST), &bytes[6], 5);
    assert_eq!(requests, [b"LIST,a.txt".to_vec()]);
    let replies = messages(&mut Decoder::new(wire, MAX_REQUEST), &bytes[7], 5);
    assert_eq!(replies, [listing_of_a_txt()]);
}

#[test]
fn a_recorded_secured_session() {
    let vectors = vectors();
    let session = &vectors["recorded_sessions"]["secured"];
    let wire = wire(session, "wire_version");
    let segments = session["segments"].as_array().unwrap();
    let bytes: Vec<Vec<u8>> = segments.iter().map(|segment| hex(&segment["hex"])).collect();
    check_login(session, &bytes);

    // The announcement: the numbers of the recorded key give the recorded text.
    let mut server = Decoder::new(wire.clone(), MAX_REQUEST);
    let announced = messages(&mut server, &bytes[5], 9);
    let n = hex(&session["rsa_throwaway"]["n"]);
    let mut der = vec![0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00];
    der.extend(n);
    der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let pem = secured::public_key_pem(&der);
    assert_eq!(announced, [[message::SECURED_MODE, pem.as_bytes()].concat()]);

    // The session key and everything encoded with it.
    let key = hex(&session["session_key"]);
    assert_eq!(messages(&mut Decoder::new(wire.clone(), 256), &bytes[6], 9)[0].len(), 128);
    let mut started = messages(&mut server, &bytes[7], 9);
    assert_eq!(started[0], message::CODER_READY);
    assert_eq!(started[1], hex(&session["greeting_cipher"]));
    let mut coder = Coder::new(&key, SESSION_LEVEL);
    coder.decode(&mut started[1]);
    assert_eq!(started[1], message::GREETING);
    let mut request =
        messages(&mut Decoder::new(wire.clone(), MAX_REQUEST), &bytes[8], 9).remove(0);
    coder.reset();
    coder.decode(&mut request);
    assert_eq!(request, b"LIST,a.txt");
    let mut reply = messages(&mut server, &bytes[9], 9).remove(0);
    let mut ours = listing_of_a_txt();
    coder.reset();
    coder.encode(&mut ours);
    assert_eq!(ours, reply);
    coder.reset();
    coder.decode(&mut reply);
    assert_eq!(reply, listing_of_a_txt());
}

fn check_login(session: &Value, bytes: &[Vec<u8>]) {
    let psk = Psk::new(&hex(&session["psk"]));
    let time = session["unix_time"].as_f64().unwrap();
    let nonce: [u8; 64] = hex(&session["nonce"]).try_into().unwrap();
    assert_eq!(dynkey::knock(&psk, dynkey::knock_unit(time)).to_vec(), bytes[0]);
    assert_eq!(nonce.to_vec(), bytes[1]);
    assert_eq!(dynkey::proof(&psk, &nonce, dynkey::proof_unit(time)).to_vec(), bytes[2]);
    let proof = bytes[2].clone().try_into().unwrap();
    assert!(dynkey::proof_is_right(&psk, &nonce, &proof, time));
    assert_eq!(WireVersion::V2_2.as_bytes().to_vec(), bytes[3]);
    assert_eq!(message::VERSION_OK.to_vec(), bytes[4]);
}

fn listing_of_a_txt() -> Vec<u8> {
    let mut reply = listing::Listing::default();
    let entry = listing::Entry {
        is_directory: false,
        size: 13,
        seconds: 1_600_000_000,
        nanoseconds: 500_000_000,
    };
    reply.push(b"a.txt", entry).unwrap();
    reply.finish()
}

/// The recorded pairs of the user layer: every request is understood and made again byte for byte,
/// and the normative replies are made byte for byte. What a server does in between is tested with
/// the server itself.
#[test]
fn user_layer() {
    let vectors = vectors();
    let pairs = vectors["user_layer"]["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 50);
    for pair in pairs {
        let name = pair["name"].as_str().unwrap();
        let request = hex(&pair["request"]["hex"]);
        let first = &pair["replies"][0];
        let replied = first.get("hex").map(hex);
        match Request::parse(&request, false) {
            Ok(Request::List(path)) => {
                let asked = if path.is_root() { "." } else { path.as_str() };
                assert_eq!(ask::path(b"LIST", asked), request, "{name}");
                if name == "LIST one file" || name == "read-only LIST" {
                    assert_eq!(replied, Some(listing_of_a_txt()), "{name}");
                }
            }
            Ok(Request::BeginDownload(path)) => {
                assert_eq!(ask::path(b"GETF", path.as_str()), request, "{name}");
                check_begun(name, &replied.unwrap());
            }
            Ok(Request::BeginUpload { path, md5 }) => {
                assert_eq!(md5, None);
                assert_eq!(ask::path(b"PULF", path.as_str()), request, "{name}");
                check_begun(name, &replied.unwrap());
            }
            Ok(Request::Download { id, start, end }) => {
                assert_eq!(ask::download(&id, start, end), request, "{name}");
                if !name.contains("unknown") {
                    let front = match &replied {
                        Some(reply) => reply.clone(),
                        None => hex(&first["first_64_hex"]),
                    };
                    assert!(front.starts_with(&reply::download_prefix(start)), "{name}");
                }
            }
            Ok(Request::Upload { id, offset, data }) => {
                assert_eq!(ask::upload(&id, offset, data), request, "{name}");
                let replied = replied.unwrap();
                if replied[0] == 1 {
                    assert_eq!(reply::uploaded(offset + data.len() as u64), replied, "{name}");
                }
            }
            Ok(Request::Close(id)) => {
                assert_eq!(ask::close(&id), request, "{name}");
                let replied = replied.unwrap();
                if name == "CLOZ upload" {
                    assert_eq!(reply::upload_closed(), replied);
                } else if replied[0] == 1 {
                    let md5: Vec<u8> = hex(&Value::from(String::from_utf8_lossy(&replied[2..])));
                    assert_eq!(reply::download_closed(&md5.try_into().unwrap()), replied, "{name}");
                }
            }
            Ok(Request::File(operation)) => {
                let (number, paths) = match &operation {
                    FileRequest::Rename(from, to) => (0, vec![from.as_str(), to.as_str()]),
                    FileRequest::Move(from, to) => (1, vec![from.as_str(), to.as_str()]),
                    FileRequest::Copy(from, to) => (2, vec![from.as_str(), to.as_str()]),
                    FileRequest::Remove(path) => (3, vec![path.as_str()]),
                    FileRequest::MakeDirectory(path) => (4, vec![path.as_str()]),
                };
                assert_eq!(ask::file(number, &paths), request, "{name}");
                assert!(name.contains("FIOP"), "{name}");
            }
            Ok(Request::ProcessControl) => {
                let pid = replied.unwrap()[2..].try_into().unwrap();
                assert_eq!(reply::process_id(u32::from_le_bytes(pid)), hex(&first["hex"]));
            }
            Err(BadRequest::Path(_)) => {
                assert!(
                    ["escape", "absolute", "empty path"].iter().any(|word| name.contains(word)),
                    "{name}"
                );
                assert_eq!(replied.unwrap()[..2], reply::failure("")[..]);
            }
            Err(error) => {
                assert_eq!(error, BadRequest::UnknownOperation, "{name}");
                assert_eq!(name, "FIOP unknown operation 9");
            }
        }
    }
}

fn check_begun(name: &str, replied: &[u8]) {
    if replied[0] == 1 {
        let id = replied[2..].try_into().unwrap();
        assert_eq!(reply::begun(&id), replied, "{name}");
    } else {
        assert_eq!(replied[..2], reply::failure("")[..], "{name}");
    }
}

#[test]
fn a_session_key_goes_through_a_fresh_rsa_key() {
    let key = [0x17; secured::SESSION_KEY_BYTES];
    let offer = secured::Offer::generate().unwrap();
    let ciphertext = secured::accept(offer.announcement(), &key).unwrap();
    assert_eq!(ciphertext.len(), secured::CIPHERTEXT_BYTES);
    let (mut receive, _) = offer.coders(&ciphertext).unwrap();
    let mut text = b"LIST,.".to_vec();
    Coder::new(&key, SESSION_LEVEL).encode(&mut text);
    receive.decode(&mut text);
    assert_eq!(text, b"LIST,.");

    // A ciphertext that does not decrypt gives coders as well, of a key nobody knows.
    for wrong in [vec![], vec![0; 256], vec![0xff; 256], vec![7; 300]] {
        let offer = secured::Offer::generate().unwrap();
        let (mut a, mut b) = offer.coders(&wrong).unwrap();
        let mut text = b"LIST,.".to_vec();
        a.encode(&mut text);
        assert_ne!(text, b"LIST,.");
        b.decode(&mut text);
        assert_eq!(text, b"LIST,.");
    }
}

#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let vectors = vectors();
    let wire = wire(&vectors["framing"][0], "version");
    assert!(wire.packets(vec![0; MAX_MESSAGE], 0).is_ok());
    assert!(wire.packets(vec![0; MAX_MESSAGE + 1], 0).is_err());
}
