//! What a client says around and inside the TLS of its control connection.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use bulkhead_tests::harness::{FtpsClient, TlsClient, TlsVersion, test};
use libtest_mimic::Trial;

use super::{Scene, after_auth, client_hello, rest};

pub fn tests() -> Vec<Trial> {
    vec![
        test("ftps_attacks::bytes_behind_auth_tls", behind_auth),
        test("ftps_attacks::a_name_before_auth_tls_does_not_survive_it", name_before_auth),
        test("ftps_attacks::an_http_request_inside_tls", http),
        test("ftps_attacks::unknown_commands_inside_tls", unknown_commands),
        test("ftps_attacks::a_control_connection_cut_without_close_notify", control_cut),
    ]
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
