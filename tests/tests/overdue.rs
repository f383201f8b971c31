//! Processes that do not end when they should, and such as no longer answer (invariant I9): the
//! supervisor's own deadlines end them, whatever they say.

use std::time::{Duration, Instant};

use bulkhead_tests::harness::{ControlConnection, Server, eventually, test};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::hostile_workers::{hostile_server, meet, set};

pub fn tests() -> Vec<Trial> {
    vec![
        test("overdue::a4_captured_gates_end_with_their_clients", hung_up),
        test("overdue::a4_a_captured_gate_gets_no_more_time_to_log_in", too_late),
        test("overdue::a4_nothing_that_a_gate_tries_is_judged_after_its_end", guesses),
        test("overdue::a16_a_stopped_session_ends_a_minute_after_its_client", stopped_session),
        test("overdue::i9_a_helper_that_does_not_answer_is_replaced", || silent("helper")),
        test("overdue::i9_a_keeper_that_does_not_answer_is_replaced", || silent("keeper")),
    ]
}

/// From the next client on, gates do this. The one that was started with the server is used up first.
fn become_hostile(server: &Server, scenario: &str) {
    server.connect().command("QUIT", 221);
    server.expect_idle();
    set(server, scenario);
}

fn hung_up() {
    let server = hostile_server();
    become_hostile(&server, "gate serving stay");
    let clients: Vec<ControlConnection> = (0..10).map(|_| meet(&server, "gate")).collect();
    eventually("every gate to have its client", || {
        (server.status()["connections"] == 10).then_some(())
    });
    drop(clients);
    server.expect_idle();
    assert_eq!(server.events("process-overdue").len(), 10);
    server.expect_event("disconnected", |event| event["reason"] == "the client has hung up");
}

fn too_late() {
    let mut server = Server::new();
    server.binaries =
        bulkhead_tests::hostile_worker::stage_set(server.path("dist"), &server.binaries);
    let server = server
        .with("limits.ready_gates", "0")
        .with("limits.login_timeout", "1")
        .with_account("alice", &[])
        .run();
    become_hostile(&server, "gate serving stay");
    let mut client = meet(&server, "gate");
    server.expect_event("process-overdue", |event| event["reason"] == "not logged in in time");
    client.expect_end();
    server.expect_idle();
}

fn guesses() {
    let mut server = Server::new();
    server.binaries =
        bulkhead_tests::hostile_worker::stage_set(server.path("dist"), &server.binaries);
    let server = server
        .with("limits.ready_gates", "0")
        .with("auth.max_attempts", "3")
        .with("auth.failure_delay", "1")
        .with_account("alice", &[])
        .run();
    become_hostile(&server, "gate serving guess-on");
    let mut client = meet(&server, "gate");
    client.expect_end();
    server.expect_idle();
    assert_eq!(server.events("login-failed").len(), 3);
}

fn stopped_session() {
    let server = Server::start();
    let alice = server.log_in("alice");
    let [session] = server.processes_of("session").try_into().unwrap();
    session.signal(Signal::SIGSTOP);
    drop(alice);
    let hung_up = Instant::now();
    while server.status()["connections"] != 0 {
        assert!(hung_up.elapsed() < Duration::from_secs(60), "a minute is over");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(!session.is_alive());
    server.expect_event("process-overdue", |event| event["pid"] == session.pid);
}

fn silent(role: &str) {
    let server = Server::new().with_certificate().with_account("alice", &[]).run();
    let [process] = server.processes_of(role).try_into().unwrap();
    process.signal(Signal::SIGSTOP);
    server.expect_event("process-died", |event| {
        event["role"] == role && event["pid"] == process.pid && event["how"] == "SIGKILL"
    });
    server.expect_event("process-started", |event| event["role"] == role);
    assert!(!process.is_alive());
    let mut alice = server.log_in("alice");
    alice.upload("STOR after", b"all is well");
}
