//! Any process may be killed by any signal (invariant I9), real-time signals among them.

use std::process::Command;

use bulkhead_tests::harness::{
    ControlConnection, FtpsClient, Process, Server, TlsVersion, eventually, test,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

pub fn tests() -> Vec<Trial> {
    vec![
        test("signals::a2_any_signal_may_end_a_session", sessions),
        test("signals::a2_any_signal_may_end_a_relay", relays),
        test("signals::a2_any_signal_may_end_a_gate", gates),
        test("signals::a2_any_signal_may_end_the_helper", || always("helper")),
        test("signals::a2_any_signal_may_end_the_keeper", || always("keeper")),
        test("signals::a12_a_session_that_an_administrator_kills_costs_its_client_nothing", killed),
        test("signals::a18_clients_wait_for_the_next_keeper", next_keeper),
        test("signals::a18_sessions_wait_for_the_next_helper", next_helper),
    ]
}

/// Every signal that ends a process by default, and is no stop.
fn signals() -> impl Iterator<Item = i32> {
    const OTHERS: [Signal; 8] = [
        Signal::SIGSTOP,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGCONT,
        Signal::SIGCHLD,
        Signal::SIGURG,
        Signal::SIGWINCH,
    ];
    // The standard library ignores SIGPIPE and looks at SIGSEGV and SIGBUS first; a sandbox's last
    // words are SIGSYS; the numbers 32 and 33 are the C library's own.
    const HANDLED: [Signal; 4] = [Signal::SIGPIPE, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGSYS];
    (1..=64).filter(|number| {
        let named = Signal::try_from(*number).ok();
        let not_meant = |signal| OTHERS.contains(&signal) || HANDLED.contains(&signal);
        !named.is_some_and(not_meant) && ![32, 33].contains(number)
    })
}

fn kill(process: &Process, number: i32) {
    let status = Command::new("/bin/kill")
        .args([format!("-{number}"), process.pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{number}");
}

/// A line says that this process has died, and of which signal.
fn expect_death(server: &Server, process: &Process, number: i32) {
    let event = server.expect_event("process-died", |event| event["pid"] == process.pid);
    let expected = Signal::try_from(number).map_or(format!("signal {number}"), |s| s.to_string());
    assert_eq!(event["how"], expected.as_str(), "{event}");
}

fn sessions() {
    let server = Server::start();
    for number in signals() {
        let mut control = server.log_in("alice");
        let [session] = server.processes_of("session").try_into().unwrap();
        kill(&session, number);
        control.expect_end();
        expect_death(&server, &session, number);
        server.expect_idle();
    }
}

fn relays() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    for number in signals() {
        let client =
            FtpsClient::log_in(server.address(), server.account("alice"), TlsVersion::V1_3);
        let relay = relay_of(&server);
        kill(&relay, number);
        expect_death(&server, &relay, number);
        drop(client);
        server.expect_idle();
    }
}

/// The relay of the only session: the gate with one more filter than those that wait.
fn relay_of(server: &Server) -> Process {
    let filters = |gate: &Process| gate.field("Seccomp_filters").parse::<u32>().unwrap();
    eventually("the relay", || {
        let gates = server.processes_of(" gate");
        let fewest = gates.iter().map(filters).min()?;
        gates.into_iter().find(|gate| filters(gate) > fewest)
    })
}

fn gates() {
    let server = Server::new().with("limits.ready_gates", "1").with_account("alice", &[]).run();
    for number in signals() {
        // One that waits for a client: another one takes its place.
        let waiting = eventually("a ready gate", || server.processes_of(" gate").pop());
        kill(&waiting, number);
        expect_death(&server, &waiting, number);
        server.connect().command("QUIT", 221);
    }
    server.expect_idle();
}

/// Helper and keeper are replaced whatever they die of. A few on each server: the pauses before a
/// restart grow with each death.
fn always(role: &str) {
    const DEATHS_PER_SERVER: usize = 5;
    let numbers: Vec<i32> = signals().collect();
    for numbers in numbers.chunks(DEATHS_PER_SERVER) {
        let server = Server::new().with_tls().with_account("alice", &[]).run();
        for number in numbers {
            let process = eventually(role, || server.processes_of(role).pop());
            kill(&process, *number);
            expect_death(&server, &process, *number);
            // One that is killed while it starts is another line: `process-failed`.
            let died = server.events("process-died").len();
            eventually("another one", || {
                (server.events("process-started").len() == died).then_some(())
            });
        }
        let mut client =
            FtpsClient::log_in(server.address(), server.account("alice"), TlsVersion::V1_3);
        client.upload("STOR after", b"all is well");
    }
}

fn killed() {
    let server = Server::new().with("penalties.enabled", "true").with_account("alice", &[]).run();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut control = server.log_in("alice");
        let [session] = server.processes_of("session").try_into().unwrap();
        session.signal(signal);
        control.expect_end();
        server.expect_event("process-died", |event| event["pid"] == session.pid);
    }
    // What a process does itself is held against its client still.
    let mut control = server.log_in("alice");
    let [session] = server.processes_of("session").try_into().unwrap();
    session.signal(Signal::SIGABRT);
    control.expect_end();
    eventually("the client to be refused", || {
        let mut refused = ControlConnection::connect(server.address());
        (refused.reply().ok()?.code == 421).then_some(())
    });
}

/// TLS clients log in without pause while the keeper is killed again and again: none fails.
fn next_keeper() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let logins = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..8 {
                        let (address, alice) = (server.address(), server.account("alice"));
                        drop(FtpsClient::log_in(address, alice, TlsVersion::V1_3));
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(150));
            if let Some(keeper) = server.processes_of("keeper").pop() {
                keeper.signal(Signal::SIGKILL);
            }
        }
        clients.into_iter().map(|client| client.join().is_ok()).filter(|done| *done).count()
    });
    assert_eq!(logins, 4, "clients whose every login succeeded");
    assert!(!server.events("process-died").is_empty());
}

fn next_helper() {
    let server = Server::start();
    let mut control = server.log_in("alice");
    for _ in 0..4 {
        let helper = eventually("a helper", || server.processes_of("helper").pop());
        helper.signal(Signal::SIGKILL);
        // At once, while there is none.
        control.upload("STOR file", b"all is well");
    }
    assert_eq!(server.account("alice").read("file"), b"all is well");
}
