//! `bulkhead setup`, at a terminal and without one, from its first question to a download.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{
    PATIENCE, Server, eventually, is_root, needs_program, needs_root, test,
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub fn tests() -> Vec<Trial> {
    vec![
        needs_program("setup::the_wizard_leads_to_a_download", "script", wizard),
        needs_program("setup::the_wizard_leads_to_a_download_over_tls", "script", wizard_with_tls),
        needs_program("setup::unattended_setup_leads_to_a_download", "curl", unattended),
        needs_program("setup::unattended_setup_demands_tls_by_default", "curl", unattended_tls),
        test("setup::what_cannot_work_is_refused_before_anything_is_written", refused),
        test(
            "setup::c9_a_setup_that_fails_writes_nothing_and_its_exit_code_says_so",
            all_or_nothing,
        ),
        needs_root("setup::b14_the_wizard_serves_neither_the_host_nor_the_files_of_nobody", unfit),
    ]
}

/// Waits until what a terminal shows contains each question, and types the answer.
struct Terminal {
    child: Child,
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
        let deadline = Instant::now() + PATIENCE;
        while !self.text.contains(question) {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = self.shown.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|e| panic!("no {question:?} ({e}):\n{}", self.text));
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// What it has shown since the last answer, to its end.
    fn rest(mut self) -> String {
        while let Ok(bytes) = self.shown.recv_timeout(PATIENCE) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.text
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
    terminal.answer("Read-only", "n\r");
    // Arrow down twice: no TLS, so that the client of this test needs none.
    terminal.answer("TLS:", "\x1b[B");
    terminal.press("\x1b[B");
    terminal.press("\r");
    terminal.answer("Name of the first account", "files\r");
    if is_root() {
        terminal.answer("System user", "no-such-user-here\r");
        terminal.answer("there is no such user", "20778\r");
    }
    terminal.answer("one-time code", "n\r");
    terminal.answer("I2FTP", "n\r");
    terminal.answer("Log:", "\r");
    terminal.answer("Write it?", "y\r");
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

/// A server started by the line the wizard has printed.
struct Started {
    child: Child,
}

impl Started {
    fn by(line: &str, server: &Server) -> Started {
        let path = std::env::var("PATH").unwrap_or_default();
        let log = server.path("terminal");
        let child = Command::new("sh")
            .args(["-c", &format!("exec {line}")])
            .env("PATH", format!("{}:{path}", server.binaries.display()))
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut started = Started { child };
        eventually("the server to serve", || {
            let said = fs::read_to_string(&log).unwrap();
            let status = started.child.try_wait().unwrap();
            assert!(status.is_none(), "the server ended: {said}");
            said.contains("event=\"serving\"").then_some(())
        });
        started
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

/// The line below a heading of what the wizard prints at its end.
fn line_below<'a>(text: &'a str, heading: &str) -> &'a str {
    let below = text.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading:?}: {text}"));
    below.lines().nth(1).unwrap().trim()
}

/// A port nobody listens on at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// At a terminal with what is offered: a certificate is made and TLS demanded. Then the two lines the
/// wizard ends with are typed as they stand.
fn wizard_with_tls() {
    let server = Server::new();
    let root = server.path("served");
    let config = server.path("bulkhead.toml");
    let port = free_port();
    let bulkhead = server.binaries.join("bulkhead");
    let mut terminal =
        Terminal::start(&format!("{} --config {} setup", bulkhead.display(), config.display()));
    terminal.answer("Directory to serve", &format!("{}\r", root.display()));
    terminal.answer("Address to listen on", "\r");
    terminal.answer("Port", &format!("{port}\r"));
    terminal.answer("Read-only", "y\r");
    terminal.answer("TLS:", "\r");
    terminal.answer("Names the certificate is for", "localhost,127.0.0.1\r");
    terminal.answer("Name of the first account", "files\r");
    if is_root() {
        terminal.answer("System user", "20778\r");
    }
    terminal.answer("one-time code", "n\r");
    terminal.answer("I2FTP", "n\r");
    terminal.answer("Log:", "\r");
    terminal.answer("Write it?", "y\r");
    terminal.answer("Password:", "from the wizard\r");
    terminal.answer("The same again:", "from the wizard\r");
    terminal.wait_for("ftp://127.0.0.1");
    assert!(terminal.child.wait().unwrap().success());
    let said = terminal.rest();
    let start = line_below(&said, "Start the server:").to_owned();
    let list = line_below(&said, "Then a client lists the files with:").to_owned();
    fs::write(root.join("set-up-file"), "set up over TLS").unwrap();
    fs::set_permissions(root.join("set-up-file"), PermissionsExt::from_mode(0o644)).unwrap();

    let _started = Started::by(&start, &server);
    let mut client = Terminal::start(&list);
    client.answer("password", "from the wizard\r");
    client.wait_for("set-up-file");
    assert!(client.child.wait().unwrap().success());
    // The same for the file, and with the certificate looked at.
    let get = format!(
        "{list}set-up-file --silent --cacert {}",
        server.path("tls/certificate.pem").display()
    );
    let mut client = Terminal::start(&get.replace("--insecure ", ""));
    client.answer("password", "from the wizard\r");
    client.wait_for("set up over TLS");
    assert!(client.child.wait().unwrap().success());
    let mut plain = Terminal::start(&list.replace("--ssl-reqd --insecure ", ""));
    plain.answer("password", "from the wizard\r");
    assert!(!plain.child.wait().unwrap().success(), "TLS is demanded");
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
    let url = format!("ftp://{}/file", server.address());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20"]);
    let output = curl.args(["--user", "files:unattended pw", &url]).output().unwrap();
    assert_eq!(output.stdout, b"set up", "{output:?}");
}

/// By default setup makes a certificate and demands TLS, `check` finds nothing wrong, and a client that
/// trusts the certificate gets its file.
fn unattended_tls() {
    let server = Server::new();
    let root = server.path("served");
    let port = free_port().to_string();
    let mut arguments = vec!["setup", "--yes", "--port", &port, "--names", "localhost,127.0.0.1"];
    arguments.extend(["--account", "files", "--password-stdin", "--root", root.to_str().unwrap()]);
    if is_root() {
        arguments.extend(["--owner", "20779"]);
    }
    let output = server.bulkhead_with_input(&arguments, b"unattended pw\n");
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let written = fs::read_to_string(server.path("bulkhead.toml")).unwrap();
    assert!(written.contains("require = \"control+data\""), "{written}");
    let key = server.path("tls/private_key.pem");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o077, 0);
    let check = server.bulkhead(&["check"]);
    assert!(check.status.success(), "{check:?}");
    fs::write(root.join("file"), "set up").unwrap();
    fs::set_permissions(root.join("file"), PermissionsExt::from_mode(0o644)).unwrap();
    let _started = Started::by(line_below(&shown, "Start the server:"), &server);
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--user"]);
        curl.args(["files:unattended pw", &format!("ftp://127.0.0.1:{port}/file")]);
        curl.args(more).output().unwrap()
    };
    let certificate = server.path("tls/certificate.pem");
    let with = curl(&["--ssl-reqd", "--cacert", certificate.to_str().unwrap()]);
    assert_eq!(with.stdout, b"set up", "{with:?}");
    assert!(!curl(&[]).status.success(), "TLS is demanded");
}

/// Flags that contradict each other or the host; the key of I2FTP, which is not shown.
fn refused() {
    let server = Server::new();
    let root = server.path("served");
    let base = ["setup", "--yes", "--port", "0", "--root", root.to_str().unwrap()];
    let run = |more: &[&str], input: &[u8]| {
        let output = server.bulkhead_with_input(&[&base[..], more].concat(), input);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let owner: &[&str] = if is_root() { &["--owner", "20779"] } else { &[] };
    let with = |more: &[&'static str]| [owner, &["--password-stdin"], more].concat();
    let of_root = ["--password-stdin", "--owner", "root"].to_vec();
    for (more, input, word) in [
        (with(&["--account", "anonymous"]), "pw\n", "anonymous"),
        (with(&["--account", "a\u{1}b"]), "pw\n", "control character"),
        (with(&["--tls", "none"]), "\n", "empty"),
        (with(&["--tls", "own"]), "pw\n", "Certificate chain"),
        (
            with(&["--certificate", "/nonexistent", "--private-key", "/nonexistent"]),
            "pw\n",
            "cannot be read",
        ),
        (of_root, "pw\n", "uid or gid 0"),
        (with(&["--tls", "none", "--require", "control"]), "pw\n", "--tls own"),
    ] {
        let (done, said) = run(&more, input.as_bytes());
        assert!(!done && said.contains(word), "{more:?}: {said}");
        assert!(!server.path("bulkhead.toml").exists() && !root.exists(), "{more:?}: {said}");
    }
    let (done, said) = run(&with(&["--tls", "none", "--i2ftp"]), b"pw\n");
    assert!(done, "{said}");
    let written = fs::read_to_string(server.path("bulkhead.toml")).unwrap();
    let key = written.lines().find_map(|line| line.strip_prefix("key_hex = ")).unwrap();
    assert!(!said.contains(key.trim_matches('"')), "{said}");
    // What a client has to be told, and that its words travel in the clear.
    assert!(written.contains("[i2ftp]\nenabled = true"), "{written}");
    for words in ["127.0.0.1:26842, without TLS", "version 2.2", "key_hex in"] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
}

/// `bulkhead setup --yes` with these words, a password, and an owner where one is needed.
fn set_up(server: &Server, root: &std::path::Path, more: &[&str]) -> (Option<i32>, String) {
    let owner: &[&str] = if is_root() { &["--owner", "20779"] } else { &[] };
    let base = ["setup", "--yes", "--password-stdin", "--root", root.to_str().unwrap()];
    let output = server.bulkhead_with_input(&[&base[..], owner, more].concat(), b"pw\n");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// What there is in the scratch directory, with the bytes of its files.
fn contents(server: &Server) -> Vec<(std::ffi::OsString, Option<Vec<u8>>)> {
    let entries = fs::read_dir(server.scratch.path()).unwrap();
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), fs::read(entry.path()).ok()))
        .collect();
    all.sort();
    all
}

fn all_or_nothing() {
    let server = Server::new();
    let root = server.path("served");
    let before = contents(&server);
    // The directory is made, and then the certificate cannot be.
    let (code, said) = set_up(&server, &root, &["--port", "0", "--names", "\u{e4}"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(contents(&server), before, "{said}");
    let file = server.path("file");
    fs::write(&file, "x").unwrap();
    let before = contents(&server);
    let (code, said) = set_up(&server, &file, &["--port", "0", "--tls", "none"]);
    assert!(code == Some(1) && said.contains("no directory"), "{said}");
    assert_eq!(contents(&server), before, "{said}");
    // Everything is written, and the server could not start: somebody listens there.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, said) = set_up(&server, &root, &["--port", &port, "--tls", "none"]);
    assert!(code == Some(1) && said.contains("error:"), "{code:?} {said}");
    assert!(server.path("bulkhead.toml").exists() && root.is_dir(), "{said}");
    // Once more: the account is there already, and the old configuration stays as it is.
    let before = contents(&server);
    let (code, said) = set_up(&server, &root, &["--port", "0", "--overwrite"]);
    assert!(code == Some(1) && said.contains("has an account files already"), "{said}");
    assert_eq!(contents(&server), before, "{said}");
    let (code, said) = set_up(
        &server,
        &root,
        &["--port", "0", "--overwrite", "--account", "more", "--tls", "none"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(server.path("bulkhead.toml.old").exists());
}

fn unfit() {
    let server = Server::new();
    let before = contents(&server);
    for (root, why) in
        [("/", "the whole host"), ("/proc", "is the kernel's"), ("/sys/fs", "kernel's")]
    {
        let (code, said) = set_up(&server, root.as_ref(), &["--port", "0", "--tls", "none"]);
        assert!(code == Some(1) && said.contains(why), "{root}: {said}");
    }
    let root = server.path("served");
    let base =
        ["setup", "--yes", "--password-stdin", "--port", "0", "--root", root.to_str().unwrap()];
    for owner in [&["--owner", "nobody"][..], &["--owner", "65534"], &[]] {
        let output = server.bulkhead_with_input(&[&base[..], owner].concat(), b"pw\n");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let own = owner.is_empty() && said.contains("bulkhead-files");
        let nobody = said.contains("is whom daemons without a user of their own run as");
        // Where the package is installed there is a user bulkhead-files.
        let installed = owner.is_empty() && output.status.success();
        assert!(installed || (!output.status.success() && (own || nobody)), "{owner:?}: {said}");
        if !installed {
            assert_eq!(contents(&server), before, "{said}");
        }
    }
}
