//! I2FTP on the wire, by a native client: what it serves, what it refuses, and what a peer cannot
//! break.

use std::{
    io::Write,
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{
    I2FTP_KEY_HEX as KEY_HEX, I2ftpClient, I2ftpServer, Process, Server, eventually, i2ftp_key,
    is_root, patterned, test,
};
use i2ftp::{
    CHUNK, WireVersion,
    packet::{HEARTBEAT, Wire},
    request::{Id, ask},
};
use libtest_mimic::Trial;
use md5::{Digest, Md5};
use serde_json::Value;

/// Sizes at which transfers go wrong: nothing, one byte, one reply, and a byte more.
const SIZES: [usize; 5] = [0, 1, CHUNK, CHUNK + 1, 3_000_001];

pub fn tests() -> Vec<Trial> {
    vec![
        test("i2ftp::files_of_every_size_go_up_and_come_down", || every_size(&[])),
        test("i2ftp::so_do_they_in_secured_mode", || every_size(&[("secured", "true")])),
        test("i2ftp::a_session_id_works_on_every_connection", ids),
        test("i2ftp::a15_a_ticket_that_is_closed_is_closed_on_every_connection", closed_everywhere),
        test("i2ftp::a8_refused_requests_are_slow_and_few_lines", refused_flood),
        test("i2ftp::a13_the_sum_of_a_download_comes_out_of_its_rate", sum_rate),
        test("i2ftp::b5_a_file_has_one_writer_of_either_protocol", one_writer),
        test("i2ftp::a14_what_a_killed_session_left_behind_is_deleted", leftovers),
        test("i2ftp::transfers_resume_at_any_offset", offsets),
        test("i2ftp::an_old_file_stays_until_its_replacement_begins", replaced_late),
        test("i2ftp::an_upload_with_a_hash_appears_only_if_it_is_right", hashed_upload),
        test("i2ftp::files_are_renamed_moved_copied_removed_and_directories_made", operations),
        test("i2ftp::nothing_leads_out_of_the_root", escapes),
        test("i2ftp::a_read_only_server_changes_nothing", read_only),
        test("i2ftp::a_broken_frame_ends_one_connection_only", broken_frames),
        test("i2ftp::bad_requests_are_answered_and_the_connection_goes_on", bad_requests),
        test("i2ftp::twenty_clients_transfer_at_once", twenty_clients),
        test("i2ftp::the_session_is_confined_as_one_of_ftp", confinement),
        test("i2ftp::an_id_of_another_account_is_unknown", foreign_ids),
        test("i2ftp::pctl_is_refused_unless_it_is_allowed", pctl),
    ]
}

fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn every_size(settings: &[(&str, &str)]) {
    let server = I2ftpServer::start(settings);
    let mut client = server.client();
    for size in SIZES {
        let (name, bytes) = (format!("up/file-{size}"), patterned(size));
        let id = client.begin(b"PULF", &name);
        client.upload(&id, 0, &bytes);
        assert_eq!(client.granted(&ask::close(&id)), b"");
        assert!(server.exchange.read(&name) == bytes, "{name} arrived differently");
        let id = client.begin(b"GETF", &name);
        let got = client.download(&id, 0, size as u64);
        assert!(got == bytes, "{name} came back differently");
        assert_eq!(client.granted(&ask::close(&id)), md5_hex(&bytes).as_bytes());
    }
    let listing = client.granted(&ask::path(b"LIST", "up"));
    let listing: serde_json::Value = serde_json::from_slice(&listing).unwrap();
    assert_eq!(listing.as_object().unwrap().len(), SIZES.len());
    for size in SIZES {
        let entry = &listing[format!("file-{size}")];
        assert_eq!((&entry["size"], &entry["is_dir"]), (&size.into(), &false.into()));
    }
    let one = client.granted(&ask::path(b"LIST", "up/file-1"));
    let one: serde_json::Value = serde_json::from_slice(&one).unwrap();
    assert_eq!(one["file-1"]["size"], 1);
    assert_eq!(client.granted(&ask::path(b"LIST", ".")).first(), Some(&b'{'));
    server.server.expect_event("transfer", |event| event["kind"] == "download");
}

fn ids() {
    let server = I2ftpServer::start(&[]);
    server.exchange.put("a", b"hello");
    let (mut one, mut two) = (server.client(), server.client());
    let id = one.begin(b"GETF", "a");
    drop(one);
    assert_eq!(two.download(&id, 0, 5), b"hello");
    assert_eq!(two.granted(&ask::close(&id)), md5_hex(b"hello").as_bytes());
    // Closed is closed, on every connection; and what never was is not.
    let mut three = server.client();
    for id in [id, [0; 16]] {
        for request in [ask::download(&id, 0, 0), ask::close(&id), ask::upload(&id, 0, b"x")] {
            assert_eq!(two.refused(&request), "unknown session id");
            assert_eq!(three.refused(&request), "unknown session id");
        }
    }
    // A new upload of the same file takes the place of the old one.
    let old = two.begin(b"PULF", "b");
    two.upload(&old, 0, b"old");
    let new = three.begin(b"PULF", "b");
    three.upload(&new, 0, b"new");
    assert_eq!(three.granted(&ask::close(&new)), b"");
    eventually("the old upload to be refused", || {
        (!two.request(&ask::upload(&old, 0, b"old")).success).then_some(())
    });
    // The wrong direction.
    server.server.expect_event("command-refused", |event| {
        event["command"] == "DOWN" && event["reason"] == "bad-request"
    });
    let down = two.begin(b"GETF", "a");
    two.refused(&ask::upload(&down, 0, b"x"));
    let up = two.begin(b"PULF", "c");
    two.refused(&ask::download(&up, 0, 0));
    assert_eq!(server.exchange.read("a"), b"hello");
}

fn closed_everywhere() {
    let server = I2ftpServer::start(&[]);
    server.exchange.put("a", b"hello");
    let (mut one, mut two) = (server.client(), server.client());
    let down = one.begin(b"GETF", "a");
    assert_eq!(one.download(&down, 0, 5), b"hello");
    let up = one.begin(b"PULF", "b");
    one.upload(&up, 0, b"up");
    for id in [down, up] {
        two.granted(&ask::close(&id));
        // The connection that has used it, a moment ago.
        for request in [ask::download(&id, 0, 0), ask::upload(&id, 0, b"x"), ask::close(&id)] {
            assert_eq!(one.refused(&request), "unknown session id");
        }
    }
    assert_eq!(server.exchange.read("b"), b"up");
}

fn refused_flood() {
    let server =
        I2ftpServer::start_with(&[], |server| server.with("limits.commands_per_second", "20"));
    let mut client = server.client();
    let start = Instant::now();
    let count = 60;
    for _ in 0..count {
        assert_eq!(client.refused(&ask::download(&[7; 16], 0, 0)), "unknown session id");
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap() + 2;
    drop(client);
    let mut lines = 0;
    eventually("every refusal to be counted", || {
        let counted: Vec<usize> = server
            .server
            .events("notice")
            .iter()
            .filter_map(|event| {
                event["text"].as_str()?.strip_prefix("I2FTP: ")?.split(' ').next()?.parse().ok()
            })
            .collect();
        lines = server.server.events("command-refused").len();
        (lines + counted.iter().sum::<usize>() == count).then_some(())
    });
    assert!(lines <= seconds + 1, "{lines} lines in {seconds} s");
}

fn sum_rate() {
    let server = I2ftpServer::start_with(&[], |server| server.with("max_download_rate", "100000"));
    server.exchange.put("a", &patterned(300_000));
    let mut client = server.client();
    let id = client.begin(b"GETF", "a");
    let start = Instant::now();
    let sum = client.granted(&ask::close(&id));
    assert_eq!(sum, md5_hex(&patterned(300_000)).as_bytes());
    assert!(start.elapsed() >= Duration::from_millis(2500), "{:?}", start.elapsed());
    // What was sent is paid for.
    let id = client.begin(b"GETF", "a");
    assert!(client.download(&id, 0, 300_000) == patterned(300_000));
    assert_eq!(client.granted(&ask::close(&id)), sum);
}

fn one_writer() {
    let server = Server::new().with_account("alice", &[]);
    let server = I2ftpServer::with_key(server).with("i2ftp.account", "\"alice\"").run();
    let alice = server.account("alice");
    alice.put("file", b"old");
    let mut client = I2ftpClient::log_in(I2ftpServer::address_of(&server), &i2ftp_key()).unwrap();
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    let mut data = control.passive();
    control.command("STOR file", 150);
    data.write_all(b"by FTP").unwrap();
    let refused = client.refused(&ask::path(b"PULF", "file"));
    assert!(refused.contains("another upload"), "{refused}");
    drop(data);
    control.expect(226);
    assert_eq!(alice.read("file"), b"by FTP");
    let id = client.begin(b"PULF", "file");
    client.upload(&id, 0, b"by ");
    let other = control.passive();
    let reply = control.command("STOR file", 450);
    assert!(reply.text().contains("another upload"), "{reply:?}");
    drop(other);
    // The connections of one upload do not keep each other away.
    let mut beside = I2ftpClient::log_in(I2ftpServer::address_of(&server), &i2ftp_key()).unwrap();
    beside.upload(&id, 3, b"I2FTP");
    client.granted(&ask::close(&id));
    assert_eq!(alice.read("file"), b"by I2FTP");
    drop((client, beside));
    eventually("the file to be free", || {
        let mut data = control.passive();
        control.send("STOR file");
        let free = control.reply().unwrap().code == 150;
        if free {
            data.write_all(b"by FTP again").unwrap();
            drop(data);
            control.expect(226);
        }
        free.then_some(())
    });
    assert_eq!(alice.read("file"), b"by FTP again");
}

fn leftovers() {
    let server = I2ftpServer::start(&[("pulf_hash", "true")]);
    let left = server.exchange.path(".bulkhead-ticket-0123456789abcdef");
    std::fs::write(&left, b"left").unwrap();
    let fresh = server.exchange.path(".bulkhead-ticket-fedcba9876543210");
    std::fs::write(&fresh, b"fresh").unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
    if is_root() {
        for file in [&left, &fresh] {
            std::os::unix::fs::chown(file, Some(server.exchange.uid), None).unwrap();
        }
    }
    let mut client = server.client();
    client.granted(&ask::path(b"PULF", &format!("a,{}", md5_hex(b"x"))));
    assert!(!left.exists(), "the leftover is still there");
    assert!(fresh.exists(), "a temporary that may be in use is gone");
}

/// Two accounts never have the service at once, but one configuration follows another.
fn foreign_ids() {
    let server = Server::new().with_account("alice", &[]).with_account("bob", &[]);
    let mut server = I2ftpServer::with_key(server).with("i2ftp.account", "\"alice\"").run();
    server.account("alice").put("a", b"of alice");
    server.account("bob").put("a", b"of bob");
    let address = I2ftpServer::address_of(&server);
    let mut alice = I2ftpClient::log_in(address, &i2ftp_key()).unwrap();
    let id = alice.begin(b"GETF", "a");
    server.settings.set("i2ftp.account", "\"bob\"");
    server.write_configuration();
    assert!(server.bulkhead(&["reload"]).status.success());
    let mut bob = I2ftpClient::log_in(address, &i2ftp_key()).unwrap();
    for request in [ask::download(&id, 0, 0), ask::close(&id), ask::upload(&id, 0, b"x")] {
        assert_eq!(bob.refused(&request), "unknown session id");
    }
    assert_eq!(alice.download(&id, 0, 8), b"of alice");
    alice.granted(&ask::close(&id));
    assert_eq!(server.account("alice").read("a"), b"of alice");
}

fn offsets() {
    let server = I2ftpServer::start(&[]);
    let bytes = patterned(CHUNK * 2 + 77);
    server.exchange.put("a", &bytes);
    let mut client = server.client();
    let id = client.begin(b"GETF", "a");
    let size = bytes.len() as u64;
    assert!(client.download(&id, 600_000, size) == bytes[600_000..]);
    let range = client.granted(&ask::download(&id, 10, 20));
    assert_eq!(range, [&10u64.to_le_bytes()[..], b",", &bytes[10..20]].concat());
    // An end behind the file's is the file's; a start at its end gives nothing, behind it an error.
    let tail = client.granted(&ask::download(&id, size - 2, size + 1000));
    assert_eq!(tail[9..], bytes[bytes.len() - 2..]);
    assert_eq!(client.granted(&ask::download(&id, size, 0)).len(), 9);
    client.refused(&ask::download(&id, size + 1, 0));
    client.refused(&ask::download(&id, u64::MAX, 0));
    assert_eq!(client.granted(&ask::close(&id)), md5_hex(&bytes).as_bytes());

    // Uploads: in any order, over two connections, with a gap of zeros.
    let id = client.begin(b"PULF", "b");
    client.upload(&id, 0, b"abcdef");
    let mut other = server.client();
    other.upload(&id, 10, b"XY");
    other.upload(&id, 3, b"zz");
    assert_eq!(server.exchange.read("b"), b"abczzf\0\0\0\0XY");
    other.refused(&ask::upload(&id, u64::MAX, b"x"));
    other.refused(&ask::upload(&id, 1 << 63, b"x"));
    // What is written is there for others at once, without CLOZ.
    let seen = other.begin(b"GETF", "b");
    assert_eq!(other.granted(&ask::close(&seen)), md5_hex(b"abczzf\0\0\0\0XY").as_bytes());
    assert_eq!(other.granted(&ask::close(&id)), b"");
}

fn replaced_late() {
    let server = I2ftpServer::start(&[]);
    server.exchange.put("a", b"precious");
    let mut client = server.client();
    let id = client.begin(b"PULF", "a");
    assert_eq!(server.exchange.read("a"), b"precious");
    client.upload(&id, 0, b"new");
    assert_eq!(server.exchange.read("a"), b"new");
}

fn hashed_upload() {
    let server = I2ftpServer::start(&[("pulf_hash", "true")]);
    server.exchange.put("a", b"precious");
    let mut client = server.client();
    let ask_for = |bytes: &[u8]| ask::path(b"PULF", &format!("a,{}", md5_hex(bytes)));
    let begin = |client: &mut I2ftpClient, bytes: &[u8]| -> Id {
        client.granted(&ask_for(bytes)).try_into().unwrap()
    };
    let id = begin(&mut client, b"announced");
    client.upload(&id, 0, b"different");
    assert!(client.refused(&ask::close(&id)).contains("MD5"));
    assert_eq!(server.exchange.read("a"), b"precious");
    let id = begin(&mut client, b"announced");
    client.upload(&id, 0, b"announced");
    assert_eq!(server.exchange.read("a"), b"precious");
    assert_eq!(client.granted(&ask::close(&id)), b"");
    assert_eq!(server.exchange.read("a"), b"announced");
    let listing = client.granted(b"LIST,.");
    let names: serde_json::Value = serde_json::from_slice(&listing).unwrap();
    assert_eq!(names.as_object().unwrap().keys().collect::<Vec<_>>(), ["a"], "no leftovers");
}

fn operations() {
    let server = I2ftpServer::start(&[]);
    let root = &server.exchange;
    root.put("a.txt", b"hello");
    let mut client = server.client();
    client.granted(&ask::file(4, &["made/deep"]));
    assert!(client.refused(&ask::file(4, &["made/deep"])).contains("exists"));
    client.granted(&ask::file(2, &["a.txt", "made/copy.txt"]));
    assert_eq!(root.read("made/copy.txt"), b"hello");
    client.refused(&ask::file(2, &["a.txt", "made/copy.txt"]));
    client.granted(&ask::file(1, &["made/copy.txt", "made/deep/moved.txt"]));
    client.granted(&ask::file(2, &["made", "made2"]));
    assert_eq!(root.read("made2/deep/moved.txt"), b"hello");
    assert!(client.refused(&ask::file(2, &["made", "made/deep/again"])).contains("itself"));
    client.granted(&ask::file(0, &["made/deep/moved.txt", "renamed.txt"]));
    assert!(root.has("renamed.txt") && !root.has("made/deep/moved.txt"));
    client.refused(&ask::file(0, &["nope", "x"]));
    assert!(client.refused(&ask::file(0, &["renamed.txt", "a.txt"])).contains("exists"));
    assert_eq!(root.read("a.txt"), b"hello");
    client.granted(&ask::file(3, &["renamed.txt"]));
    client.granted(&ask::file(3, &["made2"]));
    assert!(!root.has("made2") && !root.has("renamed.txt"));
    client.refused(&ask::file(3, &["made2"]));
    for request in [ask::file(3, &["."]), ask::file(0, &[".", "x"]), ask::file(2, &["./", "x"])] {
        assert!(client.refused(&request).contains("root"));
    }
    client.refused(&ask::file(9, &["a.txt"]));
    assert!(root.has("a.txt"));
    server.server.expect_event("file", |event| event["operation"] == "copy");
}

fn escapes() {
    let server = I2ftpServer::start(&[]);
    let root = &server.exchange;
    let secret = server.server.path("secret");
    std::fs::write(&secret, b"secret").unwrap();
    root.put("a.txt", b"hello");
    root.make_directory("d");
    symlink(&secret, root.path("file-link")).unwrap();
    symlink(server.server.scratch.path(), root.path("directory-link")).unwrap();
    symlink("..", root.path("parent-link")).unwrap();
    symlink("/proc/self/root", root.path("magic-link")).unwrap();
    nix::unistd::mkfifo(&root.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666))
        .unwrap();
    let mut client = server.client();
    let outside = [
        "..",
        "../secret",
        "d/../../secret",
        "/etc/passwd",
        "//etc/passwd",
        "",
        "d\\..\\..\\secret",
        "file-link",
        "directory-link/secret",
        "parent-link/secret",
        "magic-link/etc/passwd",
        "a.txt/x",
        "a\0b",
        "\u{1}",
    ];
    for path in outside {
        for command in [b"GETF", b"PULF"] {
            client.refused(&ask::path(command, path));
        }
        client.refused(&ask::file(4, &[path]));
        client.refused(&ask::file(2, &[path, "stolen"]));
        client.refused(&ask::file(2, &["a.txt", path]));
        if !path.ends_with("-link") {
            // A link itself lies beneath the root and may be listed and removed; what it leads to
            // may not.
            client.refused(&ask::path(b"LIST", path));
            client.refused(&ask::file(3, &[path]));
            client.refused(&ask::file(0, &[path, "stolen"]));
        }
    }
    client.refused(&ask::path(b"GETF", "fifo"));
    client.refused(&ask::path(b"PULF", "fifo"));
    client.refused(b"GETF,\xff\xfe");
    client.refused(&ask::path(b"GETF", &"x".repeat(300)));
    client.refused(&ask::path(b"GETF", &"x/".repeat(3000)));
    client.refused(&ask::path(b"GETF", "d"));
    client.refused(&ask::path(b"PULF", "d"));
    client.refused(&ask::path(b"PULF", "."));
    // A listing shows links that lead nowhere as themselves, and does not fail.
    let listing = client.granted(b"LIST,.");
    assert!(
        serde_json::from_slice::<serde_json::Value>(&listing).unwrap()["file-link"].is_object()
    );
    client.granted(&ask::file(3, &["directory-link"]));
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
    assert!(!root.has("stolen"));
    for path in ["../secret", "/etc/passwd"] {
        // A connection has one line of refusals in a second.
        server.client().refused(&ask::path(b"LIST", path));
        server.server.expect_event("command-refused", |event| {
            event["command"] == "LIST" && event["path"] == path
        });
    }
    server.server.expect_event("file", |event| {
        let this = event["operation"] == "begin-download" && event["path"] == "file-link";
        this && event["done"] == false
    });
}

fn read_only() {
    let server = I2ftpServer::start(&[("read_only", "true")]);
    server.exchange.put("a", b"hello");
    let mut client = server.client();
    let id = client.begin(b"GETF", "a");
    assert_eq!(client.download(&id, 0, 5), b"hello");
    for request in [
        ask::path(b"PULF", "x"),
        ask::path(b"PULF", "a"),
        ask::upload(&id, 0, b"x"),
        ask::upload(&[b'0'; 16], 0, b"x"),
        ask::file(0, &["a", "b"]),
        ask::file(1, &["a", "b"]),
        ask::file(2, &["a", "b"]),
        ask::file(3, &["a"]),
        ask::file(4, &["b"]),
    ] {
        assert!(client.refused(&request).contains("read-only"));
    }
    client.granted(b"LIST,.");
    client.granted(&ask::close(&id));
    assert_eq!(server.exchange.read("a"), b"hello");
    assert!(!server.exchange.has("b") && !server.exchange.has("x"));
}

fn broken_frames() {
    let server = I2ftpServer::start(&[]);
    let wire = Wire { version: WireVersion::V2_2, psk: i2ftp_key() };
    let good = wire.packets(b"LIST,.".to_vec(), 7).unwrap().to_vec();
    let flipped = |at: usize| {
        let mut packet = good.clone();
        packet[at] ^= 1;
        packet
    };
    let long = wire.packets(vec![b'x'; 40_000], 7).unwrap().to_vec();
    let other = Wire { version: WireVersion::V2_1, psk: i2ftp_key() };
    let mut bystander = server.client();
    for (broken, why) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "a packet of an unknown type"),
        (flipped(6), "a header with a wrong sum"),
        (flipped(5), "a header with a wrong sum"),
        (other.packets(b"LIST,.".to_vec(), 7).unwrap().to_vec(), "another key or wire_version"),
        (flipped(10), "a body with a wrong sum"),
        // The total length lies: nothing is left, less than the body, and 16 MiB.
        (packet(0, b"LIST,."), "a body longer than its message"),
        (packet(3, b"LIST,."), "a body longer than its message"),
        (packet(0xff_ffff, b"LIST,."), "a message longer than allowed here"),
        (packet(6, b""), "a packet without a body"),
        // The first packet of a message twice, and one of another message in its middle.
        ([&long[..32_768], &long[..32_768]].concat(), "a packet out of order"),
        ([packet(12, b"LIST,."), packet(5, b"LIST,")].concat(), "a packet out of order"),
        (
            [&long[..32_768], &wire.packets(vec![b'x'; 7242], 8).unwrap().to_vec()].concat(),
            "packets of two messages mixed",
        ),
    ] {
        let mut client = server.client();
        client.stream.write_all(&broken).unwrap();
        assert!(client.is_closed(), "still served after {why}");
        bystander.granted(b"LIST,.");
        server.server.expect_event("disconnected", |event| said(event, "reason", why));
        server.server.expect_event("notice", |event| said(event, "text", why));
    }
    // A heartbeat is welcome between messages and between the packets of one.
    let mut client = server.client();
    let heartbeats =
        [&HEARTBEAT, &long[..32_768], &HEARTBEAT, &long[32_768..], &HEARTBEAT].concat();
    client.stream.write_all(&heartbeats).unwrap();
    assert_eq!(client.reply().unwrap().data, b"unknown command");
    client.granted(b"LIST,.");
    assert!(server.server.events("violation").is_empty());
}

/// A packet that claims so many bytes of its message, with the sums that belong to it.
fn packet(remaining: u32, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let start = [b"A", &remaining.to_be_bytes()[1..], &length].concat();
    let key = (0..KEY_HEX.len()).step_by(2);
    let key = key.map(|at| u8::from_str_radix(&KEY_HEX[at..at + 2], 16).unwrap());
    let sum = Md5::digest([start.as_slice(), b"2.2", &key.collect::<Vec<u8>>()].concat())[2];
    [start.as_slice(), &[sum], &Md5::digest(body)[..2], &[7], body].concat()
}

/// Whether a text of an event has these words in it.
pub fn said(event: &Value, member: &str, words: &str) -> bool {
    event[member].as_str().is_some_and(|text| text.contains(words))
}

fn bad_requests() {
    let server = I2ftpServer::start(&[]);
    let mut client = server.client();
    let id = [b','; 16];
    for request in [
        b"QUIT,".to_vec(),
        b"LIST".to_vec(),
        b"x".to_vec(),
        b"GETF,".to_vec(),
        ask::download(&id, 0, 0)[..30].to_vec(),
        ask::upload(&id, 0, b"")[..20].to_vec(),
        ask::close(&id)[..10].to_vec(),
        b"FIOP,\x00,only-one".to_vec(),
        b"FIOP,\x03,a,b".to_vec(),
        b"FIOP,".to_vec(),
        b"FIOP,\x05,a".to_vec(),
        vec![b'A'; 1 << 20],
    ] {
        client.refused(&request);
    }
    client.granted(b"LIST,.");
    for (request, command) in [
        (b"x".to_vec(), "request"),
        (ask::download(&id, 0, 0)[..30].to_vec(), "DOWN"),
        (ask::close(&id)[..10].to_vec(), "CLOZ"),
    ] {
        // A connection has one line of refusals in a second.
        server.client().refused(&request);
        server.server.expect_event("command-refused", |event| {
            event["command"] == command && event["reason"] == "bad-request"
        });
    }
}

fn twenty_clients() {
    let server = I2ftpServer::start(&[]);
    let bytes = patterned(2_000_000);
    server.exchange.put("shared", &bytes);
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (server, bytes) = (&server, &bytes);
            scope.spawn(move || {
                let mut client = server.client();
                let name = format!("own-{number}");
                let up = client.begin(b"PULF", &name);
                client.upload(&up, 0, bytes);
                client.granted(&ask::close(&up));
                for name in ["shared", &name] {
                    let down = client.begin(b"GETF", name);
                    let mut second = server.client();
                    assert!(second.download(&down, 0, bytes.len() as u64) == *bytes);
                    assert_eq!(second.granted(&ask::close(&down)), md5_hex(bytes).as_bytes());
                }
            });
        }
    });
    server.server.expect_idle();
}

fn confinement() {
    let server = I2ftpServer::start(&[]);
    let mut client = server.client();
    client.granted(b"LIST,.");
    let [session]: [Process; 1] = server.server.processes_of("session").try_into().unwrap();
    for key in ["Uid", "Gid"] {
        let own = if is_root() { vec![server.exchange.uid; 4] } else { session.ids(key) };
        assert_eq!(session.ids(key), own, "{key}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(session.capabilities(set), 0, "{set}");
    }
    assert_eq!(session.field("NoNewPrivs"), "1");
    assert_eq!(session.field("Seccomp"), "2");
    assert_eq!(session.field("Threads"), "1");
    // A session that is killed takes nobody with it.
    let mut other = server.client();
    session.signal(nix::sys::signal::Signal::SIGKILL);
    assert!(client.is_closed());
    other.granted(b"LIST,.");
    drop(other);
    server.server.expect_idle();
}

fn pctl() {
    let refusing = I2ftpServer::start(&[]);
    refusing.client().refused(b"PCTL,0");
    let allowing = I2ftpServer::start(&[("allow_pctl", "true")]);
    let pid = allowing.client().granted(b"PCTL,0");
    assert_eq!(pid, allowing.server.pid().to_le_bytes());
}
