//! Accounts, second factors, anonymous clients and system users, with real clients on the wire.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, chown},
    process::{Command, Output, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bulkhead_tests::harness::{
    ControlConnection, Process, Server, eventually, is_root, needs_program, needs_root, test,
};
use libtest_mimic::Trial;
use totp_rs::{Builder, Secret};

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("accounts::curl_sends_a_code_with_acct", "curl", curl_with_code),
        needs_program("accounts::curl_sends_a_code_glued_to_the_password", "curl", curl_glued),
        needs_program("accounts::lftp_sends_a_code_glued_to_the_password", "lftp", lftp_glued),
        test("accounts::a_code_is_refused_after_a_restart_of_the_server", replay_after_restart),
        test("accounts::of_two_simultaneous_logins_with_one_code_one_wins", simultaneous_code),
        test("accounts::an_anonymous_client_reads_and_changes_nothing", anonymous),
        needs_root("accounts::each_session_has_the_identity_of_its_account", identities),
        needs_root(SYSTEM_USER, system_user),
        test("accounts::unknown_names_and_wrong_passwords_take_the_same_time", same_time),
        test("accounts::a_damaged_account_file_is_named_in_the_log", damaged),
        test("accounts::two_hundred_attempts_at_once_are_all_answered", crowd),
        test("accounts::wrong_passwords_count_over_both_factors", failures_of_both_factors),
        test("accounts::no_password_reaches_the_log", secrets_in_the_log),
        needs_program("accounts::the_wizard_leads_to_a_download", "script", wizard),
        needs_program("accounts::unattended_setup_leads_to_a_download", "curl", unattended),
        test("accounts::setup_demands_tls_and_passes_its_own_check", unattended_with_tls),
    ]
}

/// Name of the test that runs in a mount namespace of its own.
const SYSTEM_USER: &str = "accounts::a_system_user_logs_in_with_exactly_his_groups";
/// Set in the copy of this program that runs in the namespace.
const INSIDE: &str = "BULKHEAD_TEST_INSIDE";

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

/// The code of a secret now, at least ten seconds before it changes.
fn code(secret: &str) -> String {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    while now() % 30 > 20 {
        std::thread::sleep(Duration::from_millis(200));
    }
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build().unwrap().generate(now()).to_string()
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
    let right = code(&secret);
    let with = curl(&server, &user, &["--ftp-account", &right]);
    assert_eq!(with.stdout, b"behind two locks", "{with:?}");
    let again = curl(&server, &user, &["--ftp-account", &right]);
    assert!(!again.status.success() && again.stdout.is_empty(), "a code works once: {again:?}");
    server.expect_event("login-failed", |event| event["reason"] == "used-code");
}

fn curl_glued() {
    let (server, secret) = with_code();
    let glued = format!("alice:{}{}", server.account("alice").password, code(&secret));
    assert_eq!(curl(&server, &glued, &[]).stdout, b"behind two locks");
    assert!(!curl(&server, &glued, &[]).status.success(), "a code works once");
}

fn lftp_glued() {
    let (server, secret) = with_code();
    let glued = format!("{}{}", server.account("alice").password, code(&secret));
    let script = format!(
        "set ftp:ssl-allow no; set net:max-retries 1; open -u alice,{glued} -p {} 127.0.0.1; cat file",
        server.address().port()
    );
    let output = Command::new("lftp").args(["-c", &script]).output().unwrap();
    assert_eq!(output.stdout, b"behind two locks", "{output:?}");
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
    let right = code(&secret);
    assert_eq!(with_acct(&mut server.connect(), &password, &right), 230);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    server.launch();
    assert_eq!(with_acct(&mut server.connect(), &password, &right), 530);
}

fn simultaneous_code() {
    let (server, secret) = with_code();
    let password = server.account("alice").password.clone();
    let right = code(&secret);
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
    let most = server.processes_of("authenticator").len();
    assert!(most <= 5, "{most} authenticators at once");
    for (index, client) in clients.iter_mut().enumerate() {
        let code = client.reply().unwrap().code;
        let right = index % 20 == 0;
        assert!(code == if right { 230 } else { 530 } || code == 421, "{index}: {code}");
    }
    drop(clients);
    server.expect_idle();
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
    let right = code(&secret);
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

/// Waits until what a terminal shows contains each question, and types the answer.
struct Terminal {
    child: std::process::Child,
    shown: std::sync::mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn start(command: &str) -> Terminal {
        let mut child = Command::new("script")
            .args(["-qec", command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (send, shown) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = stdout.read(&mut buffer) {
                if send.send(buffer[..got].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, shown, text: String::new() }
    }

    fn wait_for(&mut self, question: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.text.contains(question) {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = self.shown.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|e| panic!("no {question:?} ({e}):\n{}", self.text));
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn answer(&mut self, question: &str, answer: &str) {
        self.wait_for(question);
        self.text.clear();
        self.press(answer);
    }

    /// Types as a person does: after the question has settled. What comes while the terminal is
    /// between two of its modes is lost on a busy machine.
    fn press(&mut self, keys: &str) {
        std::thread::sleep(Duration::from_millis(300));
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }
}

fn wizard() {
    let mut server = Server::new();
    let root = server.path("served");
    let config = server.path("bulkhead.toml");
    let bulkhead = server.binaries.join("bulkhead");
    let mut terminal =
        Terminal::start(&format!("{} --config {} setup", bulkhead.display(), config.display()));
    terminal.answer("Directory to serve", &format!("{}\r", root.display()));
    terminal.answer("Address to listen on", "\r");
    terminal.answer("Port", "0\r");
    terminal.answer("Read-only", "n");
    // Arrow down twice: no TLS, so that the client of this test needs none.
    terminal.answer("TLS:", "\x1b[B");
    terminal.press("\x1b[B");
    terminal.press("\r");
    terminal.answer("Name of the first account", "files\r");
    if is_root() {
        terminal.answer("System user", "no-such-user-here\r");
        terminal.answer("there is no such user", "20778\r");
    }
    terminal.answer("one-time code", "n");
    terminal.answer("I2FTP", "n");
    terminal.answer("Log:", "\r");
    terminal.answer("Write it?", "y");
    terminal.answer("Password:", "from the wizard\r");
    terminal.answer("The same again:", "from the wizard\r");
    terminal.wait_for("Start the server:");
    assert!(terminal.child.wait().unwrap().success());
    fs::write(root.join("file"), "set up").unwrap();
    fs::set_permissions(root.join("file"), PermissionsExt::from_mode(0o644)).unwrap();
    // What the harness reads the address from, below what the wizard has written.
    let mut text = fs::read_to_string(&config).unwrap();
    text.push_str(&format!("format = \"json\"\nfile = {:?}\n", server.path("log")));
    server.launch_with(&text);
    let mut control = server.connect();
    control.command("USER files", 331);
    control.command("PASS from the wizard", 230);
    control.command("TYPE I", 200);
    assert_eq!(control.download("RETR file"), b"set up");
}

fn unattended() {
    let mut server = Server::new();
    let root = server.path("served");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "set up").unwrap();
    let mut arguments = vec!["setup", "--yes", "--port", "0", "--account", "files", "--read-only"];
    arguments.extend(["--password-stdin", "--tls", "none", "--root"]);
    arguments.push(root.to_str().unwrap());
    if is_root() {
        arguments.extend(["--owner", "20779"]);
    }
    let output = server.bulkhead_with_input(&arguments, b"unattended pw\n");
    assert!(output.status.success(), "{output:?}");
    let again = server.bulkhead_with_input(&arguments, b"unattended pw\n");
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("--overwrite"), "{said}");
    let mut text = fs::read_to_string(server.path("bulkhead.toml")).unwrap();
    text.push_str(&format!("format = \"json\"\nfile = {:?}\n", server.path("log")));
    server.launch_with(&text);
    let output = curl(&server, "files:unattended pw", &[]);
    assert_eq!(output.stdout, b"set up", "{output:?}");
}

/// By default the wizard makes a certificate and demands TLS, and `check` finds nothing wrong.
fn unattended_with_tls() {
    let server = Server::new();
    let root = server.path("served");
    let root = root.to_str().unwrap();
    let mut arguments = vec!["setup", "--yes", "--port", "0", "--names", "localhost"];
    arguments.extend(["--account", "files", "--password-stdin", "--i2ftp", "--root", root]);
    if is_root() {
        arguments.extend(["--owner", "20779"]);
    }
    let output = server.bulkhead_with_input(&arguments, b"unattended pw\n");
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let written = fs::read_to_string(server.path("bulkhead.toml")).unwrap();
    assert!(written.contains("require = \"control+data\""), "{written}");
    let key = written.lines().find_map(|line| line.strip_prefix("key_hex = ")).unwrap();
    assert!(!shown.contains(key) && shown.contains("--ssl-reqd"), "{shown}");
    let check = server.bulkhead(&["check"]);
    assert!(check.status.success(), "{check:?}");
}

/// A system user with a shadow entry logs in through PAM. The user exists only in a copy of /etc
/// that is mounted over the real one in a namespace of this test.
fn system_user() {
    if std::env::var_os(INSIDE).is_none() {
        let scratch = tempfile::tempdir().unwrap();
        let script = "cp -a /etc/. \"$1\" && mount --bind \"$1\" /etc && shift && exec \"$@\"";
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(scratch.path())
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", SYSTEM_USER])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "in its namespace:\n{said}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(home.path().join("file"), "at home").unwrap();
    chown(home.path(), Some(4801), Some(4802)).unwrap();
    let append = |file: &str, line: &str| {
        let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    };
    append("/etc/passwd", &format!("sharer:x:4801:4802::{}:/bin/sh\n", home.path().display()));
    // crypt(3) of "password", yescrypt.
    append(
        "/etc/shadow",
        "sharer:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC:19000:0:99999:7:::\n",
    );
    append("/etc/group", "sharer:x:4802:\nsharers:x:4803:sharer\nothers:x:4804:root\n");
    fs::write("/etc/shells", "/bin/sh\n").unwrap();
    fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n").unwrap();
    fs::write(
        "/etc/pam.d/bulkhead",
        "auth required pam_unix.so nodelay\naccount required pam_unix.so\n",
    )
    .unwrap();
    let server =
        Server::new().with("auth.backends", "[\"file\", \"pam\"]").with_account("alice", &[]).run();
    drop(server.log_in("alice"));
    let mut control = server.connect();
    control.command("USER sharer", 331);
    control.command("PASS passwore", 530);
    control.command("USER sharer", 331);
    control.command("PASS password", 230);
    control.command("TYPE I", 200);
    assert_eq!(control.download("RETR file"), b"at home");
    let session = eventually("the session", || {
        server.processes_of("session").into_iter().find(|one| one.ids("Uid").first() == Some(&4801))
    });
    assert_eq!(session.ids("Uid"), [4801; 4]);
    assert_eq!(session.ids("Gid"), [4802; 4]);
    assert_eq!(session.ids("Groups"), [4803]);
}

/// The medians of both are compared; `cargo test -- --nocapture` shows them. Samples alternate, so
/// that a busy machine slows both down alike.
fn same_time() {
    const SAMPLES: usize = 61;
    let server = Server::new().with("auth.failure_delay", "0").with_account("alice", &[]).run();
    let time = |user: &str| {
        let mut control = server.connect();
        control.command(&format!("USER {user}"), 331);
        let start = Instant::now();
        control.command("PASS wrong", 530);
        start.elapsed()
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for index in 0..SAMPLES {
        let stranger = format!("stranger-{index}");
        if index % 2 == 0 {
            known.push(time("alice"));
            unknown.push(time(&stranger));
        } else {
            unknown.push(time(&stranger));
            known.push(time("alice"));
        }
    }
    known.sort();
    unknown.sort();
    let (known, unknown) = (known[SAMPLES / 2], unknown[SAMPLES / 2]);
    println!("wrong password {known:?}, unknown name {unknown:?}");
    let off = known.abs_diff(unknown).as_secs_f64() / known.as_secs_f64();
    // A name that is told by its time differs by the whole of a hash; a busy machine by less.
    assert!(off < 0.25, "wrong password {known:?}, unknown name {unknown:?}");
}
