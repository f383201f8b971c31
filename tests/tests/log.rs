//! The log: why something was not done, how important a line is, and where the lines go.

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
};

use bulkhead_tests::{
    environment,
    harness::{
        ControlConnection, FtpsClient, Server, TlsClient, TlsVersion, eventually, in_namespaces,
        is_root, needs_root, patterned, test,
    },
};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

const FULL: &str = "log::e1_a_full_and_a_read_only_file_system_are_named";

pub fn tests() -> Vec<Trial> {
    vec![
        needs_root(FULL, full_and_read_only),
        test("log::e1_a_quota_that_is_used_up_is_named", quota),
        test("log::e1_abort_kick_and_leaving_are_told_apart", ended_by_somebody),
        test("log::e1_what_is_refused_says_which_path_and_why", refused),
        test("log::e2_a_client_that_logs_in_without_tls_is_told_of", plain_login),
        test("log::e2_a_client_that_is_too_old_is_told_of_in_words", old_client),
        test("log::e2_a_denied_name_is_told_of", denied),
        test("log::e3_lines_for_the_journal_have_a_priority_and_no_time", journal),
        test("log::e3_the_log_file_is_opened_anew_after_a_reload", reopened),
        test("log::e4_what_an_operator_did_is_in_words", operator),
        test("log::e6_a_reader_that_goes_away_is_no_error", broken_pipe),
        test("log::e6_a_kick_ends_with_421", kicked),
    ]
}

/// The event of a transfer or a file, as soon as it is there.
fn of_path(server: &Server, kind: &str, path: &str) -> Value {
    server.expect_event(kind, |event| event["path"] == path)
}

/// Sends what the server takes, until it does not.
fn send_all(control: &mut ControlConnection, command: &str, bytes: &[u8]) -> u16 {
    let mut data = control.passive();
    control.command(command, 150);
    data.write_all(bytes).ok();
    drop(data);
    control.reply().unwrap().code
}

fn full_and_read_only() {
    if !in_namespaces(FULL, &["--mount"], "true") {
        return;
    }
    let server = Server::new().with_account("alice", &[]);
    let alice = server.account("alice").clone();
    let mount = |words: &[&str]| {
        let mounted = Command::new("mount").args(words).arg(&alice.root).output().unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
    };
    let owner = format!("size=1m,mode=755,uid={0},gid={0}", alice.uid);
    mount(&["-t", "tmpfs", "-o", &owner, "tmpfs"]);
    let server = server.run();
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    assert_eq!(send_all(&mut control, "STOR big", &patterned(3 << 20)), 452);
    let event = of_path(&server, "transfer", "/big");
    assert_eq!(event["reason"], "no-space", "{event}");
    assert!(event["bytes"].as_u64().unwrap() > 0 && event["complete"] == false, "{event}");
    assert!(event["seconds"].is_number() && event["rate"].is_u64(), "{event}");
    control.command("DELE big", 250);
    control.upload("STOR small", b"there");
    mount(&["-o", "remount,ro"]);
    control.passive();
    control.command("STOR small", 550);
    let event = of_path(&server, "command-refused", "small");
    assert_eq!(event["reason"], "read-only-file-system", "{event}");
    control.command("DELE small", 550);
    let event = server.expect_event("file", |event| event["done"] == false);
    assert_eq!(event["reason"], "read-only-file-system", "{event}");
    assert_eq!(event["path"], "/small", "{event}");
}

/// The error of a quota, which no file system of this test has: each write of text fails with it.
fn quota() {
    let mut server = Server::new().with_account("alice", &[]);
    let place = server.path("dist");
    fs::create_dir(&place).unwrap();
    for program in ["bulkhead", "bulkhead-worker", "bulkhead-helper"] {
        fs::copy(server.binaries.join(program), place.join(program)).unwrap();
    }
    environment::set_failing(&place, "bulkhead", "pwrite64", nix::errno::Errno::EDQUOT);
    server.binaries.clone_from(&place);
    server.launch();
    let mut control = server.log_in("alice");
    control.command("TYPE A", 200);
    assert_eq!(send_all(&mut control, "STOR text", &b"line\r\n".repeat(1000)), 552);
    let event = of_path(&server, "transfer", "/text");
    assert_eq!(event["reason"], "quota", "{event}");
}

fn ended_by_somebody() {
    let server = Server::start();
    let begin = |name: &str| {
        let mut control = server.log_in("alice");
        control.command("TYPE I", 200);
        let mut data = control.passive();
        control.command(&format!("STOR {name}"), 150);
        data.write_all(&patterned(100_000)).unwrap();
        (control, data)
    };
    let reason = |name: &str| {
        let event = of_path(&server, "transfer", &format!("/{name}"));
        assert_eq!(event["complete"], false, "{event}");
        event["reason"].as_str().unwrap().to_owned()
    };
    let (mut control, data) = begin("aborted");
    control.command("ABOR", 426);
    control.expect(226);
    assert_eq!(reason("aborted"), "client-aborted");
    drop((control, data));
    let (control, data) = begin("left");
    drop(control);
    assert_eq!(reason("left"), "client-closed");
    drop(data);
    server.expect_idle();
    let (mut control, data) = begin("kicked");
    assert!(server.bulkhead(&["kick", "alice"]).status.success());
    control.expect(426);
    control.expect(421);
    assert_eq!(reason("kicked"), "kicked");
    drop(data);
    // What ended well has no reason.
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.upload("STOR good", b"contents");
    let event = of_path(&server, "transfer", "/good");
    assert!(event["complete"] == true && event.get("reason").is_none(), "{event}");
}

fn refused() {
    let server = Server::new()
        .with_account("alice", &[])
        .with_account("bob", &["--rights", "list,read,write"])
        .run();
    let alice = server.account("alice");
    alice.make_directory("closed");
    alice.put("closed/file", b"contents");
    server.account("bob").put("there", b"contents");
    let mut control = server.log_in("alice");
    control.command("TYPE I", 200);
    control.passive();
    control.command("RETR nowhere", 550);
    assert_eq!(of_path(&server, "command-refused", "nowhere")["reason"], "not-found");
    if is_root() {
        // Somebody else's, and closed.
        std::os::unix::fs::chown(alice.path("closed"), Some(0), Some(0)).unwrap();
    }
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    fs::set_permissions(alice.path("closed"), closed).unwrap();
    control.passive();
    control.command("RETR closed/file", 550);
    let event = of_path(&server, "command-refused", "closed/file");
    assert_eq!((&event["reason"], &event["command"]), (&"permission".into(), &"RETR".into()));
    control.passive();
    control.command("STOR closed/new", 550);
    assert_eq!(of_path(&server, "command-refused", "closed/new")["reason"], "permission");
    control.command("DELE closed/file", 550);
    assert_eq!(of_path(&server, "file", "/closed/file")["reason"], "permission");
    control.command("RMD /closed/none", 550);
    let opened = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(alice.path("closed"), opened).unwrap();
    let mut bob = server.log_in("bob");
    bob.command("TYPE I", 200);
    bob.command("DELE there", 550);
    let event = server.expect_event("command-refused", |event| event["command"] == "DELE");
    assert_eq!((&event["reason"], &event["path"]), (&"no-right".into(), &"there".into()));
    bob.passive();
    bob.command("STOR there", 553);
    let event = server.expect_event("command-refused", |event| {
        event["command"] == "STOR" && event["account"] == "bob"
    });
    assert_eq!(event["reason"], "no-overwrite", "{event}");
}

fn plain_login() {
    let server =
        Server::new().with_tls().with("tls.require", "\"control+data\"").with_account("alice", &[]);
    let server = server.run();
    let mut client = server.connect();
    client.command("USER alice", 530);
    client.command("QUIT", 221);
    let event = server.expect_event("login-refused", |event| event["reason"] == "tls-demanded");
    assert_eq!(event["level"], "WARN", "{event}");
    assert!(event["message"].as_str().unwrap().contains("without AUTH TLS"), "{event}");
    let event = server.expect_event("disconnected", |_| true);
    assert!(event["reason"].as_str().unwrap().contains("TLS is demanded"), "{event}");
    // One that has learned is told of as anybody.
    let mut client = server.connect();
    client.command("USER alice", 530);
    let mut client = FtpsClient::secure(client, TlsClient::new(TlsVersion::V1_3)).unwrap();
    client.authenticate(server.account("alice"));
    drop(client);
    server.expect_idle();
    assert_eq!(server.events("login-refused").len(), 1);
}

/// A ClientHello as TLS 1.1 has it: no extensions at all.
fn old_client() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let mut client = server.connect();
    client.command("AUTH TLS", 234);
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(hello.len() + 4).unwrap().to_be_bytes());
    record.extend([1, 0, 0, u8::try_from(hello.len()).unwrap()]);
    record.extend(hello);
    client.send_raw(&record);
    client.stream().read_to_end(&mut Vec::new()).ok();
    let event = server.expect_event("disconnected", |_| true);
    let reason = event["reason"].as_str().unwrap();
    assert!(reason.contains("the client speaks TLS 1.1 or older"), "{reason}");
    assert!(!reason.contains("ExtensionRequired"), "{reason}");
}

fn denied() {
    let server = Server::new()
        .with("auth.deny_users", "[\"alice\", \"nobody-knows\"]")
        .with_account("alice", &[])
        .run();
    let mut client = server.connect();
    for (name, password) in [("alice", "wrong"), ("nobody-knows", "wrong")] {
        client.command(&format!("USER {name}"), 331);
        let answer = client.command(&format!("PASS {password}"), 530);
        assert_eq!(answer.text(), "Login failed.");
        let event = server.expect_event("login-failed", |event| event["user"] == name);
        assert_eq!(event["reason"], "denied", "{event}");
    }
}

/// A server whose standard error is what systemd says that it is: the journal.
fn journal() {
    let server = Server::new().with("tls.require", "\"none\"").with_account("alice", &[]);
    let mut text = server.settings.text();
    text = text.replace("format = \"json\"", "format = \"text\"");
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("file = "))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(server.path("bulkhead.toml"), text).unwrap();
    let said = server.path("journal");
    let line = "export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); exec \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", line, "--"])
        .arg(server.binaries.join("bulkhead"))
        .arg("--config")
        .arg(server.path("bulkhead.toml"))
        .arg("serve")
        .stdin(Stdio::null())
        .stderr(fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let read = || fs::read_to_string(&said).unwrap();
    let address = eventually("the server to listen", || {
        let text = read();
        let line = text.lines().find(|line| line.contains("event=\"serving\""))?;
        line.split("listening=\"").nth(1)?.split('"').next()?.parse().ok()
    });
    let mut client = ControlConnection::connect(address);
    client.expect(220);
    client.command("USER alice", 331);
    client.command("PASS wrong", 530);
    let failed = eventually("the line of the failed login", || {
        read().lines().find(|line| line.contains("login-failed")).map(str::to_owned)
    });
    assert!(failed.starts_with("<4> WARN event=\"login-failed\""), "{failed}");
    let text = read();
    assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
    assert!(text.contains("<6> INFO event=\"serving\""), "{text}");
    kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    child.wait().unwrap();
}

fn reopened() {
    let server = Server::start();
    let old = server.path("log.1");
    let has_line = || fs::read_to_string(server.path("log")).is_ok_and(|text| !text.is_empty());
    for by_signal in [true, false] {
        fs::rename(server.path("log"), &old).unwrap();
        server.log_in("alice").command("QUIT", 221);
        if by_signal {
            server.signal(Signal::SIGHUP);
        } else {
            assert!(server.bulkhead(&["reload"]).status.success());
        }
        eventually("the new log file", || has_line().then_some(()));
        let after = fs::read_to_string(&old).unwrap();
        assert!(after.contains("\"reloaded\""), "the reload comes first");
        server.log_in("alice").command("QUIT", 221);
        server.expect_event("login", |_| true);
        assert_eq!(fs::read_to_string(&old).unwrap(), after, "the old file is left alone");
    }
    // Whatever is wrong with the configuration: the file is another matter.
    fs::rename(server.path("log"), &old).unwrap();
    fs::write(server.path("bulkhead.toml"), "nonsense").unwrap();
    server.signal(Signal::SIGHUP);
    eventually("the new log file", || has_line().then_some(()));
    assert!(fs::read_to_string(&old).unwrap().contains("not-reloaded"));
}

fn operator() {
    let server = Server::start();
    let mut client = server.log_in("alice");
    server.bulkhead(&["kick", "alice"]);
    client.expect(421);
    let event = server.expect_event("operator", |_| true);
    assert_eq!((&event["command"], &event["target"]), (&"kick".into(), &"alice".into()));
    let event = server.expect_event("connected", |_| true);
    assert_eq!(event["service"], "ftp", "{event}");
    // A drain is no kick.
    let mut client = server.log_in("alice");
    assert!(server.bulkhead(&["drain"]).status.success());
    client.expect(421);
    server.expect_event("disconnected", |event| event["reason"] == "the server is ending");
}

fn broken_pipe() {
    let server = Server::start();
    let program = server.binaries.join("bulkhead");
    for command in ["status", "sessions", "penalties list", "check --keys", "policy show"] {
        let line = format!(
            "{{ {} --config {} {command}; echo $? >&3; }} 3>&2 | true",
            program.display(),
            server.path("bulkhead.toml").display()
        );
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n", "{command}");
    }
}

fn kicked() {
    let server = Server::new().with_tls().with_account("alice", &[]).run();
    let kick = || assert!(server.bulkhead(&["kick", "alice"]).status.success());
    let mut plain = server.log_in("alice");
    kick();
    plain.expect(421);
    plain.expect_end();
    for version in TlsVersion::BOTH {
        let mut secure = FtpsClient::log_in(server.address(), server.account("alice"), version);
        kick();
        secure.control.expect(421);
    }
    // Before its login, by number.
    let mut guest = server.connect();
    let rows = server.bulkhead(&["sessions", "--json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap();
    let number = rows.as_array().unwrap().iter().find(|row| row["stage"] == "gate").unwrap();
    let number = number["session"].to_string();
    assert!(server.bulkhead(&["kick", &number]).status.success());
    guest.expect(421);
    guest.expect_end();
    // While it sends commands without pause.
    let mut busy = server.log_in("alice");
    busy.send_raw(&b"NOOP\r\n".repeat(500));
    kick();
    let last = std::iter::from_fn(|| busy.reply().ok()).last().unwrap();
    assert_eq!(last.code, 421, "{last:?}");
}
