//! `cargo xtask test`: unit tests of every crate, then the whole-program suite as this user, where this
//! user is root once more as an ordinary one, and the tests of the packages.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;

use crate::{
    command::{Done, cargo, copy, is_root, make_directory, run as run_program, say},
    dist::{self, Flavour},
    tools,
};

/// The uid and gid of the second run, which no privilege helps: nobody.
const ORDINARY: &str = "65534";

/// The environment variable that tells the suite where the Python client of I2FTP is.
const I2FTP_CLIENT: &str = "BULKHEAD_I2FTP_CLIENT";
/// Tells the suite where the packages of the other servers are, whose configurations are translated.
const PEER_PACKAGES: &str = "BULKHEAD_PEER_PACKAGES";

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Run only the whole-program suite
    #[arg(long)]
    suite: bool,
    /// As root: run the whole-program suite as an ordinary user only
    #[arg(long)]
    rootless: bool,
    /// Run only the tests of the packages
    #[arg(long)]
    packages: bool,
}

/// What a run counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads `test result: ok. 7 passed; 0 failed; 1 ignored; …`.
    fn parse(line: &str) -> Option<Count> {
        let rest = line.strip_prefix("test result: ")?;
        let number = |what: &str| {
            let before = rest.split(what).next()?;
            before.trim_end().rsplit(' ').next()?.parse().ok()
        };
        Some(Count {
            passed: number("passed;")?,
            failed: number("failed;")?,
            skipped: number("ignored;")?,
        })
    }
}

/// Runs the tests and prints the sum as the last line.
///
/// # Errors
/// When a test failed, or something that comes before the tests.
pub fn run(options: &Options) -> Done<()> {
    tools::provide_to_test()?;
    let binaries = dist::build(Flavour::Dev)?;
    let mut total = Count::default();
    if options.packages {
        return summed(test_packages(&binaries, options)?);
    }
    if !options.suite && !options.rootless {
        let mut units = cargo();
        units.args(["test", "--locked", "--workspace", "--exclude", "bulkhead-tests"]);
        total.add(counted("unit tests", units.arg("--no-fail-fast").args(&options.filter))?);
    }
    let suite = build_tests("suite")?;
    if !options.rootless {
        let mut command = Command::new(&suite);
        command.env("BULKHEAD_DIST", &binaries).arg(threads()).args(&options.filter);
        command.env(I2FTP_CLIENT, tools::i2ftp_client());
        if let Some(packages) = tools::peer_packages()? {
            command.env(PEER_PACKAGES, packages);
        }
        total.add(counted("whole programs", &mut command)?);
    }
    if is_root()? {
        total.add(run_as_ordinary_user(&suite, &binaries, options)?);
    } else if options.rootless {
        return Err("--rootless is for root; an ordinary user is rootless anyway".into());
    }
    // A filter names tests of the other kinds, mostly; packing takes a while.
    if !options.suite && !options.rootless && options.filter.is_none() {
        total.add(test_packages(&binaries, options)?);
    }
    summed(total)
}

/// Prints the sum.
fn summed(total: Count) -> Done<()> {
    let Count { passed, failed, skipped } = total;
    say(&format!("{passed} passed, {failed} failed, {skipped} skipped"))?;
    if failed == 0 { Ok(()) } else { Err("tests failed".into()) }
}

/// Packs the binaries as they are shipped, twice and once more as a newer version, and tests the
/// packages. Without the commands that pack, that is one skipped test.
fn test_packages(binaries: &Path, options: &Options) -> Done<Count> {
    if !tools::can_package() {
        say("packages: skipped: needs cargo-deb and cargo-generate-rpm (cargo xtask provide)")?;
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let packages = crate::package::build_for_tests(binaries)?;
    let mut command = Command::new(build_tests("packages")?);
    command.env("BULKHEAD_DIST", binaries).env("BULKHEAD_PACKAGES", packages);
    // What lintian, rpmlint and systemd-analyze say belongs into the log.
    counted("packages", command.arg("--nocapture").args(&options.filter))
}

/// Builds the test program of a name and says where it is.
fn build_tests(name: &str) -> Done<PathBuf> {
    let mut command = cargo();
    command.args(["test", "--locked", "--package", "bulkhead-tests", "--test", name]);
    command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = crate::command::output(command.stderr(Stdio::inherit()))?;
    // One JSON object a line; the only one with a test executable has it in this member.
    messages
        .lines()
        .filter(|line| line.contains(&format!("\"name\":\"{name}\"")))
        .find_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next())
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo names no executable for {name}"))
}

/// Runs the suite as nobody, out of a directory that nobody can read: a clone in the home of root
/// is closed to others.
fn run_as_ordinary_user(suite: &Path, binaries: &Path, options: &Options) -> Done<Count> {
    let place = std::env::temp_dir().join(format!("bulkhead-rootless-{}", std::process::id()));
    let ran = prepare(&place, suite, binaries).and_then(|()| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups"]);
        command.arg(place.join("suite")).arg(threads()).args(&options.filter);
        command.env("BULKHEAD_DIST", place.join("dist")).env("HOME", "/nonexistent");
        command.env(I2FTP_CLIENT, place.join("i2ftp-client"));
        counted("whole programs as an ordinary user", command.current_dir("/"))
    });
    std::fs::remove_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    ran
}

/// How many tests of the suite run at a time: they wait for time-outs and clients more than they
/// compute.
fn threads() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("--test-threads={}", processors.saturating_mul(3))
}

fn prepare(place: &Path, suite: &Path, binaries: &Path) -> Done<()> {
    let dist = place.join("dist");
    make_directory(&dist)?;
    for directory in [place, &dist] {
        std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755))
            .map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    copy(suite, &place.join("suite"))?;
    for program in ["bulkhead", "bulkhead-worker", "bulkhead-helper"] {
        copy(&binaries.join(program), &dist.join(program))?;
    }
    if tools::i2ftp_client().join("complete").exists() {
        // Not `--preserve`: whoever may read the copy is decided here, not by who installed it.
        let mut copy = Command::new("cp");
        run_program(
            copy.arg("--recursive").arg(tools::i2ftp_client()).arg(place.join("i2ftp-client")),
        )?;
        run_program(
            Command::new("chmod").args(["--recursive", "a+rX"]).arg(place.join("i2ftp-client")),
        )?;
    }
    Ok(())
}

/// Runs a test program, shows what it prints and sums its results. A run that ends badly without
/// a failed test (it did not compile, it crashed) counts as one.
fn counted(what: &str, command: &mut Command) -> Done<Count> {
    say(&format!("== {what}"))?;
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(|e| format!("{what}: {e}"))?;
            let line = String::from_utf8_lossy(&line);
            say(&line)?;
            count.add(Count::parse(&line).unwrap_or_default());
        }
    }
    let status = child.wait().map_err(|e| format!("{what}: {e}"))?;
    if !status.success() && count.failed == 0 {
        eprintln!("xtask: {what}: {status} without a failed test");
        count.failed = 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_the_summary_line_only() {
        let line = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out";
        assert_eq!(Count::parse(line), Some(Count { passed: 7, failed: 2, skipped: 1 }));
        assert_eq!(Count::parse("test passed; 1 failed; 2 ignored; ... ok"), None);
    }
}
