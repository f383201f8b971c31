//! Bad input on TLS connections: a clear answer or a clean end, a line in the log with the cause,
//! and nobody else disturbed.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use bulkhead_tests::harness::{
    Authority, ControlConnection, FtpsClient, KeyPair, Server, TlsClient, TlsStream, TlsVersion,
    eventually, patterned, test,
};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("ftps_attacks::a_truncated_handshake", truncated_handshake),
        test("ftps_attacks::an_oversized_handshake", oversized_handshake),
        test("ftps_attacks::garbage_instead_of_a_handshake", garbage),
        test("ftps_attacks::slow_and_unfinished_handshakes", slow),
        test("ftps_attacks::plaintext_on_the_tls_port", plaintext),
        test("ftps_attacks::the_wrong_client_certificate", wrong_certificate),
        test("ftps_attacks::a_data_connection_without_tls", data_without_tls),
        test("ftps_attacks::a_data_connection_that_never_shakes_hands", data_silent),
        test("ftps_attacks::a_data_connection_that_resumes_nothing", data_not_resumed),
        test("ftps_attacks::the_ticket_of_another_session", foreign_ticket),
        test("ftps_attacks::a_ticket_of_an_earlier_session_of_the_same_account", old_ticket),
        test("ftps_attacks::bytes_behind_auth_tls", behind_auth),
        test("ftps_attacks::a_name_before_auth_tls_does_not_survive_it", name_before_auth),
        test("ftps_attacks::alpn_without_ftp", alpn),
        test("ftps_attacks::a_foreign_server_name", foreign_name),
        test("ftps_attacks::an_http_request_inside_tls", http),
        test("ftps_attacks::unknown_commands_inside_tls", unknown_commands),
        test("ftps_attacks::early_data_is_never_taken", early_data),
        test("ftps_attacks::an_upload_without_close_notify_is_incomplete", truncated_upload),
        test("ftps_attacks::an_upload_with_a_forged_record_is_incomplete", forged_upload),
        test("ftps_attacks::a_refused_handshake_touches_no_file", untouched),
        test("ftps_attacks::a_download_ends_by_close_notify_and_fin", no_reset),
        test("ftps_attacks::an_aborted_download_does_not_look_complete", aborted),
        test("ftps_attacks::a_control_connection_cut_without_close_notify", control_cut),
    ]
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

fn truncated_handshake() {
    let scene = Scene::tls();
    let hello = client_hello();
    for length in [0, 1, 4, 5, 6, 40, hello.len() - 1] {
        let mut socket = after_auth(scene.server.address());
        socket.write_all(&hello[..length]).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        assert!(only_alerts(&rest(&socket)), "after {length} bytes");
    }
    scene.ended_because("the client closed before login");
    scene.all_is_well();
}

fn oversized_handshake() {
    let scene = Scene::tls();
    // A ClientHello of 16 MB, in honest records; a record longer than any; a hello of many parts
    // that never ends.
    let mut endless = Vec::new();
    for _ in 0..8 {
        endless.extend_from_slice(&[22, 3, 1, 0x40, 0]);
        endless.extend_from_slice(&[&[1, 0xff, 0xff, 0xff][..], &vec![3; 16_380]].concat());
    }
    let long_record = [&[22, 3, 1, 0xff, 0xff][..], &vec![1; 70_000]].concat();
    let mut crumbs = vec![22, 3, 1, 0, 1, 1];
    crumbs.extend([22, 3, 1, 0, 1, 0].repeat(30_000));
    for flood in [endless, long_record, crumbs] {
        let mut socket = after_auth(scene.server.address());
        // The server may close in the middle of it.
        socket.write_all(&flood).ok();
        assert!(only_alerts(&rest(&socket)));
    }
    scene.ended_because("TLS failed: the TLS handshake failed");
    scene.all_is_well();
}

fn garbage() {
    let scene = Scene::tls();
    for noise in [&b"USER alice\r\nPASS guess\r\n"[..], &patterned(5_000), &[0; 100], &[22; 4_000]]
    {
        let mut socket = after_auth(scene.server.address());
        socket.write_all(noise).ok();
        assert!(only_alerts(&rest(&socket)), "{:?}", &noise[..4]);
    }
    scene.ended_because("TLS failed: the client spoke no TLS where TLS was due");
    // A hello with a byte changed somewhere.
    let hello = client_hello();
    for at in (0..hello.len()).step_by(7) {
        let mut changed = hello.clone();
        changed[at] ^= 0x55;
        let mut socket = after_auth(scene.server.address());
        socket.write_all(&changed).ok();
        socket.shutdown(Shutdown::Write).ok();
        rest(&socket);
    }
    scene.all_is_well();
}

fn slow() {
    let scene = Scene::set(Server::new().with_implicit_tls().with("limits.login_timeout", "8"));
    let hello = client_hello();
    let mut byte_by_byte = after_auth(scene.server.address());
    let silent = after_auth(scene.server.address());
    let mut unfinished = after_auth(scene.server.address());
    unfinished.write_all(&hello).unwrap();
    let implicit = ControlConnection::connect(scene.server.implicit_address()).into_transport();
    // Twice as slow as the time to log in allows, however long the hello is.
    let pause = Duration::from_secs(16) / u32::try_from(hello.len()).unwrap();
    for byte in &hello {
        if byte_by_byte.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(pause);
    }
    for socket in [&byte_by_byte, &silent, &implicit] {
        assert!(only_alerts(&rest(socket)));
    }
    assert_eq!(rest(&unfinished)[0], 22, "its hello was answered; then nothing came");
    scene.ended_because("the TLS handshake took too long");
    scene.all_is_well();
}

fn plaintext() {
    let scene = Scene::set(Server::new().with_implicit_tls());
    for text in ["USER alice\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\r\n"] {
        let mut socket =
            ControlConnection::connect(scene.server.implicit_address()).into_transport();
        socket.write_all(text.as_bytes()).unwrap();
        let said = rest(&socket);
        assert!(only_alerts(&said), "{:?}", String::from_utf8_lossy(&said));
    }
    scene.ended_because("the client spoke no TLS where TLS was due");
    scene.all_is_well();
}

fn wrong_certificate() {
    let server = Server::new().with_tls();
    let place = server.scratch.path().to_owned();
    let authority = Authority::new(&place, "clients");
    let stranger = KeyPair::of_stranger(&place, "stranger", "alice");
    let other = Authority::new(&place, "others").sign_client(&place, "other", "alice");
    let server_itself = KeyPair::for_server(&place, "not-a-client", &["localhost"]);
    let scene = Scene::set(server.with("tls.client_ca", &format!("{:?}", authority.certificate)));
    for version in TlsVersion::BOTH {
        for wrong in [&stranger, &other, &server_itself] {
            let tls = TlsClient::new(version).showing(wrong);
            // In TLS 1.3 a client is through with its handshake before it hears the alert.
            let refused =
                FtpsClient::connect(scene.server.address(), tls).and_then(|mut client| {
                    client.control.send("NOOP");
                    client.control.reply()
                });
            let refused = refused.expect_err("a certificate of nobody we know").to_string();
            assert!(refused.contains("alert") || refused.contains("reset"), "{refused}");
        }
    }
    scene.ended_because("TLS failed: the TLS handshake failed: invalid peer certificate");
    scene.all_is_well();
}

fn data_without_tls() {
    let scene = Scene::tls();
    scene.server.account("alice").put("file", b"secret");
    for version in TlsVersion::BOTH {
        let mut alice = scene.alice(version);
        for bytes in [&b"plain contents, not TLS"[..], &[0; 5_000], b"GET / HTTP/1.1\r\n\r\n"] {
            let mut data = alice.begin("STOR up");
            data.write_all(bytes).ok();
            data.shutdown(Shutdown::Write).ok();
            assert!(only_alerts(&rest(&data)));
            alice.control.expect(425);
            assert!(!scene.server.account("alice").has("up"), "nothing was made");
            let mut data = alice.begin("RETR file");
            data.write_all(bytes).ok();
            let said = rest(&data);
            assert!(only_alerts(&said) && !said.windows(6).any(|w| w == b"secret"));
            alice.control.expect(425);
        }
        // Somebody who just closes.
        drop(alice.begin("RETR file"));
        alice.control.expect(425);
        assert_eq!(alice.download("RETR file"), b"secret", "the session goes on");
    }
    scene.noted("data connection: the client spoke no TLS where TLS was due");
    scene.all_is_well();
}

fn data_silent() {
    let scene = Scene::set(Server::new().with_tls().with("idle_data_timeout", "2"));
    scene.server.account("alice").put("file", b"secret");
    let mut alice = scene.alice(TlsVersion::V1_3);
    for begun in [&[][..], &client_hello()[..50]] {
        let mut data = alice.begin("RETR file");
        data.write_all(begun).unwrap();
        let reply = alice.control.reply().unwrap();
        assert_eq!(reply.code / 100, 4, "{reply:?}");
        assert!(only_alerts(&rest(&data)));
    }
    // ABOR does not wait for the handshake.
    let data = alice.begin("STOR up");
    alice.control.command("ABOR", 426);
    alice.control.expect(226);
    rest(&data);
    assert!(!scene.server.account("alice").has("up"));
    assert_eq!(alice.download("RETR file"), b"secret");
    drop(alice);
    scene.all_is_well();
}

/// Expects that a data connection is refused because of what it resumes.
fn expect_refused(alice: &mut FtpsClient, tls: &TlsClient, command: &str) {
    let socket = alice.begin(command);
    let refused = tls.shake_hands(socket).and_then(|mut data| {
        let mut got = Vec::new();
        data.read_to_end(&mut got).map(|_| got)
    });
    assert!(refused.is_err(), "{command}: {refused:?}");
    let reply = alice.control.expect(522);
    assert!(reply.text().contains("resume"), "{reply:?}");
}

fn data_not_resumed() {
    let scene = Scene::tls();
    scene.server.account("alice").put("file", b"secret");
    for version in TlsVersion::BOTH {
        let mut alice = scene.alice(version);
        let stranger = alice.tls.forgetful();
        for command in ["RETR file", "STOR file", "NLST"] {
            expect_refused(&mut alice, &stranger, command);
        }
        assert_eq!(alice.download("RETR file"), b"secret", "and STOR has not touched it");
    }
    scene.noted("does not resume the TLS session of the control connection");
    scene.all_is_well();
}

fn foreign_ticket() {
    let mut scene = Scene::tls();
    scene.server.account("alice").put("file", b"secret");
    for version in TlsVersion::BOTH {
        let mut alice = scene.alice(version);
        let carol = scene.server.account("carol");
        let mallory = FtpsClient::log_in(scene.server.address(), carol, version);
        // Mallory has races to win, and a ticket that the server gave.
        expect_refused(&mut alice, &mallory.tls, "RETR file");
        expect_refused(&mut alice, &mallory.tls, "STOR file");
        assert_eq!(alice.download("RETR file"), b"secret");
    }
    let mut alice = scene.alice(TlsVersion::V1_3);
    expect_refused(&mut alice, &scene.bystander.tls, "RETR file");
    drop(alice);
    // One that Mallory has used is fresh enough for the bystander's own session.
    assert_eq!(scene.bystander.download("RETR own"), b"undisturbed");
    scene.noted("does not resume the TLS session of the control connection");
    scene.all_is_well();
}

fn old_ticket() {
    let scene = Scene::tls();
    scene.server.account("alice").put("file", b"secret");
    for version in TlsVersion::BOTH {
        let mut earlier = scene.alice(version);
        let tls = earlier.tls.clone();
        earlier.control.command("QUIT", 221);
        let mut alice = scene.alice(version);
        expect_refused(&mut alice, &tls, "RETR file");
        assert_eq!(alice.download("RETR file"), b"secret");
    }
    scene.all_is_well();
}

fn behind_auth() {
    let scene = Scene::tls();
    let alice = scene.server.account("alice").clone();
    let login = format!("USER {}\r\nPASS {}\r\n", alice.name, alice.password);
    for injected in ["USER alice\r\n", "NOOP", login.as_str()] {
        let mut control = scene.server.connect();
        control.send_raw(format!("AUTH TLS\r\n{injected}").as_bytes());
        control.expect_end();
    }
    scene.ended_because("the client sent something behind AUTH TLS, in the clear");
    // The attacker's bytes come before the client's hello, and after the 234.
    let mut socket = after_auth(scene.server.address());
    socket.write_all(login.as_bytes()).unwrap();
    let tls = TlsClient::new(TlsVersion::V1_3);
    assert!(tls.shake_hands(socket).is_err());
    scene.ended_because("the client spoke no TLS where TLS was due");
    // And in one segment with it.
    let mut socket = after_auth(scene.server.address());
    socket.write_all(&[client_hello(), login.into_bytes()].concat()).unwrap();
    let said = rest(&socket);
    assert!(!said.windows(4).any(|window| window == b"331 "), "{said:?}");
    assert!(scene.server.events("login").iter().all(|event| event["account"] != "alice"));
    scene.all_is_well();
}

fn name_before_auth() {
    let scene = Scene::tls();
    let alice = scene.server.account("alice");
    for version in TlsVersion::BOTH {
        let mut control = scene.server.connect();
        control.command("USER carol", 331);
        let mut client = FtpsClient::secure(control, TlsClient::new(version)).unwrap();
        client.control.command(&format!("PASS {}", alice.password), 503);
        client.authenticate(alice);
        client.control.command("QUIT", 221);
    }
    scene.all_is_well();
}

fn alpn() {
    let scene = Scene::tls();
    let address = scene.server.address();
    for version in TlsVersion::BOTH {
        for offer in [&["http/1.1"][..], &["h2", "http/1.1"], &["smtp", "ftp-data", "xftp"]] {
            let client = FtpsClient::connect(address, TlsClient::new(version).offering(offer));
            let alert = client.err().unwrap_or_else(|| panic!("{offer:?} is taken")).to_string();
            assert!(alert.contains("NoApplicationProtocol"), "{offer:?}: {alert}");
        }
        for offer in [&["ftp"][..], &["h2", "ftp"], &[]] {
            let mut client =
                FtpsClient::connect(address, TlsClient::new(version).offering(offer)).unwrap();
            client.authenticate(scene.server.account("alice"));
            client.protect();
            client.tls = client.tls.offering(&["ftp-data"]);
            assert!(client.download("NLST").is_empty());
        }
    }
    scene.ended_because("TLS failed: the client's ALPN offer has no `ftp` in it");
    scene.all_is_well();
}

fn foreign_name() {
    let scene = Scene::set(
        Server::new().with_tls().with("tls.names", "[\"LocalHost\", \"*.ftp.example.net\"]"),
    );
    let address = scene.server.address();
    for version in TlsVersion::BOTH {
        let tls = TlsClient::new(version);
        for foreign in ["www.example.net", "ftp.example.net", "a.b.ftp.example.net"] {
            let client = FtpsClient::connect(address, tls.clone().asking_for(foreign));
            let alert = client.err().unwrap_or_else(|| panic!("{foreign} is taken")).to_string();
            assert!(alert.contains("alert"), "{foreign}: {alert}");
        }
        // An address is no name: such a client sends none.
        for own in ["localhost", "one.ftp.example.net", "127.0.0.1"] {
            let mut client = FtpsClient::connect(address, tls.clone().asking_for(own)).unwrap();
            client.authenticate(scene.server.account("alice"));
        }
    }
    scene
        .ended_because("TLS failed: the client asked for a server name that is not in [tls] names");
    scene.all_is_well();
}

fn http() {
    let scene = Scene::tls();
    let request = "POST /<script>alert(1)</script> HTTP/1.1\r\nHost: localhost\r\n\r\nUSER x\r\n";
    for version in TlsVersion::BOTH {
        let mut client =
            FtpsClient::connect(scene.server.address(), TlsClient::new(version)).unwrap();
        client.control.send_raw(request.as_bytes());
        let mut said = Vec::new();
        // The end may come as a reset: there is something the server did not read.
        client.control.transport().read_to_end(&mut said).ok();
        assert!(said.is_empty(), "nothing is sent back: {:?}", String::from_utf8_lossy(&said));
    }
    let mut plain = scene.server.connect();
    plain.send_raw(request.as_bytes());
    assert!(rest(plain.stream()).is_empty());
    scene.ended_because("the client does not speak FTP");
    scene.all_is_well();
}

fn unknown_commands() {
    let scene = Scene::tls();
    let mut client =
        FtpsClient::connect(scene.server.address(), TlsClient::new(TlsVersion::V1_3)).unwrap();
    client.control.send_raw("XFOO bar\r\n".repeat(20).as_bytes());
    let mut replies = 0;
    while let Ok(reply) = client.control.reply() {
        assert!(!reply.text().contains("XFOO"), "nothing is sent back: {reply:?}");
        replies += 1;
    }
    assert!(replies <= 6, "{replies} replies");
    scene.ended_because("the client does not speak FTP");
    scene.all_is_well();
}

fn early_data() {
    let scene = Scene::tls();
    let mut alice = scene.alice(TlsVersion::V1_3);
    let tls = alice.tls.clone().with_early_data();
    let mut stream = tls.begin(alice.begin("NLST"));
    assert!(stream.conn.early_data().is_none(), "no ticket of this server allows it");
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    assert!(!stream.conn.is_early_data_accepted());
    stream.read_to_end(&mut Vec::new()).unwrap();
    alice.control.expect(226);
    drop(alice);
    scene.all_is_well();
}

/// Drops a data connection with what was written, but without close_notify.
fn cut(mut data: TlsStream) {
    data.flush().unwrap();
    data.sock.shutdown(Shutdown::Write).unwrap();
    rest(&data.sock);
}

fn truncated_upload() {
    let scene = Scene::set(Server::new().with_tls().with("uploads", "\"atomic\""));
    let account = scene.server.account("alice");
    account.put("old", b"old contents");
    for version in TlsVersion::BOTH {
        for (size, name) in [(0, "new"), (1, "new"), (100_000, "old")] {
            // rustls uses a ticket once, and an upload brings no new one.
            let mut alice = scene.alice(version);
            let mut data = alice.open(&format!("STOR {name}"));
            data.write_all(&patterned(size)).unwrap();
            cut(data);
            let reply = alice.control.reply().unwrap();
            assert!(matches!(reply.code, 426 | 451), "{size} bytes: {reply:?}");
            assert!(reply.text().contains("close_notify"), "{reply:?}");
        }
        assert!(!account.has("new"));
        assert_eq!(account.read("old"), b"old contents");
        // Half a record is no more than no close_notify.
        let mut alice = scene.alice(version);
        let mut data = alice.open("STOR new");
        data.sock.write_all(&[23, 3, 3, 0x10, 0, 1, 2, 3]).unwrap();
        cut(data);
        assert!(matches!(alice.control.reply().unwrap().code, 426 | 451));
        alice.upload("STOR new", b"whole");
        assert_eq!(account.read("new"), b"whole");
        alice.control.command("DELE new", 250);
    }
    eventually("the two whole uploads to be logged as complete, and no other", || {
        let complete = |event: &serde_json::Value| {
            event["account"] == "alice" && event["kind"] == "upload" && event["complete"] == true
        };
        let count = scene.server.events("transfer").iter().filter(|event| complete(event)).count();
        assert!(count <= 2, "an upload that failed is reported as complete");
        (count == 2).then_some(())
    });
    scene.noted("without close_notify");
    scene.all_is_well();
}

fn forged_upload() {
    let scene = Scene::set(Server::new().with_tls().with("uploads", "\"atomic\""));
    for version in TlsVersion::BOTH {
        for forged in [
            &[&[23, 3, 3, 0, 40][..], &[9; 40]].concat()[..],
            &[21, 3, 3, 0, 2, 1, 0],
            &[23, 3, 3, 0xff, 0xff, 1],
            b"plain text in the middle of it",
        ] {
            let mut alice = scene.alice(version);
            let mut data = alice.open("STOR up");
            data.write_all(b"right").unwrap();
            data.flush().unwrap();
            data.sock.write_all(forged).unwrap();
            let reply = alice.control.reply().unwrap();
            assert_eq!(reply.code / 100, 4, "{forged:?}: {reply:?}");
            assert!(!scene.server.account("alice").has("up"));
        }
        let mut alice = scene.alice(version);
        alice.upload("STOR up", b"whole");
        alice.control.command("DELE up", 250);
    }
    scene.noted("the client broke the TLS record protocol");
    scene.all_is_well();
}

fn untouched() {
    let scene = Scene::tls();
    let account = scene.server.account("alice");
    account.put("precious", b"precious");
    let mut alice = scene.alice(TlsVersion::V1_3);
    let stranger = alice.tls.forgetful();
    for command in ["STOR precious", "APPE precious", "STOR new"] {
        expect_refused(&mut alice, &stranger, command);
        drop(alice.begin(command));
        alice.control.expect(425);
    }
    assert_eq!(account.read("precious"), b"precious");
    assert!(!account.has("new"));
    drop(alice);
    scene.all_is_well();
}

fn no_reset() {
    let scene = Scene::tls();
    let account = scene.server.account("alice");
    account.put("file", &patterned(300_000));
    account.put("empty", b"");
    for version in TlsVersion::BOTH {
        let mut alice = scene.alice(version);
        for (name, size) in [("file", 300_000), ("empty", 0), ("file", 300_000)] {
            let mut data = alice.open(&format!("RETR {name}"));
            // The client says at once that it sends nothing, as some do.
            data.conn.send_close_notify();
            data.flush().unwrap();
            alice.control.expect(226);
            // It reads long after the server has closed: what was sent must still be there.
            std::thread::sleep(Duration::from_millis(100));
            let mut got = Vec::new();
            data.read_to_end(&mut got).unwrap();
            assert!(got == patterned(size), "{name}");
            assert_eq!((&data.sock).read(&mut [0; 1]).unwrap(), 0, "FIN, not RST");
        }
    }
    scene.all_is_well();
}

fn aborted() {
    let scene = Scene::tls();
    scene.server.account("alice").put("file", &patterned(64 << 20));
    for version in TlsVersion::BOTH {
        let mut alice = scene.alice(version);
        let mut data = alice.open("RETR file");
        data.read_exact(&mut [0; 1_000]).unwrap();
        alice.control.command("ABOR", 426);
        alice.control.expect(226);
        let end = data.read_to_end(&mut Vec::new());
        assert!(end.is_err(), "the client could take what it has for all there is");
        assert_eq!(alice.download("NLST"), b"file\r\n");
    }
    scene.all_is_well();
}

fn control_cut() {
    let scene = Scene::tls();
    for version in TlsVersion::BOTH {
        let mut alice = scene.alice(version);
        // A command that was cut short is no command.
        alice.control.send_raw(b"MKD cut");
        alice.control.stream().shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        alice.control.transport().read_to_end(&mut rest).unwrap();
        assert!(!scene.server.account("alice").has("cut"));
    }
    scene.server.expect_event("disconnected", |event| event["reason"] == "the client closed");
    scene.all_is_well();
}
