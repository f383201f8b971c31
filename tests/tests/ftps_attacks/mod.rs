//! Bad input on TLS connections: a clear answer or a clean end, a line in the log with the cause,
//! and nobody else disturbed.

mod control_connection;
mod data_connection;
mod handshake;

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
};

use bulkhead_tests::harness::{ControlConnection, FtpsClient, Server, TlsClient, TlsVersion};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    [handshake::tests(), data_connection::tests(), control_connection::tests()]
        .into_iter()
        .flatten()
        .collect()
}

/// A server, and a session of `bob` that must not notice anything.
struct Scene {
    server: Server,
    bystander: FtpsClient,
}

impl Scene {
    fn set(server: Server) -> Scene {
        let server = server
            .with_account("alice", &[])
            .with_account("bob", &[])
            .with_account("carol", &[])
            .run();
        server.account("bob").put("own", b"undisturbed");
        let bob = server.account("bob");
        let bystander = FtpsClient::log_in(server.address(), bob, TlsVersion::V1_3);
        Scene { server, bystander }
    }

    fn tls() -> Scene {
        Scene::set(Server::new().with_tls())
    }

    fn alice(&self, version: TlsVersion) -> FtpsClient {
        FtpsClient::log_in(self.server.address(), self.server.account("alice"), version)
    }

    /// A connection ended for a reason that has these words in it.
    fn ended_because(&self, words: &str) {
        self.server.expect_event("disconnected", |event| {
            event["reason"].as_str().is_some_and(|reason| reason.contains(words))
        });
    }

    /// A session noted something that has these words in it.
    fn noted(&self, words: &str) {
        self.server.expect_event("notice", |event| {
            event["account"] == "alice"
                && event["text"].as_str().is_some_and(|text| text.contains(words))
        });
    }

    /// Nobody else was disturbed: the bystander's session goes on, new ones begin, and no process
    /// died or broke a rule.
    fn all_is_well(mut self) {
        assert_eq!(self.bystander.download("RETR own"), b"undisturbed");
        let carol = self.server.account("carol");
        let mut carol = FtpsClient::log_in(self.server.address(), carol, TlsVersion::V1_2);
        carol.upload("STOR file", b"as always");
        for kind in ["violation", "process-died"] {
            assert!(self.server.events(kind).is_empty(), "{:?}", self.server.events(kind));
        }
        drop(carol);
        drop(self.bystander);
        self.server.expect_idle();
    }
}

/// A control connection that has been told to begin TLS.
fn after_auth(server: SocketAddr) -> TcpStream {
    let mut control = ControlConnection::connect(server);
    control.expect(220);
    control.command("AUTH TLS", 234);
    control.into_transport()
}

/// The client's first flight.
fn client_hello() -> Vec<u8> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut stream = TlsClient::new(TlsVersion::V1_3).begin(socket);
    let mut hello = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut hello).unwrap();
    }
    hello
}

/// Everything until the server ends the connection, by FIN or reset.
fn rest(mut socket: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the connection does not end: {e}"),
    }
    all
}

/// Whether what came is nothing but TLS alerts, without a word in the clear.
fn only_alerts(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes[0] == 21
}
