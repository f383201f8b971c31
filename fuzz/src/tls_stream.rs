//! What must hold for every TLS connection, whatever its client or somebody on the path does to the
//! bytes. See `invariants` for how these are used.

#[allow(dead_code, reason = "the worker's tests use the rest")]
#[path = "../../worker/src/tls/tests/world.rs"]
mod world;

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use worker::tls::{ControlTls, Handshake, Inbound, Progress, Stream, TlsError};

/// Most bytes of an input; the connection's socket holds them all.
const MOST: usize = 32 << 10;

/// A server, whose keeper is a thread, and clients of both versions that trust it.
struct World {
    control: ControlTls,
    clients: [Arc<ClientConfig>; 2],
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let keeper = world::World::new();
        let control = ControlTls::new(&keeper.tls, None).expect("the settings are right");
        control.attach(keeper.keeper());
        let clients = [true, false].map(|tls13| keeper.client(tls13, &[]));
        World { control, clients }
    })
}

/// The server's side of a connection.
fn server(world: &'static World, socket: UnixStream) -> Handshake {
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
    loop {
        converse(&mut client, &mut socket);
        if handshake.advance().expect("an honest client") == Progress::Done {
            break;
        }
    }
    let (mut stream, _) = handshake.into_stream().expect("it is done");
    // In a full handshake of TLS 1.2 the last message is the server's, which the stream sends.
    assert!(stream.flush().expect("an honest client"), "the socket has room");
    converse(&mut client, &mut socket);
    assert!(!client.is_handshaking(), "one end is done and the other is not");
    Connection { client, socket, stream }
}

/// Lets the client send what it has and read what is there.
fn converse(client: &mut ClientConnection, socket: &mut UnixStream) {
    loop {
        while client.wants_write() {
            client.write_tls(socket).expect("there is room");
        }
        match client.read_tls(socket) {
            Ok(_) => drop(client.process_new_packets().expect("an honest server")),
            Err(e) => break assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
    }
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
        // Not closed: with the server's tickets unread, that would be a reset.
        socket.shutdown(Shutdown::Write).expect("a socket");
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
    socket.shutdown(Shutdown::Write).expect("a socket");
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
