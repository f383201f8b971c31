//! `cargo xtask bench i2ftp`: Bulkhead and the Python server of I2FTP, each with the Python client
//! and with a native load generator, plain and in secured mode. What counts is the server's CPU
//! time; the client's is not in it.

mod client;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{cgroup::Group, servers::free_port};
use client::Client;
use xtask::{
    command::{Done, make_directory},
    tools,
};

/// What is moved in a measurement.
const MIB: u64 = 256;
/// Its name beneath the root, and that of what is uploaded.
const DOWN: &str = "down";
const UP: &str = "up";
/// The key of the servers, as their configurations write it.
const KEY_HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// Who owns the files: nobody.
const OWNER: u32 = 65_534;

/// Which server.
#[derive(Clone, Copy)]
enum Kind {
    Bulkhead,
    Reference,
}

/// Which way a file goes.
#[derive(Clone, Copy)]
enum Way {
    Download,
    Upload,
}

/// Which client moves it.
#[derive(Clone, Copy)]
enum Load {
    Native,
    Python,
}

/// CPU seconds of the server and wall seconds, each for a GiB.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

/// Measures the rows whose names contain `rows` and prints the table, a line as soon as it is known.
///
/// # Errors
/// When the Python server cannot be installed, or a server does not serve.
#[allow(clippy::print_stdout, reason = "the table is what the command is for")]
pub fn run(binaries: &Path, rounds: u32, rows: &str) -> Done<()> {
    tools::provide_i2ftp_client()?;
    let scratch = Scratch::make()?;
    println!(
        "| I2FTP | bulkhead CPU s/GiB | reference CPU s/GiB | reference / bulkhead | \
         bulkhead wall s/GiB | reference wall s/GiB |\n|---|---|---|---|---|---|"
    );
    for secured in [false, true] {
        let bulkhead = Running::start(&scratch, binaries, Kind::Bulkhead, secured)?;
        let reference = Running::start(&scratch, binaries, Kind::Reference, secured)?;
        for load in [Load::Native, Load::Python] {
            for way in [Way::Download, Way::Upload] {
                let name = format!(
                    "{} {}, {} client",
                    if secured { "secured" } else { "plain" },
                    match way {
                        Way::Download => "download",
                        Way::Upload => "upload",
                    },
                    match load {
                        Load::Native => "native",
                        Load::Python => "Python",
                    }
                );
                if !name.contains(rows) {
                    continue;
                }
                let (mut own, mut other) = (Vec::new(), Vec::new());
                // The reference announces an RSA key of 1024 bits, which our library encrypts
                // nothing for.
                let both = !secured || matches!(load, Load::Python);
                for _ in 0..rounds {
                    own.push(bulkhead.measure(&scratch, load, way)?);
                    if both {
                        other.push(reference.measure(&scratch, load, way)?);
                    }
                }
                println!("{}", line(&name, median(own), both.then(|| median(other))));
            }
        }
    }
    Ok(())
}

fn line(name: &str, own: Cost, other: Option<Cost>) -> String {
    let shown = |number: Option<f64>| number.map_or("–".into(), |number| format!("{number:.2}"));
    format!(
        "| {name} | {} | {} | {} | {} | {} |",
        shown(Some(own.cpu)),
        shown(other.map(|other| other.cpu)),
        shown(other.map(|other| other.cpu / own.cpu)),
        shown(Some(own.wall)),
        shown(other.map(|other| other.wall)),
    )
}

fn median(costs: Vec<Cost>) -> Cost {
    let of = |number: fn(&Cost) -> f64| {
        let mut numbers: Vec<f64> = costs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Cost { cpu: of(|cost| cost.cpu), wall: of(|cost| cost.wall) }
}

/// The files, on tmpfs; removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Done<Scratch> {
        let scratch =
            Scratch(PathBuf::from(format!("{}{}", super::tree::PREFIX, std::process::id())));
        let root = scratch.root();
        make_directory(&root)?;
        let failed = |e: std::io::Error| format!("{}: {e}", root.display());
        fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o755)).map_err(failed)?;
        let mut file = fs::File::create(root.join(DOWN)).map_err(failed)?;
        let block: Vec<u8> =
            (0..1u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for _ in 0..MIB {
            file.write_all(&block).map_err(failed)?;
        }
        chown(&root, Some(OWNER), Some(OWNER)).map_err(failed)?;
        fs::write(scratch.0.join("load.py"), include_str!("i2ftp/load.py")).map_err(failed)?;
        Ok(scratch)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A Python with the client and the server of I2FTP, of the newest version.
fn python() -> Command {
    let place = tools::i2ftp_client();
    let path = format!("{}:{}", place.join("1.13.19").display(), place.join("shared").display());
    let mut python = Command::new(tools::PYTHON);
    python.args(["-s", "-u"]).env("PYTHONPATH", path);
    python
}

/// A server that runs.
struct Running {
    port: u16,
    group: Group,
    child: Child,
    /// The Python server ends when its input does.
    _input: Option<ChildStdin>,
}

impl Running {
    fn start(scratch: &Scratch, binaries: &Path, kind: Kind, secured: bool) -> Done<Running> {
        let port = free_port()?;
        let group = Group::make(match kind {
            Kind::Bulkhead => "i2ftp",
            Kind::Reference => "i2ftp-reference",
        })?;
        let mut command = match kind {
            Kind::Bulkhead => bulkhead(scratch, binaries, port, secured)?,
            Kind::Reference => reference(scratch, port, secured)?,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        // Before it serves anybody, so that all its processes are counted.
        fs::write(group.members_file(), child.id().to_string())
            .map_err(|e| format!("{}: {e}", group.members_file().display()))?;
        let input = child.stdin.take();
        let running = Running { port, group, child, _input: input };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err(format!("{command:?} does not listen"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        // The reference authenticates one client at a time, and this one has said nothing.
        thread::sleep(Duration::from_secs(match kind {
            Kind::Bulkhead => 1,
            Kind::Reference => 3,
        }));
        Ok(running)
    }

    /// Moves a file once.
    fn measure(&self, scratch: &Scratch, load: Load, way: Way) -> Done<Cost> {
        let mut cpu = 0.0;
        let started;
        match load {
            Load::Native => {
                let mut client = Client::log_in(self.port, KEY_HEX)?;
                let bytes = fs::read(scratch.root().join(DOWN)).map_err(|e| e.to_string())?;
                cpu -= self.group.cpu_seconds()?;
                started = Instant::now();
                match way {
                    Way::Download => client.download(DOWN, bytes.len())?,
                    Way::Upload => client.upload(UP, &bytes)?,
                }
            }
            Load::Python => {
                // In secured mode it may lose a race with itself, mostly on a busy machine.
                let log_in = || PythonClient::log_in(scratch, self.port, way);
                let mut client = log_in().or_else(|_| log_in()).or_else(|_| log_in())?;
                cpu -= self.group.cpu_seconds()?;
                started = Instant::now();
                client.go()?;
            }
        }
        let wall = started.elapsed().as_secs_f64();
        cpu += self.group.cpu_seconds()?;
        if let Way::Upload = way {
            let there = scratch.root().join(UP);
            let moved = fs::metadata(&there).map_err(|e| format!("{}: {e}", there.display()))?;
            if moved.len() != MIB << 20 {
                return Err(format!("{} has {} bytes", there.display(), moved.len()));
            }
            fs::remove_file(&there).map_err(|e| format!("{}: {e}", there.display()))?;
        }
        let gib = MIB as f64 / 1024.0;
        Ok(Cost { cpu: cpu / gib, wall: wall / gib })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group.end();
        drop(self.child.wait());
    }
}

fn bulkhead(scratch: &Scratch, binaries: &Path, port: u16, secured: bool) -> Done<Command> {
    let state = scratch.0.join(if secured { "bulkhead-secured" } else { "bulkhead" });
    make_directory(&state)?;
    let text = format!(
        "listen_port = 0\nmax_conns_per_ip = 0\ncontrol_socket = {:?}\nstate_directory = {state:?}\n\
         [auth]\nusers_file = {:?}\n[penalties]\nenabled = false\n[log]\nlevel = \"warn\"\n\
         [i2ftp]\nenabled = true\nlisten_port = {port}\nkey_hex = \"{KEY_HEX}\"\nroot = {:?}\n\
         secured = {secured}\n",
        state.join("control.sock"),
        state.join("users.toml"),
        scratch.root(),
    );
    let file = state.join("bulkhead.toml");
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut command = Command::new(binaries.join("bulkhead"));
    command.arg("--config").arg(file).arg("serve");
    Ok(command)
}

fn reference(scratch: &Scratch, port: u16, secured: bool) -> Done<Command> {
    let name = if secured { "reference-secured" } else { "reference" };
    let file = scratch.0.join(format!("{name}.json"));
    let text = format!(
        "{{\"root\": {:?}, \"port\": {port}, \"log_file\": {:?}, \"log_level\": \"WARNING\",\n\
         \"keychain\": \"{KEY_HEX}\", \"tls\": {secured}, \"read_only\": false}}\n",
        scratch.root(),
        scratch.0.join(format!("{name}.log")),
    );
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut command = python();
    command.args(["-m", "i2ftps.server", "-c"]).arg(file).arg("start");
    Ok(command)
}

/// The Python client, logged in and waiting for the word to begin.
struct PythonClient {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PythonClient {
    fn log_in(scratch: &Scratch, port: u16, way: Way) -> Done<PythonClient> {
        let mut command = python();
        command.arg(scratch.0.join("load.py")).args([&port.to_string(), KEY_HEX]);
        match way {
            Way::Download => command.args(["download", DOWN, "/dev/null"]),
            Way::Upload => command.args(["upload", UP]).arg(scratch.root().join(DOWN)),
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the client has no pipes".into());
        };
        let mut client = PythonClient { child, input, output: BufReader::new(output) };
        client.expect("ready")?;
        Ok(client)
    }

    fn go(&mut self) -> Done<()> {
        writeln!(self.input, "go").map_err(|e| format!("the Python client: {e}"))?;
        self.expect("done")
    }

    fn expect(&mut self, word: &str) -> Done<()> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|e| format!("the Python client: {e}"))?;
        if line.trim() == word { Ok(()) } else { Err(format!("the Python client says {line:?}")) }
    }
}

impl Drop for PythonClient {
    fn drop(&mut self) {
        // Its threads would wait for their time-outs.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
