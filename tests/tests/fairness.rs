//! Nobody holds up the others, by what he sends or by what he does not read (invariant I13).

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{ControlConnection, Server, eventually, needs_root, test};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::hostile_workers::{hostile_server, meet, set};

pub fn tests() -> Vec<Trial> {
    vec![
        test("fairness::a1_a_message_of_21000_events_ends_its_session_alone", || {
            let server = hostile_server();
            let patience = Patience::of(&server);
            set(&server, "session serving flood-oversize");
            let sender = meet(&server, "session");
            server.expect_event("violation", |event| event["role"] == "session");
            set(&server, "");
            others_are_served(&server, &patience);
            eventually("the sender to be ended", || {
                (server.status()["sessions"] == 0).then_some(())
            });
            drop(sender);
            obeys_sigterm(server);
        }),
        test("fairness::a1_a_session_that_sends_events_without_pause_holds_nobody_up", || {
            stands("flood-events", 20_000 + 5_000 * 4);
        }),
        test(
            "fairness::a1_a_session_that_sends_small_messages_without_pause_holds_nobody_up",
            || {
                stands("flood-notice", 20_000 + 5_000 * 4);
            },
        ),
        test("fairness::a1_a_session_that_asks_who_without_pause_holds_nobody_up", || {
            stands("flood-who", 0);
        }),
        needs_root("fairness::a3_a_resolver_that_does_not_answer_holds_nobody_up", silent_resolver),
        test("fairness::a6_a_log_that_nobody_reads_holds_nobody_up", unread_log),
        test("fairness::a7_refusals_are_counted_and_not_logged_one_by_one", refusals),
        test("fairness::a9_long_names_do_not_hide_the_sessions_from_the_operator", long_names),
        test("fairness::a10_what_a_session_says_it_moved_does_not_spoil_the_counters", lies),
        test("fairness::a1_a_session_that_asks_for_channels_without_pause_holds_nobody_up", || {
            stands("flood-need-helper", 0);
        }),
    ]
}

/// The deadline of the invariant, for a login and for an operator's question.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A client whose session sends without pause from now on.
fn start_flood(server: &Server, deed: &str) -> ControlConnection {
    set(server, &format!("session serving {deed}"));
    let client = meet(server, "session");
    eventually("the hostile session to serve", || (server.status()["sessions"] == 1).then_some(()));
    set(server, "");
    client
}

/// How long a login may take: the invariant's deadline, or, where the machine is busy with other tests,
/// three times what it takes on this server while nobody holds it up.
struct Patience(Duration);

impl Patience {
    fn of(server: &Server) -> Patience {
        Patience(AT_ONCE.max(3 * timed(|| log_in(server))))
    }
}

fn timed(act: impl Fn()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

fn log_in(server: &Server) {
    let mut control = server.log_in("alice");
    control.command("NOOP", 200);
    control.command("QUIT", 221);
}

/// Somebody else logs in and the operator is answered, at once. The best of three counts.
fn others_are_served(server: &Server, patience: &Patience) {
    let login = (0..3).map(|_| timed(|| log_in(server))).min().unwrap();
    assert!(login < patience.0, "a login took {login:?} of {:?}", patience.0);
    let status = (0..3).map(|_| timed(|| drop(server.status()))).min().unwrap();
    assert!(status < patience.0, "status took {status:?} of {:?}", patience.0);
}

fn obeys_sigterm(mut server: Server) {
    server.signal(Signal::SIGTERM);
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{status}");
}

/// A session floods; others are served, it is not accused of being fast, its lines in the log are
/// bounded, and SIGTERM is heard while it goes on.
fn stands(deed: &str, most_lines: usize) {
    let server = hostile_server();
    let patience = Patience::of(&server);
    let begun = Instant::now();
    let sender = start_flood(&server, deed);
    others_are_served(&server, &patience);
    assert!(server.events("violation").is_empty(), "speed alone is no violation");
    assert_eq!(server.status()["sessions"], 1, "speed alone ends nobody");
    let lines = server.events("notice").len();
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let most = most_lines + 5_000 * seconds;
    assert!(lines <= most, "{lines} lines in {seconds} s");
    drop(sender);
    obeys_sigterm(server);
}

/// Standard error is a pipe whose reader stops to read. Its 64 KiB are soon full.
fn unread_log() {
    let mut server = Server::new().with("penalties.enabled", "false").with_account("alice", &[]);
    server.settings.unset("log.file");
    server.write_configuration();
    let mut child = Command::new(server.binaries.join("bulkhead"))
        .arg("--config")
        .arg(server.path("bulkhead.toml"))
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address: SocketAddr = loop {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the server has ended");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "serving" {
            break event["listening"].as_str().unwrap().parse().unwrap();
        }
    };
    // From here on nobody reads; each client is three lines at least.
    for _ in 0..400 {
        let mut control = ControlConnection::connect(address);
        control.expect(220);
        control.command("QUIT", 221);
    }
    let mut alice = ControlConnection::log_in(address, server.account("alice"));
    alice.command("NOOP", 200);
    assert!(server.status()["connections_total"].as_u64().unwrap() > 400);
    // And it ends, though its last lines find no reader.
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let status = eventually("the server to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.len() >= 60_000, "the pipe was never full: {}", rest.len());
}

fn refusals() {
    let server = Server::new().with("max_conns_per_ip", "1").with_account("alice", &[]).run();
    let _held = server.connect();
    let begun = Instant::now();
    for _ in 0..300 {
        drop(TcpStream::connect(server.address()).unwrap());
    }
    let refused = || server.status()["refused_total"].as_u64().unwrap();
    eventually("every client to be refused", || (refused() == 300).then_some(()));
    let told = || -> u64 {
        server.events("refused").iter().map(|event| event["count"].as_u64().unwrap()).sum()
    };
    eventually("all of them to be told of", || (told() == 300).then_some(()));
    let lines = u64::try_from(server.events("refused").len()).unwrap();
    assert!(lines <= begun.elapsed().as_secs() + 2, "{lines} lines");
    let first = &server.events("refused")[0];
    assert_eq!(
        (&first["reason"], &first["block"]),
        (&"address-full".into(), &"127.0.0.1/32".into())
    );
}

fn long_names() {
    let server = Server::start();
    let mut clients: Vec<ControlConnection> = (0..4).map(|_| server.log_in("alice")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let mut path = String::new();
        for _ in 0..4 {
            path.push_str(&format!("/{number}{}", "\u{1}".repeat(240)));
            client.command(&format!("MKD {path}"), 257);
        }
    }
    eventually("the operations to be listed", || {
        let table = server.bulkhead(&["sessions", "--json"]);
        assert!(table.status.success(), "{table:?}");
        let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
        let rows = table.as_array().unwrap();
        let last = |row: &serde_json::Value| row["last"].as_str().unwrap().chars().count();
        assert!(rows.iter().all(|row| last(row) <= 200), "{rows:?}");
        (rows.len() == 4 && rows.iter().all(|row| last(row) > 100)).then_some(())
    });
}

fn lies() {
    let server = hostile_server();
    set(&server, "session serving events");
    let _client = meet(&server, "session");
    server.expect_event("transfer", |_| true);
    let uploaded = server.status()["bytes_uploaded"].as_u64().unwrap();
    assert!(uploaded > 0 && uploaded < u64::MAX / 1000, "{uploaded}");
}

/// `[passive] address` is a name, and the host's resolver asks somebody who never answers.
fn silent_resolver() {
    let _silent = UdpSocket::bind("127.0.0.77:53").unwrap();
    let mut server =
        Server::new().with("passive.address", "\"ftp.example.invalid\"").with_account("alice", &[]);
    let configuration = server.path("resolv.conf");
    std::fs::write(&configuration, "nameserver 127.0.0.77\noptions timeout:10\n").unwrap();
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let words = ["unshare", "--mount", "sh", "-c", script, configuration.to_str().unwrap()];
    server.under = words.map(str::to_owned).to_vec();
    let server = server.run();
    // Half of what the resolver takes for a name, which every login took once.
    others_are_served(&server, &Patience(Duration::from_secs(5)));
    let mut control = server.log_in("alice");
    // Nothing is known of the name, so the local address is announced.
    let reply = control.command("PASV", 227);
    assert!(reply.text().contains("(127,0,0,1,"), "{}", reply.text());
    obeys_sigterm(server);
}
