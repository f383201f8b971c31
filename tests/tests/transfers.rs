//! Transfers that end in every way there is.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bulkhead_tests::harness::{
    ControlConnection, Server, connect_from, eventually, needs_root, patterned, test,
};
use libtest_mimic::Trial;

/// More than the buffers of a connection hold.
const LARGE: usize = 64 << 20;

pub fn tests() -> Vec<Trial> {
    vec![
        test("transfers::abor_stops_a_stalled_download_at_once", abor_download),
        test("transfers::abor_by_urgent_data_stops_a_download", abor_urgent),
        test("transfers::abor_stops_a_transfer_that_waits_for_its_connection", abor_waiting),
        test("transfers::commands_are_answered_or_wait_while_data_moves", commands_meanwhile),
        test("transfers::a_client_that_closes_early_is_told", closes_early),
        test("transfers::an_upload_that_is_reset_is_not_complete", reset_upload),
        test("transfers::an_upload_that_never_connects_touches_nothing", never_connects),
        test("transfers::a_stranger_on_the_passive_port_changes_nothing", strangers),
        test("transfers::a_refused_active_connection_is_a_425", active_refused),
        test("transfers::a_file_that_shrinks_is_a_451_and_one_that_grows_is_whole", resized),
        test("transfers::only_files_are_sent", only_files),
        needs_root("transfers::a_device_is_neither_sent_nor_written", device),
        test("transfers::text_is_converted_and_never_corrupted", text),
        test("transfers::append_and_unique_names", append_and_unique),
        test("transfers::atomic_uploads_appear_whole_or_not_at_all", atomic),
        test("transfers::listings_of_directories_files_and_patterns", listings),
        test("transfers::two_thousand_small_files_each_way", many_small),
    ]
}

fn binary(server: &Server) -> ControlConnection {
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control
}

fn abor_download() {
    let server = Server::start();
    server.account("alice").put("large", &patterned(LARGE));
    let mut control = binary(&server);
    let data = control.passive();
    control.command("RETR large", 150);
    std::thread::sleep(Duration::from_millis(200));
    // Nothing else would end it: the time-out of a stalled transfer is minutes.
    control.command("ABOR", 426);
    control.expect(226);
    drop(data);
    control.command("NOOP", 200);
    control.command("ABOR", 226);
    server.expect_event("transfer", |event| event["complete"] == false);
}

fn abor_urgent() {
    let server = Server::start();
    server.account("alice").put("large", &patterned(LARGE));
    let mut control = binary(&server);
    let data = control.passive();
    control.command("RETR large", 150);
    // As the RFC wants it: IAC IP, then IAC DM whose last byte is urgent, then the command.
    control.send_raw(b"\xff\xf4\xff");
    rustix::net::send(control.stream(), b"\xf2", rustix::net::SendFlags::OOB).unwrap();
    control.command("ABOR", 426);
    control.expect(226);
    drop(data);
    control.command("NOOP", 200);
}

fn abor_waiting() {
    let server = Server::start();
    server.account("alice").put("a", b"x");
    let mut control = binary(&server);
    control.command("EPSV", 229);
    control.send("RETR a");
    control.command("ABOR", 426);
    control.expect(226);
    // The announcement is used up, and a later one works.
    control.command("RETR a", 425);
    assert_eq!(control.download("RETR a"), b"x");
}

fn commands_meanwhile() {
    let server = Server::start();
    let bytes = patterned(LARGE);
    server.account("alice").put("large", &bytes);
    let mut control = binary(&server);
    let mut data = control.passive();
    control.command("RETR large", 150);
    control.command("NOOP", 200);
    let stat = control.command("STAT", 211);
    assert!(stat.lines.iter().any(|line| line.contains("Transfer running")), "{stat:?}");
    // These wait for the end of the transfer, in order.
    control.send("PWD");
    control.send("NOOP");
    control.send("QUIT");
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    assert!(got == bytes);
    control.expect(226);
    control.expect(257);
    control.expect(200);
    control.expect(221);
    control.expect_end();
}

fn closes_early() {
    let server = Server::start();
    server.account("alice").put("large", &patterned(LARGE));
    let mut control = binary(&server);
    let data = control.passive();
    control.command("RETR large", 150);
    drop(data);
    control.expect(426);
    // A control connection that ends takes its transfer along.
    let mut data = control.passive();
    control.command("RETR large", 150);
    drop(control);
    let mut got = Vec::new();
    let ended = data.read_to_end(&mut got);
    assert!(ended.is_err() || got.len() < LARGE);
    server.expect_idle();
}

fn reset_upload() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = binary(&server);
    let mut data = control.passive();
    control.command("STOR part", 150);
    data.write_all(&patterned(100_000)).unwrap();
    // It stops in the middle, and what it says last is a reset.
    eventually("the first bytes to arrive", || {
        (std::fs::metadata(alice.path("part")).ok()?.len() == 100_000).then_some(())
    });
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&data, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    drop(data);
    control.expect(426);
    server.expect_event("transfer", |event| {
        event["path"] == "/part" && event["complete"] == false && event["bytes"] == 100_000
    });
    control.command("NOOP", 200);
}

fn never_connects() {
    let server = Server::new().with("accept_timeout", "1").with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("kept", b"precious");
    let mut control = binary(&server);
    control.command("EPSV", 229);
    control.command("STOR kept", 425);
    control.command("EPSV", 229);
    control.command("STOR new", 425);
    assert_eq!(alice.read("kept"), b"precious");
    assert!(!alice.has("new"));
}

fn strangers() {
    let server = Server::start();
    server.account("alice").put("a", b"x");
    let mut control = binary(&server);
    let text = control.command("EPSV", 229).text().to_owned();
    let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
    let passive = SocketAddr::new(server.address().ip(), port);
    // Strangers come from another address of the loopback network.
    let strangers: Vec<TcpStream> =
        (0..5).map(|_| connect_from([127, 0, 0, 9].into(), passive)).collect();
    control.send("RETR a");
    let mut data = TcpStream::connect(passive).unwrap();
    control.expect(150);
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    control.expect(226);
    assert_eq!(got, b"x");
    for mut stranger in strangers {
        stranger.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut byte = [0];
        assert!(!matches!(stranger.read(&mut byte), Ok(1..)), "a stranger was served");
    }
    // A connection to an announcement that was not used serves no later one.
    let text = control.command("EPSV", 229).text().to_owned();
    let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
    let mut stale = TcpStream::connect((server.address().ip(), port)).unwrap();
    assert_eq!(control.download("RETR a"), b"x");
    assert!(!matches!(stale.read(&mut [0]), Ok(1..)), "a stale connection was served");
}

fn active_refused() {
    let server = Server::start();
    server.account("alice").put("a", b"x");
    let mut control = binary(&server);
    let listener = control.active();
    drop(listener);
    control.command("RETR a", 425);
    control.command("NOOP", 200);
    assert_eq!(control.download("RETR a"), b"x");
}

fn resized() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned(LARGE);
    alice.put("large", &bytes);
    let mut control = binary(&server);
    let mut data = control.passive();
    control.command("RETR large", 150);
    let file = std::fs::File::options().append(true).open(alice.path("large")).unwrap();
    file.set_len(1000).unwrap();
    // What was sent before is followed by a reset: nobody takes it for the whole file.
    let ended = data.read_to_end(&mut Vec::new());
    control.expect(451);
    assert!(ended.is_err(), "the download ended as if it were whole");
    alice.put("large", &bytes);
    let mut data = control.passive();
    control.command("RETR large", 150);
    let mut file = std::fs::File::options().append(true).open(alice.path("large")).unwrap();
    file.write_all(b"more").unwrap();
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    control.expect(226);
    assert!(got == bytes, "{} bytes", got.len());
}

fn only_files() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.make_directory("d");
    nix::unistd::mkfifo(&alice.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666))
        .unwrap();
    std::os::unix::fs::symlink("/etc/passwd", alice.path("out")).unwrap();
    let mut control = binary(&server);
    for name in ["d", "fifo", "out", "nothing", "../../../../etc/passwd"] {
        control.command("EPSV", 229);
        control.command(&format!("RETR {name}"), 550);
    }
    for name in ["d", "fifo", "out", "nowhere/x"] {
        control.command("EPSV", 229);
        let port = control.command("EPSV", 229).text().split('|').nth(3).unwrap().parse().unwrap();
        let _data = TcpStream::connect((server.address().ip(), port)).unwrap();
        control.command(&format!("STOR {name}"), 550);
    }
}

fn device() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let server = Server::start();
    let alice = server.account("alice");
    let everybody = Mode::from_bits_truncate(0o666);
    mknod(&alice.path("null"), SFlag::S_IFCHR, everybody, makedev(1, 3)).unwrap();
    let mut control = binary(&server);
    control.command("EPSV", 229);
    for line in ["RETR null", "STOR null", "APPE null", "HASH null", "SIZE null"] {
        control.command(line, 550);
    }
}

fn text() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = server.log_in("alice");
    control.command("TYPE A", 200);
    let file: Vec<u8> = (0..100_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    alice.put("text", &file);
    let wire = control.download("RETR text");
    assert_eq!(wire, String::from_utf8(file.clone()).unwrap().replace('\n', "\r\n").into_bytes());
    control.upload("STOR copy", &wire);
    assert!(alice.read("copy") == file);
    // What is no text goes through unharmed, but for its line ends.
    let odd = b"\r\r\n\xff\0\n\r".to_vec();
    control.upload("STOR odd", &odd);
    assert_eq!(alice.read("odd"), b"\r\n\xff\0\n\r");
}

fn append_and_unique() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = binary(&server);
    control.upload("APPE log", b"one ");
    control.upload("APPE log", b"two");
    assert_eq!(alice.read("log"), b"one two");
    control.command("EPSV", 229);
    control.command("REST 2", 350);
    control.command("APPE log", 550);
    for expected in ["unique", "unique.1", "unique.2"] {
        let mut data = control.passive();
        let opening = control.command("STOU unique", 150).text().to_owned();
        assert_eq!(opening, format!("FILE: {expected}"));
        data.write_all(expected.as_bytes()).unwrap();
        drop(data);
        assert!(control.expect(226).text().ends_with(expected));
        assert_eq!(alice.read(expected), expected.as_bytes());
    }
}

fn atomic() {
    let server = Server::new().with("uploads", "\"atomic\"").with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("file", b"old");
    let mut control = binary(&server);
    let mut data = control.passive();
    control.command("STOR file", 150);
    data.write_all(b"new").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(alice.read("file"), b"old");
    drop(data);
    control.expect(226);
    assert_eq!(alice.read("file"), b"new");
    let mut data = control.passive();
    control.command("STOR file", 150);
    data.write_all(b"half").unwrap();
    control.command("ABOR", 426);
    control.expect(226);
    assert_eq!(alice.read("file"), b"new");
    let left = std::fs::read_dir(alice.path("")).unwrap().count();
    assert_eq!(left, 1, "the hidden file is gone");
    control.command("REST 2", 350);
    control.command("EPSV", 229);
    control.command("STOR file", 550);
    control.command("EPSV", 229);
    control.command("APPE file", 550);
}

fn listings() {
    let server = Server::start();
    let alice = server.account("alice");
    alice.make_directory("d");
    for name in ["d/one.txt", "d/two.txt", "d/.hidden", "d/three.bin", "d/spa ce"] {
        alice.put(name, b"x");
    }
    std::os::unix::fs::symlink("nowhere", alice.path("d/link")).unwrap();
    let mut control = binary(&server);
    let mut lines = |command: &str| {
        let bytes = control.download(command);
        let text = String::from_utf8(bytes).unwrap();
        let mut lines: Vec<String> = text.split_terminator("\r\n").map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines("NLST d/*.txt"), ["d/one.txt", "d/two.txt"]);
    assert_eq!(lines("NLST d/t?o.txt"), ["d/two.txt"]);
    assert_eq!(lines("NLST d/none*"), [""; 0]);
    assert_eq!(lines("NLST d/spa ce"), ["d/spa ce"]);
    assert_eq!(lines("NLST d").len(), 5);
    assert_eq!(lines("NLST -a d").len(), 6);
    for options in ["-la", "-l -a", "-alF", "-ltRa", "-1A"] {
        assert_eq!(lines(&format!("LIST {options} d")).len(), 6, "{options}");
    }
    assert_eq!(lines("LIST -ltr d").len(), 5);
    assert_eq!(lines("LIST -d d").len(), 1);
    assert_eq!(lines("MLSD d").len(), 7);
    let file = lines("LIST d/one.txt");
    assert!(file.len() == 1 && file[0].starts_with("-rw") && file[0].ends_with(" d/one.txt"));
    assert!(lines("LIST d").iter().any(|line| line.ends_with(" link -> nowhere")));
    for command in ["LIST nothing", "NLST nothing", "LIST no/*"] {
        control.command("EPSV", 229);
        control.command(command, 550);
    }
    // A directory that may not be read is no empty one.
    alice.make_directory("closed");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(alice.path("closed"), closed).unwrap();
    for command in ["LIST closed", "NLST closed", "MLSD closed", "LIST closed/*"] {
        control.command("EPSV", 229);
        control.command(command, 550);
    }
    // Many entries, each exactly once.
    alice.make_directory("many");
    for number in 0..5000 {
        std::fs::write(alice.path(&format!("many/file-{number}")), b"").unwrap();
    }
    let list = String::from_utf8(control.download("NLST many")).unwrap();
    let names: std::collections::BTreeSet<&str> = list.lines().collect();
    assert_eq!((names.len(), list.lines().count()), (5000, 5000));
    assert_eq!(String::from_utf8(control.download("LIST many")).unwrap().lines().count(), 5000);
}

fn many_small() {
    let server = Server::start();
    let alice = server.account("alice");
    let bytes = patterned(4096);
    let mut control = binary(&server);
    for number in 0..2000 {
        control.upload(&format!("STOR file-{}", number % 100), &bytes);
    }
    for number in 0..2000 {
        assert!(control.download(&format!("RETR file-{}", number % 100)) == bytes);
    }
    assert_eq!(std::fs::read_dir(alice.path("")).unwrap().count(), 100);
    control.command("QUIT", 221);
    server.expect_idle();
}
