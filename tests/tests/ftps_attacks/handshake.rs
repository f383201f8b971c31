//! Handshakes that are cut, oversized, slow, or not what the server speaks.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use bulkhead_tests::harness::{
    Authority, ControlConnection, FtpsClient, KeyPair, Server, TlsClient, TlsVersion, patterned,
    test,
};
use libtest_mimic::Trial;

use super::{Scene, after_auth, client_hello, only_alerts, rest};

pub fn tests() -> Vec<Trial> {
    vec![
        test("ftps_attacks::a_truncated_handshake", truncated_handshake),
        test("ftps_attacks::an_oversized_handshake", oversized_handshake),
        test("ftps_attacks::garbage_instead_of_a_handshake", garbage),
        test("ftps_attacks::slow_and_unfinished_handshakes", slow),
        test("ftps_attacks::plaintext_on_the_tls_port", plaintext),
        test("ftps_attacks::the_wrong_client_certificate", wrong_certificate),
        test("ftps_attacks::alpn_without_ftp", alpn),
        test("ftps_attacks::a_foreign_server_name", foreign_name),
        test("ftps_attacks::early_data_is_never_taken", early_data),
    ]
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
