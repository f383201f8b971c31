//! The three binaries side by side, as the packages ship them: one build, in which [`crate::link`]
//! links each of them as it is shipped.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{Done, cargo, copy, make_directory, run, target, workspace},
    link,
};

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

/// The programs that are shipped, which are named as their packages are.
pub const PROGRAMS: [&str; 3] = ["bulkhead", "bulkhead-worker", "bulkhead-helper"];

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
    let mut command = cargo();
    command.current_dir(source).args(["build", "--locked", "--profile", flavour.cargo_name()]);
    command.arg("--target-dir").arg(target());
    if flavour == Flavour::Dev {
        // With the features that all packages of the workspace ask for together, as the tests of the
        // workspace are built: so both share what they are made of.
        command.arg("--workspace");
    }
    for program in PROGRAMS {
        let chosen = if flavour == Flavour::Dev { "--bin" } else { "--package" };
        command.args([chosen, program]);
    }
    run(link::as_shipped(with_flags(&mut command, flavour))?)?;
    make_directory(directory)?;
    let built = target().join(flavour.cargo_directory());
    for program in PROGRAMS {
        copy(&built.join(program), &directory.join(program))?;
    }
    Ok(())
}

/// What is shipped names no directory of the machine that built it. What is tested has no flags of its
/// own, to share what `cargo test` has built.
fn with_flags(command: &mut Command, flavour: Flavour) -> &mut Command {
    if flavour == Flavour::Dev {
        return command;
    }
    let places = [(cargo_home(), "cargo"), (target(), "target")];
    let mapped = places.map(|(place, name)| format!("{}={name}", place.display()));
    command.env("CFLAGS", mapped.clone().map(|map| format!("-ffile-prefix-map={map}")).join(" "));
    let flags = mapped.map(|map| format!("--remap-path-prefix={map}"));
    // Separated as cargo wants it: a path may have a space.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
}

/// Where cargo keeps the sources of packages.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}
