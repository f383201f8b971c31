//! I2FTP by its real client, in Python. It is installed beneath the target directory by pip, once;
//! where that is not possible, these tests are skipped and say so.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bulkhead_tests::harness::{I2FTP_KEY_HEX, I2ftpServer};
use libtest_mimic::{Failed, Trial};

/// How long the client may take for everything; it moves 400 MB and waits a lot.
const PATIENCE: Duration = Duration::from_secs(200);

pub fn tests() -> Vec<Trial> {
    vec![
        trial("i2ftp_python::the_client_of_version_2_1", V2_1, PLAIN),
        trial(
            "i2ftp_python::the_client_of_version_2_2",
            V2_2,
            Occasion { largest: 5_000_000, ..PLAIN },
        ),
        trial("i2ftp_python::the_client_in_secured_mode", V2_1, SECURED),
    ]
}

/// What is asked of the client.
#[derive(Clone, Copy)]
struct Occasion {
    settings: &'static [(&'static str, &'static str)],
    /// Size of the largest file.
    largest: u32,
    /// How many transfer at once.
    clients: u32,
}

const PLAIN: Occasion = Occasion { settings: &[], largest: 100_000_000, clients: 20 };
/// The client encodes 2 MB per second, and on a busy machine many of it lose its race for the
/// greeting however long the server waits.
const SECURED: Occasion =
    Occasion { settings: &[("secured", "true")], largest: 5_000_000, clients: 3 };

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

fn trial(name: &str, release: Release, occasion: Occasion) -> Trial {
    match python(release) {
        Ok(python) => Trial::test(name, move || -> Result<(), Failed> {
            run(&python, release, occasion);
            Ok(())
        }),
        Err(reason) => Trial::test(name, || Ok(()))
            .with_kind(format!("skipped: {reason}"))
            .with_ignored_flag(true),
    }
}

/// The Python that has the client, installed now if it is not there yet.
fn python(release: Release) -> Result<PathBuf, String> {
    let target = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    let home = target.join(format!("i2ftp-client-{}", release.i2cylib));
    let (python, complete) = (home.join("bin/python"), home.join("complete"));
    let done = |command: &mut Command| {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    if complete.exists() {
        // It may be another user's, as in the run of the suite as an ordinary user.
        let runs = done(Command::new(&python).arg("--version"));
        return if runs { Ok(python) } else { Err("needs a Python this user may run".into()) };
    }
    if !done(Command::new("python3").args(["-m", "venv"]).arg(&home)) {
        return Err("needs python3 with venv".into());
    }
    let packages = ["i2ftps==0.3.9".to_owned(), format!("i2cylib=={}", release.i2cylib)];
    let options = ["-m", "pip", "install", "--quiet", "--retries", "1"];
    if !done(Command::new(&python).args(options).args(packages)) {
        return Err("pip does not reach the client's packages".into());
    }
    fs::write(complete, "").map_err(|e| e.to_string())?;
    Ok(python)
}

fn run(python: &Path, release: Release, occasion: Occasion) {
    let version = format!("\"{}\"", release.wire_version);
    let settings: Vec<(&str, &str)> =
        occasion.settings.iter().copied().chain([("wire_version", version.as_str())]).collect();
    let tls = settings.contains(&("plain", "false"));
    let server =
        if tls { I2ftpServer::start_inside_tls(&settings) } else { I2ftpServer::start(&settings) };
    symlink("/etc", server.exchange.path("out")).unwrap();
    let scratch = server.server.path("client");
    fs::create_dir(&scratch).unwrap();
    let said = server.server.path("client-said");
    let file = fs::File::create(&said).unwrap();
    let mut client = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/i2ftp_client.py"))
        .args([&server.address().port().to_string(), I2FTP_KEY_HEX])
        .args([&server.exchange.root, &scratch])
        .args([occasion.largest.to_string(), occasion.clients.to_string()])
        .arg(if tls { "tls" } else { "plain" })
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = client.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            client.kill().unwrap();
            client.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = fs::read_to_string(said).unwrap();
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("B/s")).collect();
    let passed = status.is_some_and(|status| status.success()) && said.contains(&"passed");
    assert!(passed, "{status:?}: {}", said.join("\n"));
    assert!(server.server.events("violation").is_empty());
    server.server.expect_idle();
}
