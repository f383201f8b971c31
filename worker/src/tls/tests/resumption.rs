//! What resumes what: data connections their own control connection, and nothing else.

use super::*;

#[test]
fn data_connections_resume_again_and_again_without_a_signature() {
    let world = World::new();
    for tls13 in [true, false] {
        let config = world.client(tls13, &[]);
        let (entries, _) = control_connection(&world, &config);
        let signed = world.signatures.load(Ordering::Relaxed);
        let data = world.data(true, entries);
        assert!(!data.needs_keeper());
        for round in 0..50 {
            let (socket, server) = tcp_pair();
            let peer = client(&config, "localhost", socket, |client| {
                let mut file = Vec::new();
                client.read_to_end(&mut file).unwrap();
                (file, client.conn.handshake_kind(), client.conn.tls13_tickets_received())
            });
            let handshake = data.accept(server, TransferDirection::ToClient).unwrap();
            let (mut stream, established) = accept(handshake).unwrap();
            assert!(established.resumed, "round {round}");
            stream.seal(b"contents").unwrap();
            stream.close().unwrap();
            flush(&mut stream);
            stream.shutdown().unwrap();
            let (file, kind, tickets) = peer.join().unwrap();
            assert_eq!(file, b"contents");
            assert_eq!(kind, Some(HandshakeKind::Resumed));
            assert_eq!(tickets, u32::from(tls13), "a download renews the ticket it used");
        }
        assert_eq!(world.signatures.load(Ordering::Relaxed), signed);
    }
}

#[test]
fn an_upload_gives_no_tickets_and_ends_at_close_notify() {
    let world = World::new();
    let config = world.client(true, &[b"ftp-data", b"ftp"]);
    let (entries, _) = control_connection(&world, &config);
    let data = world.data(true, entries);
    for length in [0, 1, 3 * 1024 * 1024 + 1] {
        let file = noise(length);
        let (socket, server) = tcp_pair();
        let sent = file.clone();
        let peer = client(&config, "localhost", socket, move |client| {
            client.write_all(&sent).unwrap();
            close(client);
            client.conn.tls13_tickets_received()
        });
        let handshake = data.accept(server, TransferDirection::FromClient).unwrap();
        let (mut stream, _) = accept(handshake).unwrap();
        assert!(read_all(&mut stream).unwrap() == file, "{length} bytes");
        assert_eq!(peer.join().unwrap(), 0);
    }
}

#[test]
fn a_large_download_arrives_whole() {
    let world = World::new();
    for tls13 in [true, false] {
        let config = world.client(tls13, &[]);
        let (entries, _) = control_connection(&world, &config);
        let data = world.data(true, entries);
        let file = noise(5 * 1024 * 1024 + 7);
        let (socket, server) = tcp_pair();
        let peer = client(&config, "localhost", socket, |client| {
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            got
        });
        let handshake = data.accept(server, TransferDirection::ToClient).unwrap();
        let (mut stream, _) = accept(handshake).unwrap();
        for part in file.chunks(256 * 1024) {
            stream.seal(part).unwrap();
            flush(&mut stream);
        }
        stream.close().unwrap();
        flush(&mut stream);
        stream.shutdown().unwrap();
        assert!(peer.join().unwrap() == file);
    }
}

#[test]
fn a_data_connection_that_resumes_nothing_is_refused() {
    let world = World::new();
    for tls13 in [true, false] {
        let (entries, _) = control_connection(&world, &world.client(tls13, &[]));
        let data = world.data(true, entries);
        let (socket, server) = tcp_pair();
        let stranger = client(&world.client(tls13, &[]), "localhost", socket, |_| ());
        let handshake = data.accept(server, TransferDirection::ToClient).unwrap();
        assert!(matches!(accept(handshake), Err(TlsError::NotResumed)));
        stranger.join().unwrap();
    }
}

#[test]
fn a_ticket_of_another_session_is_refused() {
    let world = World::new();
    for tls13 in [true, false] {
        let (mallory, alice) = (world.client(tls13, &[]), world.client(tls13, &[]));
        control_connection(&world, &mallory);
        let (entries, _) = control_connection(&world, &alice);
        let data = world.data(true, entries);
        let (socket, server) = tcp_pair();
        let peer = client(&mallory, "localhost", socket, |_| ());
        let handshake = data.accept(server, TransferDirection::ToClient).unwrap();
        assert!(matches!(accept(handshake), Err(TlsError::NotResumed)));
        peer.join().unwrap();
    }
}

#[test]
fn a_client_that_uses_tickets_once_is_given_its_last_one_again() {
    let world = World::new();
    let config = world.client(true, &[]);
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&config, "localhost", socket, |client| {
        for line in [b"230 \n", b"226 \n", b"226 \n"] {
            let mut got = [0; 5];
            client.read_exact(&mut got).unwrap();
            assert_eq!(&got, line);
        }
        client.conn.tls13_tickets_received()
    });
    let (mut stream, _) = accept(control.accept(server).unwrap()).unwrap();
    stream.seal(b"230 \n").unwrap();
    flush(&mut stream);
    for _ in 0..2 {
        stream.offer_ticket().unwrap();
        stream.seal(b"226 \n").unwrap();
        flush(&mut stream);
    }
    assert_eq!(peer.join().unwrap(), 4 + 2);
    let data = world.data(true, control.resumption_entries());
    // rustls forgets a ticket when it has used it, and an upload brings none.
    for round in 0..6 {
        let (socket, server) = tcp_pair();
        let peer = client(&config, "localhost", socket, close);
        let handshake = data.accept(server, TransferDirection::FromClient).unwrap();
        let (mut stream, established) = accept(handshake).unwrap();
        assert!(established.resumed, "round {round}");
        assert_eq!(read_all(&mut stream).unwrap(), b"");
        peer.join().unwrap();
    }
}
