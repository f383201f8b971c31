use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use ipc::{
    Channel,
    account::TlsDemand,
    bounded::Bytes,
    gate::{Certificate, GateTls},
    keeper::{KeyId, Sign, Signed},
    session::SessionTls,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    crypto::aws_lc_rs as provider, pki_types::ServerName, version,
};

use super::*;

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A certificate, and a keeper that signs for it in a thread.
struct World {
    tls: GateTls,
    key: Arc<EcdsaKeyPair>,
    roots: RootCertStore,
    signatures: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_string(), "other.example".to_string()];
        let certificate =
            rcgen::CertificateParams::new(names.clone()).unwrap().self_signed(&key).unwrap();
        let der = key.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let tls = GateTls {
            certificates: vec![Certificate {
                key: KeyId(1),
                chain: vec![Bytes::try_from(certificate.der().to_vec()).unwrap()],
                schemes: vec![0x0403],
                names,
            }],
            demand: TlsDemand::None,
            only_tls13: false,
            names: Vec::new(),
            client_ca: Vec::new(),
            client_certificate_required: false,
        };
        World { tls, key: Arc::new(key), roots, signatures: Arc::default() }
    }

    fn keeper(&self) -> Channel<Sign, Signed> {
        let (client, keeper) = Channel::<Sign, Signed>::pair().unwrap();
        let (key, signatures) = (self.key.clone(), self.signatures.clone());
        thread::spawn(move || {
            while let Ok(received) = keeper.recv() {
                let Sign::Sign { input, .. } = received.message;
                let signature = key.sign(&SystemRandom::new(), input.as_slice()).unwrap();
                signatures.fetch_add(1, Ordering::Relaxed);
                let signature = Bytes::try_from(signature.as_ref().to_vec()).unwrap();
                keeper.send(&Signed::Signature(signature), &[]).unwrap();
            }
        });
        client
    }

    fn control(&self) -> ControlTls {
        let control = ControlTls::new(&self.tls).unwrap();
        control.attach(self.keeper());
        control
    }

    fn data(&self, require_session_reuse: bool, entries: Vec<Entry>) -> DataTls {
        let settings = SessionTls { tls: self.tls.clone(), require_session_reuse };
        let mut data = DataTls::new(&settings).unwrap();
        data.resume(entries);
        data
    }

    fn client(&self, tls13: bool, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let versions: &[_] = if tls13 { &[&version::TLS13] } else { &[&version::TLS12] };
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(self.roots.clone())
                .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

fn tcp_pair() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (client, server.into())
}

fn wait(fd: &impl AsFd, flags: PollFlags) {
    let mut fds = [PollFd::new(fd, flags)];
    let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_ne!(poll(&mut fds, Some(&timeout)).unwrap(), 0, "the peer is silent");
}

fn accept(mut handshake: Handshake) -> Result<(Stream, Established), TlsError> {
    loop {
        match handshake.advance()? {
            Progress::Done => return handshake.into_stream(),
            Progress::WantsRead => wait(&handshake, PollFlags::IN),
            Progress::WantsWrite => wait(&handshake, PollFlags::OUT),
        }
    }
}

fn flush(stream: &mut Stream) {
    while !stream.flush().unwrap() {
        wait(stream, PollFlags::OUT);
    }
}

fn read_all(stream: &mut Stream) -> Result<Vec<u8>, TlsError> {
    let mut all = Vec::new();
    loop {
        match stream.receive(256 * 1024)? {
            Inbound::Data => {
                all.extend_from_slice(stream.plain());
                let length = stream.plain().len();
                stream.consume(length);
            }
            Inbound::Nothing => wait(stream, PollFlags::IN),
            Inbound::Closed => return Ok(all),
        }
    }
}

/// Runs a client in a thread, which shakes hands and then does `work`.
fn client<T: Send + 'static>(
    config: &Arc<ClientConfig>,
    name: &str,
    socket: TcpStream,
    work: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let name = ServerName::try_from(name.to_string()).unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    thread::spawn(move || {
        // A failed handshake shows itself on the other side.
        while stream.conn.is_handshaking() && stream.conn.complete_io(&mut stream.sock).is_ok() {}
        work(&mut stream)
    })
}

fn close(client: &mut Client) {
    client.conn.send_close_notify();
    client.flush().unwrap();
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// A control connection whose client has read all its tickets; what the session then gets.
fn control_connection(world: &World, config: &Arc<ClientConfig>) -> (Vec<Entry>, Established) {
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(config, "localhost", socket, |client| {
        let mut line = [0; 5];
        client.read_exact(&mut line).unwrap();
        close(client);
        client.conn.tls13_tickets_received()
    });
    let (mut stream, established) = accept(control.accept(server).unwrap()).unwrap();
    stream.seal(b"230 \n").unwrap();
    flush(&mut stream);
    assert_eq!(read_all(&mut stream).unwrap(), b"");
    let tickets = peer.join().unwrap();
    assert_eq!(tickets, if established.version == "TLSv1_3" { 4 } else { 0 });
    (control.resumption_entries(), established)
}

#[test]
fn the_keeper_signs_and_both_sides_talk_in_both_versions() {
    let world = World::new();
    for (tls13, version) in [(true, "TLSv1_3"), (false, "TLSv1_2")] {
        let (_, established) = control_connection(&world, &world.client(tls13, &[b"ftp"]));
        assert_eq!(established.version, version);
        assert!(!established.resumed);
        assert_eq!(established.server_name.as_deref(), Some("localhost"));
    }
    assert_eq!(world.signatures.load(Ordering::Relaxed), 2);
}

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
    let control = ControlTls::new(&world.tls).unwrap();
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

/// A relay in a thread, the session's end of it, and a client thread that does `work`.
fn relay<T: Send + 'static>(
    world: &World,
    work: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> (std::os::unix::net::UnixStream, thread::JoinHandle<T>, thread::JoinHandle<()>) {
    let control = world.control();
    let (socket, server) = tcp_pair();
    let peer = client(&world.client(true, &[]), "localhost", socket, work);
    let (stream, _) = accept(control.accept(server).unwrap()).unwrap();
    let (session, plain) = std::os::unix::net::UnixStream::pair().unwrap();
    plain.set_nonblocking(true).unwrap();
    session.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let relay = thread::spawn(|| crate::relay::Relay::new(stream, plain.into()).run());
    (session, peer, relay)
}

#[test]
fn the_relay_hands_on_both_directions_and_both_ends() {
    let world = World::new();
    let (mut session, peer, relay) = relay(&world, |client| {
        client.write_all(b"NOOP\r\n").unwrap();
        let mut reply = [0; 5];
        client.read_exact(&mut reply).unwrap();
        close(client);
        // The client has ended its direction; the other one goes on.
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        rest
    });
    let mut line = [0; 6];
    session.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"NOOP\r\n");
    session.write_all(b"200 \n").unwrap();
    assert_eq!(session.read(&mut line).unwrap(), 0, "the client's end arrives");
    session.write_all(b"221 Goodbye.\r\n").unwrap();
    drop(session);
    assert_eq!(peer.join().unwrap(), "221 Goodbye.\r\n");
    relay.join().unwrap();
}

#[test]
fn the_relay_keeps_the_order_of_much_in_both_directions() {
    const MUCH: usize = 3 * 1024 * 1024;
    let world = World::new();
    let (mut session, peer, relay) = relay(&world, |client| {
        // Writes everything before it reads: the relay must not need both at once.
        client.write_all(&noise(200_000)).unwrap();
        let mut got = vec![0; MUCH];
        client.read_exact(&mut got).unwrap();
        close(client);
        got
    });
    let sender = session.try_clone().unwrap();
    let sending = thread::spawn(move || (&sender).write_all(&noise(MUCH)).unwrap());
    let mut got = Vec::new();
    session.read_to_end(&mut got).unwrap();
    assert!(got == noise(200_000));
    sending.join().unwrap();
    drop(session);
    assert!(peer.join().unwrap() == noise(MUCH));
    relay.join().unwrap();
}

#[test]
fn the_relay_stops_a_client_whose_session_does_not_read() {
    let world = World::new();
    let (session, peer, relay) = relay(&world, |client| {
        client.sock.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut sent = 0_usize;
        while sent < 64 << 20 {
            // rustls says that it took the bytes even when the socket did not.
            let began = std::time::Instant::now();
            match client.write(&[b'x'; 16384]) {
                Ok(_) if began.elapsed() >= Duration::from_millis(400) => break,
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    });
    assert!(peer.join().unwrap() < 64 << 20, "the relay took more than its buffers hold");
    drop(session);
    relay.join().unwrap();
}

#[test]
fn the_relay_ends_when_the_session_dies_or_the_client_forges() {
    let world = World::new();
    let (session, peer, relay_thread) = relay(&world, |client| client.read(&mut [0; 9]).unwrap());
    drop(session);
    assert_eq!(peer.join().unwrap(), 0, "a clean end for the client");
    relay_thread.join().unwrap();
    let (mut session, peer, relay_thread) = relay(&world, |client| {
        client.sock.write_all(&[23, 3, 3, 0, 17]).unwrap();
        client.sock.write_all(&[0; 17]).unwrap();
        client.read(&mut [0; 16]).is_err()
    });
    assert_eq!(session.read(&mut [0; 9]).unwrap(), 0);
    assert!(peer.join().unwrap());
    relay_thread.join().unwrap();
}
