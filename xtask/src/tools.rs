//! The programs that the tests use besides our own.

use std::{env, process::Command};

use crate::command::{Done, is_root, run};

/// Program and the Debian package it is in.
const TOOLS: [(&str, &str); 3] = [("curl", "curl"), ("lftp", "lftp"), ("setpriv", "util-linux")];

/// Installs what is missing where we may, and otherwise names it. Tests that need a missing client
/// are skipped and say so.
///
/// # Errors
/// When installing fails.
pub fn provide() -> Done<()> {
    let missing: Vec<(&str, &str)> =
        TOOLS.into_iter().filter(|(program, _)| !is_installed(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if is_root()? && is_installed("apt-get") {
        run(Command::new("apt-get").args(["-q", "update"]))?;
        let install = ["-q", "-y", "--no-install-recommends", "install"];
        return run(Command::new("apt-get").args(install).args(&packages));
    }
    eprintln!("xtask: not installed: {}; tests that need them are skipped", packages.join(", "));
    Ok(())
}

/// Whether a program is in the search path.
pub fn is_installed(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
