//! Every limit of the configuration, reached.
//!
//! Rates are measured by bytes and never by how soon something came: a busy machine may be slow,
//! but no machine makes a limited transfer faster than its limit.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{ControlConnection, Server, eventually, patterned, test};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

pub fn tests() -> Vec<Trial> {
    vec![
        test("limits::downloads_keep_their_rate", download_rate),
        test("limits::uploads_keep_their_rate", upload_rate),
        test("limits::an_account_has_rates_of_its_own", account_rates),
        test("limits::abor_is_answered_while_the_rate_allows_nothing", abor),
        test("limits::a_stalled_data_connection_is_found", stalled),
        test("limits::an_idle_client_is_told_and_closed", idle),
        test("limits::a_client_that_does_not_log_in_is_told_and_closed", login_time),
        test("limits::an_active_connection_that_does_not_come_up_is_given_up", connecting),
        test("limits::b13_max_attempts_above_five_acts", login_failures),
        test("limits::a_limit_on_file_size_is_kept", file_size),
        test("limits::a_listing_is_never_cut_silently", listing_entries),
        test("limits::a13_bytes_hashed_come_out_of_the_download_rate", hash_rate),
        test("limits::g1_work_is_never_held_back_by_the_limit_on_commands", work_is_free),
        test("limits::g1_noops_beyond_the_burst_are_answered_late_and_all", idle_commands),
        test("limits::g1_refused_commands_beyond_the_burst_are_late", refused_commands),
        test("limits::g1_commands_before_login_are_answered_late_and_all", before_login),
        test("limits::an_account_has_so_many_sessions_and_no_more", sessions_of_an_account),
        test("limits::an_exhausted_range_of_passive_ports_is_a_425", passive_ports),
        test("limits::a_hundred_connects_at_once_are_all_greeted", burst),
    ]
}

fn binary(server: &Server, name: &str) -> ControlConnection {
    let mut control = server.log_in(name);
    control.command("TYPE I", 200);
    control
}

/// Downloads so many bytes, looking at each moment that no more have come than the rate allows.
fn download_within(control: &mut ControlConnection, length: usize, rate: usize) {
    let mut data = control.passive();
    let start = Instant::now();
    control.command("RETR file", 150);
    let mut buffer = vec![0; 64 * 1024];
    let mut got = 0;
    loop {
        let read = data.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        got += read;
        // A second's worth is the most that may come in a burst.
        let most = rate as f64 * (start.elapsed().as_secs_f64() + 1.0);
        assert!(got as f64 <= most, "{got} bytes after {:?}", start.elapsed());
    }
    assert_eq!(got, length);
    let fewest = (length - rate / 5) as f64 / rate as f64;
    assert!(start.elapsed().as_secs_f64() >= fewest, "{length} bytes in {:?}", start.elapsed());
    control.expect(226);
}

/// Uploads, and looks that it did not take less time than the rate demands.
fn upload_within(control: &mut ControlConnection, length: usize, rate: usize) {
    let start = Instant::now();
    control.upload("STOR up", &patterned(length));
    let fewest = (length - rate / 5) as f64 / rate as f64;
    assert!(start.elapsed().as_secs_f64() >= fewest, "{length} bytes in {:?}", start.elapsed());
}

fn download_rate() {
    let server =
        Server::new().with("max_download_rate", "1000000").with_account("alice", &[]).run();
    server.account("alice").put("file", &patterned(3_000_000));
    let mut control = binary(&server, "alice");
    download_within(&mut control, 3_000_000, 1_000_000);
    // Text goes another way through the worker.
    server.account("alice").put("file", &vec![b'x'; 2_000_000]);
    control.command("TYPE A", 200);
    download_within(&mut control, 2_000_000, 1_000_000);
}

fn login_failures() {
    let server = Server::new()
        .with("auth.max_attempts", "7")
        .with("auth.failure_delay", "0")
        .with("penalties.enabled", "false")
        .with_account("alice", &[])
        .run();
    let mut control = ControlConnection::connect(server.address());
    control.expect(220);
    for _ in 1..7 {
        control.command("USER alice", 331);
        control.command("PASS wrong", 530);
    }
    control.command("USER alice", 331);
    let last = control.command("PASS wrong", 421);
    assert!(last.text().contains("Too many failed logins"), "{last:?}");
}

fn upload_rate() {
    let server = Server::new().with("max_upload_rate", "2000000").with_account("alice", &[]).run();
    let mut control = binary(&server, "alice");
    upload_within(&mut control, 4_000_000, 2_000_000);
    assert!(server.account("alice").read("up") == patterned(4_000_000));
    control.command("TYPE A", 200);
    upload_within(&mut control, 4_000_000, 2_000_000);
}

fn account_rates() {
    let server = Server::new()
        .with("max_download_rate", "1000")
        .with("max_upload_rate", "1000")
        .with_account("alice", &["--download-rate", "1000000", "--upload-rate", "1000000"])
        .with_account("bob", &["--download-rate", "0", "--upload-rate", "0"])
        .run();
    for name in ["alice", "bob"] {
        server.account(name).put("file", &patterned(2_000_000));
    }
    // At the server's rate each of these would take half an hour.
    download_within(&mut binary(&server, "alice"), 2_000_000, 1_000_000);
    upload_within(&mut binary(&server, "alice"), 2_000_000, 1_000_000);
    let mut bob = binary(&server, "bob");
    assert!(bob.download("RETR file") == patterned(2_000_000));
    bob.upload("STOR up", &patterned(2_000_000));
}

fn abor() {
    // At this rate, the transfers would take days.
    let server = Server::new()
        .with("max_download_rate", "10")
        .with("max_upload_rate", "10")
        .with_account("alice", &[])
        .run();
    server.account("alice").put("file", &patterned(3_000_000));
    let mut control = binary(&server, "alice");
    let data = control.passive();
    control.command("RETR file", 150);
    control.command("NOOP", 200);
    control.command("ABOR", 426);
    control.expect(226);
    drop(data);
    let mut data = control.passive();
    control.command("STOR up", 150);
    data.write_all(&patterned(10_000)).unwrap();
    control.command("STAT", 211);
    control.command("ABOR", 426);
    control.expect(226);
    control.command("NOOP", 200);
}

fn stalled() {
    let server = Server::new().with("idle_data_timeout", "1").with_account("alice", &[]).run();
    server.account("alice").put("large", &patterned(64 << 20));
    let mut control = binary(&server, "alice");
    // The peer does not read: the transfer "runs", and nothing moves.
    let data = control.passive();
    control.command("RETR large", 150);
    control.expect(426);
    drop(data);
    let data = control.passive();
    control.command("STOR slow", 150);
    control.expect(426);
    drop(data);
    control.command("NOOP", 200);
}

fn idle() {
    let server = Server::new().with("idle_ctrl_timeout", "1").with_account("alice", &[]).run();
    let mut control = server.log_in("alice");
    control.expect(421);
    control.expect_end();
    let mut control = server.connect();
    control.expect(421);
    control.expect_end();
    // The timer rests while data moves.
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    let mut data = control.passive();
    control.command("STOR slow", 150);
    for _ in 0..4 {
        data.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(data);
    control.expect(226);
    control.command("NOOP", 200);
    // A client may make its own time shorter.
    let server = Server::start();
    let mut control = server.log_in("alice");
    control.command("SITE IDLE 1", 200);
    control.expect(421);
    control.expect_end();
}

fn login_time() {
    let server = Server::new().with("limits.login_timeout", "1").with_account("alice", &[]).run();
    let mut silent = server.connect();
    silent.expect(421);
    silent.expect_end();
    // Commands do not make the time longer.
    let mut busy = server.connect();
    busy.command("USER alice", 331);
    eventually("the login to time out", || {
        busy.send_raw(b"NOOP\r\n");
        match busy.reply() {
            Ok(reply) if reply.code == 200 => None,
            Ok(reply) => {
                assert_eq!(reply.code, 421, "{reply:?}");
                Some(())
            }
            Err(_) => Some(()),
        }
    });
    server.expect_idle();
}

fn connecting() {
    let server = Server::new().with("connect_timeout", "1").with_account("alice", &[]).run();
    server.account("alice").put("a", b"x");
    let mut control = binary(&server, "alice");
    // A listener whose queue is full does not answer.
    let (listener, port) = listener_without_room();
    control.command(&format!("EPRT |1|127.0.0.1|{port}|"), 200);
    control.command("RETR a", 425);
    // Nor is anybody kept from saying ABOR.
    control.command(&format!("EPRT |1|127.0.0.1|{port}|"), 200);
    control.send("RETR a");
    control.command("ABOR", 426);
    control.expect(226);
    drop(listener);
    assert_eq!(control.download("RETR a"), b"x");
}

/// A listening socket that takes no connection, with those that fill its queue.
fn listener_without_room() -> ((std::os::fd::OwnedFd, Vec<TcpStream>), u16) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&socket, 0).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
        assert!(held.len() < 100, "the queue does not fill");
    }
    ((socket, held), address.port())
}

fn file_size() {
    let server = Server::new().with("limits.file_size", "1000").with_account("alice", &[]).run();
    let mut control = binary(&server, "alice");
    control.upload("STOR small", &patterned(1000));
    for command in ["STOR big", "APPE small", "STOU"] {
        let mut data = control.passive();
        control.command(command, 150);
        data.write_all(&patterned(1001)).unwrap();
        drop(data);
        control.expect(552);
    }
    control.command("ALLO 1000", 200);
    control.command("ALLO 1001", 552);
}

fn listing_entries() {
    let server =
        Server::new().with("limits.listing_entries", "10").with_account("alice", &[]).run();
    let alice = server.account("alice");
    for number in 0..10 {
        alice.put(&format!("file-{number}"), b"");
    }
    let mut control = binary(&server, "alice");
    for command in ["LIST", "NLST", "MLSD", "NLST file-*"] {
        control.download(command);
    }
    control.command("STAT /", 212);
    alice.put("one-more", b"");
    for command in ["LIST", "NLST", "MLSD", "LIST *-*"] {
        let mut data = control.passive();
        control.command(command, 150);
        // It ends with a reset, so that nobody takes it for a whole one.
        let ended = data.read_to_end(&mut Vec::new());
        assert!(ended.is_err(), "{command} ended as if it were whole");
        let reply = control.expect(451);
        assert!(reply.text().contains("incomplete"), "{reply:?}");
    }
    control.command("STAT /", 451);
    // The limit is on what is listed.
    control.download("NLST one-*");
}

fn hash_rate() {
    let server = Server::new().with("max_download_rate", "100000").with_account("alice", &[]).run();
    let alice = server.account("alice");
    alice.put("file", &patterned(300_000));
    // A file that costs its owner nothing.
    std::fs::File::create(alice.path("sparse")).unwrap().set_len(4 << 30).unwrap();
    let mut control = binary(&server, "alice");
    for command in ["HASH file", "XCRC file", "XSHA256 file"] {
        let start = Instant::now();
        control.send(command);
        let reply = control.reply().unwrap();
        assert_eq!(reply.code / 100, 2, "{command}: {reply:?}");
        // What the bucket holds at first is a tenth of a second.
        assert!(start.elapsed() >= Duration::from_millis(2500), "{command}: {:?}", start.elapsed());
    }
    control.send("HASH sparse");
    control.send("ABOR");
    let replies: Vec<u16> = (0..2).map(|_| control.reply().unwrap().code).collect();
    assert_eq!(replies, [426, 226]);
    control.command("NOOP", 200);
}

/// Idle commands that may come at once (`IDLE_COMMANDS_BURST` of the worker).
const BURST: usize = 1000;

fn limited(rate: &str) -> Server {
    Server::new().with("limits.commands_per_second", rate).with_account("alice", &[]).run()
}

/// Sends lines at once and expects a reply with this code to each.
fn at_once(control: &mut ControlConnection, line: &str, times: usize, code: u16) {
    let lines = format!("{line}\r\n").repeat(100);
    for start in (0..times).step_by(100) {
        let some = (times - start).min(100);
        control.send_raw(&lines.as_bytes()[..some * (line.len() + 2)]);
        (0..some).for_each(|_| drop(control.expect(code)));
    }
}

fn work_is_free() {
    // One a second: were any of these counted, the last reply would come half an hour later.
    let server = limited("1");
    let alice = server.account("alice");
    let start = Instant::now();
    let mut control = binary(&server, "alice");
    for _ in 0..50 {
        control.upload("STOR file", b"x");
        assert_eq!(control.download("RETR file"), b"x");
        assert_eq!(control.download("NLST"), b"file\r\n");
    }
    for line in ["SIZE file", "MDTM file"] {
        at_once(&mut control, line, BURST, 213);
    }
    for _ in 0..300 {
        for (line, code) in [("MKD d", 257), ("CWD d", 250), ("NOOP", 200), ("PWD", 257)] {
            control.command(line, code);
        }
        for (line, code) in [("CDUP", 250), ("RMD d", 250), ("DELE gone", 550)] {
            control.command(line, code);
        }
    }
    assert!(!alice.has("d"));
    assert!(start.elapsed() < Duration::from_secs(300), "{:?}", start.elapsed());
}

fn idle_commands() {
    let server = limited("10");
    let mut control = server.log_in("alice");
    let start = Instant::now();
    at_once(&mut control, "NOOP", BURST + 30, 200);
    // What is beyond the burst comes ten a second.
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

fn refused_commands() {
    let server = limited("10");
    let mut control = server.log_in("alice");
    let start = Instant::now();
    at_once(&mut control, "RETR gone", BURST / 2, 425);
    at_once(&mut control, "DELE gone", BURST / 2, 550);
    at_once(&mut control, "NONSENSE", 15, 500);
    at_once(&mut control, "TYPE X", 15, 501);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    // Work gives the burst back.
    control.command("CWD /", 250);
    let start = Instant::now();
    at_once(&mut control, "NOOP", BURST - 1, 200);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

fn before_login() {
    let server = limited("10");
    let mut control = server.connect();
    let start = Instant::now();
    at_once(&mut control, "NOOP", 25, 200);
    at_once(&mut control, "PWD", 10, 530);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

fn sessions_of_an_account() {
    let server = Server::new()
        .with("limits.max_sessions_per_account", "2")
        .with_account("alice", &[])
        .with_account("bob", &["--max-sessions", "1"])
        .run();
    let refused = |name: &str| {
        let mut control = server.connect();
        control.command(&format!("USER {name}"), 331);
        control.command(&format!("PASS {}", server.account(name).password), 421);
        control.expect_end();
    };
    let mut alice = vec![server.log_in("alice"), server.log_in("alice")];
    refused("alice");
    let _bob = server.log_in("bob");
    refused("bob");
    for control in &mut alice {
        control.command("NOOP", 200);
    }
    alice.pop();
    eventually("a place of the account to be free", || {
        let mut control = server.connect();
        control.command("USER alice", 331);
        control.send("PASS alice-secret-1");
        (control.reply().unwrap().code == 230).then_some(())
    });
}

fn passive_ports() {
    // Below the ports that the system gives to whoever asks for any.
    let port = (20_000..30_000)
        .step_by(7)
        .skip(usize::try_from(std::process::id() % 1000).unwrap())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap();
    let range = format!("\"{port}-{port}\"");
    let server = Server::new().with("passive.ports", &range).with_account("alice", &[]).run();
    server.account("alice").put("a", b"x");
    let mut first = binary(&server, "alice");
    let mut second = binary(&server, "alice");
    assert_eq!(first.download("RETR a"), b"x");
    for command in ["EPSV", "PASV"] {
        let refused = second.command(command, 425);
        assert!(refused.text().contains("passive port"), "{refused:?}");
    }
    // PORT goes on working, and the port is free again when its session has ended.
    let listener = second.active();
    second.command("RETR a", 150);
    let mut got = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
    second.expect(226);
    first.command("QUIT", 221);
    eventually("the port to be free again", || {
        second.send("EPSV");
        (second.reply().unwrap().code == 229).then_some(())
    });
    assert_eq!(second.download("RETR a"), b"x");
}

fn burst() {
    let server = Server::start();
    // Nobody accepts while they come.
    server.signal(Signal::SIGSTOP);
    let connect = |_| ControlConnection::connect(server.address());
    let mut clients: Vec<ControlConnection> = (0..100).map(connect).collect();
    server.signal(Signal::SIGCONT);
    for client in &mut clients {
        client.expect(220);
    }
    for client in &mut clients {
        client.command("NOOP", 200);
    }
    drop(clients);
    server.expect_idle();
}
