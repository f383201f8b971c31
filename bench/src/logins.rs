//! `cargo xtask bench logins`: whether the time of a refusal tells an unknown name from a wrong
//! password.
//!
//! Attempts with an unknown name and with a wrong password alternate, so that a busy machine slows
//! both down alike. The server has no `failure_delay`, which would hide the work behind a pause: what
//! is compared is the judgement itself.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use xtask::command::{Done, is_root, make_directory, run as run_command, target};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far apart the medians may be.
const GOAL: f64 = 0.05;

/// Attempts of each kind.
const ATTEMPTS: usize = 200;

/// Runs the benchmark and prints both distributions.
///
/// # Errors
/// When the server cannot be started, answers out of turn, or the medians are too far apart.
#[allow(clippy::print_stdout, reason = "the table is what the command is for")]
pub fn run(binaries: &Path) -> Done<()> {
    let server = Server::start(binaries)?;
    // The first ones find cold caches.
    for _ in 0..5 {
        server.refusal("known")?;
        server.refusal("stranger")?;
    }
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for index in 0..ATTEMPTS {
        let stranger = format!("stranger-{index}");
        if index % 2 == 0 {
            wrong.push(server.refusal("known")?);
            unknown.push(server.refusal(&stranger)?);
        } else {
            unknown.push(server.refusal(&stranger)?);
            wrong.push(server.refusal("known")?);
        }
    }
    println!("| milliseconds | min | p25 | median | p75 | max |\n|---|---|---|---|---|---|");
    let wrong = print("wrong password", wrong);
    let unknown = print("unknown name", unknown);
    let ratio = unknown / wrong;
    println!("\nratio of the medians: {ratio:.3} ({ATTEMPTS} attempts of each kind)");
    if (ratio - 1.0).abs() > GOAL {
        return Err(format!("the medians are more than {:.0} % apart", GOAL * 100.0));
    }
    Ok(())
}

/// Prints a distribution, and returns its median.
#[allow(clippy::print_stdout, reason = "the table is what the command is for")]
fn print(name: &str, mut times: Vec<Duration>) -> f64 {
    times.sort();
    let at = |part: usize| {
        let index = times.len().saturating_sub(1) * part / 4;
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    let [min, p25, median, p75, max] = [0, 1, 2, 3, 4].map(at);
    println!("| {name} | {min:.2} | {p25:.2} | {median:.2} | {p75:.2} | {max:.2} |");
    median
}

/// A server with one account, `known`, in a directory of its own.
struct Server {
    child: Child,
    directory: PathBuf,
    address: SocketAddr,
}

impl Server {
    fn start(binaries: &Path) -> Done<Server> {
        let directory = target().join(format!("bench-logins-{}", std::process::id()));
        make_directory(&directory.join("files"))?;
        let text = |e: std::io::Error| format!("{}: {e}", directory.display());
        let configuration = directory.join("bulkhead.toml");
        let settings = "listen_port = 0\nmax_conns_per_ip = 0\ncontrol_socket = \"control.sock\"\n\
             state_directory = \"state\"\n[auth]\nusers_file = \"users.toml\"\n\
             failure_delay = 0\n[penalties]\nenabled = false\n\
             [log]\nformat = \"json\"\nlevel = \"info\"\nfile = \"log\"\n";
        fs::write(&configuration, settings).map_err(text)?;
        let bulkhead = |arguments: &[&str]| {
            let mut command = Command::new(binaries.join("bulkhead"));
            command.arg("--config").arg(&configuration).args(arguments);
            command
        };
        let password = directory.join("password");
        fs::write(&password, "the right one\n").map_err(text)?;
        let mut add = bulkhead(&["user", "add", "known", "--password-stdin", "--root"]);
        add.arg(directory.join("files")).stdin(fs::File::open(&password).map_err(text)?);
        if is_root()? {
            add.args(["--uid", "20001", "--gid", "20001"]);
        }
        run_command(add.stdout(Stdio::null()))?;
        let mut serve = bulkhead(&["serve"]);
        let child = serve.stdin(Stdio::null()).spawn().map_err(|e| format!("{serve:?}: {e}"))?;
        let mut server =
            Server { child, directory, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        server.address = server.listening()?;
        Ok(server)
    }

    /// Waits until the log says where it listens.
    fn listening(&mut self) -> Done<SocketAddr> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            let place = log
                .lines()
                .find_map(|line| line.split("\"listening\":\"").nth(1)?.split('"').next());
            if let Some(address) = place.and_then(|place| place.parse().ok()) {
                return Ok(address);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended: {status}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not listen".to_owned())
    }

    /// From the password to the refusal, on a connection of its own.
    fn refusal(&self, user: &str) -> Done<Duration> {
        let text = |e: std::io::Error| e.to_string();
        let stream = TcpStream::connect(self.address).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        let mut control = BufReader::new(stream);
        expect(&mut control, "220")?;
        write!(control.get_mut(), "USER {user}\r\n").map_err(text)?;
        expect(&mut control, "331")?;
        let begun = Instant::now();
        control.get_mut().write_all(b"PASS a wrong one\r\n").map_err(text)?;
        expect(&mut control, "530")?;
        Ok(begun.elapsed())
    }
}

fn expect(control: &mut BufReader<TcpStream>, code: &str) -> Done<()> {
    loop {
        let mut line = String::new();
        control.read_line(&mut line).map_err(|e| format!("no {code}: {e}"))?;
        if !line.starts_with(code) {
            return Err(format!("{line:?} instead of {code}"));
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            return Ok(());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Everything it has started ends with it.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}
