//! The three binaries side by side, as the packages ship them.
//!
//! The worker and the helper are linked statically: a static program reaches its `main` in a third
//! of the time, and shares no writable relocation with a library. The supervisor is linked
//! dynamically, because PAM loads its modules. Cargo knows no such difference within one build, so
//! there are two.

use std::{path::PathBuf, process::Command};

use crate::command::{Done, cargo, copy, make_directory, output, run, target};

/// Which profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// As shipped, in `target/dist/`.
    Release,
    /// Quick to build, for the tests, in `target/dist-dev/`. The sandbox is the same.
    Dev,
}

impl Flavour {
    /// Where the binaries go.
    pub fn directory(self) -> PathBuf {
        match self {
            Flavour::Release => target().join("dist"),
            Flavour::Dev => target().join("dist-dev"),
        }
    }

    fn cargo_name(self) -> &'static str {
        match self {
            Flavour::Release => "release",
            Flavour::Dev => "dev",
        }
    }

    fn cargo_directory(self) -> &'static str {
        match self {
            Flavour::Release => "release",
            Flavour::Dev => "debug",
        }
    }
}

/// The programs that are linked statically.
const STATIC: [&str; 2] = ["bulkhead-worker", "bulkhead-helper"];

/// Builds the binaries and says where they are.
///
/// # Errors
/// When cargo fails.
pub fn build(flavour: Flavour) -> Done<PathBuf> {
    crate::tools::provide_to_build()?;
    let triple = host_triple()?;
    let profile = flavour.cargo_name();
    run(cargo().args(["build", "--locked", "--profile", profile, "--package", "bulkhead"]))?;

    let static_target = target().join("static");
    let mut command = cargo();
    command.args(["build", "--locked", "--profile", profile, "--target", &triple]);
    command.arg("--target-dir").arg(&static_target);
    for program in STATIC {
        command.args(["--package", program]);
    }
    run(command.env("RUSTFLAGS", "-Ctarget-feature=+crt-static"))?;

    let directory = flavour.directory();
    make_directory(&directory)?;
    let built = flavour.cargo_directory();
    copy(&target().join(built).join("bulkhead"), &directory.join("bulkhead"))?;
    for program in STATIC {
        let from = static_target.join(&triple).join(built).join(program);
        copy(&from, &directory.join(program))?;
    }
    Ok(directory)
}

fn host_triple() -> Done<String> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".into())
}
