//! Data connections without TLS or resumption, and transfers whose end was not the client's.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use bulkhead_tests::harness::{
    FtpsClient, Server, TlsClient, TlsStream, TlsVersion, eventually, patterned, test,
};
use libtest_mimic::Trial;

use super::{Scene, client_hello, only_alerts, rest};

pub fn tests() -> Vec<Trial> {
    vec![
        test("ftps_attacks::a_data_connection_without_tls", data_without_tls),
        test("ftps_attacks::a_data_connection_that_never_shakes_hands", data_silent),
        test("ftps_attacks::g7_a_data_connection_that_resumes_nothing", data_not_resumed),
        test("ftps_attacks::the_ticket_of_another_session", foreign_ticket),
        test("ftps_attacks::a_ticket_of_an_earlier_session_of_the_same_account", old_ticket),
        test("ftps_attacks::an_upload_without_close_notify_is_incomplete", truncated_upload),
        test("ftps_attacks::g8_an_upload_without_close_notify_is_not_reset", upload_not_reset),
        test("ftps_attacks::g8_an_upload_may_end_by_fin_where_that_is_allowed", fin_allowed),
        test("ftps_attacks::an_upload_with_a_forged_record_is_incomplete", forged_upload),
        test("ftps_attacks::a_refused_handshake_touches_no_file", untouched),
        test("ftps_attacks::a_download_ends_by_close_notify_and_fin", no_reset),
        test("ftps_attacks::an_aborted_download_does_not_look_complete", aborted),
    ]
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
    let alert = refused.expect_err(command).to_string();
    assert!(alert.contains("HandshakeFailure"), "{command}: {alert}");
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

/// Drops a data connection with what was written, but without close_notify.
fn cut(mut data: TlsStream) {
    data.flush().unwrap();
    data.sock.shutdown(Shutdown::Write).unwrap();
    rest(&data.sock);
}

/// The client that sent its FIN sees the server's, and not an error of its socket, before or behind
/// the reply.
fn upload_not_reset() {
    for uploads in ["\"in-place\"", "\"atomic\""] {
        let scene = Scene::set(Server::new().with_tls().with("uploads", uploads));
        let account = scene.server.account("alice");
        account.put("old", b"old contents");
        for version in TlsVersion::BOTH {
            for size in [0, 1, 100_000] {
                let mut alice = scene.alice(version);
                let mut data = alice.open("STOR old");
                data.write_all(&patterned(size)).unwrap();
                data.flush().unwrap();
                data.sock.shutdown(Shutdown::Write).unwrap();
                let mut end = Vec::new();
                (&data.sock).read_to_end(&mut end).unwrap_or_else(|e| panic!("{size}: {e}"));
                let reply = alice.control.expect(426);
                assert!(reply.text().contains("close_notify"), "{reply:?}");
                let error = data.sock.take_error().unwrap();
                assert!(error.is_none(), "{uploads} {size}: {error:?}");
            }
        }
        if uploads.contains("atomic") {
            assert_eq!(account.read("old"), b"old contents", "a refused upload keeps the old file");
        }
        scene.all_is_well();
    }
}

fn fin_allowed() {
    let scene = Scene::set(Server::new().with_tls().with("tls.require_close_notify", "false"));
    let account = scene.server.account("alice");
    for version in TlsVersion::BOTH {
        for size in [0, 1, 100_000] {
            let mut alice = scene.alice(version);
            let mut data = alice.open("STOR up");
            data.write_all(&patterned(size)).unwrap();
            cut(data);
            alice.control.expect(226);
            assert!(account.read("up") == patterned(size), "{size}");
        }
        // Half a record was cut by somebody.
        let mut alice = scene.alice(version);
        let mut data = alice.open("STOR half");
        data.sock.write_all(&[23, 3, 3, 0x10, 0, 1, 2, 3]).unwrap();
        cut(data);
        alice.control.expect(426);
    }
    scene.all_is_well();
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
