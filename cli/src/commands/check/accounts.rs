//! Accounts: the account file, every account of it, and PAM.

use std::path::Path;

use ipc::authenticator::Backend;
use nix::unistd::Group;

use super::{Findings, Severity, reach};
use accounts::{
    AccountError,
    record::Record,
    store::{Store, StoreError},
};

/// Checks them.
pub fn check(findings: &mut Findings<'_>) {
    let auth = &findings.config.auth;
    if auth.backends.contains(&Backend::File) {
        file(findings);
    }
    if auth.backends.contains(&Backend::Pam) {
        pam(findings);
    }
    derived(findings);
    if let Some(name) = findings.config.i2ftp.as_ref().and_then(|i2ftp| i2ftp.account.as_ref()) {
        let known = Store::load_or_empty(&auth.users_file)
            .is_ok_and(|store| store.accounts.contains_key(name));
        if !known {
            findings.key(
                Severity::Error,
                "i2ftp.account",
                format!("there is no account {name}"),
                "`bulkhead user list` shows those there are",
            );
        }
    }
}

/// Logins whose identity is the owner of a directory: `[anonymous] root` and `[i2ftp] root`.
fn derived(findings: &mut Findings<'_>) {
    let config = findings.config;
    let anonymous = config
        .anonymous
        .as_ref()
        .map(|anonymous| ("anonymous.root", accounts::anonymous(Some(&anonymous.root)).map(drop)));
    let i2ftp = config.i2ftp.as_ref().filter(|i2ftp| i2ftp.account.is_none());
    let i2ftp = i2ftp
        .and_then(|i2ftp| i2ftp.root.as_deref())
        .map(|root| ("i2ftp.root", accounts::owner_of(root, accounts::MOVE_I2FTP_ROOT).map(drop)));
    for (key, found) in [anonymous, i2ftp].into_iter().flatten() {
        if let Err(e) = found {
            findings.key(Severity::Error, key, e.to_string(), "nobody can log in there until then");
        }
    }
}

fn file(findings: &mut Findings<'_>) {
    let path = &findings.config.auth.users_file;
    let alone = findings.config.auth.backends.len() == 1 && findings.config.anonymous.is_none();
    let store = match Store::load(path) {
        Ok(store) => store,
        Err(StoreError::Read { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
            let severity = if alone { Severity::Warning } else { Severity::Note };
            return findings.push(
                severity,
                path.display().to_string(),
                "there is no account file yet, so nobody can log in to an account of it",
                "`bulkhead user add NAME --root DIR` makes the first account",
            );
        }
        Err(e) => {
            return findings.push(
                Severity::Error,
                path.display().to_string(),
                e.to_string(),
                "nobody can log in until then",
            );
        }
    };
    for (name, record) in &store.accounts {
        account(findings, &store, name, record);
    }
}

/// One account. A warning for what it lacks: the server starts, and the others log in.
fn account(findings: &mut Findings<'_>, store: &Store, name: &str, record: &Record) {
    let place = format!("account {name}");
    let judged = record.identity().and_then(|identity| {
        accounts::judge_place(&record.root, &identity)?;
        Ok(identity)
    });
    let identity = match judged {
        Ok(identity) => identity,
        Err(e) => {
            // Somebody may have put another directory in the place of this root.
            let severity = match e {
                AccountError::Planted { .. } => Severity::Error,
                _ => Severity::Warning,
            };
            findings.push(severity, place, e.to_string(), "it cannot log in until then");
            return;
        }
    };
    if let Some((what, remedy)) = reach::hindrance(&record.root, &identity) {
        findings.push(Severity::Warning, place, what, remedy);
    } else if record.password.is_none() {
        findings.push(
            Severity::Warning,
            place,
            "it has no password, so it cannot log in",
            format!("run: bulkhead user passwd {name}"),
        );
    } else if record.second_factor && !store.second_factors.contains_key(name) {
        findings.push(
            Severity::Warning,
            place,
            "it needs a second factor and has none, so it cannot log in",
            format!("run: bulkhead user totp {name}"),
        );
    }
}

fn pam(findings: &mut Findings<'_>) {
    let service = &findings.config.auth.pam_service;
    let there = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"]
        .iter()
        .any(|directory| Path::new(directory).join(service).exists());
    if !there {
        findings.key(
            Severity::Error,
            "auth.pam_service",
            format!("there is no PAM service {service} in /etc/pam.d, so PAM refuses everybody"),
            "install the package's /etc/pam.d/bulkhead again, or name another service",
        );
    }
    if !nix::unistd::geteuid().is_root() {
        findings.key(
            Severity::Error,
            "auth.backends",
            "only root can check the passwords of system users",
            "run the server as root, or take \"pam\" out of the list",
        );
    }
    for name in &findings.config.auth.allow_groups {
        if !matches!(Group::from_name(name), Ok(Some(_))) {
            findings.key(
                Severity::Warning,
                "auth.allow_groups",
                format!("there is no group {name}, so it admits nobody"),
                "make it with `groupadd`, or take it out of the list",
            );
        }
    }
}
