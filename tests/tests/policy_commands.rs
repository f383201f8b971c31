//! `bulkhead policy` against the running server: green when every layer is up, red with the layer's
//! name when one is not (invariants I11, I12).

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
};

use bulkhead_tests::{
    harness::{
        I2ftpServer, Server, eventually, is_root, needs_program, needs_root, patterned, test,
    },
    hostile_worker::{self, SCENARIO},
    incomplete_session,
};
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
        test("policy::verify_is_green_on_a_server_with_sessions_of_both_protocols", green),
        needs_program("policy::verify_is_green_on_sessions_over_tls", "curl", green_over_tls),
        needs_root("policy::verify_names_all_layers_of_a_process_without_any", red),
        needs_root("policy::verify_names_the_one_layer_that_a_session_lacks", red_one_by_one),
        needs_root("policy::verify_names_no_new_privs", red_without_no_new_privs),
        test("policy::show_explain_dump_check_and_evidence_say_what_they_promise", words),
    ]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn green() {
    let serving = I2ftpServer::start_with(&[], |server| {
        server.with_account("alice", &[]).with_account("bob", &["--read-only"])
    });
    let server = &serving.server;
    let (_alice, _bob) = (server.log_in("alice"), server.log_in("bob"));
    let _exchange = serving.client();
    let output = server.bulkhead(&["policy", "verify", "--json"]);
    let checks: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success(), "{} {}", text(&output.stdout), text(&output.stderr));
    let of = |role: &str| {
        let checks = checks.as_array().unwrap().iter();
        checks.filter(|check| check["role"] == role && check["pid"].is_u64()).count()
    };
    assert_eq!((of("supervisor"), of("helper"), of("session")), (1, 1, 3), "{checks}");
    assert!(of("gate") >= 1, "{checks}");
}

/// A session over TLS, with its relay and the keeper, before its login and after.
fn green_over_tls() {
    let server = Server::new().with_account("alice", &[]).with_certificate().run();
    server.account("alice").put("large", &patterned(4 << 20));
    let _greeted = server.connect();
    let account = server.account("alice");
    let downloading = Command::new("curl")
        .args(["--silent", "--insecure", "--ssl-reqd", "--limit-rate", "50k", "--output"])
        .args(["/dev/null", "--user"])
        .arg(format!("alice:{}", account.password))
        .arg(format!("ftp://{}/large", server.address()))
        .spawn();
    let _downloading = Killed(downloading.unwrap());
    let checks = eventually("a session, its relay, and a gate that serves", || {
        let output = server.bulkhead(&["policy", "verify", "--live", "--json"]);
        let checks: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let all = checks.as_array()?.clone();
        let there =
            |role: &str| all.iter().any(|c| c["role"] == role && text_of(c).contains("of session"));
        ["session", "relay", "gate"].into_iter().all(there).then_some((output, all))
    });
    let (output, all) = checks;
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(all.iter().any(|check| check["role"] == "keeper"), "{all:?}");
}

fn text_of(check: &Value) -> &str {
    check["what"].as_str().unwrap_or_default()
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Each layer by itself: bob's session lacks it and has all the others, alice's has them all.
fn red_one_by_one() {
    let mut server = Server::new();
    server.binaries = hostile_worker::stage_set(server.path("dist"), &server.binaries);
    let scenario = server.binaries.join(SCENARIO);
    let server = server.with_account("alice", &[]).with_account("bob", &[]).run();
    std::fs::write(&scenario, "").unwrap();
    let _alice = server.log_in("alice");
    let mut nothing = vec!["nothing"];
    nothing.extend(incomplete_session::LAYERS);
    for layer in nothing {
        std::fs::write(&scenario, format!("session lacks {layer}")).unwrap();
        let mut bob = server.connect();
        bob.command("USER bob", 331);
        bob.send(&format!("PASS {}", server.account("bob").password));
        let (found, others) = eventually("bob's session to be listed", || {
            let output = server.bulkhead(&["policy", "verify", "--live", "--json"]);
            let checks: Value = serde_json::from_slice(&output.stdout).ok()?;
            let uid = format!("uid {}", server.account("bob").uid);
            // Without an identity of its own a session is told by not being alice's.
            let alice = format!("uid {},", server.account("alice").uid);
            let is_bobs = |check: &Value| {
                check["role"] == "session"
                    && (text_of(check).contains(&uid) || !text_of(check).contains(&alice))
            };
            let layers = |check: &Value| -> Vec<String> {
                let flaws = check["flaws"].as_array().unwrap().iter();
                let mut names: Vec<String> =
                    flaws.map(|flaw| flaw[0].as_str().unwrap().to_owned()).collect();
                // A layer may have several signs: two sets of capabilities, five limits.
                names.dedup();
                names
            };
            let (bobs, others): (Vec<&Value>, Vec<&Value>) =
                checks.as_array()?.iter().partition(|check| is_bobs(check));
            let [bobs] = bobs[..] else { return None };
            assert_eq!(output.status.success(), layer == "nothing", "{layer}: {checks}");
            Some((layers(bobs), others.into_iter().flat_map(layers).collect::<Vec<_>>()))
        });
        let expected: &[&str] = if layer == "nothing" { &[] } else { &[layer] };
        assert_eq!(found, expected, "of a session that lacks {layer}");
        assert_eq!(others, [""; 0], "the others lack nothing");
        drop(bob);
        server.bulkhead(&["kick", "bob"]);
        eventually("bob's session to end", || {
            (server.processes_of("session").len() == 1).then_some(())
        });
    }
}

/// What a server starts inherits no_new_privs, so no session can lack it; another process can.
fn red_without_no_new_privs() {
    let server = Server::new();
    server.write_configuration();
    let verdict = |arguments: &[&str]| {
        let child = Command::new("setpriv").args(arguments).args(["sleep", "60"]).spawn();
        let process = Killed(child.unwrap());
        let pid = process.0.id();
        eventually("sleep", || {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (name.trim() == "sleep").then_some(())
        });
        let row = ProcessRow { pid, ..unconfined_row() };
        let answering = fake_server(&server.path("control.sock"), row);
        let output = server.bulkhead(&["policy", "verify", "--live"]);
        answering.join().unwrap();
        std::fs::remove_file(server.path("control.sock")).unwrap();
        text(&output.stdout).contains("layer no_new_privs: ")
    };
    assert!(verdict(&["--"]));
    assert!(!verdict(&["--no-new-privs"]));
}

/// A process without any layer, which a server claims to be a session.
fn unconfined() -> Killed {
    Killed(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap())
}

fn unconfined_row() -> ProcessRow {
    ProcessRow {
        role: "session".into(),
        pid: 0,
        session: None,
        identity: Some((20_001, 20_001)),
        report: None,
        features: vec!["list".into(), "read".into()],
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
    let process = unconfined();
    let row = ProcessRow { pid: process.0.id(), ..unconfined_row() };
    let answering = fake_server(&server.path("control.sock"), row);
    let output = server.bulkhead(&["policy", "verify", "--live"]);
    answering.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for layer in [
        "identity",
        "capabilities",
        "bounding set",
        "securebits",
        "umask",
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
    assert_eq!(shown.as_array().map(Vec::len), Some(8));
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
