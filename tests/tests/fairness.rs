//! Nobody holds up the others, by what he sends or by what he does not read (invariant I13).

use std::time::{Duration, Instant};

use bulkhead_tests::harness::{ControlConnection, Server, eventually, test};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::hostile_workers::{hostile_server, meet, set};

pub fn tests() -> Vec<Trial> {
    vec![
        test("fairness::a1_a_message_of_21000_events_ends_its_session_alone", || {
            let server = hostile_server();
            set(&server, "session serving flood-oversize");
            let sender = meet(&server, "session");
            server.expect_event("violation", |event| event["role"] == "session");
            set(&server, "");
            others_are_served(&server);
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

/// Somebody else logs in and the operator is answered, within a second each. The best of three counts:
/// the machine may be busy with other tests, too.
fn others_are_served(server: &Server) {
    let timed = |act: &dyn Fn()| {
        let begun = Instant::now();
        act();
        begun.elapsed()
    };
    let log_in = || {
        let mut control = server.log_in("alice");
        control.command("NOOP", 200);
        control.command("QUIT", 221);
    };
    let login = (0..3).map(|_| timed(&log_in)).min().unwrap();
    assert!(login < AT_ONCE, "a login took {login:?}");
    let status = (0..3).map(|_| timed(&|| drop(server.status()))).min().unwrap();
    assert!(status < AT_ONCE, "status took {status:?}");
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
    let begun = Instant::now();
    let sender = start_flood(&server, deed);
    others_are_served(&server);
    assert!(server.events("violation").is_empty(), "speed alone is no violation");
    assert_eq!(server.status()["sessions"], 1, "speed alone ends nobody");
    let lines = server.events("notice").len();
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let most = most_lines + 5_000 * seconds;
    assert!(lines <= most, "{lines} lines in {seconds} s");
    drop(sender);
    obeys_sigterm(server);
}
