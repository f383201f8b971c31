//! Files and directories: who may read them, and whether what must be there is there.

use std::{fs::File, os::unix::fs::MetadataExt, path::Path};

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
    if let Some(directory) = config.control_socket.parent() {
        writable(findings, ".control_socket", directory);
    }
    if let Some(directory) = config.log.file.as_deref().and_then(Path::parent) {
        writable(findings, "log.file", directory);
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

/// A directory the server writes to; it makes the last part of the path itself.
fn writable(findings: &mut Findings<'_>, key: &str, directory: &Path) {
    let existing = if directory.exists() { Some(directory) } else { directory.parent() };
    let Some(existing) = existing else { return };
    if let Err(e) = access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        findings.key(
            Severity::Error,
            key,
            format!("{} cannot be written to: {e}", existing.display()),
            "make the directory for the user the server runs as, or name another",
        );
    }
}

fn directory(findings: &mut Findings<'_>, key: &str, directory: &Path) {
    let what = match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => return,
        Ok(_) => format!("{} is no directory", directory.display()),
        Err(e) => format!("{} cannot be used: {e}", directory.display()),
    };
    findings.key(Severity::Error, key, what, "make the directory, or name another");
}
