//! Which crate may use which: DESIGN.md, section 10, as data.

use super::{Fault, Rule, workspace::Workspace};

/// What a crate may use of ours, by folder. Tools (`tests`, `bench`, `xtask`, `fuzz`) are free.
pub const ARROWS: [(&str, &[&str]); 13] = [
    ("supervisor", &["ipc", "policy"]),
    ("coordinator", &["ipc", "policy"]),
    ("keeper", &["ipc", "policy"]),
    ("authenticator", &["ipc", "policy", "accounts", "i2ftp"]),
    ("helper", &["ipc", "policy"]),
    ("worker", &["ipc", "policy", "i2ftp"]),
    ("ipc", &[]),
    ("policy", &["ipc"]),
    ("policy-audit", &["policy"]),
    // Whether a key of I2FTP is good enough is said by i2ftp.
    ("config", &["ipc", "i2ftp"]),
    ("accounts", &["ipc"]),
    ("i2ftp", &[]),
    // The program that becomes a role before it reads its arguments, and otherwise a command.
    (
        "cli",
        &[
            "ipc",
            "policy",
            "policy-audit",
            "config",
            "accounts",
            "i2ftp",
            "coordinator",
            "keeper",
            "authenticator",
            // Until the supervisor is a program of its own.
            "supervisor",
        ],
    ),
];

/// Packages that a crate never links, not even through another one, and why.
const NEVER: [(&str, &[&str], &str); 5] = [
    (
        "supervisor",
        &["bulkhead-accounts", "clap", "toml", "tokio"],
        "it is root for the server's life",
    ),
    ("keeper", &["bulkhead-accounts", "clap", "toml"], "it holds the private keys"),
    ("policy", &["toml"], "every role links it, and its data is translated when it is built"),
    ("worker", &["toml", "clap", "tokio"], "it reads a client's bytes"),
    ("helper", &["toml", "clap", "tokio"], "it is sandboxed as tightly as it can be"),
];

/// The faults of all members.
pub fn faults(all: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for member in all.0.values() {
        let folder = &member.folder;
        if let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == folder) {
            for used in member.uses.iter().filter(|used| !allowed.contains(&used.as_str())) {
                faults.push(Fault {
                    rule: Rule::Arrow,
                    place: format!("{folder} -> {used}"),
                    message: format!(
                        "{folder} may use {}: see DESIGN.md, section 10, and take {used} out of \
                         {folder}/Cargo.toml",
                        if allowed.is_empty() {
                            "nothing of ours".into()
                        } else {
                            allowed.join(", ")
                        }
                    ),
                });
            }
        }
        for (_, packages, why) in NEVER.iter().filter(|(name, _, _)| name == folder) {
            for package in packages.iter().filter(|package| member.links.contains_key(**package)) {
                let through = member.links.get(*package).cloned().unwrap_or_default();
                faults.push(Fault {
                    rule: Rule::Links,
                    place: format!("{folder} -> {package}"),
                    message: format!(
                        "{folder} links {package}, asked for by {through}; it never may: {why}"
                    ),
                });
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::workspace::Member, *};

    fn entries(folder: &str, uses: &[&str], links: &[&str]) -> Vec<String> {
        let member = Member {
            folder: folder.into(),
            uses: uses.iter().map(|used| (*used).to_owned()).collect(),
            links: links.iter().map(|link| ((*link).to_owned(), "somebody".into())).collect(),
            roots: Vec::new(),
        };
        let all = Workspace(BTreeMap::from([(folder.to_owned(), member)]));
        faults(&all).iter().map(Fault::entry).collect()
    }

    #[test]
    fn an_arrow_that_is_not_drawn_and_a_package_that_is_never_linked_are_faults() {
        assert!(entries("keeper", &["ipc", "policy"], &["rustls-pki-types"]).is_empty());
        assert_eq!(
            entries("keeper", &["ipc", "coordinator"], &[]),
            ["arrow keeper -> coordinator"]
        );
        assert_eq!(
            entries("supervisor", &[], &["toml", "clap"]),
            ["links supervisor -> clap", "links supervisor -> toml"]
        );
        assert!(entries("tests", &["worker", "keeper"], &["clap"]).is_empty());
    }
}
