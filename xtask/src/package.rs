//! `cargo xtask package`: a .deb and a .rpm out of one tree of files.
//!
//! Everything in a package comes from the commit: times are the commit's (`SOURCE_DATE_EPOCH`), and
//! the compressed files hold no name or time of their own. So two builds of one commit are the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{Done, cargo, copy, make_directory, output, run, workspace},
    dist::{self, Flavour},
};

/// Where a package's file comes from, relative to the workspace, and where it goes.
const FILES: [(&str, &str); 8] = [
    ("packaging/pam.d/bulkhead", "root/etc/pam.d/bulkhead"),
    ("packaging/rpm/pam", "root-rpm/etc/pam.d/bulkhead"),
    ("packaging/logrotate.d/bulkhead", "root/etc/logrotate.d/bulkhead"),
    ("packaging/systemd/bulkhead.service", "root/usr/lib/systemd/system/bulkhead.service"),
    ("packaging/sysusers.d/bulkhead.conf", "root/usr/lib/sysusers.d/bulkhead.conf"),
    ("packaging/tmpfiles.d/bulkhead.conf", "root/usr/lib/tmpfiles.d/bulkhead.conf"),
    ("packaging/firewalld/bulkhead.xml", "root/usr/lib/firewalld/services/bulkhead.xml"),
    ("packaging/fail2ban/bulkhead.conf", "root/usr/share/bulkhead/fail2ban/bulkhead.conf"),
];

/// As [`FILES`], out of what `bulkhead document` writes.
const DOCUMENTS: [(&str, &str); 5] = [
    ("bulkhead.toml", "root/etc/bulkhead/bulkhead.toml"),
    ("completions/bulkhead.bash", "root/usr/share/bash-completion/completions/bulkhead"),
    ("completions/_bulkhead", "root/usr/share/zsh/vendor-completions/_bulkhead"),
    ("completions/_bulkhead", "root-rpm/usr/share/zsh/site-functions/_bulkhead"),
    ("completions/bulkhead.fish", "root/usr/share/fish/vendor_completions.d/bulkhead.fish"),
];

/// Builds both packages into `target/package/`.
///
/// # Errors
/// When a build fails or a tool is missing.
pub fn build() -> Done<()> {
    let binaries = dist::build(Flavour::Release)?;
    let package = workspace().join("target/package");
    if package.exists() {
        fs::remove_dir_all(&package).map_err(|e| format!("{}: {e}", package.display()))?;
    }
    let documents = package.join("documents");
    document(&documents)?;
    lay_out(&package, &documents, &binaries)?;

    let time =
        output(Command::new("git").current_dir(workspace()).args(["log", "-1", "--format=%ct"]))?;
    let time = time.trim();
    for tool in ["cargo-deb", "cargo-generate-rpm"] {
        if !crate::tools::is_installed(tool) {
            run(cargo().args(["install", "--locked", tool]))?;
        }
    }
    let deb = ["deb", "--locked", "--no-build", "--no-strip", "--package", "bulkhead", "--output"];
    run(cargo().args(deb).arg(&package).env("SOURCE_DATE_EPOCH", time))?;
    let rpm = ["generate-rpm", "--package", "supervisor", "--source-date", time, "--output"];
    run(cargo().args(rpm).arg(&package))
}

/// Writes man pages, completions, the example configuration and the reference of its keys.
///
/// # Errors
/// When the build fails.
pub fn document(directory: &Path) -> Done<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", "bulkhead", "--features", "document"]);
    run(command.args(["--", "document"]).arg(directory))
}

/// Renews docs/configure.md.
///
/// # Errors
/// When the build fails.
pub fn renew_documents() -> Done<()> {
    let directory = workspace().join("target/documents");
    document(&directory)?;
    copy(&directory.join("configure.md"), &workspace().join("docs/configure.md"))
}

fn lay_out(package: &Path, documents: &Path, binaries: &Path) -> Done<()> {
    for (from, to) in FILES {
        place(&workspace().join(from), &package.join(to))?;
    }
    for (from, to) in DOCUMENTS {
        place(&documents.join(from), &package.join(to))?;
    }
    place(&binaries.join("bulkhead"), &package.join("root/usr/bin/bulkhead"))?;
    for program in ["bulkhead-worker", "bulkhead-helper"] {
        let to = package.join("root/usr/libexec/bulkhead").join(program);
        place(&binaries.join(program), &to)?;
    }
    for policy in entries(&workspace().join("policy/roles"))? {
        let to = package.join("root/usr/share/bulkhead/policy").join(name(&policy));
        place(&policy, &to)?;
    }
    for page in entries(&documents.join("man"))? {
        let section = if page.extension().is_some_and(|e| e == "5") { "man5" } else { "man8" };
        let to = package.join("root/usr/share/man").join(section).join(name(&page));
        place(&page, &to)?;
        compress(&to)?;
    }
    let changelog = package.join("root/usr/share/doc/bulkhead/changelog");
    place(&workspace().join("CHANGELOG.md"), &changelog)?;
    compress(&changelog)
}

/// Compresses a file in place, without its name and time.
fn compress(file: &Path) -> Done<()> {
    run(Command::new("gzip").args(["--no-name", "--best", "--force"]).arg(file))
}

fn place(from: &Path, to: &Path) -> Done<()> {
    make_directory(to.parent().unwrap_or(to))?;
    copy(from, to)
}

fn entries(directory: &Path) -> Done<Vec<PathBuf>> {
    let failed = |e: std::io::Error| format!("{}: {e}", directory.display());
    let entries = fs::read_dir(directory).map_err(failed)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}
