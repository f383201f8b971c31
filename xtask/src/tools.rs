//! What Bulkhead needs besides Rust: a C compiler and PAM's headers to be built, real clients to be
//! tested.

use std::{env, path::Path, process::Command};

use crate::command::{Done, is_root, run};

/// Something that has to be there, and the Debian package it is in.
struct Need {
    /// A program of the search path, or the path of a file.
    what: &'static str,
    package: &'static str,
}

const fn need(what: &'static str, package: &'static str) -> Need {
    Need { what, package }
}

/// What a build needs.
const TO_BUILD: [Need; 2] =
    [need("cc", "gcc"), need("/usr/include/security/pam_appl.h", "libpam0g-dev")];

/// What the tests need besides our own programs.
const TO_TEST: [Need; 10] = [
    need("curl", "curl"),
    need("lftp", "lftp"),
    need("wget", "wget"),
    need("ncftpget", "ncftp"),
    need("tnftp", "tnftp"),
    need("python3", "python3"),
    need("openssl", "openssl"),
    need("fail2ban-regex", "fail2ban"),
    need("script", "bsdutils"),
    need("setpriv", "util-linux"),
];

/// Installs what a build needs where we may, and otherwise names it.
///
/// # Errors
/// What is missing and how to install it.
pub fn provide_to_build() -> Done<()> {
    let missing = provide(&TO_BUILD)?;
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    Err(format!("a build needs the Debian packages {packages}: apt-get install {packages}"))
}

/// Installs the clients the tests need where we may, and otherwise names them. Tests that need a
/// missing client are skipped and say so.
///
/// # Errors
/// When installing fails.
pub fn provide_to_test() -> Done<()> {
    let missing = provide(&TO_TEST)?;
    if !missing.is_empty() {
        eprintln!("xtask: not installed: {}; tests that need them are skipped", missing.join(", "));
    }
    Ok(())
}

/// Installs what is missing as root, and returns the packages that still are.
fn provide(needs: &[Need]) -> Done<Vec<&'static str>> {
    let missing = || -> Vec<&'static str> {
        needs.iter().filter(|need| !is_there(need.what)).map(|need| need.package).collect()
    };
    let packages = missing();
    if !packages.is_empty() && is_root()? && is_installed("apt-get") {
        run(Command::new("apt-get").args(["-q", "update"]))?;
        let install = ["-q", "-y", "--no-install-recommends", "install"];
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(install).args(&packages);
        run(&mut apt)?;
    }
    Ok(missing())
}

fn is_there(what: &str) -> bool {
    if what.starts_with('/') { Path::new(what).exists() } else { is_installed(what) }
}

/// Whether a program is in the search path.
pub fn is_installed(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
