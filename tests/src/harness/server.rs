//! A running server in a scratch directory of its own.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Account, ControlConnection, KeyPair, Process, Settings, dist, eventually, log_schema};

/// First uid that is given to an account under test; nobody on the machine has it.
const FIRST_UID: u32 = 20_001;

/// A server, its scratch directory and its accounts. Dropped, it ends and leaves nothing behind.
pub struct Server {
    /// Everything the server reads and writes.
    pub scratch: TempDir,
    /// Its accounts, in the order they were asked for.
    pub accounts: Vec<Account>,
    /// Its configuration.
    pub settings: Settings,
    /// Where its binaries are.
    pub binaries: PathBuf,
    /// Words in front of its command line: a program that prepares something and becomes the server.
    pub under: Vec<String>,
    child: Option<Child>,
    address: Option<SocketAddr>,
}

impl Server {
    /// A server that does not run yet.
    pub fn new() -> Server {
        let scratch = TempDir::with_prefix("bulkhead-test-").unwrap();
        // Sessions reach the roots of their accounts through it, each under its own uid.
        fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir(scratch.path().join("state")).unwrap();
        let settings = Settings::for_tests(scratch.path());
        let accounts = Vec::new();
        let under = Vec::new();
        Server { scratch, accounts, settings, binaries: dist(), under, child: None, address: None }
    }

    /// A running server with one account that may do everything, `alice`.
    pub fn start() -> Server {
        Server::new().with_account("alice", &[]).run()
    }

    /// Sets a key of the configuration to a value written as TOML.
    pub fn with(mut self, key: &str, value: &str) -> Server {
        self.settings.set(key, value);
        self
    }

    /// TLS, with a certificate for `localhost` and 127.0.0.1.
    pub fn with_tls(self) -> Server {
        let names = ["localhost", "127.0.0.1"];
        let pair = KeyPair::for_server(self.scratch.path(), "server", &names);
        self.with_certificates(&[&pair])
    }

    /// TLS with these certificates, the default first.
    pub fn with_certificates(self, pairs: &[&KeyPair]) -> Server {
        let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
        let certificates = pairs.iter().map(|pair| pair.certificate_toml()).collect();
        let keys = pairs.iter().map(|pair| pair.key_toml()).collect();
        self.with("tls.certificate", &list(certificates)).with("tls.private_key", &list(keys))
    }

    /// TLS from the first byte as well, on a port of its own: see [`Server::implicit_address`].
    pub fn with_implicit_tls(self) -> Server {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.with_tls().with("tls.implicit_port", &free.to_string())
    }

    /// Adds an account with `bulkhead user add` and these further arguments, such as `--read-only`.
    pub fn with_account(mut self, name: &str, arguments: &[&str]) -> Server {
        let uid = FIRST_UID + u32::try_from(self.accounts.len()).unwrap();
        let account = Account::make(self.scratch.path(), name, uid);
        self.write_configuration();
        let root = account.root.to_str().unwrap().to_owned();
        let mut command = vec!["user", "add", name, "--root", &root, "--password-stdin"];
        command.extend_from_slice(arguments);
        let added = self.bulkhead_with_input(&command, account.password.as_bytes());
        assert!(added.status.success(), "user add: {added:?}");
        self.accounts.push(account);
        self
    }

    /// Makes a certificate for `localhost` and configures TLS with it.
    pub fn with_certificate(self) -> Server {
        self.write_configuration();
        let directory = self.path("tls");
        fs::create_dir(&directory).unwrap();
        let place = directory.to_str().unwrap();
        let made = self.bulkhead(&["certificate", "--directory", place, "localhost"]);
        assert!(made.status.success(), "{made:?}");
        self.with("tls.certificate", &format!("{:?}", directory.join("certificate.pem")))
            .with("tls.private_key", &format!("{:?}", directory.join("private_key.pem")))
    }

    /// Starts the server and waits until it listens.
    pub fn run(mut self) -> Server {
        self.launch();
        self
    }

    /// Starts the server (again) and waits until it listens.
    pub fn launch(&mut self) {
        self.launch_with(&self.settings.text());
    }

    /// As [`Server::launch`], with a configuration of somebody else's. It must log as JSON to `log`.
    pub fn launch_with(&mut self, configuration: &str) {
        if let Err(status) = self.try_launch_with(configuration) {
            let said = fs::read_to_string(self.path("stderr")).unwrap_or_default();
            let logged = fs::read_to_string(self.path("log")).unwrap_or_default();
            panic!("the server ended ({status}): {said}\n{logged}");
        }
    }

    /// Starts a server that may refuse to serve.
    ///
    /// # Errors
    /// How it ended.
    pub fn try_launch(&mut self) -> Result<(), ExitStatus> {
        self.try_launch_with(&self.settings.text())
    }

    fn try_launch_with(&mut self, configuration: &str) -> Result<(), ExitStatus> {
        fs::write(self.path("bulkhead.toml"), configuration).unwrap();
        let before = self.events("serving").len();
        let stderr = fs::File::create(self.path("stderr")).unwrap();
        let program = self.binaries.join("bulkhead");
        let mut words = self.under.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("--config").arg(self.path("bulkhead.toml")).arg("serve");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        self.child = Some(eventually("a program that nobody writes to any more", || {
            match command.spawn() {
                // Another test has forked while this one copied the program.
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
                other => Some(other.unwrap_or_else(|e| panic!("{}: {e}", program.display()))),
            }
        }));
        let listening = eventually("the server to listen or to end", || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                return Some(Err(status));
            }
            let serving = self.events("serving");
            let listening = serving.get(before)?.get("listening")?.as_str()?;
            listening.split_whitespace().next()?.parse().ok().map(Ok)
        });
        if listening.is_err() {
            self.child = None;
        }
        self.address = Some(listening?);
        Ok(())
    }

    /// A path in the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Where the server listens; the first address when there are several.
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// Where the server speaks TLS from the first byte: behind the port of FTP.
    pub fn implicit_address(&self) -> SocketAddr {
        let serving = self.events("serving");
        let listening = serving.last().unwrap().get("listening").unwrap().as_str().unwrap();
        listening.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The account of a name.
    pub fn account(&self, name: &str) -> &Account {
        self.accounts.iter().find(|account| account.name == name).unwrap()
    }

    /// A client that has connected and been greeted.
    pub fn connect(&self) -> ControlConnection {
        let mut control = ControlConnection::connect(self.address());
        control.expect(220);
        control
    }

    /// A client that has logged in to an account.
    pub fn log_in(&self, name: &str) -> ControlConnection {
        ControlConnection::log_in(self.address(), self.account(name))
    }

    /// Runs `bulkhead --config FILE ARGUMENTS` to its end.
    pub fn bulkhead(&self, arguments: &[&str]) -> Output {
        self.bulkhead_with_input(arguments, b"")
    }

    /// Runs `bulkhead --config FILE ARGUMENTS` with an input.
    pub fn bulkhead_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(self.binaries.join("bulkhead"))
            .arg("--config")
            .arg(self.path("bulkhead.toml"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may have ended already.
        child.stdin.take().unwrap().write_all(input).ok();
        child.wait_with_output().unwrap()
    }

    /// Writes the configuration file as it stands.
    pub fn write_configuration(&self) {
        fs::write(self.path("bulkhead.toml"), self.settings.text()).unwrap();
    }

    /// The process id of the supervisor.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id()).unwrap()
    }

    /// The supervisor's children.
    pub fn processes(&self) -> Vec<Process> {
        Process::children_of(self.pid())
    }

    /// The supervisor's children whose command line has this word, such as `gate` or `helper`.
    pub fn processes_of(&self, word: &str) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.command.contains(word)).collect()
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits until the supervisor has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        eventually("the server to end", || child.try_wait().unwrap())
    }

    /// The events of the log, in order.
    pub fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The events of one kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let is_kind = |event: &Value| event.get("event").and_then(Value::as_str) == Some(kind);
        self.log().into_iter().filter(is_kind).collect()
    }

    /// Waits for an event of this kind that satisfies `condition`.
    pub fn expect_event(&self, kind: &str, condition: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("an event {kind} in {}", self.path("log").display()), || {
            self.events(kind).into_iter().find(&condition)
        })
    }

    /// The numbers of `bulkhead status --json`.
    pub fn status(&self) -> Value {
        let output = self.bulkhead(&["status", "--json"]);
        assert!(output.status.success(), "status: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until nobody is connected.
    pub fn expect_idle(&self) {
        eventually("all connections to be uncounted", || {
            let status = self.status();
            (status.get("connections")? == 0 && status.get("sessions")? == 0).then_some(())
        });
    }
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        self::terminate(&mut child);
        if !std::thread::panicking() {
            log_schema::hold(&self.log());
        } else {
            show("stderr", &self.scratch.path().join("stderr"));
            show("log", &self.scratch.path().join("log"));
        }
    }
}

/// Ends a server: politely, then by force.
fn terminate(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().ok();
    child.wait().ok();
}

/// Shows the end of a file of a failed test.
fn show(what: &str, path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(40));
    eprintln!("--- {what} of the server");
    for line in last {
        eprintln!("{line}");
    }
}
