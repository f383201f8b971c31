//! The tests of the packages that `cargo xtask package` makes: what is in them, what their scripts do,
//! and a whole life of one on a Debian of its own, under systemd.
//!
//! `BULKHEAD_PACKAGES` names the directory that holds them: `*.deb`, `*.rpm`, the same packed once
//! more in `again/` and a newer revision in `newer/`. `cargo xtask test` makes it.

mod contents;
mod debian;
mod documents;
mod life;
mod mandatory;
mod rpm;
mod unit;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use bulkhead_tests::harness;
use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let tests = [
        contents::tests(),
        documents::tests(),
        life::tests(),
        mandatory::tests(),
        rpm::tests(),
        unit::tests(),
    ];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit();
}

/// Where the packages are.
fn directory() -> PathBuf {
    std::env::var_os("BULKHEAD_PACKAGES").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/package-dev"))
    })
}

/// The package of a kind (`deb`, `rpm`) in a directory.
fn package_in(directory: &Path, kind: &str) -> PathBuf {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|e| panic!("{}: {e}; run cargo xtask test", directory.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == kind))
        .collect();
    assert_eq!(found.len(), 1, "one .{kind} in {}: {found:?}", directory.display());
    found.remove(0)
}

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a program to its end.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Runs a program, expects success and gives what it printed.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A path as text.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
