//! Any process may die at any moment (invariant I9): nobody else's transfer stops, counters return
//! to the truth, the operator sees a line.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command},
};

use bulkhead_tests::harness::{
    ControlConnection, Server, eventually, needs_program, patterned, test,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

pub fn tests() -> Vec<Trial> {
    vec![
        test("resilience::a_killed_session_stops_nobody_elses_transfer", || kill("session")),
        test("resilience::a_killed_gate_stops_nobody_elses_transfer", || kill("gate")),
        test("resilience::a_killed_helper_stops_no_transfer_and_comes_back", || kill("helper")),
        needs_program(
            "resilience::a_killed_keeper_stops_no_transfer_and_comes_back",
            "curl",
            kill_keeper,
        ),
        test("resilience::a_killed_authenticator_fails_its_login_alone", kill_authenticator),
        test("resilience::a_killed_supervisor_takes_everything_with_it", kill_supervisor),
        test("resilience::counts_are_exact_after_500_connections_that_end_in_every_way", counts),
        test("resilience::a_full_server_says_421_and_recovers", full),
        test("resilience::one_address_cannot_take_every_place", per_address),
        test("resilience::a_drained_server_ends_when_the_last_session_has", drain),
    ]
}

/// Larger than all buffers between server and client, so that it moves only while we read.
const LARGE: usize = 24 << 20;

fn kill(word: &str) {
    let server = Server::new().with_account("alice", &[]).with_account("bob", &[]).run();
    let bytes = patterned(LARGE);
    let (mut bob, mut data, mut got) = begin_download(&server, &bytes);

    let mut alice = server.log_in("alice");
    let mut victims = server.processes_of(word);
    victims.retain(|process| !process.command.contains("bob"));
    assert!(!victims.is_empty());
    for victim in &victims {
        victim.signal(Signal::SIGKILL);
    }
    for victim in &victims {
        let pid = i64::from(victim.pid);
        server.expect_event("process-died", |event| {
            event.get("pid").and_then(serde_json::Value::as_i64) == Some(pid)
        });
    }

    data.read_to_end(&mut got).unwrap();
    bob.expect(226);
    assert!(got == bytes, "bob's download was disturbed");
    // The next transfer of the same session works, with a new helper if need be.
    assert!(eventually("the server to be whole", || {
        bob.send("EPSV");
        let reply = bob.reply().unwrap();
        (reply.code == 229).then_some(true)
    }));
    let served = server.log_in("bob").download("NLST");
    assert_eq!(served, b"large\r\n");
    if word == "session" {
        alice.expect_end();
    } else {
        alice.command("NOOP", 200);
    }
    drop((alice, bob));
    server.expect_idle();
}

/// A download of bob's that has begun and waits for its client.
fn begin_download(server: &Server, bytes: &[u8]) -> (ControlConnection, TcpStream, Vec<u8>) {
    server.account("bob").put("large", bytes);
    let mut bob = server.log_in("bob");
    bob.command("TYPE I", 200);
    let mut data = bob.passive();
    bob.command("RETR large", 150);
    let mut got = vec![0; bytes.len() / 4];
    data.read_exact(&mut got).unwrap();
    (bob, data, got)
}

fn kill_keeper() {
    let server =
        Server::new().with_account("alice", &[]).with_account("bob", &[]).with_certificate().run();
    let bytes = patterned(LARGE);
    server.account("alice").put("large", &bytes);
    let (mut bob, mut data, mut got) = begin_download(&server, &bytes);
    // Load: transfers under TLS, slow enough to be under way when the keeper dies.
    let url = format!("ftp://alice:alice-secret-1@{}/", server.address());
    let curl = |rest: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--ssl-reqd", "--insecure", "--max-time", "60"]);
        curl.args(rest).env("HOME", bulkhead_tests::harness::NO_HOME);
        curl
    };
    let down = |number: usize| server.path(&format!("down-{number}"));
    let clients: Vec<Child> = (0..4)
        .map(|number| {
            let target = down(number).display().to_string();
            let large = format!("{url}large");
            curl(&["--limit-rate", "12M", "-o", &target, &large]).spawn().unwrap()
        })
        .collect();
    eventually("every client to have received something", || {
        let begun = |number| std::fs::metadata(down(number)).is_ok_and(|file| file.len() > 0);
        (0..4).all(begun).then_some(())
    });
    let [keeper] = server.processes_of("keeper").try_into().unwrap();
    keeper.signal(Signal::SIGKILL);
    server.expect_event("process-died", |event| {
        event["role"] == "keeper" && event["pid"] == keeper.pid
    });
    // New handshakes are made again, and those that were made go on.
    eventually("a new client to be served under TLS", || {
        let listed = curl(&["--list-only", &url]).output().unwrap();
        (listed.stdout == b"large\n").then_some(())
    });
    server.expect_event("process-started", |event| event["role"] == "keeper");
    for (number, mut client) in clients.into_iter().enumerate() {
        assert!(client.wait().unwrap().success(), "client {number}");
        assert!(std::fs::read(down(number)).unwrap() == bytes, "client {number}");
    }
    data.read_to_end(&mut got).unwrap();
    bob.expect(226);
    assert!(got == bytes, "bob's download was disturbed");
    assert_eq!(server.processes_of("keeper").len(), 1);
    drop(bob);
    server.expect_idle();
}

/// Kills the first process that is seen to judge one of many passwords. Its process id, if a login
/// failed.
fn kill_one_authenticator(server: &Server) -> Option<i32> {
    let mut clients: Vec<ControlConnection> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.command("USER alice", 331);
        client.send("PASS alice-secret-1");
    }
    let pid = eventually("an authenticator to be killed", || {
        let pid = server.processes_of("authenticator").first()?.pid;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).ok().map(|()| pid)
    });
    let mut failed = 0;
    for client in &mut clients {
        match client.reply().unwrap().code {
            230 => {}
            // The server is at fault, and says so: this is no wrong password.
            421 => {
                client.expect_end();
                failed += 1;
            }
            code => panic!("{code} to a login"),
        }
    }
    assert!(failed <= 1, "{failed} logins failed with one process");
    (failed == 1).then_some(pid)
}

fn kill_authenticator() {
    let server = Server::new().with_account("alice", &[]).with_account("bob", &[]).run();
    let bytes = patterned(LARGE);
    let (mut bob, mut data, mut got) = begin_download(&server, &bytes);
    // A process that dies with its verdict said has failed nobody: then another one is tried.
    let pid = (0..20).find_map(|_| kill_one_authenticator(&server)).expect("a login has failed");
    // One that dies before it is ready is not among the processes that served somebody.
    server.expect_event("login-impossible", |event| {
        let says = |what: &str| event["message"].as_str().is_some_and(|text| text.contains(what));
        says("the authenticator") && says(&pid.to_string())
    });
    assert!(server.events("login-failed").is_empty(), "nobody is to blame for it");
    data.read_to_end(&mut got).unwrap();
    bob.expect(226);
    assert!(got == bytes, "bob's download was disturbed");
    drop(bob);
    server.expect_idle();
    eventually("no authenticator to be left", || {
        server.processes_of("authenticator").is_empty().then_some(())
    });
    server.log_in("alice").command("NOOP", 200);
}

fn kill_supervisor() {
    let mut server = Server::start();
    let _alice = server.log_in("alice");
    let processes = server.processes();
    server.signal(Signal::SIGKILL);
    server.wait();
    eventually("every process to end with the supervisor", || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
    // It starts again at once.
    server.launch();
    server.log_in("alice").command("NOOP", 200);
}

/// The ways a connection of a test ends.
const ENDS: [fn(&Server, u64); 12] = [
    |server, _| {
        server.connect().command("QUIT", 221);
    },
    |server, _| drop(TcpStream::connect(server.address()).unwrap()),
    |server, _| drop(server.connect()),
    |server, _| reset(server.address()),
    |server, _| {
        server.log_in("alice").command("QUIT", 221);
    },
    |server, _| drop(server.log_in("alice")),
    |server, _| server.connect().send_raw(b"USER ali"),
    |server, _| {
        let mut control = server.connect();
        control.send_raw(&[b'x'; 10_000]);
    },
    |server, _| {
        let mut control = server.connect();
        control.command("USER alice", 331);
        control.command("PASS wrong", 530);
    },
    |server, round| {
        let mut control = server.log_in("alice");
        let mut data = control.passive();
        control.command(&format!("STOR part-{round}"), 150);
        data.write_all(&[1; 1000]).unwrap();
    },
    |server, _| {
        let mut control = server.log_in("alice");
        drop(control.passive());
        control.send("RETR large");
    },
    |server, _| {
        let mut control = server.log_in("alice");
        for session in server.processes_of("session") {
            session.signal(Signal::SIGKILL);
        }
        control.expect_end();
    },
];

fn counts() {
    let server = Server::start();
    server.account("alice").put("large", &patterned(1 << 20));
    let idle = eventually("the pool to be full", || {
        (server.status()["ready_gates"] == 4).then(|| server.processes().len())
    });
    const CONNECTIONS: u64 = 500;
    for round in 0..CONNECTIONS {
        let way = usize::try_from(round).unwrap() % ENDS.len();
        ENDS[way](&server, round);
    }
    server.expect_idle();
    let status = server.status();
    assert_eq!(status["connections_total"], CONNECTIONS, "{status}");
    assert_eq!(server.events("connected").len(), 500);
    eventually("every connection to be logged as ended", || {
        (server.events("disconnected").len() == 500).then_some(())
    });
    eventually("no process to be left over", || (server.processes().len() == idle).then_some(()));
    server.log_in("alice").command("NOOP", 200);
}

/// Connects and resets the connection.
fn reset(server: SocketAddr) {
    let stream = TcpStream::connect(server).unwrap();
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
}

fn full() {
    let server = Server::new().with("maximum_clients", "3").with_account("alice", &[]).run();
    let mut held: Vec<ControlConnection> = (0..3).map(|_| server.connect()).collect();
    for _ in 0..20 {
        let mut refused = ControlConnection::connect(server.address());
        refused.expect(421);
        refused.expect_end();
    }
    for control in &mut held {
        control.command("NOOP", 200);
    }
    held.pop();
    eventually("a place to be free", || {
        let mut next = ControlConnection::connect(server.address());
        (next.reply().unwrap().code == 220).then_some(())
    });
    drop(held);
    server.expect_idle();
    assert!(server.status()["refused_total"].as_u64().unwrap() >= 20);
}

fn per_address() {
    let server = Server::new().with("max_conns_per_ip", "2").with_account("alice", &[]).run();
    let _held = [server.connect(), server.connect()];
    let mut refused = ControlConnection::connect(server.address());
    refused.expect(421);
    // Another address of this host has its own places.
    ControlConnection::connect_from([127, 0, 0, 9].into(), server.address()).expect(220);
}

fn drain() {
    let mut server = Server::start();
    let bytes = patterned(LARGE);
    server.account("alice").put("large", &bytes);
    let mut idle = server.log_in("alice");
    let mut busy = server.log_in("alice");
    busy.command("TYPE I", 200);
    let mut data = busy.passive();
    busy.command("RETR large", 150);
    assert!(server.bulkhead(&["drain"]).status.success());
    // Who does nothing is sent away, who transfers finishes, and nobody new comes in.
    idle.expect_end();
    let refused = TcpStream::connect(server.address()).map(ControlConnection::adopt);
    assert!(!refused.is_ok_and(|mut control| control.reply().is_ok_and(|r| r.code == 220)));
    let mut got = Vec::new();
    data.read_to_end(&mut got).unwrap();
    assert!(got == bytes);
    busy.expect(226);
    busy.expect_end();
    assert_eq!(server.wait().code(), Some(0));
}
