//! Penalties by address block, as clients of several addresses and the operator see them, and the
//! log line that fail2ban reads.

use std::{fs, path::Path, process::Command};

use bulkhead_tests::harness::{ControlConnection, Server, eventually, needs_program, test};
use libtest_mimic::Trial;

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("penalties::failures_block_one_address_and_no_other", "curl", one_address),
        test(
            "penalties::b8_quit_before_login_costs_what_any_connection_without_a_login_does",
            quits,
        ),
        needs_program("penalties::an_exempt_network_is_never_blocked", "curl", exempt),
        needs_program("penalties::fail2ban_finds_the_address", "fail2ban-regex", fail2ban),
    ]
}

fn server() -> Server {
    Server::new()
        .with("penalties.enabled", "true")
        .with("penalties.failed_login", "10")
        .with("penalties.no_login", "0")
        .with("penalties.floor", "19")
        .with_account("alice", &[])
}

/// What curl says when it logs in from a local address: its exit status and output.
fn log_in(server: &Server, from: &str, user: &str) -> (Option<i32>, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--verbose", "--max-time", "20", "--interface", from])
        .args(["--user", user, &format!("ftp://{}/", server.address())])
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn one_address() {
    let server = server().run();
    let right = format!("alice:{}", server.account("alice").password);
    assert_eq!(log_in(&server, "127.0.0.2", &right).0, Some(0));
    for _ in 0..2 {
        assert_ne!(log_in(&server, "127.0.0.2", "alice:wrong").0, Some(0));
    }
    let (code, said) = log_in(&server, "127.0.0.2", &right);
    assert_ne!(code, Some(0), "127.0.0.2 must be refused now: {said}");
    assert!(said.contains("421"), "{said}");
    assert_eq!(log_in(&server, "127.0.0.3", &right).0, Some(0), "127.0.0.3 did nothing");
    let listed = server.bulkhead(&["penalties", "list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("127.0.0.2/32") && listed.contains("failed-login"), "{listed}");
    let cleared = server.bulkhead(&["penalties", "clear", "127.0.0.2"]);
    assert!(cleared.status.success(), "{cleared:?}");
    assert_eq!(log_in(&server, "127.0.0.2", &right).0, Some(0), "forgiven");
}

fn quits() {
    let server = server().with("penalties.no_login", "10").run();
    let from =
        |last: u8| ControlConnection::connect_from([127, 0, 0, last].into(), server.address());
    for _ in 0..2 {
        let mut client = from(2);
        client.expect(220);
        client.command("QUIT", 221);
        client.expect_end();
    }
    eventually("127.0.0.2 to be refused", || (from(2).reply().ok()?.code == 421).then_some(()));
    from(3).expect(220);
}

fn exempt() {
    let server = server().with("penalties.exempt", "[\"127.0.0.0/29\"]").run();
    for _ in 0..4 {
        assert_ne!(log_in(&server, "127.0.0.2", "alice:wrong").0, Some(0));
    }
    let right = format!("alice:{}", server.account("alice").password);
    assert_eq!(log_in(&server, "127.0.0.2", &right).0, Some(0));
}

fn fail2ban() {
    let server = Server::new()
        .with("listen_address", "[\"127.0.0.1\", \"::1\"]")
        .with_account("alice", &[])
        .run();
    assert_ne!(log_in(&server, "127.0.0.2", "alice:wrong").0, Some(0));
    // A name that looks like the line of somebody else.
    let forged = "x\",\"client\":\"192.0.2.66\",\"user\":\"y:pw";
    assert_ne!(log_in(&server, "127.0.0.2", forged).0, Some(0));
    eventually("two failures", || (server.events("login-failed").len() == 2).then_some(()));
    let mut log = fs::read_to_string(server.path("log")).unwrap();
    // The text form, and what the journal makes of it.
    log.push_str(
        "2026-11-20T23:01:29.684818Z  WARN event=\"login-failed\" session=2 client=2001:db8::7 \
         user=\"alice\" reason=\"wrong-password\"\n\
         Nov 20 23:01:29 host bulkhead[77]: 2026-11-20T23:01:29.684818Z  WARN \
         event=\"login-failed\" session=2 client=192.0.2.7 user=\"alice\" reason=\"x\"\n\
         2026-11-20T23:01:29.684818Z  WARN event=\"login-failed\" session=2 client=192.0.2.8 \
         user=\"x client=192.0.2.66 user=\\\"y\" reason=\"unknown-user\"\n",
    );
    let copy = server.path("log-for-fail2ban");
    fs::write(&copy, log).unwrap();
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/fail2ban/bulkhead.conf");
    let output = Command::new("fail2ban-regex")
        .args(["--out", "ip"])
        .arg(&copy)
        .arg(&filter)
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let addresses: Vec<&str> = found.split_whitespace().collect();
    assert_eq!(
        addresses,
        ["127.0.0.2", "127.0.0.2", "2001:db8::7", "192.0.2.7", "192.0.2.8"],
        "{found}"
    );
}
