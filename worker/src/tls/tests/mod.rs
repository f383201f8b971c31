//! The worker's TLS against rustls as the client.

mod handshakes;
mod records;
mod relay;
mod resumption;
mod world;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use ipc::{
    Channel,
    keeper::{Sign, Signed},
    session::SessionTls,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, StreamOwned, crypto::aws_lc_rs as provider,
    pki_types::ServerName, version,
};
use world::World;

use super::*;

type Client = StreamOwned<ClientConnection, TcpStream>;

impl World {
    fn control(&self) -> ControlTls {
        let control = ControlTls::new(&self.tls, None).unwrap();
        control.attach(self.keeper());
        control
    }

    fn data(&self, require_session_reuse: bool, entries: Vec<Entry>) -> DataTls {
        let settings =
            SessionTls { tls: self.tls.clone(), require_session_reuse, require_close_notify: true };
        let mut data = DataTls::new(&settings).unwrap();
        data.resume(entries);
        data
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
    assert_eq!(tickets, if established.facts.version == 0x0304 { 4 } else { 0 });
    (control.resumption_entries(), established)
}
