//! What must hold for every TLS connection, whatever its client or somebody on the path does to the
//! bytes. See `invariants` for how these are used.

use std::{
    io::{ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, OnceLock},
    thread,
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
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs as provider,
    pki_types::ServerName, version,
};
use worker::tls::{ControlTls, Handshake, Inbound, Progress, Stream, TlsError};

/// Most bytes of an input; the connection's socket holds them all.
const MOST: usize = 32 << 10;

/// A certificate, its key, and clients of both versions that trust it.
struct World {
    control: ControlTls,
    key: EcdsaKeyPair,
    clients: [Arc<ClientConfig>; 2],
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names.clone())
            .and_then(|params| params.self_signed(&key))
            .expect("a certificate can be made");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("it is one");
        let chain = vec![Bytes::try_from(certificate.der().to_vec()).expect("it is short")];
        let tls = GateTls {
            certificates: vec![Certificate { key: KeyId(1), chain, schemes: vec![0x0403], names }],
            demand: TlsDemand::None,
            only_tls13: false,
            names: Vec::new(),
            client_ca: Vec::new(),
            client_certificate_required: false,
        };
        let client = |version| {
            let config =
                ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
                    .with_protocol_versions(&[version])
                    .expect("a version is one")
                    .with_root_certificates(roots.clone())
                    .with_no_client_auth();
            Arc::new(config)
        };
        World {
            control: ControlTls::new(&tls).expect("the settings are right"),
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der())
                .expect("it is one"),
            clients: [client(&version::TLS13), client(&version::TLS12)],
        }
    })
}

/// The server's side of a connection, with a keeper that signs for it in a thread.
fn server(world: &'static World, socket: UnixStream) -> Handshake {
    let (ours, keeper) = Channel::<Sign, Signed>::pair().expect("descriptors are left");
    thread::spawn(move || {
        while let Ok(received) = keeper.recv() {
            let Sign::Sign { input, .. } = received.message;
            let signed = world.key.sign(&SystemRandom::new(), input.as_slice()).expect("it signs");
            let signature = Bytes::try_from(signed.as_ref().to_vec()).expect("it is short");
            // The connection may have ended meanwhile.
            keeper.send(&Signed::Signature(signature), &[]).ok();
        }
    });
    world.control.attach(ours);
    socket.set_nonblocking(true).expect("a socket");
    world.control.accept(OwnedFd::from(socket)).expect("it accepts")
}

/// Shakes hands; gives both ends.
fn established(world: &'static World, client: &Arc<ClientConfig>) -> Connection {
    let (mut socket, theirs) = UnixStream::pair().expect("descriptors are left");
    let mut handshake = server(world, theirs);
    socket.set_nonblocking(true).expect("a socket");
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut client = ClientConnection::new(client.clone(), name).expect("the settings are right");
    let mut done = false;
    while !done || client.is_handshaking() {
        while client.wants_write() {
            client.write_tls(&mut socket).expect("there is room");
        }
        if !done {
            done = matches!(handshake.advance().expect("an honest client"), Progress::Done);
        }
        match client.read_tls(&mut socket) {
            Ok(_) => drop(client.process_new_packets().expect("an honest server")),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
    }
    let (stream, _) = handshake.into_stream().expect("it is done");
    Connection { client, socket, stream }
}

struct Connection {
    client: ClientConnection,
    socket: UnixStream,
    stream: Stream,
}

/// What came out of a connection, and how it stands.
fn received(stream: &mut Stream) -> (Vec<u8>, Result<Inbound, TlsError>) {
    let mut all = Vec::new();
    loop {
        match stream.receive(MOST) {
            Ok(Inbound::Data) => {
                all.extend_from_slice(stream.plain());
                stream.consume(stream.plain().len());
            }
            other => return (all, other),
        }
    }
}

/// What the client sends comes out as it was. If the records are changed, cut or followed by
/// something else, what comes out is no more than what was sent before that place, and a
/// connection that was not closed properly is never taken for one that was.
pub fn tls_stream(data: &[u8]) {
    let Some((&[mode, at_high, at_low, size], rest)) = data.split_first_chunk::<4>() else {
        return;
    };
    let rest = &rest[..rest.len().min(MOST)];
    let (plain, noise) = rest.split_at(rest.len() / 2);
    let world = world();
    let Connection { mut client, mut socket, mut stream } =
        established(world, &world.clients[usize::from(mode & 1)]);
    let mut wire = Vec::new();
    for piece in plain.chunks(usize::from(size).max(1) * 16) {
        client.writer().write_all(piece).expect("it is buffered");
        client.write_tls(&mut wire).expect("a vector has room");
    }
    let closes = mode & 2 != 0;
    if closes {
        client.send_close_notify();
        client.write_tls(&mut wire).expect("a vector has room");
    }
    let place = usize::from(u16::from_be_bytes([at_high, at_low])) % wire.len().max(1);
    let whole = match mode >> 2 & 3 {
        0 => true,
        1 => match wire.get_mut(place) {
            // One that is never nothing.
            Some(byte) => {
                *byte ^= size | 1;
                false
            }
            None => true,
        },
        2 => {
            wire.truncate(place);
            false
        }
        _ => {
            wire.splice(place..place, noise.iter().copied());
            noise.is_empty()
        }
    };
    socket.write_all(&wire).expect("the socket has room");
    let (out, end) = received(&mut stream);
    assert!(plain.starts_with(&out), "something came out that was not sent");
    if whole {
        assert_eq!(out.len(), plain.len());
        let closed = matches!(end, Ok(Inbound::Closed));
        assert!(if closes { closed } else { matches!(end, Ok(Inbound::Nothing)) }, "{end:?}");
    }
    // Noise behind a proper end is not read.
    let ends = matches!(end, Ok(Inbound::Closed));
    assert!(!ends || (closes && out.len() == plain.len()), "an end that was not sent");
    if matches!(end, Ok(Inbound::Nothing)) {
        drop(socket);
        let (more, end) = received(&mut stream);
        assert!(more.is_empty() && matches!(end, Err(TlsError::Truncated)), "{end:?}");
    }
}

/// No bytes but a client's honest ones make a connection, and whatever is answered is TLS.
pub fn tls_handshake(data: &[u8]) {
    let data = &data[..data.len().min(MOST)];
    let (mut socket, theirs) = UnixStream::pair().expect("descriptors are left");
    let mut handshake = server(world(), theirs);
    socket.write_all(data).expect("the socket has room");
    socket.shutdown(std::net::Shutdown::Write).expect("a socket");
    loop {
        match handshake.advance() {
            Ok(Progress::Done) => panic!("a handshake without a client"),
            Ok(Progress::WantsRead | Progress::WantsWrite) => {}
            Err(_) => break,
        }
    }
    drop(handshake);
    let mut answer = Vec::new();
    // Whoever closes with bytes unread resets the connection.
    socket.read_to_end(&mut answer).ok();
    if let Some(first) = answer.first() {
        assert!(matches!(first, 21 | 22), "the answer begins with {first}");
    }
}

/// The name of a fuzz target, and its invariant.
pub type Named = (&'static str, fn(&[u8]));

/// Both by the names of their fuzz targets.
pub const ALL: [Named; 2] = [("tls_stream", tls_stream), ("tls_handshake", tls_handshake)];
