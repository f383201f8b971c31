//! The suites of other projects, run against this server. docs/clients.md has the tests that differ,
//! each with its reason; the tables there are what is compared.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use bulkhead_tests::harness::{Server, needs_root, test};
use libtest_mimic::Trial;

/// The system's Python, as in xtask.
const PYTHON: &str = "/usr/bin/python3";

/// A suite, and how it is told of the server.
struct Suite {
    /// Its heading in docs/clients.md, and the directory of its source.
    name: &'static str,
    version: &'static str,
    /// Files, or classes in them.
    tests: &'static [&'static str],
    options: &'static [&'static str],
    /// Whether its tests look for files in the account's root themselves.
    inside: bool,
}

const PYFTPDLIB: Suite = Suite {
    name: "pyftpdlib",
    version: "2.2.0",
    tests: &[
        "tests/test_functional.py::TestFtpAuthentication",
        "tests/test_functional.py::TestFtpDummyCmds",
        "tests/test_functional.py::TestFtpCmdsSemantic",
        "tests/test_functional.py::TestFtpFsOperations",
        "tests/test_functional.py::TestFtpStoreData",
        "tests/test_functional.py::TestFtpRetrieveData",
        "tests/test_functional.py::TestFtpListingCmds",
        "tests/test_functional.py::TestFtpAbort",
        "tests/test_functional.py::TestIPv4Environment",
        "tests/test_functional.py::TestCornerCases",
    ],
    // It asks HELP for a command that it draws by lot, `SITE CHMOD` among them.
    options: &["-k", "not test_help"],
    inside: true,
};

const FTPUTIL: Suite = Suite {
    name: "ftputil",
    version: "5.2.0",
    tests: &["test/test_real_ftp.py"],
    options: &["-m", "not slow"],
    inside: false,
};

const AIOFTP: Suite = Suite {
    name: "aioftp",
    version: "0.28.3",
    tests: &[
        "tests/test_abort.py",
        "tests/test_current_directory.py",
        "tests/test_directory_actions.py",
        "tests/test_extra.py",
        "tests/test_file.py",
        "tests/test_passive.py",
        "tests/test_restart.py",
        "tests/test_simple_functions.py",
    ],
    options: &["-o", "asyncio_mode=auto", "-k", "127.0.0.1"],
    inside: true,
};

pub fn tests() -> Vec<Trial> {
    vec![
        provided("outside::pyftpdlib_differs_as_documented", || run(&PYFTPDLIB)),
        provided("outside::ftputil_differs_as_documented", || run(&FTPUTIL)),
        provided("outside::aioftp_differs_as_documented", || run(&AIOFTP)),
    ]
}

fn place() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/outside-suites"))
}

/// A test that needs what xtask installs with pip. Once is enough: for root, whose server changes to
/// the account's uid.
fn provided(name: &str, run: fn()) -> Trial {
    if place().join("complete").exists() {
        return needs_root(name, run);
    }
    let why = "skipped: needs the Python package index";
    test(name, run).with_kind(why).with_ignored_flag(true)
}

fn run(suite: &Suite) {
    let server = Server::new()
        .with("local_umask", "\"022\"")
        .with("auth.failure_delay", "1")
        .with_account("user", &["--rights", bulkhead_tests::harness::Account::ALL_RIGHTS])
        .run();
    let user = server.account("user");
    // A place that the account's uid may read, wherever the target directory is.
    let copy = server.path("suite");
    shell(Command::new("cp").arg("--recursive").arg(place()).arg(&copy));
    let plugins = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/outside"));
    shell(Command::new("cp").arg("--recursive").arg(plugins).arg(copy.join("plugins")));
    shell(Command::new("chmod").args(["--recursive", "a+rX"]).arg(&copy));
    let source = copy.join(format!("{}-{}", suite.name, suite.version));
    let path = [copy.join("plugins"), copy.join("site"), source.clone()];
    let path = std::env::join_paths(path).unwrap();
    let own = server.path("own");
    std::fs::create_dir(&own).unwrap();
    nix::unistd::chown(&own, Some(user.uid.into()), Some(user.uid.into())).unwrap();
    let mut python = Command::new("setpriv");
    python.args([&format!("--reuid={}", user.uid), &format!("--regid={}", user.uid)]);
    python.args(["--clear-groups", PYTHON, "-m", "pytest", "-c", "/dev/null"]);
    python.args(["-p", "no:cacheprovider", "-p", &format!("bulkhead_{}", suite.name)]);
    python.args(["--tb=short", "-q", "-rfE", "--rootdir"]).arg(&source).args(suite.options);
    python.args(suite.tests.iter().map(|test| source.join(test)));
    let inside = if suite.inside { &user.root } else { &own };
    python
        .current_dir(inside)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", bulkhead_tests::harness::NO_HOME);
    python.env("LC_ALL", "C.UTF-8").env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("BULKHEAD_HOST", server.address().ip().to_string());
    python.env("BULKHEAD_PORT", server.address().port().to_string());
    python.env("BULKHEAD_ROOT", &user.root);
    python.env("BULKHEAD_USER", &user.name).env("BULKHEAD_PASSWORD", &user.password);
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" passed"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let differing: BTreeSet<String> = said.lines().filter_map(differing).collect();
    let documented = documented(suite);
    let unexpected: Vec<_> = differing.difference(&documented).collect();
    let passed: Vec<_> = documented.difference(&differing).collect();
    assert!(
        unexpected.is_empty() && passed.is_empty(),
        "not in docs/clients.md: {unexpected:?}\nthere, and passed: {passed:?}\n{said}"
    );
}

fn shell(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// The test of a line of pytest's summary: `FAILED path/to/file.py::Class::test - why`.
fn differing(line: &str) -> Option<String> {
    let rest = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR "))?;
    let test = rest.split(" - ").next()?;
    let test = test.rsplit('/').next()?;
    let alone = ["test_functional.py::", "test_real_ftp.py::"];
    let shorter = alone.iter().find_map(|file| test.strip_prefix(file));
    Some(shorter.unwrap_or(test).to_owned())
}

/// The tests in the table of a suite in docs/clients.md.
fn documented(suite: &Suite) -> BTreeSet<String> {
    let text = include_str!("../../docs/clients.md");
    let heading = format!("### {} {}\n", suite.name, suite.version);
    let section = text.split(&heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n### ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split('`').next());
    names.map(str::to_owned).collect()
}
