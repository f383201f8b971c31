//! The three binaries side by side, as the packages ship them.
//!
//! The worker and the helper are linked statically: a static program reaches its `main` in a third
//! of the time, and shares no writable relocation with a library. The supervisor is linked
//! dynamically, because PAM loads its modules. Cargo knows no such difference within one build, so
//! there are two.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::command::{Done, cargo, copy, make_directory, output, run, target, workspace};

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
    let directory = flavour.directory();
    build_from(&workspace(), flavour, &directory)?;
    Ok(directory)
}

/// Builds the binaries out of a copy of the workspace, into `directory`. What is not of the workspace
/// is not built again.
///
/// # Errors
/// When cargo fails.
pub fn build_from(source: &Path, flavour: Flavour, directory: &Path) -> Done<()> {
    let triple = host_triple()?;
    let profile = flavour.cargo_name();
    let mut command = cargo();
    command.current_dir(source).args(["build", "--locked", "--profile", profile]);
    command.args(["--package", "bulkhead"]);
    command.arg("--target-dir").arg(target());
    run(with_flags(&mut command, flavour, &[]))?;

    let static_target = target().join("static");
    let mut command = cargo();
    command.current_dir(source);
    command.args(["build", "--locked", "--profile", profile, "--target", &triple]);
    command.arg("--target-dir").arg(&static_target);
    for program in STATIC {
        command.args(["--package", program]);
    }
    run(with_flags(&mut command, flavour, &["-Ctarget-feature=+crt-static"]))?;

    make_directory(directory)?;
    let built = flavour.cargo_directory();
    copy(&target().join(built).join("bulkhead"), &directory.join("bulkhead"))?;
    for program in STATIC {
        let from = static_target.join(&triple).join(built).join(program);
        copy(&from, &directory.join(program))?;
    }
    Ok(())
}

/// The compilers' flags. What is shipped names no directory of the machine that built it; what is
/// tested shares what `cargo test` has built, so it has no flags of its own where it needs none.
fn with_flags<'a>(command: &'a mut Command, flavour: Flavour, flags: &[&str]) -> &'a mut Command {
    let mut flags: Vec<String> = flags.iter().map(|flag| flag.to_string()).collect();
    if flavour == Flavour::Release {
        let places = [(cargo_home(), "cargo"), (target(), "target")];
        let mapped = places.map(|(place, name)| format!("{}={name}", place.display()));
        flags.extend(mapped.iter().map(|map| format!("--remap-path-prefix={map}")));
        command.env("CFLAGS", mapped.map(|map| format!("-ffile-prefix-map={map}")).join(" "));
    }
    if flags.is_empty() {
        return command;
    }
    // Separated as cargo wants it: a path may have a space.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
}

/// Where cargo keeps the sources of packages.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn host_triple() -> Done<String> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".into())
}
