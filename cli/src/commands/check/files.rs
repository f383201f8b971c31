//! Files and directories: who may read them, and whether what must be there is there.

use std::{
    fs::File,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use keeper::key;
use nix::unistd::{AccessFlags, Group, access};
use supervisor::validity::{self, Validity};

use super::{Findings, Severity};

/// Checks them.
pub fn check(findings: &mut Findings<'_>) {
    let config = findings.config;
    if let (Some(file), true) = (&config.file, config.i2ftp.is_some()) {
        private(findings, file, "it holds the key of I2FTP");
    }
    certificates(findings);
    writable(findings, ".state_directory", &config.auth.state_directory);
    control_socket(findings);
    if let Some(file) = &config.log.file {
        log_file(findings, file);
    }
    if let Some(anonymous) = &config.anonymous {
        directory(findings, "anonymous.root", &anonymous.root);
    }
    if let Some(root) = config.i2ftp.as_ref().and_then(|i2ftp| i2ftp.root.as_ref()) {
        directory(findings, "i2ftp.root", root);
    }
    if let Some(name) = &config.admin_group
        && !matches!(Group::from_name(name), Ok(Some(_)))
    {
        findings.key(
            Severity::Error,
            ".admin_group",
            format!("there is no group {name}"),
            "make it with `groupadd --system`, or remove the line",
        );
    }
}

fn private(findings: &mut Findings<'_>, file: &Path, why: &str) {
    let Ok(metadata) = std::fs::metadata(file) else { return };
    if metadata.mode() & 0o007 != 0 {
        findings.push(
            Severity::Warning,
            file.display().to_string(),
            format!("everybody may read it, and {why}"),
            format!("run: chmod 640 {}", file.display()),
        );
    }
}

fn certificates(findings: &mut Findings<'_>) {
    let Some(tls) = &findings.config.tls else { return };
    for (chain, private_key) in &tls.pairs {
        let open = |path: &Path| {
            File::open(path)
                .map_err(|e| (path.display().to_string(), format!("cannot be read: {e}")))
        };
        let loaded = open(chain).and_then(|c| Ok((c, open(private_key)?))).and_then(|(c, k)| {
            key::load(c.into(), k.into()).map_err(|unusable| {
                let file = match unusable.file {
                    ipc::keeper::CertificateFile::Certificate => chain,
                    ipc::keeper::CertificateFile::PrivateKey => private_key,
                };
                (file.display().to_string(), unusable.reason)
            })
        });
        match loaded {
            Ok((public, _)) => {
                let key::Public { not_before, not_after, .. } = public;
                let validity = Validity { not_before, not_after };
                if let Some((_, what)) = validity.judge(validity::now()) {
                    findings.push(
                        Severity::Warning,
                        chain.display().to_string(),
                        what,
                        validity::RENEWAL,
                    );
                }
            }
            Err((place, what)) => findings.push(
                Severity::Error,
                place,
                what,
                "name a readable pair with `certificate` and `private_key` below [tls]",
            ),
        }
    }
    if let Some(authority) = &tls.client_ca
        && let Err(e) = File::open(authority)
    {
        findings.key(
            Severity::Error,
            "tls.client_ca",
            format!("{} cannot be read: {e}", authority.display()),
            "name a PEM file of authorities",
        );
    }
}

/// A directory the server writes to; it makes it, and those above it, by itself.
fn writable(findings: &mut Findings<'_>, key: &str, directory: &Path) {
    let Some(existing) = directory.ancestors().find(|path| path.symlink_metadata().is_ok()) else {
        return;
    };
    let what = if !existing.is_dir() {
        format!("{} is no directory", existing.display())
    } else {
        match access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) => return,
            Err(e) => format!("{} cannot be written to: {e}", existing.display()),
        }
    };
    let remedy = "make the directory for the user the server runs as, or name another";
    findings.key(Severity::Error, key, what, remedy);
}

/// The longest path of a socket, in bytes (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

fn control_socket(findings: &mut Findings<'_>) {
    let (key, path) = (".control_socket", findings.config.control_socket.clone());
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        let what = format!("its path has {length} bytes, and a socket's at most {MAX_SOCKET_PATH}");
        findings.key(Severity::Error, key, what, "name a shorter one, such as below /run");
    }
    if path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket()) {
        let what = format!("{} is there and is no socket", path.display());
        findings.key(Severity::Error, key, what, "remove it, or name another path");
    }
    if let Some(directory) = path.parent() {
        writable(findings, key, directory);
    }
}

/// The log file, which is appended to. Its directory has to be there.
fn log_file(findings: &mut Findings<'_>, file: &Path) {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let what = match file.metadata() {
        Ok(there) if !there.is_file() => format!("{} is no regular file", file.display()),
        Ok(_) => match access(file, AccessFlags::W_OK) {
            Ok(()) => return,
            Err(e) => format!("{} cannot be written to: {e}", file.display()),
        },
        Err(_) if !directory.is_dir() => format!("there is no directory {}", directory.display()),
        Err(_) => match access(directory, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) => return,
            Err(e) => format!("{} cannot be written to: {e}", directory.display()),
        },
    };
    findings.key(Severity::Error, "log.file", what, "name a file in a directory that is there");
}

fn directory(findings: &mut Findings<'_>, key: &str, directory: &Path) {
    let what = match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => return,
        Ok(_) => format!("{} is no directory", directory.display()),
        Err(e) => format!("{} cannot be used: {e}", directory.display()),
    };
    findings.key(Severity::Error, key, what, "make the directory, or name another");
}
