//! What Bulkhead needs besides Rust: a C compiler and PAM's headers to be built, real clients to be
//! tested, and two cargo commands to be packaged.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::command::{Done, cargo, is_root, make_directory, output, run, target};

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
const TO_TEST: &[Need] = &[
    need("curl", "curl"),
    need("jq", "jq"),
    need("nft", "nftables"),
    need("lftp", "lftp"),
    need("wget", "wget"),
    need("ncftpget", "ncftp"),
    need("tnftp", "tnftp"),
    need("rclone", "rclone"),
    need("php", "php-cli"),
    need(PYTHON, "python3"),
    need("/usr/bin/pip3", "python3-pip"),
    need("openssl", "openssl"),
    need("fail2ban-regex", "fail2ban"),
    need("script", "bsdutils"),
    need("setpriv", "util-linux"),
    // Full file systems, and a network where port 21 is free.
    need("mount", "mount"),
    need("ip", "iproute2"),
    need("/usr/bin/stunnel4", "stunnel4"),
    // The packages.
    need("debootstrap", "debootstrap"),
    need("lintian", "lintian"),
    need("rpm", "rpm"),
    need("rpmlint", "rpmlint"),
    need("man", "man-db"),
    need("systemd-analyze", "systemd"),
    need("apparmor_parser", "apparmor"),
    need("/usr/share/selinux/devel/Makefile", "selinux-policy-dev"),
    need("make", "make"),
    // The guests.
    need("qemu-system-x86_64", "qemu-system-x86"),
    need("mke2fs", "e2fsprogs"),
];

/// The system's Python. One of the search path may be in somebody's home, where the run of the
/// tests as an ordinary user cannot execute it.
pub const PYTHON: &str = "/usr/bin/python3";

/// What the I2FTP client imports. Its packages name more (plotting), which it never uses.
const I2FTP_CLIENT: [&str; 7] =
    ["i2ftps==0.3.9", "numpy", "tqdm", "rsa", "pyasn1", "pyserial", "hidapi"];

/// The releases of its transport, one of each version of the wire format.
const I2FTP_TRANSPORTS: [&str; 2] = ["1.13.14", "1.13.19"];

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
    let missing = provide(TO_TEST)?;
    if !missing.is_empty() {
        eprintln!("xtask: not installed: {}; tests that need them are skipped", missing.join(", "));
    }
    if let Err(e) = provide_i2ftp_client() {
        eprintln!("xtask: no client of I2FTP: {e}; tests that need it are skipped");
    }
    if let Err(e) = provide_node_client() {
        eprintln!("xtask: no client of Node: {e}; the test that needs it is skipped");
    }
    if let Err(e) = provide_outside_suites() {
        eprintln!("xtask: no suites of others: {e}; tests that need them are skipped");
    }
    Ok(())
}

/// Where the Python client and server of I2FTP are: `shared`, and a directory for each release of
/// the transport. The tests and the benchmark name two of them in PYTHONPATH.
pub fn i2ftp_client() -> PathBuf {
    target().join("i2ftp-client")
}

/// Installs the Python client of I2FTP from the Python package index, once; nothing outside of the
/// target directory changes.
///
/// # Errors
/// When pip does not get the packages.
pub fn provide_i2ftp_client() -> Done<()> {
    let place = i2ftp_client();
    let complete = place.join("complete");
    if complete.exists() {
        return Ok(());
    }
    let install = |directory: &str, packages: &[&str]| {
        let directory = place.join(directory);
        make_directory(&directory)?;
        let mut pip = Command::new(PYTHON);
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--retries", "1"]);
        output(pip.arg("--target").arg(directory).args(packages))
    };
    install("shared", &I2FTP_CLIENT)?;
    for release in I2FTP_TRANSPORTS {
        install(release, &[&format!("i2cylib=={release}")])?;
    }
    std::fs::write(&complete, "").map_err(|e| format!("{}: {e}", complete.display()))
}

/// The most used client of Node; it has no dependencies.
const NODE_CLIENT: &str = "basic-ftp@5.3.1";

/// Installs a client of Node from npm's registry, once, where npm is; nothing outside of the target
/// directory changes.
///
/// # Errors
/// When npm is not there or does not get the package.
pub fn provide_node_client() -> Done<()> {
    let place = target().join("node-client");
    if place.join("node_modules/basic-ftp").exists() {
        return Ok(());
    }
    if !is_installed("npm") {
        return Err("npm is not installed".to_owned());
    }
    make_directory(&place)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
    output(npm.arg(NODE_CLIENT).current_dir(&place)).map(drop)
}

/// The projects whose tests of FTP are run against us, and what those tests import. docs/clients.md
/// has what comes out.
const OUTSIDE_SUITES: [&str; 3] = ["aioftp==0.28.3", "ftputil==5.2.0", "pyftpdlib==2.2.0"];
const OUTSIDE_NEEDS: [&str; 7] = [
    "pytest==8.4.2",
    "pytest-asyncio==1.2.0",
    "async-timeout==5.0.1",
    "siosocks==0.3.0",
    "trustme==1.2.1",
    "psutil==7.2.2",
    "pyopenssl",
];

/// Installs the suites of others from the Python package index, once: `site` has what they import, and
/// a directory for each has its source with the tests. Nothing outside of the target directory changes.
///
/// # Errors
/// When pip does not get the packages.
pub fn provide_outside_suites() -> Done<()> {
    let place = target().join("outside-suites");
    let complete = place.join("complete");
    if complete.exists() {
        return Ok(());
    }
    make_directory(&place)?;
    let pip = |verb: &str| {
        let mut pip = Command::new(PYTHON);
        pip.args(["-m", "pip", verb, "--quiet", "--retries", "1"]).current_dir(&place);
        pip
    };
    let mut install = pip("install");
    install.args(["--upgrade", "--target", "site"]).args(OUTSIDE_NEEDS).args(OUTSIDE_SUITES);
    output(&mut install)?;
    for suite in OUTSIDE_SUITES {
        let (name, version) = suite.split_once("==").unwrap_or((suite, ""));
        output(pip("download").args(["--no-deps", "--no-binary", name, suite]))?;
        let mut tar = Command::new("tar");
        output(tar.args(["-xzf", &format!("{name}-{version}.tar.gz")]).current_dir(&place))?;
    }
    std::fs::write(&complete, "").map_err(|e| format!("{}: {e}", complete.display()))
}

/// The cargo commands that make packages.
const TO_PACKAGE: [&str; 2] = ["cargo-deb", "cargo-generate-rpm"];

/// The cargo command that checks licences and sources of what we link.
const TO_CHECK: [&str; 1] = ["cargo-deny"];

/// Installs everything that building, testing and packaging need, or names it.
///
/// # Errors
/// When something a build needs is missing, or installing fails.
pub fn provide_everything() -> Done<()> {
    provide_to_build()?;
    provide_to_test()?;
    provide_to_package()?;
    install(&TO_CHECK)
}

/// Installs what makes packages.
///
/// # Errors
/// When installing fails.
pub fn provide_to_package() -> Done<()> {
    install(&TO_PACKAGE)
}

/// Installs commands of cargo that are missing. They run a few times a day at most, so they are compiled
/// in a third of the time, and run slower.
fn install(tools: &[&str]) -> Done<()> {
    for tool in tools.iter().filter(|tool| !is_installed(tool)) {
        let mut command = cargo();
        command.args(["install", "--locked", tool]).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        command.env("CARGO_PROFILE_RELEASE_LTO", "off");
        run(command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))?;
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
        // Somebody else may be installing; that ends.
        let wait = ["-o", "DPkg::Lock::Timeout=600"];
        run(Command::new("apt-get").args(wait).args(["-q", "update"]))?;
        let install = ["-q", "-y", "--no-install-recommends", "install"];
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(wait).args(install).args(&packages);
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

/// The other servers: those of their packages that ship a configuration,
/// with what they need to run and the reference of ProFTPD's directives.
const PEERS: [&str; 12] = [
    "vsftpd",
    "proftpd-core",
    "proftpd-doc",
    "proftpd-mod-crypto",
    "pure-ftpd",
    "pure-ftpd-common",
    "libwrap0",
    "libhiredis0.14",
    "libmemcached11",
    "libmemcachedutil2",
    "libhashkit2",
    "libpcre2-posix3",
];

/// The packages of the other servers, unpacked and not installed: their configurations are what
/// `bulkhead import` is tried on. Nothing where they cannot be fetched, which root may do.
///
/// # Errors
/// When the directory for them cannot be made.
pub fn peer_packages() -> Done<Option<PathBuf>> {
    let directory = target().join("peers");
    let complete = directory.join("complete");
    if complete.exists() {
        return Ok(Some(directory));
    }
    if !is_root()? || !is_installed("apt-get") || !is_installed("dpkg") {
        return Ok(None);
    }
    let packages = directory.join("packages");
    make_directory(&packages)?;
    let mut download = Command::new("apt-get");
    download.args(["-q", "download"]).args(PEERS).current_dir(&packages);
    let fetched = output(&mut download).and_then(|_| {
        let entries = std::fs::read_dir(&packages).map_err(|e| e.to_string())?;
        for entry in entries {
            let package = entry.map_err(|e| e.to_string())?.path();
            run(Command::new("dpkg").arg("-x").arg(&package).arg(&directory))?;
        }
        std::fs::write(&complete, "").map_err(|e| e.to_string())
    });
    if let Err(error) = fetched {
        eprintln!("xtask: the packages of the other servers cannot be fetched: {error}");
        return Ok(None);
    }
    Ok(Some(directory))
}
