//! Accounts of the account file, second factors and anonymous clients, with real clients on the wire.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    process::{Command, Output},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bulkhead_tests::harness::{
    ControlConnection, Process, Server, eventually, is_root, needs_program, needs_root,
    one_time_code, test,
};
use libtest_mimic::Trial;
use totp_rs::{Builder, Secret};

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("accounts::curl_sends_a_code_with_acct", "curl", curl_with_code),
        needs_program("accounts::curl_sends_a_code_glued_to_the_password", "curl", curl_glued),
        needs_program("accounts::lftp_sends_a_code_glued_to_the_password", "lftp", lftp_glued),
        needs_program("accounts::ftplib_sends_a_code_with_acct", "python3", ftplib_with_code),
        test("accounts::a_code_is_refused_after_a_restart_of_the_server", replay_after_restart),
        test("accounts::b7_guesses_at_one_accounts_codes_slow_its_codes_down", guessing),
        test("accounts::of_two_simultaneous_logins_with_one_code_one_wins", simultaneous_code),
        test("accounts::an_anonymous_client_reads_and_changes_nothing", anonymous),
        needs_root("accounts::each_session_has_the_identity_of_its_account", identities),
        test("accounts::a_damaged_account_file_is_named_in_the_log", damaged),
        test("accounts::a_code_of_another_hour_is_refused_and_the_log_names_the_clock", clock_off),
        test("accounts::what_no_account_can_have_is_refused_like_a_wrong_password", malformed),
        test("accounts::an_unknown_hash_format_is_named_and_lets_nobody_in", unknown_hash),
        test("accounts::two_hundred_attempts_at_once_are_all_answered", crowd),
        test("accounts::wrong_passwords_count_over_both_factors", failures_of_both_factors),
        test("accounts::no_password_reaches_the_log", secrets_in_the_log),
    ]
}

/// A server whose `alice` needs a code, the secret of it, and her recovery codes.
fn with_code() -> (Server, String) {
    let server = Server::start();
    let output = server.bulkhead(&["user", "totp", "alice"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap();
    server.account("alice").put("file", b"behind two locks");
    let secret = secret.trim().to_owned();
    (server, secret)
}

fn curl(server: &Server, user: &str, more: &[&str]) -> Output {
    let url = format!("ftp://{}/file", server.address());
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--user", user]);
    command.args(more).arg(url).output().unwrap()
}

fn curl_with_code() {
    let (server, secret) = with_code();
    let user = format!("alice:{}", server.account("alice").password);
    let without = curl(&server, &user, &[]);
    assert!(!without.status.success() && without.stdout.is_empty(), "{without:?}");
    let right = one_time_code(&secret);
    let with = curl(&server, &user, &["--ftp-account", &right]);
    assert_eq!(with.stdout, b"behind two locks", "{with:?}");
    let again = curl(&server, &user, &["--ftp-account", &right]);
    assert!(!again.status.success() && again.stdout.is_empty(), "a code works once: {again:?}");
    server.expect_event("login-failed", |event| event["reason"] == "used-code");
}

fn curl_glued() {
    let (server, secret) = with_code();
    let glued = format!("alice:{}{}", server.account("alice").password, one_time_code(&secret));
    assert_eq!(curl(&server, &glued, &[]).stdout, b"behind two locks");
    assert!(!curl(&server, &glued, &[]).status.success(), "a code works once");
}

fn lftp_glued() {
    let (server, secret) = with_code();
    let glued = format!("{}{}", server.account("alice").password, one_time_code(&secret));
    let script = format!(
        "set ftp:ssl-allow no; set net:max-retries 1; open -u alice,{glued} -p {} 127.0.0.1; cat file",
        server.address().port()
    );
    let output = Command::new("lftp").args(["-c", &script]).output().unwrap();
    assert_eq!(output.stdout, b"behind two locks", "{output:?}");
}

fn ftplib_with_code() {
    const SCRIPT: &str = "\
import ftplib, io, sys
port, password, code = sys.argv[1:]
ftp = ftplib.FTP(); ftp.connect('127.0.0.1', int(port), timeout=20)
ftp.login('alice', password, code)
got = io.BytesIO(); ftp.retrbinary('RETR file', got.write); ftp.quit()
sys.stdout.write(got.getvalue().decode())
";
    let (server, secret) = with_code();
    let (port, password) = (server.address().port().to_string(), &server.account("alice").password);
    let log_in = |code: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", SCRIPT, &port, password, code]).output().unwrap()
    };
    let right = one_time_code(&secret);
    let output = log_in(&right);
    assert_eq!(output.stdout, b"behind two locks", "{output:?}");
    assert!(!log_in(&right).status.success(), "a code works once");
}

/// Somebody who knows the password guesses at the code, from many addresses.
fn guessing() {
    let (server, secret) = with_code();
    let password = server.account("alice").password.clone();
    let from = |last: u8| {
        let mut client =
            ControlConnection::connect_from([127, 0, 0, last].into(), server.address());
        client.expect(220);
        client
    };
    for last in 2..7 {
        assert_eq!(with_acct(&mut from(last), &password, "000000"), 530);
    }
    server.expect_event("second-factor-guessing", |event| event["account"] == "alice");
    // Even the right one is not judged now, so that nobody learns which one it is.
    assert_eq!(with_acct(&mut from(7), &password, &one_time_code(&secret)), 530);
    server.expect_event("login-failed", |event| {
        event["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("second-factor-guessing: 5 wrong codes"))
    });
    // A new secret begins anew.
    let output = server.bulkhead(&["user", "totp", "alice"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret")).unwrap();
    assert_eq!(with_acct(&mut from(8), &password, &one_time_code(secret.trim())), 230);
}

/// Logs in with a password that is answered by 332, and says what the code was answered with.
fn with_acct(control: &mut ControlConnection, password: &str, code: &str) -> u16 {
    control.command("USER alice", 331);
    control.command(&format!("PASS {password}"), 332);
    control.send(&format!("ACCT {code}"));
    control.reply().unwrap().code
}

fn replay_after_restart() {
    let (mut server, secret) = with_code();
    let password = server.account("alice").password.clone();
    let right = one_time_code(&secret);
    assert_eq!(with_acct(&mut server.connect(), &password, &right), 230);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    server.launch();
    assert_eq!(with_acct(&mut server.connect(), &password, &right), 530);
}

fn simultaneous_code() {
    let (server, secret) = with_code();
    let password = server.account("alice").password.clone();
    let right = one_time_code(&secret);
    let mut clients: Vec<ControlConnection> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.command("USER alice", 331);
        client.command(&format!("PASS {password}"), 332);
    }
    for client in &mut clients {
        client.send(&format!("ACCT {right}"));
    }
    let codes: Vec<u16> = clients.iter_mut().map(|client| client.reply().unwrap().code).collect();
    let granted = codes.iter().filter(|code| **code == 230).count();
    assert_eq!(granted, 1, "{codes:?}");
}

fn anonymous() {
    let server = Server::new();
    let root = server.path("public");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "for everybody").unwrap();
    if is_root() {
        chown(&root, Some(20_777), Some(20_777)).unwrap();
    }
    let server = server
        .with("anonymous.enabled", "true")
        .with("anonymous.root", &format!("{root:?}"))
        .with_account("alice", &[])
        .run();
    for name in ["anonymous", "ftp"] {
        let mut control = server.connect();
        control.command(&format!("USER {name}"), 331);
        control.command("PASS somebody@example.net", 230);
        control.command("TYPE I", 200);
        assert_eq!(control.download("RETR file"), b"for everybody");
        for refused in ["DELE file", "MKD new", "RNFR file", "SITE CHMOD 777 file"] {
            control.send(refused);
            let reply = control.reply().unwrap();
            assert!((500..600).contains(&reply.code), "{refused}: {reply:?}");
        }
    }
    assert!(root.join("file").exists() && !root.join("new").exists());
}

fn identities() {
    let server = Server::new().with_account("alice", &[]).with_account("bob", &[]).run();
    let (_alice, _bob) = (server.log_in("alice"), server.log_in("bob"));
    let uids: BTreeSet<u32> = eventually("two sessions", || {
        let sessions = server.processes_of("session");
        let uid = |session: &Process| Some(session.ids("Uid")).filter(|all| all.len() == 4);
        let all: Vec<_> = sessions.iter().filter_map(uid).collect();
        (all.len() == 2).then(|| {
            assert!(all.iter().all(|ids| ids.iter().all(|id| *id == ids[0])), "{all:?}");
            all.iter().map(|ids| ids[0]).collect()
        })
    });
    let expected: BTreeSet<u32> = server.accounts.iter().map(|account| account.uid).collect();
    assert_eq!(uids, expected);
}

fn damaged() {
    let server = Server::start();
    let password = server.account("alice").password.clone();
    drop(server.log_in("alice"));
    let file = server.path("users.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}colour = \"red\"\n")).unwrap();
    // The accounts of before are used, and the log names the line.
    drop(server.log_in("alice"));
    let text = server.expect_event("accounts", |_| true).to_string();
    assert!(text.contains("users.toml:") && text.contains("colour"), "{text}");
    // A file that others may read is no slip of the pen.
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut control = server.connect();
    control.command("USER alice", 331);
    control.command(&format!("PASS {password}"), 421);
    let text = server.expect_event("login-impossible", |_| true).to_string();
    assert!(text.contains("chmod 600"), "{text}");
}

fn clock_off() {
    let (server, secret) = with_code();
    let password = server.account("alice").password.clone();
    let secret = Secret::try_from_base32(&secret).unwrap();
    let generator = Builder::new().with_secret(secret).build().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (time, said) in [(now - 3600, "before now"), (now + 3600, "after now")] {
        let code = generator.generate(time).to_string();
        assert_eq!(with_acct(&mut server.connect(), &password, &code), 530);
        server.expect_event("login-failed", |event| {
            let reason = event["reason"].as_str().unwrap();
            reason.contains(said) && reason.contains("compare the clocks of server and user")
        });
    }
}

/// Empty, over-long, with a NUL or a newline: refused in the words of a wrong password, logged, and
/// counted, so that it is no way to knock for ever.
fn malformed() {
    let server = Server::new()
        .with("penalties.enabled", "true")
        .with("penalties.failed_login", "1")
        .with("penalties.floor", "100")
        .with_account("alice", &[])
        .run();
    let mut control = server.connect();
    control.command("USER alice", 331);
    let wrong = control.command("PASS wrong", 530);
    let long = "x".repeat(300);
    let names = [long.as_str(), "a\u{1}b", "a\u{7f}b"];
    let tries =
        names.iter().map(|name| (format!("USER {name}\r\n"), "PASS pw\r\n".to_owned())).chain(
            [String::new(), "y".repeat(1100)]
                .map(|p| ("USER alice\r\n".into(), format!("PASS {p}\r\n"))),
        );
    for (expected, (user, password)) in (2..).zip(tries) {
        let mut control = server.connect();
        control.send_raw(user.as_bytes());
        control.expect(331);
        control.send_raw(password.as_bytes());
        assert_eq!(control.reply().unwrap(), wrong, "{user:?} {password:?}");
        eventually("a line of the log", || {
            (server.events("login-failed").len() == expected).then_some(())
        });
    }
    // Names of other alphabets are names; what is no UTF-8 is none.
    for name in [&b"J\xf6rg"[..], b"\xf0\x28"] {
        let mut control = server.connect();
        control.send_raw(&[b"USER ", name, b"\r\n"].concat());
        control.expect(331);
        assert_eq!(control.command("PASS pw", 530), wrong);
    }
    // No name at all, and bytes that end a line elsewhere.
    let mut control = server.connect();
    control.command("USER", 501);
    control.send_raw(b"USER al\0ice\r\n");
    assert!((500..=501).contains(&control.reply().unwrap().code));
    control.send_raw(b"USER al\rice\r\n");
    assert!((500..=501).contains(&control.reply().unwrap().code));
    control.command("USER alice", 331);
    control.send_raw(b"PASS a\nQUIT\r\n");
    // A lone LF is no end of a line (RFC 959), or it is one: never part of a password.
    assert!(control.reply().unwrap().code >= 500);
    let listed = server.bulkhead(&["penalties", "list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("failed-login"), "{listed}");
    // A connection that does nothing else is closed.
    let mut control = server.connect();
    for attempt in 1..=3 {
        control.command("USER alice", 331);
        control.command("PASS ", if attempt < 3 { 530 } else { 421 });
    }
    control.expect_end();
}

fn unknown_hash() {
    let mut server = Server::new().with_account("alice", &[]);
    let file = server.path("users.toml");
    let good = fs::read_to_string(&file).unwrap();
    let hash = good.lines().find_map(|line| line.strip_prefix("password = ")).unwrap();
    for bad in ["$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "hunter2", "$6$saltsalt$short", "$9$x$y"] {
        fs::write(&file, good.replace(hash, &format!("{bad:?}"))).unwrap();
        let check = server.bulkhead(&["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(!check.status.success() && said.contains("no known format"), "{bad}: {said}");
        assert!(said.contains("users.toml:") && !said.contains(bad), "{bad}: {said}");
    }
    server.launch();
    for (name, typed) in [("alice", server.account("alice").password.as_str()), ("bob", "x")] {
        let mut control = server.connect();
        control.command(&format!("USER {name}"), 331);
        // There is no good file of before to fall back on.
        control.command(&format!("PASS {typed}"), 421);
    }
    let event = server.expect_event("login-impossible", |_| true).to_string();
    assert!(event.contains("users.toml:") && event.contains("alice"), "{event}");
}

/// 200 clients that try at once: bounded authenticators, everybody answered, the right ones let in.
fn crowd() {
    let server = Server::new()
        .with("auth.max_authenticators", "4")
        .with("limits.login_timeout", "120")
        .with_account("alice", &[])
        .run();
    let password = server.account("alice").password.clone();
    let mut clients: Vec<ControlConnection> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.command("USER alice", 331);
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let typed = if index % 20 == 0 { password.as_str() } else { "wrong" };
        client.send(&format!("PASS {typed}"));
    }
    // Four may be judging, and one of each that has just been answered may not be reaped yet. Those
    // that take longer than 3 s, on a machine as busy as that, make room: four times as many.
    let pid = server.pid();
    let watching = std::sync::atomic::AtomicBool::new(true);
    let most = std::thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut most = 0;
            while watching.load(std::sync::atomic::Ordering::Relaxed) {
                let all = Process::children_of(pid);
                let now = all.iter().filter(|one| one.command.contains("authenticator")).count();
                most = most.max(now);
            }
            most
        });
        for (index, client) in clients.iter_mut().enumerate() {
            let code = patient_reply(client);
            assert_eq!(code, if index % 20 == 0 { 230 } else { 530 }, "{index}");
        }
        watching.store(false, std::sync::atomic::Ordering::Relaxed);
        watched.join().unwrap()
    });
    assert!((2..=24).contains(&most), "{most} authenticators at once");
    drop(clients);
    server.expect_idle();
}

/// A reply that others are before.
fn patient_reply(client: &mut ControlConnection) -> u16 {
    client.stream().set_read_timeout(Some(Duration::from_secs(110))).unwrap();
    client.reply().unwrap().code
}

fn failures_of_both_factors() {
    let (server, _) = with_code();
    let password = server.account("alice").password.clone();
    let mut control = server.connect();
    assert_eq!(with_acct(&mut control, &password, "000000"), 530);
    control.command("USER alice", 331);
    control.command("PASS wrong", 530);
    control.command("USER alice", 331);
    control.command(&format!("PASS {password}"), 332);
    control.send("ACCT 000000");
    assert_eq!(control.reply().unwrap().code, 421);
    control.expect_end();
}

fn secrets_in_the_log() {
    let (server, secret) = with_code();
    let password = server.account("alice").password.clone();
    let right = one_time_code(&secret);
    assert_eq!(with_acct(&mut server.connect(), &password, "wrong-code-8231"), 530);
    assert_eq!(with_acct(&mut server.connect(), &password, &right), 230);
    let mut control = server.connect();
    control.command("USER alice", 331);
    control.command("PASS typed-by-mistake-4711", 530);
    server.expect_event("login", |_| true);
    let log = fs::read_to_string(server.path("log")).unwrap();
    for hidden in [password.as_str(), "typed-by-mistake-4711", "wrong-code-8231", &secret] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    assert!(log.matches("login-failed").count() >= 2);
}
