//! `bulkhead policy` against the running server: green when every layer is up, red with the layer's
//! name when one is not (invariants I11, I12).

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
};

use bulkhead_tests::harness::{Server, is_root, needs_root, test};
use ipc::{
    Channel,
    operator::{Answer, ProcessRow, Request},
};
use libtest_mimic::Trial;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, socket_with,
};
use serde_json::Value;

const CLOEXEC: SocketFlags = SocketFlags::CLOEXEC;

pub fn tests() -> Vec<Trial> {
    vec![
        test("policy::verify_is_green_on_a_server_with_two_sessions", green),
        needs_root("policy::verify_names_each_layer_that_a_process_lacks", red),
        test("policy::show_explain_dump_check_and_evidence_say_what_they_promise", words),
    ]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn green() {
    let server =
        Server::new().with_account("alice", &[]).with_account("bob", &["--read-only"]).run();
    let (_alice, _bob) = (server.log_in("alice"), server.log_in("bob"));
    let output = server.bulkhead(&["policy", "verify", "--json"]);
    let checks: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success(), "{} {}", text(&output.stdout), text(&output.stderr));
    let of = |role: &str| {
        let checks = checks.as_array().unwrap().iter();
        checks.filter(|check| check["role"] == role && check["pid"].is_u64()).count()
    };
    assert_eq!((of("supervisor"), of("helper"), of("session")), (1, 1, 2), "{checks}");
    assert!(of("gate") >= 1, "{checks}");
}

/// A process without any layer, which a server claims to be a session.
struct Unconfined(Child);

impl Unconfined {
    fn start() -> Unconfined {
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
        Unconfined(child.unwrap())
    }
}

impl Drop for Unconfined {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A server that names one process, as the control socket of a running one would.
fn fake_server(path: &Path, row: ProcessRow) -> JoinHandle<()> {
    let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, CLOEXEC, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&listener, 1).unwrap();
    thread::spawn(move || {
        let operator: Channel<Answer, Request> = Channel::from_fd(accept(&listener).unwrap());
        assert!(matches!(operator.recv().unwrap().message, Request::Processes));
        operator.send(&Answer::Processes { rows: vec![row], more: false }, &[]).unwrap();
    })
}

fn red() {
    assert!(is_root());
    let server = Server::new();
    server.write_configuration();
    let process = Unconfined::start();
    let row = ProcessRow {
        role: "session".into(),
        pid: process.0.id(),
        session: None,
        identity: Some((20_001, 20_001)),
        report: None,
        features: vec!["list".into(), "read".into()],
    };
    let answering = fake_server(&server.path("control.sock"), row);
    let output = server.bulkhead(&["policy", "verify"]);
    answering.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for layer in [
        "identity",
        "capabilities",
        "bounding set",
        "no_new_privs",
        "seccomp",
        "limits",
        "chroot",
        "environment",
        "landlock",
    ] {
        assert!(said.contains(&format!("layer {layer}: ")), "{layer} is not named:\n{said}");
    }
}

fn words() {
    let server = Server::new().with_account("alice", &[]);
    server.write_configuration();
    let say = |arguments: &[&str]| {
        let output = server.bulkhead(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(say(&["policy", "show", "gate"]).contains("16 allowed"));
    assert!(say(&["policy", "show"]).contains("session, read-only"));
    let shown: Value = serde_json::from_str(&say(&["policy", "show", "--json"])).unwrap();
    assert_eq!(shown.as_array().map(Vec::len), Some(7));
    assert!(say(&["policy", "explain", "openat2"]).contains("session        allowed"));
    assert!(say(&["policy", "dump", "relay"]).contains("SHA-256 "));
    assert!(say(&["policy", "check"]).contains("scope_signal"));
    assert!(say(&["policy", "diff", "built-in"]).contains("the same"));
    let evidence = say(&["policy", "evidence"]);
    assert!(evidence.contains("| alice |"), "{evidence}");
    let json: Value = serde_json::from_str(&say(&["policy", "evidence", "--json"])).unwrap();
    assert_eq!(json["accounts"][0]["name"], "alice");
    for secret in [&server.account("alice").password, "argon2"] {
        assert!(!evidence.contains(secret), "the report has a secret in it: {secret}");
    }
    let unknown = server.bulkhead(&["policy", "explain", "opnat"]);
    assert!(!unknown.status.success());
}
