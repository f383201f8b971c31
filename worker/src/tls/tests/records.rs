//! Records after the handshake: what rustls and we seal for each other, and what no client may send.

use rustls::SupportedCipherSuite;

use super::{
    record::{ContentType, MAX_PLAIN, RecordKey, whole_record},
    *,
};

#[test]
fn an_end_without_close_notify_is_a_truncation() {
    let world = World::new();
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(true, &[]), "localhost", socket, |client| {
        client.write_all(b"half a fi").unwrap();
        client.sock.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
    flush(&mut stream);
    assert!(matches!(read_all(&mut stream), Err(TlsError::Truncated)));
    peer.join().unwrap();
}

#[test]
fn a_forged_record_is_an_error_and_the_client_hears_of_it() {
    let world = World::new();
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(true, &[]), "localhost", socket, |client| {
        client.write_all(b"right").unwrap();
        client.sock.write_all(&[23, 3, 3, 0, 17]).unwrap();
        client.sock.write_all(&[0; 17]).unwrap();
        client.read(&mut [0; 16]).map_err(|e| e.to_string())
    });
    let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
    flush(&mut stream);
    assert!(matches!(read_all(&mut stream), Err(TlsError::Record(_))));
    let heard = peer.join().unwrap().unwrap_err();
    assert!(heard.contains("BadRecordMac"), "{heard}");
}

#[test]
fn keys_are_renewed_when_the_client_asks() {
    let world = World::new();
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(true, &[]), "localhost", socket, |client| {
        for _ in 0..5 {
            client.conn.refresh_traffic_keys().unwrap();
            client.write_all(b"ping").unwrap();
            let mut pong = [0; 4];
            client.read_exact(&mut pong).unwrap();
            assert_eq!(&pong, b"pong");
        }
        close(client);
    });
    let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
    flush(&mut stream);
    let mut got = Vec::new();
    loop {
        match stream.receive(0).unwrap() {
            Inbound::Closed => break,
            Inbound::Nothing => wait(&stream, PollFlags::IN),
            Inbound::Data => {
                let length = stream.plain().len();
                got.extend_from_slice(stream.plain());
                stream.consume(length);
                stream.seal(b"pong").unwrap();
                flush(&mut stream);
            }
        }
    }
    assert_eq!(got, b"ping".repeat(5));
    peer.join().unwrap();
}

/// A client's configuration with one cipher suite.
fn only(world: &World, suite: SupportedCipherSuite) -> Arc<ClientConfig> {
    let provider = rustls::crypto::CryptoProvider {
        cipher_suites: vec![suite],
        ..provider::default_provider()
    };
    let version = if suite.tls13().is_some() { &version::TLS13 } else { &version::TLS12 };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(world.roots.clone())
        .with_no_client_auth();
    Arc::new(config)
}

/// The suites the world's ECDSA certificate can be used with.
fn suites() -> impl Iterator<Item = SupportedCipherSuite> {
    let usable = |suite: &SupportedCipherSuite| {
        suite.tls13().is_some() || format!("{:?}", suite.suite()).contains("ECDSA")
    };
    provider::ALL_CIPHER_SUITES.iter().copied().filter(usable)
}

#[test]
fn every_cipher_of_both_versions_carries_many_records_both_ways() {
    let world = World::new();
    let mut tried = 0;
    for suite in suites() {
        let control = world.control();
        let (socket, server) = tcp_pair();
        let peer = client(&only(&world, suite), "localhost", socket, |client| {
            for length in (0..=40).map(|n| n * 419) {
                client.write_all(&noise(length)).unwrap();
                client.flush().unwrap();
                let mut echo = vec![0; length];
                client.read_exact(&mut echo).unwrap();
                assert!(echo == noise(length));
            }
            close(client);
        });
        let (mut stream, established) = accept(control.accept(server).unwrap()).unwrap();
        assert_eq!(established.facts.cipher, u16::from(suite.suite()));
        flush(&mut stream);
        loop {
            match stream.receive(0).unwrap() {
                Inbound::Closed => break,
                Inbound::Nothing => wait(&stream, PollFlags::IN),
                Inbound::Data => {
                    let plain = stream.plain().to_vec();
                    stream.consume(plain.len());
                    stream.seal(&plain).unwrap();
                    flush(&mut stream);
                }
            }
        }
        peer.join().unwrap();
        tried += 1;
    }
    assert_eq!(tried, 6, "three ciphers in two versions");
}

#[test]
fn a_key_is_renewed_before_its_limit_in_tls13() {
    let world = World::new();
    for suite in suites().filter(|suite| suite.tls13().is_some()) {
        let control = world.control();
        let (socket, server) = tcp_pair();
        let peer = client(&only(&world, suite), "localhost", socket, |client| {
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got
        });
        let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
        let default = stream.limit;
        assert!(default < 1 << 24 || format!("{:?}", suite.suite()).contains("CHACHA"));
        // The tickets were sealed with the first key already.
        stream.limit = 6;
        let file = noise(40 * MAX_PLAIN + 1);
        stream.seal(&file).unwrap();
        stream.close().unwrap();
        flush(&mut stream);
        stream.shutdown().unwrap();
        assert!(peer.join().unwrap() == file, "rustls followed every KeyUpdate");
    }
}

#[test]
fn a_tls12_connection_ends_before_the_limit_of_its_key() {
    let world = World::new();
    for suite in suites().filter(|suite| suite.tls13().is_none()) {
        let control = world.control();
        let (socket, server) = tcp_pair();
        let peer = client(&only(&world, suite), "localhost", socket, |client| {
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got.len()
        });
        let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
        stream.limit = 4;
        let mut sealed = 0;
        let error = loop {
            match stream.seal(&[7; 100]) {
                Ok(()) => sealed += 100,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, TlsError::Exhausted));
        assert!((100..=400).contains(&sealed));
        // close_notify may still be said, so that the client knows what it has.
        stream.close().unwrap();
        flush(&mut stream);
        stream.shutdown().unwrap();
        assert_eq!(peer.join().unwrap(), sealed);
    }
}

#[test]
fn a_flood_of_key_updates_is_answered_once() {
    let world = World::new();
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(true, &[]), "localhost", socket, |client| {
        for _ in 0..200 {
            client.conn.refresh_traffic_keys().unwrap();
            client.conn.complete_io(&mut client.sock).ok();
        }
        client.write_all(b"ping").unwrap();
        let mut pong = [0; 4];
        client.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"pong");
        close(client);
    });
    let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
    flush(&mut stream);
    let mut most = 0;
    loop {
        match stream.receive(256 * 1024).unwrap() {
            Inbound::Closed => break,
            Inbound::Nothing => wait(&stream, PollFlags::IN),
            Inbound::Data => {
                let length = stream.plain().len();
                stream.consume(length);
                stream.seal(b"pong").unwrap();
                flush(&mut stream);
            }
        }
        most = most.max(stream.unsent());
    }
    assert!(most <= 2 * super::super::record::OVERHEAD + 10, "{most} bytes of answers");
    peer.join().unwrap();
}

/// A client made of our own record layer with the keys rustls negotiated: it can send anything.
struct Forger {
    socket: TcpStream,
    seal: RecordKey,
    open: RecordKey,
    tls13: bool,
}

impl Forger {
    /// Shakes hands with a control connection.
    fn meet(world: &World, tls13: bool) -> (Forger, Stream) {
        let mut config = ClientConfig::clone(&world.client(tls13, &[]));
        config.enable_secret_extraction = true;
        let control = world.control();
        let (socket, server) = tcp_pair();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let peer = thread::spawn(move || {
            let mut socket = socket;
            while connection.is_handshaking() {
                connection.complete_io(&mut socket).unwrap();
            }
            let secrets = connection.dangerous_extract_secrets().unwrap();
            Forger {
                socket,
                seal: RecordKey::new(secrets.tx, tls13).unwrap(),
                open: RecordKey::new(secrets.rx, tls13).unwrap(),
                tls13,
            }
        });
        let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
        flush(&mut stream);
        (peer.join().unwrap(), stream)
    }

    /// A record of a type there is.
    fn record(&mut self, content: ContentType, plain: &[u8]) -> Vec<u8> {
        let mut record = vec![0; plain.len() + 64];
        let length = self.seal.seal(content, plain, &mut record).unwrap();
        record.truncate(length);
        record
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The alert that the server's records end with.
    fn alert(mut self) -> Vec<u8> {
        let (mut bytes, mut alert) = (Vec::new(), Vec::new());
        self.socket.read_to_end(&mut bytes).ok();
        let mut rest = &bytes[..];
        while let Some(length) = whole_record(rest, self.tls13).unwrap() {
            let mut plain = vec![0; length];
            let (content, opened) = self.open.open(&rest[..length], &mut plain).unwrap();
            if content == ContentType::Alert {
                alert = plain[..opened].to_vec();
            }
            rest = &rest[length..];
        }
        alert
    }
}

#[test]
fn what_no_client_may_put_into_a_tls13_record_ends_the_connection_with_its_alert() {
    const KEY_UPDATE: &[u8] = &[24, 0, 0, 1, 0, 22];
    let world = World::new();
    let too_much = [vec![1; MAX_PLAIN + 1], vec![23]].concat();
    let padded_too_far = [&b"x"[..], &[23], &vec![0; MAX_PLAIN + 1]].concat();
    for (outer, inner, fault, alert) in [
        (23, &[0; 10][..], Fault::OnlyPadding, 10),
        (23, &[], Fault::OnlyPadding, 10),
        (23, &too_much, Fault::TooMuchInside, 22),
        (23, &padded_too_far, Fault::TooMuchInside, 22),
        (23, &[1, 20], Fault::ChangeCipherSpec, 10),
        (23, &[1, 99], Fault::UnknownType, 10),
        (23, &[1, 0, 0, 21], Fault::IllFormedAlert, 50),
        (23, &[21], Fault::IllFormedAlert, 50),
        (22, b"data\x17", Fault::Unencrypted, 10),
        // A ClientHello (renegotiation), a ticket, half a KeyUpdate, one that asks for what there is
        // not, one that other bytes stand behind, and an empty handshake record.
        (23, &[1, 0, 0, 1, 0, 22], Fault::UndueHandshake, 10),
        (23, &[4, 0, 0, 1, 0, 22], Fault::UndueHandshake, 10),
        (23, &[24, 0, 0, 22], Fault::UndueHandshake, 10),
        (23, &[24, 0, 0, 1, 2, 22], Fault::UndueHandshake, 10),
        (23, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0, 22], Fault::UndueHandshake, 10),
        (23, &[22], Fault::UndueHandshake, 10),
    ] {
        let (mut forger, mut stream) = Forger::meet(&world, true);
        let record = forger.seal.seal_inner(outer, inner);
        forger.send(&record);
        let error = read_all(&mut stream).unwrap_err();
        assert!(matches!(error, TlsError::Record(found) if found == fault), "{inner:?}: {error}");
        drop(stream);
        assert_eq!(forger.alert(), [2, alert], "{fault:?}");
    }
    // Right ones, that look strange.
    let (mut forger, mut stream) = Forger::meet(&world, true);
    let largest = [vec![b'a'; MAX_PLAIN], vec![23]].concat();
    let update = forger.seal.seal_inner(23, KEY_UPDATE);
    let mut records = Vec::new();
    for inner in [&b"padded\x17\0\0\0"[..], &[23], &[1, 90, 21], &largest] {
        records.extend(forger.seal.seal_inner(23, inner));
    }
    // The KeyUpdate was sealed first, so nothing behind it can be opened with the old key.
    let mut late = records.clone();
    late.splice(0..0, update);
    forger.send(&late);
    assert!(matches!(read_all(&mut stream), Err(TlsError::Record(Fault::WrongTag))));
    let (mut forger, mut stream) = Forger::meet(&world, true);
    let mut records = Vec::new();
    for inner in [&b"padded\x17\0\0\0"[..], &[23], &[1, 90, 21], &largest, &[1, 0, 21]] {
        records.extend(forger.seal.seal_inner(23, inner));
    }
    forger.send(&records);
    let got = read_all(&mut stream).unwrap();
    assert!(got == [&b"padded"[..], &vec![b'a'; MAX_PLAIN]].concat());
}

#[test]
fn what_no_client_may_put_into_a_tls12_record_ends_the_connection_with_its_alert() {
    let world = World::new();
    for (content, plain, fault, alert) in [
        (ContentType::Alert, &[1][..], Fault::IllFormedAlert, 50),
        (ContentType::Alert, &[1, 0, 0], Fault::IllFormedAlert, 50),
        (ContentType::Data, &[1; MAX_PLAIN + 1], Fault::TooMuchInside, 22),
        // A ClientHello: renegotiation; and TLS 1.3's KeyUpdate.
        (ContentType::Handshake, &[1, 0, 0, 0], Fault::UndueHandshake, 10),
        (ContentType::Handshake, &[24, 0, 0, 1, 0], Fault::UndueHandshake, 10),
    ] {
        let (mut forger, mut stream) = Forger::meet(&world, false);
        let record = forger.record(content, plain);
        forger.send(&record);
        let error = read_all(&mut stream).unwrap_err();
        assert!(matches!(error, TlsError::Record(found) if found == fault), "{plain:?}: {error}");
        drop(stream);
        assert_eq!(forger.alert(), [2, alert], "{fault:?}");
    }
    let (mut forger, mut stream) = Forger::meet(&world, false);
    // An explicit nonce is the client's to choose (RFC 5288 section 3), warnings are no end, and an
    // empty record is none either.
    let mut records = forger.seal.seal_with_explicit_nonce([0xa5; 8], b"chosen ");
    for (content, plain) in [
        (ContentType::Data, &b""[..]),
        (ContentType::Alert, &[1, 100]),
        (ContentType::Data, b"nonce"),
        (ContentType::Alert, &[1, 0]),
        (ContentType::Data, b" and nothing behind close_notify"),
    ] {
        let record = forger.record(content, plain);
        records.extend(record);
    }
    forger.send(&records);
    assert_eq!(read_all(&mut stream).unwrap(), b"chosen nonce");
}

#[test]
fn a_fatal_alert_is_named_and_reordered_or_repeated_records_are_noticed() {
    let world = World::new();
    for tls13 in [true, false] {
        let (mut forger, mut stream) = Forger::meet(&world, tls13);
        let record = forger.record(ContentType::Alert, &[2, 40]);
        forger.send(&record);
        assert!(matches!(read_all(&mut stream), Err(TlsError::Alert(40))));
        for order in [[1, 0], [0, 0]] {
            let (mut forger, mut stream) = Forger::meet(&world, tls13);
            let records = [
                forger.record(ContentType::Data, b"one"),
                forger.record(ContentType::Data, b"two"),
            ];
            for at in order {
                forger.send(&records[at]);
            }
            let error = read_all(&mut stream).unwrap_err();
            assert!(matches!(error, TlsError::Record(Fault::WrongTag)), "{order:?}: {error}");
            drop(stream);
            assert_eq!(forger.alert(), [2, 20]);
        }
    }
}

#[test]
fn a_record_may_come_byte_by_byte() {
    let world = World::new();
    for tls13 in [true, false] {
        let (mut forger, mut stream) = Forger::meet(&world, tls13);
        let records = [
            forger.record(ContentType::Data, b"by"),
            forger.record(ContentType::Data, b"te"),
            forger.record(ContentType::Alert, &[1, 0]),
        ]
        .concat();
        let sender = thread::spawn(move || {
            for byte in records {
                forger.send(&[byte]);
            }
            forger
        });
        assert_eq!(read_all(&mut stream).unwrap(), b"byte");
        sender.join().unwrap();
    }
}
