//! Transfers that end in every way there is.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bulkhead_tests::harness::{
    ControlConnection, FtpsClient, Server, TlsVersion, eventually, knock_from, needs_root,
    patterned, test,
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
        test("transfers::b6_a_stranger_on_the_passive_port_changes_nothing", strangers),
        test("transfers::b6_a_flood_of_strangers_costs_no_transfer_and_no_wake", flood),
        test("transfers::a_refused_active_connection_is_a_425", active_refused),
        test("transfers::a_file_that_shrinks_is_a_451_and_one_that_grows_is_whole", resized),
        test("transfers::only_files_are_sent", only_files),
        needs_root("transfers::a_device_is_neither_sent_nor_written", device),
        test("transfers::text_is_converted_and_never_corrupted", text),
        test("transfers::append_and_unique_names", append_and_unique),
        test("transfers::atomic_uploads_appear_whole_or_not_at_all", atomic),
        test("transfers::g13_an_atomic_upload_goes_on_with_what_is_there", atomic_goes_on),
        test("transfers::g4_an_offset_behind_the_end_is_a_554", behind_the_end),
        test("transfers::a14_what_a_killed_session_left_behind_is_deleted", leftovers),
        test("transfers::b4_an_append_is_judged_when_the_connection_is_up", append_late),
        test("transfers::b4_who_may_not_overwrite_writes_to_the_end", append_end),
        test("transfers::b5_a_file_has_one_writer", one_writer),
        test("transfers::b5_a_killed_writer_holds_no_file", killed_writer),
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
    // Strangers come from another address of the loopback network, and the kernel drops them.
    let strangers: Vec<TcpStream> =
        (0..5).map(|_| knock_from([127, 0, 0, 9].into(), passive)).collect();
    control.send("RETR a");
    let mut data = TcpStream::connect(passive).unwrap();
    control.expect(150);
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    control.expect(226);
    assert_eq!(got, b"x");
    for stranger in &strangers {
        assert!(stranger.peer_addr().is_err(), "a stranger is connected");
    }
    // A connection to an announcement that was not used serves no later one.
    let text = control.command("EPSV", 229).text().to_owned();
    let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
    let mut stale = TcpStream::connect((server.address().ip(), port)).unwrap();
    assert_eq!(control.download("RETR a"), b"x");
    assert!(!matches!(stale.read(&mut [0]), Ok(1..)), "a stale connection was served");
}

/// A session that waits for its client, while somebody else knocks on its port two thousand times.
fn flood() {
    let server = Server::start();
    server.account("alice").put("a", b"x");
    let mut control = binary(&server);
    let text = control.command("EPSV", 229).text().to_owned();
    let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
    let passive = SocketAddr::new(server.address().ip(), port);
    control.send("RETR a");
    // One session, and gates that wait for clients: none of them has a reason to wake.
    let workers = server.processes_of("bulkhead-worker");
    let wakes = || workers.iter().map(|worker| worker.waits()).sum::<u64>();
    let mut before = wakes();
    eventually("the workers to rest", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = wakes();
        (std::mem::replace(&mut before, now) == now).then_some(())
    });
    for _ in 0..2000 {
        let stranger = knock_from([127, 0, 0, 9].into(), passive);
        assert!(stranger.peer_addr().is_err(), "a stranger is connected");
    }
    assert_eq!(wakes(), before, "the session was woken by strangers");
    let mut data = TcpStream::connect(passive).unwrap();
    control.expect(150);
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    control.expect(226);
    assert_eq!(got, b"x");
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
}

const NO_OVERWRITE: [&str; 2] = ["--rights", "list,read,write,append"];

fn atomic_goes_on() {
    let server = Server::new()
        .with("uploads", "\"atomic\"")
        .with_account("alice", &[])
        .with_account("bob", &NO_OVERWRITE)
        .run();
    let (alice, bob) = (server.account("alice"), server.account("bob"));
    let mut control = binary(&server);
    control.upload("APPE new", b"made by APPE");
    assert_eq!(alice.read("new"), b"made by APPE");
    // Larger than what is copied in one go.
    let old = patterned(3_000_000);
    alice.put("file", &old);
    control.upload("APPE file", b"appended");
    assert!(alice.read("file") == [&old[..], b"appended"].concat());
    control.command("REST 1000000", 350);
    control.upload("STOR file", b"resumed");
    assert!(alice.read("file") == [&old[..1_000_000], b"resumed"].concat());
    // The old file stays until the new one is whole.
    let before = alice.read("file");
    let mut data = control.passive();
    control.command("APPE file", 150);
    data.write_all(b"half").unwrap();
    control.command("ABOR", 426);
    control.expect(226);
    assert!(alice.read("file") == before);
    assert_eq!(std::fs::read_dir(alice.path("")).unwrap().count(), 2, "a hidden file is left");
    // Who may not replace a file cannot have it replaced by one that begins like it.
    bob.put("log", b"first");
    let mut control = server.log_in("bob");
    control.command("TYPE I", 200);
    control.command("EPSV", 229);
    let reply = control.command("APPE log", 550);
    assert!(reply.text().contains("atomic"), "{reply:?}");
    control.upload("APPE new", b"made by APPE");
    assert_eq!(bob.read("new"), b"made by APPE");
}

fn behind_the_end() {
    let server = Server::start();
    let alice = server.account("alice");
    let mut control = binary(&server);
    control.upload("STOR r", b"0123456789");
    for (offset, code) in [(11, 554), (100, 554), (u64::MAX / 2, 554)] {
        control.command(&format!("REST {offset}"), 350);
        control.command("EPSV", 229);
        control.command("STOR r", code);
        control.command(&format!("REST {offset}"), 350);
        control.command("EPSV", 229);
        control.command("STOR missing", code);
    }
    assert_eq!(alice.read("r"), b"0123456789");
    assert!(!alice.has("missing"));
    control.command("REST 10", 350);
    control.upload("STOR r", b"abc");
    assert_eq!(alice.read("r"), b"0123456789abc");
}

/// Kills the session of an account that has one.
fn kill_session(server: &Server, name: &str) {
    let sessions = server.processes_of(&format!("bulkhead-worker: {name}"));
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions[0].signal(nix::sys::signal::Signal::SIGKILL);
    eventually("the session to end", || {
        server.processes_of(&format!("bulkhead-worker: {name}")).is_empty().then_some(())
    });
}

fn leftovers() {
    let server = Server::new()
        .with("uploads", "\"atomic\"")
        .with("penalties.enabled", "false")
        .with_account("alice", &[])
        .run();
    let alice = server.account("alice");
    let hidden = || {
        let names = std::fs::read_dir(alice.path("")).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(".bulkhead-"))
            .collect::<Vec<_>>()
    };
    let mut control = binary(&server);
    let mut data = control.passive();
    control.command("STOR file", 150);
    data.write_all(b"half").unwrap();
    eventually("the hidden file", || (hidden().len() == 1).then_some(()));
    kill_session(&server, "alice");
    let left = hidden();
    assert_eq!(left.len(), 1, "a killed session cleans nothing up");
    // Another session, and one beside it that is alive and slow.
    let mut slow = binary(&server);
    let mut slow_data = slow.passive();
    slow.command("STOR slow", 150);
    slow_data.write_all(b"half").unwrap();
    eventually("the leftover to go", || (!hidden().contains(&left[0])).then_some(()));
    binary(&server).upload("STOR other", b"whole");
    assert_eq!(hidden().len(), 1, "the file of the live session stays");
    drop(slow_data);
    slow.expect(226);
    assert_eq!(alice.read("slow"), b"half");
    assert!(hidden().is_empty());
}

fn append_late() {
    let server = Server::new().with_account("alice", &[]).with_account("bob", &NO_OVERWRITE).run();
    for name in ["alice", "bob"] {
        let account = server.account(name);
        account.put("log", b"0");
        let open = || {
            let mut control = server.log_in(name);
            control.command("TYPE I", 200);
            control
        };
        let (mut first, mut second) = (open(), open());
        let text = first.command("EPSV", 229).text().to_owned();
        let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
        first.send("APPE log");
        second.upload("APPE log", b"second");
        let mut data = TcpStream::connect((server.address().ip(), port)).unwrap();
        first.expect(150);
        data.write_all(b"first").unwrap();
        drop(data);
        first.expect(226);
        assert_eq!(account.read("log"), b"0secondfirst", "{name}");
        // What may not be replaced any more when the connection is up is refused then.
        let text = first.command("EPSV", 229).text().to_owned();
        let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
        first.send("STOR new");
        second.upload("STOR new", b"of the second");
        let mut data = TcpStream::connect((server.address().ip(), port)).unwrap();
        if name == "alice" {
            first.expect(150);
            data.write_all(b"of the first").unwrap();
            drop(data);
            first.expect(226);
            assert_eq!(account.read("new"), b"of the first");
        } else {
            first.expect(553);
            assert_eq!(account.read("new"), b"of the second");
        }
    }
}

fn append_end() {
    let server = Server::new().with_account("bob", &NO_OVERWRITE).run();
    let bob = server.account("bob");
    bob.put("log", b"0");
    let mut control = server.log_in("bob");
    for kind in ["TYPE I", "TYPE A"] {
        control.command(kind, 200);
        bob.put("log", b"0");
        let mut data = control.passive();
        control.command("APPE log", 150);
        data.write_all(b"one").unwrap();
        eventually("the first bytes", || (bob.read("log") == b"0one").then_some(()));
        // Somebody who takes no lock: a program of the host.
        let mut other = std::fs::File::options().append(true).open(bob.path("log")).unwrap();
        other.write_all(b"-other-").unwrap();
        data.write_all(b"two").unwrap();
        drop(data);
        control.expect(226);
        assert_eq!(bob.read("log"), b"0one-other-two", "{kind}");
    }
}

/// Of two uploads to one file the second is refused, with a reply that says why, and the first is
/// whole.
fn one_writer() {
    for uploads in ["\"in-place\"", "\"atomic\""] {
        let server =
            Server::new().with_tls().with("uploads", uploads).with_account("alice", &[]).run();
        let alice = server.account("alice");
        alice.put("file", b"old");
        let mut first = binary(&server);
        let mut data = first.passive();
        first.command("STOR file", 150);
        data.write_all(b"of the ").unwrap();
        let mut second = binary(&server);
        for command in ["STOR file", "APPE file"] {
            let other = second.passive();
            let reply = second.command(command, 450);
            assert!(reply.text().contains("another upload"), "{reply:?}");
            drop(other);
        }
        // Under TLS the refusal comes behind the handshake.
        let mut third = FtpsClient::log_in(server.address(), alice, TlsVersion::V1_3);
        drop(third.open("STOR file"));
        let reply = third.control.expect(450);
        assert!(reply.text().contains("another upload"), "{reply:?}");
        data.write_all(b"first").unwrap();
        drop(data);
        first.expect(226);
        assert_eq!(alice.read("file"), b"of the first");
        second.upload("STOR file", b"of the second");
        assert_eq!(alice.read("file"), b"of the second");
    }
}

fn killed_writer() {
    let server = Server::new().with("penalties.enabled", "false").with_account("alice", &[]).run();
    let alice = server.account("alice");
    let mut first = binary(&server);
    let mut data = first.passive();
    first.command("STOR file", 150);
    data.write_all(b"half").unwrap();
    eventually("the first bytes", || (alice.read("file") == b"half").then_some(()));
    kill_session(&server, "alice");
    binary(&server).upload("STOR file", b"whole");
    assert_eq!(alice.read("file"), b"whole");
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
    for options in ["-la", "-l -a", "-alF", "-lta", "-1A"] {
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
