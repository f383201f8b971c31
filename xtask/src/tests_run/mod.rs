//! `cargo xtask test`: unit tests of every crate, then the whole-program suite as this user, where this
//! user is root once more as an ordinary one, and the tests of the packages.

mod programs;
mod results;

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use clap::Args;

use crate::{
    command::{Done, cargo, copy, is_root, make_directory, run as run_program, say},
    dist::{self, Flavour},
    hosts, tools,
};
use programs::TestProgram;
use results::{Count, Results};

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
    /// Run only the guests: Debian 12 and 13 and several kernel command lines; writes docs/hosts.md
    #[arg(long)]
    hosts: bool,
}

/// Runs the tests and prints the sum as the last line.
///
/// # Errors
/// When a test failed, or something that comes before the tests.
pub fn run(options: &Options) -> Done<()> {
    tools::provide_to_test()?;
    let binaries = dist::build(Flavour::Dev)?;
    if options.hosts {
        return summed(test_hosts(&binaries, options)?);
    }
    let only = match options {
        Options { packages: true, .. } => Some("packages"),
        Options { suite: true, .. } | Options { rootless: true, .. } => Some("suite"),
        Options { .. } => None,
    };
    let programs = programs::build(only)?;
    let mut total = Count::default();
    if options.packages {
        return summed(test_packages(&programs, &binaries, options)?);
    }
    if !options.suite && !options.rootless {
        total.add(unit_tests(&programs, options)?);
    }
    total.add(whole_programs(&programs, &binaries, options)?);
    // A filter names tests of the other kinds, mostly; packing takes a while.
    if !options.suite && !options.rootless && options.filter.is_none() {
        let packed = test_packages(&programs, &binaries, options)?;
        total.add(packed);
        total.add(test_host(packed)?);
    }
    summed(total)
}

/// Prints the sum.
fn summed(total: Count) -> Done<()> {
    let Count { passed, failed, skipped } = total;
    say(&format!("{passed} passed, {failed} failed, {skipped} skipped"))?;
    if failed == 0 { Ok(()) } else { Err("tests failed".into()) }
}

/// Runs the tests of the crates, each program where its package is, as `cargo test` does; then the
/// examples in the documentation.
fn unit_tests(programs: &[TestProgram], options: &Options) -> Done<Count> {
    let mut total = Count::default();
    for program in programs.iter().filter(|program| !program.is_whole()) {
        let mut command = Command::new(&program.executable);
        command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
        total.add(results(&program.title(), command.args(&options.filter))?.count);
    }
    let mut examples = cargo();
    examples.args(["test", "--quiet", "--locked", "--workspace", "--doc"]).args(&options.filter);
    total.add(results("examples in the documentation", &mut examples)?.count);
    Ok(total)
}

/// Runs the whole-program suite as this user, and where this user is root once more as nobody.
fn whole_programs(programs: &[TestProgram], binaries: &Path, options: &Options) -> Done<Count> {
    let suite = &programs::whole(programs, "suite")?.executable;
    let mut own = None;
    if !options.rootless {
        let mut command = Command::new(suite);
        command.env("BULKHEAD_DIST", binaries).arg(threads()).args(&options.filter);
        command.env(I2FTP_CLIENT, tools::i2ftp_client());
        if let Some(packages) = tools::peer_packages()? {
            command.env(PEER_PACKAGES, packages);
        }
        own = Some(results("whole programs", &mut command)?);
    }
    if !is_root()? {
        return own.map(|own| own.count).ok_or_else(|| {
            "--rootless is for root; an ordinary user is rootless anyway".to_owned()
        });
    }
    let ordinary = run_as_ordinary_user(suite, binaries, options)?;
    let Some(root) = own else { return Ok(ordinary.count) };
    let (sentence, sum) = results::both(&root, &ordinary);
    say(&sentence)?;
    Ok(sum)
}

/// Packs the binaries as they are shipped, twice and once more as a newer version, and tests the
/// packages. Without the commands that pack, that is one skipped test.
fn test_packages(programs: &[TestProgram], binaries: &Path, options: &Options) -> Done<Count> {
    if let Err(error) = tools::provide_to_package() {
        say(&format!("packages: skipped: what packs them cannot be installed: {error}"))?;
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let packages = crate::package::build_for_tests(binaries)?;
    let mut command = Command::new(&programs::whole(programs, "packages")?.executable);
    command.env("BULKHEAD_DIST", binaries).env("BULKHEAD_PACKAGES", packages);
    // What lintian, rpmlint and systemd-analyze say belongs into the log.
    Ok(results("packages", command.arg("--nocapture").args(&options.filter))?.count)
}

/// Runs every guest of `cargo xtask test --hosts`.
fn test_hosts(binaries: &Path, options: &Options) -> Done<Count> {
    if let Some(program) = hosts::missing()? {
        return skipped("hosts", program);
    }
    tools::provide_to_package()?;
    let packages = crate::package::build_two(binaries)?;
    hosts::run_all(&packages, options.filter.as_deref()).map(counted)
}

/// Runs one guest with the package that has just been tested.
fn test_host(packed: Count) -> Done<Count> {
    match hosts::missing()? {
        Some(program) => skipped("host", program),
        None if packed.passed == 0 => skipped("host", "a package"),
        None if !hosts::first_is_made()? => {
            skipped("host", "the image of its guest, which `cargo xtask test --hosts` makes")
        }
        None => hosts::run_first(&crate::package::tested()).map(counted),
    }
}

fn counted(sum: hosts::Sum) -> Count {
    let hosts::Sum { passed, failed, skipped } = sum;
    Count { passed, failed, skipped }
}

/// What cannot be tested here is one skipped test.
fn skipped(what: &str, needs: &str) -> Done<Count> {
    say(&format!("{what}: skipped: needs {needs}"))?;
    Ok(Count { skipped: 1, ..Count::default() })
}

/// Runs the suite as nobody, out of a directory that nobody can read: a clone in the home of root
/// is closed to others.
fn run_as_ordinary_user(suite: &Path, binaries: &Path, options: &Options) -> Done<Results> {
    let place = std::env::temp_dir().join(format!("bulkhead-rootless-{}", std::process::id()));
    let ran = prepare(&place, suite, binaries).and_then(|()| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups"]);
        command.arg(place.join("suite")).arg(threads()).args(&options.filter);
        command.env("BULKHEAD_DIST", place.join("dist")).env("HOME", "/dev/null/home");
        command.env(I2FTP_CLIENT, place.join("i2ftp-client"));
        results("whole programs as an ordinary user", command.current_dir("/"))
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
    for program in dist::PROGRAMS {
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

/// Runs a test program, shows what it prints and reads its results. A run that ends badly without
/// a failed test (it crashed) counts as one.
fn results(what: &str, command: &mut Command) -> Done<Results> {
    say(&format!("== {what}"))?;
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    let mut results = Results::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(|e| format!("{what}: {e}"))?;
            let line = String::from_utf8_lossy(&line);
            say(&line)?;
            results.read(&line);
        }
    }
    let status = child.wait().map_err(|e| format!("{what}: {e}"))?;
    if !status.success() && results.count.failed == 0 {
        eprintln!("xtask: {what}: {status} without a failed test");
        results.count.failed = 1;
    }
    Ok(results)
}
