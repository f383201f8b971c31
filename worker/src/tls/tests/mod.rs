//! The worker's TLS against rustls as the client.

mod handshakes;
mod records;
mod relay;
mod resumption;

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
