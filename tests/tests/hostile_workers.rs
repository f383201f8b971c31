//! Gates and sessions that have been taken over: every message at every wrong moment, garbage,
//! oversize, descriptors that do not belong. The supervisor ends the offender, nothing else, and
//! its counters are true.

use std::fs;

use bulkhead_tests::{
    harness::{ControlConnection, Server, eventually, test},
    hostile_worker::{self, GATE_DEEDS, RAW_DEEDS, SCENARIO, SESSION_DEEDS, TYPING_DEEDS},
};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        test("hostile_workers::a_gate_before_it_is_ready", || {
            all_of("gate", "before-ready", &GATE_DEEDS, &["ready"]);
        }),
        test("hostile_workers::a_gate_that_waits_for_a_client", || {
            // What it says early is heard when it has a client, and is in turn then.
            all_of("gate", "waiting", &GATE_DEEDS, &["authenticate"]);
        }),
        test("hostile_workers::a_gate_that_serves_a_client", || {
            all_of("gate", "serving", &GATE_DEEDS, &["authenticate"]);
        }),
        test("hostile_workers::a_gate_after_the_login", || {
            // A gate may stay as a relay; that there is no TLS costs only its own client.
            all_of("gate", "granted", &GATE_DEEDS, &["handover"]);
        }),
        test(
            "hostile_workers::i7_a_gate_that_spoils_what_was_typed_harms_its_own_login_only",
            || {
                spoilt();
            },
        ),
        test("hostile_workers::a_session_before_it_is_ready", || {
            all_of("session", "before-ready", &SESSION_DEEDS, &["ready"]);
        }),
        test("hostile_workers::a_session_that_waits_for_its_client", || {
            all_of("session", "waiting", &SESSION_DEEDS, &[]);
        }),
        test("hostile_workers::a_session_that_serves_its_client", || {
            // These a session may send at any time while it serves.
            let allowed = ["events", "need-helper", "need-keeper", "who"];
            all_of("session", "serving", &SESSION_DEEDS, &allowed);
        }),
        test("hostile_workers::a_session_that_does_not_end_is_killed_with_its_client", stays),
    ]
}

/// While a gate keeps or spoils what was typed, others log in; and nothing is left of it.
fn spoilt() {
    let server = hostile_server();
    use_up_first_gate(&server);
    for (before, deed) in TYPING_DEEDS.into_iter().enumerate() {
        set(&server, &format!("gate typing {deed}"));
        let client = meet(&server, "gate");
        if deed == "silent" {
            eventually("its authenticator to wait", || server.processes_of("authenticator").pop());
            set(&server, "");
            drop(server.log_in("alice"));
        }
        eventually(&format!("the login to be refused after {deed}"), || {
            let log = fs::read_to_string(server.path("log")).unwrap();
            (log.matches("did not pass on what was typed").count() > before).then_some(())
        });
        drop(client);
        kick_all(&server);
        server.expect_idle();
    }
    assert_no_forged_line(&server);
}

/// Lets an honest gate that was started with the server have its client, so that the next client
/// meets one that is started for it.
pub fn use_up_first_gate(server: &Server) {
    ControlConnection::connect(server.address()).expect(220);
    server.expect_idle();
}

/// A server whose worker is hostile as [`set`] says.
pub fn hostile_server() -> Server {
    hostile(Server::new())
}

/// This server with a worker that is hostile.
pub fn hostile(mut server: Server) -> Server {
    server.binaries = hostile_worker::stage_set(server.path("dist"), &server.binaries);
    // No gate is kept ready: each scenario takes effect with the next client.
    server
        .with("limits.ready_gates", "0")
        .with("limits.login_timeout", "30")
        .with_account("alice", &[])
        .run()
}

/// Lets a client meet a worker that does each deed at this moment. Whatever the supervisor does
/// not allow then must end the worker, though that neither ends nor listens; `allowed` deeds may
/// leave it in place, and it is the end of the client that ends it.
fn all_of(stage: &str, moment: &str, deeds: &[&str], allowed: &[&str]) {
    let server = hostile_server();
    for deed in deeds.iter().chain(&RAW_DEEDS) {
        set(&server, &format!("{stage} {moment} {deed}"));
        let mut client = meet(&server, stage);
        if !allowed.contains(deed) {
            eventually(&format!("the {stage} to be ended after {moment} {deed}"), || {
                server.processes_of("bulkhead-worker").is_empty().then_some(())
            });
        }
        if stage == "gate" && moment == "before-ready" {
            // The client still waits for a gate, and gets the next one that is honest.
            set(&server, "");
            client.expect(220);
        }
        drop(client);
        // A client that leaves a captured worker is noticed by that worker alone; the operator can
        // always end it, though it does not listen.
        if allowed.contains(deed) {
            kick_all(&server);
        }
        server.expect_idle();
    }
    // Nothing is left of it all: an honest worker serves the next client.
    set(&server, "");
    let mut control = server.log_in("alice");
    control.upload("STOR after", b"all is well");
    assert_eq!(server.account("alice").read("after"), b"all is well");
    assert_no_forged_line(&server);
}

/// Says what the next worker does; nothing: it is honest.
pub fn set(server: &Server, scenario: &str) {
    fs::write(server.binaries.join(SCENARIO), scenario).unwrap();
}

/// A client that comes as far as the hostile process lets it.
pub fn meet(server: &Server, stage: &str) -> ControlConnection {
    let mut control = ControlConnection::connect(server.address());
    if stage == "session" {
        control.expect(220);
        control.command("USER alice", 331);
        control.send("PASS alice-secret-1");
    }
    control
}

/// Ends every session as an operator would.
fn kick_all(server: &Server) {
    let table = server.bulkhead(&["sessions", "--json"]);
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    for row in table.as_array().unwrap() {
        let session = row["session"].to_string();
        // It may have ended meanwhile, which is as good.
        server.bulkhead(&["kick", &session]);
    }
}

/// What a worker said did not become a line of the log of its own.
fn assert_no_forged_line(server: &Server) {
    let text = fs::read_to_string(server.path("log")).unwrap();
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "forged: {line}");
    }
}

fn stays() {
    let server = hostile_server();
    set(&server, "session serving events");
    let client = meet(&server, "session");
    eventually("the hostile session to be there", || server.processes_of("session").pop());
    drop(client);
    // The session holds the control connection and does not end with its client: the operator
    // ends it, by force.
    eventually("the session to be listed", || (server.status()["sessions"] == 1).then_some(()));
    let kicked = server.bulkhead(&["kick", "alice"]);
    assert!(kicked.status.success(), "{kicked:?}");
    server.expect_idle();
    assert!(server.processes_of("session").is_empty());
}
