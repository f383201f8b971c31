//! I2FTP by its real client, in Python, unchanged: both versions of the wire format, plain, in
//! secured mode, and inside TLS through stunnel, as the manual recommends it. `cargo xtask test`
//! installs the client beneath the target directory; where pip cannot, these tests are skipped and
//! say so.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{I2FTP_KEY_HEX, I2ftpServer, eventually};
use libtest_mimic::{Failed, Trial};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How long the client may take for everything on a busy machine; it moves 400 MB.
const PATIENCE: Duration = Duration::from_secs(300);

/// The system's Python; see `cargo xtask test` for why not another.
const PYTHON: &str = "/usr/bin/python3";

pub fn tests() -> Vec<Trial> {
    let all = Task::Everything { tries: 1 };
    // In secured mode the client loses a race with itself.
    let secured = Task::Everything { tries: 3 };
    let plain: Settings = &[];
    vec![
        trial("i2ftp_python::version_2_1_plain", V2_1, plain, all),
        trial("i2ftp_python::version_2_2_plain", V2_2, plain, all),
        trial("i2ftp_python::version_2_1_secured", V2_1, SECURED, secured),
        trial("i2ftp_python::version_2_2_secured", V2_2, SECURED, secured),
        trial("i2ftp_python::version_2_1_inside_tls", V2_1, TLS, all),
        trial("i2ftp_python::version_2_2_inside_tls", V2_2, TLS, all),
        trial("i2ftp_python::a_read_only_server", V2_1, READ_ONLY, Task::ReadOnly),
    ]
}

/// Keys of `[i2ftp]` and their values.
type Settings = &'static [(&'static str, &'static str)];

const SECURED: Settings = &[("secured", "true")];
const TLS: Settings = &[("plain", "false")];
const READ_ONLY: Settings = &[("read_only", "true")];

/// Bytes of the largest file that goes up and comes down, in every mode.
const LARGEST: &str = "100000000";

/// How many clients transfer at once.
const CLIENTS: &str = "20";

/// What is asked of the client.
#[derive(Clone, Copy)]
enum Task {
    Everything { tries: u32 },
    ReadOnly,
}

/// A release of the client's transport.
#[derive(Clone, Copy)]
struct Release {
    wire_version: &'static str,
    i2cylib: &'static str,
}

/// The newest with which the untouched client works.
const V2_1: Release = Release { wire_version: "2.1", i2cylib: "1.13.14" };
/// The newest; the client needs a line to import it.
const V2_2: Release = Release { wire_version: "2.2", i2cylib: "1.13.19" };

fn trial(name: &str, release: Release, settings: Settings, task: Task) -> Trial {
    let tls = settings == TLS;
    match client(release).and_then(|path| if tls { stunnel().map(|_| path) } else { Ok(path) }) {
        Ok(path) => Trial::test(name, move || -> Result<(), Failed> {
            run(&path, release, settings, task);
            Ok(())
        }),
        Err(reason) => Trial::test(name, || Ok(()))
            .with_kind(format!("skipped: {reason}"))
            .with_ignored_flag(true),
    }
}

/// PYTHONPATH of the client.
fn client(release: Release) -> Result<String, String> {
    let place = std::env::var_os("BULKHEAD_I2FTP_CLIENT").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/i2ftp-client")),
        PathBuf::from,
    );
    if !place.join("complete").is_file() {
        return Err("needs the Python client of I2FTP (`cargo xtask provide`)".into());
    }
    Ok(format!("{}:{}", place.join(release.i2cylib).display(), place.join("shared").display()))
}

fn stunnel() -> Result<&'static Path, String> {
    let stunnel = Path::new("/usr/bin/stunnel4");
    if stunnel.is_file() { Ok(stunnel) } else { Err("needs stunnel4".into()) }
}

fn run(path: &str, release: Release, settings: Settings, task: Task) {
    let version = format!("\"{}\"", release.wire_version);
    let with_version: Vec<(&str, &str)> =
        settings.iter().copied().chain([("wire_version", version.as_str())]).collect();
    let (server, tunnel) = if settings == TLS {
        let server = I2ftpServer::start_inside_tls(&with_version);
        let tunnel = Tunnel::start(&server);
        (server, Some(tunnel))
    } else {
        (I2ftpServer::start(&with_version), None)
    };
    let port = tunnel.as_ref().map_or(server.address().port(), |tunnel| tunnel.port);
    symlink("/etc", server.exchange.path("out")).unwrap();
    server.exchange.put("a.txt", b"hello");
    let scratch = server.server.path("client");
    fs::create_dir(&scratch).unwrap();
    let script = server.server.path("i2ftp_client.py");
    fs::write(&script, include_str!("../clients/i2ftp_client.py")).unwrap();
    let said = server.server.path("client-said");
    let file = fs::File::create(&said).unwrap();
    let mut client = Command::new(PYTHON);
    // Nothing of this user's or this machine's Python but the packages named.
    client.args(["-s", "-B"]).arg(script).env("PYTHONPATH", path);
    client.arg(if let Task::ReadOnly = task { "read-only" } else { "everything" });
    client.args([&port.to_string(), I2FTP_KEY_HEX]).args([&server.exchange.root, &scratch]);
    if let Task::Everything { tries } = task {
        client.args([LARGEST, CLIENTS, &tries.to_string()]);
    }
    // Its own group, so that the clients it starts end with it.
    client.process_group(0);
    client.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut client = Ending(client.spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match client.0.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let said = fs::read_to_string(said).unwrap();
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("B/s")).collect();
    let passed = status.is_some_and(|status| status.success()) && said.contains(&"passed");
    assert!(passed, "{status:?}: {}", said.join("\n"));
    assert!(server.server.events("violation").is_empty());
    drop(tunnel);
    server.server.expect_idle();
}

/// A program that is ended when it is dropped, with its process group if it has one of its own.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        killpg(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGKILL).ok();
        self.0.wait().ok();
    }
}

/// stunnel in front of a client that knows no TLS. It verifies the server's certificate.
struct Tunnel {
    /// Where the client connects.
    port: u16,
    _stunnel: Ending,
}

impl Tunnel {
    fn start(server: &I2ftpServer) -> Tunnel {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The manual's own, for other ports and another certificate.
        let manual = include_str!("../../docs/i2ftp.md");
        let configuration = manual.split("```").find_map(|block| block.strip_prefix("ini\n"));
        let certificate = server.server.path("tls/certificate.pem").display().to_string();
        let configuration = configuration
            .unwrap()
            .replace("127.0.0.1:26842", &format!("127.0.0.1:{port}"))
            .replace("files.example.net:26843", &server.address().to_string())
            .replace("/etc/ssl/certs/ca-certificates.crt", &certificate)
            .replace("files.example.net", "localhost");
        let file = server.server.path("stunnel.conf");
        fs::write(&file, configuration).unwrap();
        let said = server.server.path("stunnel-said");
        let stunnel = Command::new(stunnel().unwrap())
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let tunnel = Tunnel { port, _stunnel: Ending(stunnel) };
        eventually("stunnel to listen", || {
            fs::read_to_string(&said).unwrap().contains("Configuration successful").then_some(())
        });
        tunnel
    }
}
