//! How a handshake succeeds, and everything it can fail by.

use super::*;

#[test]
fn the_keeper_signs_and_both_sides_talk_in_both_versions() {
    let world = World::new();
    for (tls13, version) in [(true, "1.3"), (false, "1.2")] {
        let (_, established) = control_connection(&world, &world.client(tls13, &[b"ftp"]));
        assert_eq!(established.facts.version().to_string(), version);
        assert!(established.facts.extended_master_secret);
        assert!(!established.resumed);
        assert_eq!(established.server_name.as_deref(), Some("localhost"));
    }
    assert_eq!(world.signatures.load(Ordering::Relaxed), 2);
}

#[test]
fn without_the_demand_a_full_handshake_asks_the_keeper() {
    let world = World::new();
    let data = world.data(false, Vec::new());
    assert!(data.needs_keeper());
    let attempt = |data: &DataTls| {
        let (socket, server) = tcp_pair();
        let peer = client(&world.client(true, &[]), "localhost", socket, |_| ());
        let result = accept(data.accept(server, TransferDirection::FromClient).unwrap());
        peer.join().unwrap();
        result.map(|(_, established)| established.resumed)
    };
    assert!(matches!(attempt(&data), Err(TlsError::Keeper(_))), "no channel yet");
    data.attach(world.keeper());
    assert!(matches!(attempt(&data), Ok(false)));
    assert_eq!(world.signatures.load(Ordering::Relaxed), 1);
}

#[test]
fn a_keeper_that_dies_or_refuses_fails_the_handshake_alone() {
    let world = World::new();
    let control = ControlTls::new(&world.tls, None).unwrap();
    let attempt = || {
        let (socket, server) = tcp_pair();
        let peer = client(&world.client(true, &[]), "localhost", socket, |_| ());
        let result = accept(control.accept(server).unwrap()).map(drop);
        peer.join().unwrap();
        result
    };
    let (dead, keeper) = Channel::<Sign, Signed>::pair().unwrap();
    drop(keeper);
    control.attach(dead);
    assert!(matches!(attempt(), Err(TlsError::Keeper(_))));
    let (refused, keeper) = Channel::<Sign, Signed>::pair().unwrap();
    let refuser = thread::spawn(move || {
        keeper.recv().unwrap();
        keeper.send(&Signed::Refused, &[]).unwrap();
    });
    control.attach(refused);
    assert!(matches!(attempt(), Err(TlsError::Keeper(_))));
    refuser.join().unwrap();
    control.attach(world.keeper());
    assert!(attempt().is_ok(), "a new channel heals it");
}

#[test]
fn an_alpn_offer_without_ftp_is_refused() {
    let world = World::new();
    for (offer, right) in
        [(&[&b"http/1.1"[..], b"h2"][..], false), (&[b"ftp", b"h2"], true), (&[], true)]
    {
        let control = world.control();
        let (socket, server) = tcp_pair();
        let peer = client(&world.client(true, offer), "localhost", socket, |_| ());
        match accept(control.accept(server).unwrap()) {
            Ok(_) => assert!(right),
            Err(error) => assert!(matches!(error, TlsError::NotFtp) && !right, "{error}"),
        }
        peer.join().unwrap();
    }
}

#[test]
fn a_foreign_server_name_is_refused_when_names_are_set() {
    let mut world = World::new();
    world.tls.names = vec!["LocalHost".into()];
    for (name, right) in [("localhost", true), ("other.example", false)] {
        let control = world.control();
        let (socket, server) = tcp_pair();
        let peer = client(&world.client(true, &[]), name, socket, |_| ());
        let result = accept(control.accept(server).unwrap());
        assert_eq!(result.is_ok(), right, "{name}");
        assert!(right || matches!(result, Err(TlsError::ForeignName)));
        peer.join().unwrap();
    }
}

#[test]
fn tls12_is_refused_where_only_tls13_may_be() {
    let mut world = World::new();
    world.tls.only_tls13 = true;
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(false, &[]), "localhost", socket, |_| ());
    assert!(matches!(accept(control.accept(server).unwrap()), Err(TlsError::Handshake(_))));
    peer.join().unwrap();
}

#[test]
fn what_is_no_handshake_is_refused() {
    let world = World::new();
    let attempt = |bytes: &[u8]| {
        let control = world.control();
        let (mut socket, server) = tcp_pair();
        socket.write_all(bytes).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        accept(control.accept(server).unwrap()).map(drop)
    };
    assert!(matches!(attempt(b"USER anonymous\r\n"), Err(TlsError::NotTls)));
    assert!(matches!(attempt(b""), Err(TlsError::HandshakeClosed)));
    assert!(matches!(attempt(&[22, 3, 1, 2, 0, 1]), Err(TlsError::HandshakeClosed)));
    assert!(matches!(attempt(&[22, 3, 1, 0xff, 0xff, 1, 1, 1]), Err(TlsError::Handshake(_))));
    let garbage = [&[22, 3, 1, 1, 0][..], &noise(256)].concat();
    assert!(attempt(&garbage).is_err());
    // A hello that promises a megabyte, in records of the largest size.
    let mut endless = Vec::new();
    for n in 0..5 {
        endless.extend_from_slice(&[22, 3, 1, 0x40, 0]);
        endless.extend_from_slice(&vec![0; 0x4000]);
        if n == 0 {
            endless[5..9].copy_from_slice(&[1, 0x0f, 0, 0]);
        }
    }
    assert!(attempt(&endless).is_err());
}

#[test]
fn a_damaged_hello_is_an_error_and_never_a_panic() {
    let world = World::new();
    let config = world.client(true, &[b"ftp"]);
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    let control = world.control();
    let damage = noise(3 * 1500);
    for change in damage.chunks_exact(3) {
        let &[high, low, value] = change else { continue };
        let mut damaged = hello.clone();
        let at = usize::from(u16::from_be_bytes([high, low])) % damaged.len();
        damaged[at] = value;
        if low % 16 == 0 {
            damaged.truncate(at);
        }
        // A second record behind it, which is due for nobody.
        damaged.extend_from_slice(&[23, 3, 3, 0, 3, value, low, high]);
        let (mut socket, server) = std::os::unix::net::UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        socket.write_all(&damaged).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(accept(control.accept(server.into()).unwrap()).is_err());
    }
}

#[test]
fn the_end_of_a_full_handshake_is_sent_before_the_client_has_said_anything() {
    let world = World::new();
    for tls13 in [true, false] {
        let data = world.data(false, Vec::new());
        data.attach(world.keeper());
        let (socket, server) = tcp_pair();
        let peer = client(&world.client(tls13, &[]), "localhost", socket, |client| {
            // In TLS 1.2 a client waits for our Finished before it sends its file.
            client.write_all(b"file").unwrap();
            close(client);
        });
        let handshake = data.accept(server, TransferDirection::FromClient).unwrap();
        let (mut stream, _) = accept(handshake).unwrap();
        assert_eq!(read_all(&mut stream).unwrap(), b"file");
        assert!(!stream.wants_write(), "or whoever polls for it never sleeps");
        peer.join().unwrap();
    }
}

#[test]
fn a_client_hello_in_one_byte_segments_is_read() {
    let world = World::new();
    for tls13 in [true, false] {
        let (socket, server) = tcp_pair();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(world.client(tls13, &[b"ftp"]), name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        let peer = thread::spawn(move || {
            let mut socket = socket;
            for byte in hello {
                socket.write_all(&[byte]).unwrap();
                thread::yield_now();
            }
            let mut stream = StreamOwned::new(connection, socket);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            close(&mut stream);
        });
        let control = world.control();
        let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
        flush(&mut stream);
        assert_eq!(read_all(&mut stream).unwrap(), b"");
        peer.join().unwrap();
    }
}

#[test]
fn each_key_exchange_group_can_be_agreed_on_and_is_named() {
    let world = World::new();
    let groups = provider::ALL_KX_GROUPS;
    for (code, name) in ipc::tls_facts::GROUPS {
        let group = groups.iter().find(|group| u16::from(group.name()) == code).unwrap();
        let only = rustls::crypto::CryptoProvider {
            kx_groups: vec![*group],
            ..provider::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(only))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_root_certificates(world.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"ftp".to_vec()];
        let (_, established) = control_connection(&world, &Arc::new(config));
        assert_eq!(established.facts.group().to_string(), name);
    }
}

/// What a client is told by the server's alert, if its handshake fails.
fn alert_to(config: &Arc<ClientConfig>, data: &DataTls) -> (String, TlsError) {
    let (mut socket, server) = tcp_pair();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(config.clone(), name).unwrap();
    let peer = thread::spawn(move || {
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut socket) {
                return error.to_string();
            }
        }
        let mut stream = StreamOwned::new(connection, socket);
        stream.read_to_end(&mut Vec::new()).unwrap_err().to_string()
    });
    let handshake = data.accept(server, TransferDirection::ToClient).unwrap();
    // The handshake, and with it the socket, is gone then.
    let error = accept(handshake).unwrap_err();
    (peer.join().unwrap(), error)
}

#[test]
fn g7_a_data_connection_that_must_resume_and_does_not_gets_an_alert() {
    let world = World::new();
    for tls13 in [true, false] {
        let config = world.client(tls13, &[]);
        let (alert, error) = alert_to(&config, &world.data(true, Vec::new()));
        assert!(alert.contains("HandshakeFailure"), "{alert}");
        assert!(matches!(error, TlsError::NotResumed), "{error}");
    }
    // The same kind: a keeper that is not there.
    let (alert, error) = alert_to(&world.client(false, &[]), &world.data(false, Vec::new()));
    assert!(alert.contains("InternalError"), "{alert}");
    assert!(matches!(error, TlsError::Keeper(_)), "{error}");
}

#[test]
fn a_client_older_than_tls_1_2_is_named_as_one() {
    let world = World::new();
    let control = world.control();
    let (mut socket, server) = tcp_pair();
    // A hello of TLS 1.1: version, random, no session, one cipher suite, no compression.
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    socket.write_all(&hello).unwrap();
    let error = accept(control.accept(server).unwrap()).map(drop).unwrap_err();
    assert!(matches!(error, TlsError::TooOld), "{error}");
    assert!(error.to_string().contains("TLS 1.1 or older"), "{error}");
}

#[test]
fn g8_an_upload_may_end_by_fin_only_where_that_is_allowed_and_behind_a_whole_record() {
    let world = World::new();
    for tls13 in [true, false] {
        let config = world.client(tls13, &[]);
        let (entries, _) = control_connection(&world, &config);
        for (required, behind, complete) in
            [(true, &[][..], false), (false, &[], true), (false, &[23, 3, 3, 0, 9, 1], false)]
        {
            let mut data = DataTls::new(&SessionTls {
                tls: world.tls.clone(),
                require_session_reuse: false,
                require_close_notify: required,
            })
            .unwrap();
            data.resume(entries.clone());
            data.attach(world.keeper());
            let (socket, server) = tcp_pair();
            let peer = client(&config, "localhost", socket, move |client| {
                client.write_all(b"file").unwrap();
                client.flush().unwrap();
                client.sock.write_all(behind).unwrap();
                client.sock.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let handshake = data.accept(server, TransferDirection::FromClient).unwrap();
            let (mut stream, _) = accept(handshake).unwrap();
            match read_all(&mut stream) {
                Ok(file) => assert!(complete && file == b"file", "{required} {behind:?}"),
                Err(TlsError::Truncated) => assert!(!complete, "{required} {behind:?}"),
                Err(other) => panic!("{other}"),
            }
            peer.join().unwrap();
        }
    }
}
