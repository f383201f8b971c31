//! `bulkhead unit`: what the packaged systemd unit does not know, because it is in the configuration.
//!
//! The unit makes the whole file system read-only, hides the homes, leaves the server no capability
//! that overrides the mode of a file, and no network but the sockets that the helper's unit makes. The
//! drop-in names the directories that accounts may write to, homes that are served at all, and the
//! capabilities and the network that this configuration needs.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ipc::authenticator::Backend;

use super::{Failure, console};
use crate::{account::store::Store, config::Config};

/// What a configuration needs beyond the unit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    writable: BTreeSet<PathBuf>,
    readable: BTreeSet<PathBuf>,
    pam: bool,
    pam_alone: bool,
    admin_group: bool,
    /// Names in `[passive] address`, which the supervisor resolves.
    names: BTreeSet<String>,
    /// Files of the configuration that belong to somebody else than root.
    foreign: BTreeSet<PathBuf>,
}

/// Prints the drop-in.
///
/// # Errors
/// When the account file cannot be read.
pub fn run(config: &Config) -> Result<(), Failure> {
    let store = Store::load_or_empty(&config.auth.users_file)?;
    console::say(drop_in(&needs(config, &store)).trim_end());
    Ok(())
}

fn needs(config: &Config, store: &Store) -> Needs {
    let mut needs = Needs {
        pam: config.auth.backends.contains(&Backend::Pam),
        pam_alone: config.auth.backends == [Backend::Pam],
        admin_group: config.admin_group.is_some(),
        foreign: foreign(config),
        names: names(config),
        ..Needs::default()
    };
    for record in store.accounts.values() {
        let roots =
            if record.rights().any_write() { &mut needs.writable } else { &mut needs.readable };
        roots.insert(record.root.clone());
    }
    if let Some(anonymous) = &config.anonymous {
        needs.readable.insert(anonymous.root.clone());
    }
    if let Some((i2ftp, root)) = config.i2ftp.as_ref().and_then(|i| Some((i, i.root.clone()?))) {
        let roots = if i2ftp.read_only { &mut needs.readable } else { &mut needs.writable };
        roots.insert(root);
    }
    if let Some(directory) = config.log.file.as_deref().and_then(Path::parent) {
        needs.writable.insert(directory.to_owned());
    }
    needs
}

/// The names among the addresses that clients are told to connect to.
fn names(config: &Config) -> BTreeSet<String> {
    let hosts = config.passive.addresses.iter().map(|address| &address.host);
    hosts.filter(|host| host.parse::<IpAddr>().is_err()).cloned().collect()
}

/// What the server reads and does not own. A file that is not there yet is nobody's.
fn foreign(config: &Config) -> BTreeSet<PathBuf> {
    let of_tls = config.tls.iter().flat_map(|tls| {
        let pairs = tls.pairs.iter().flat_map(|(certificate, key)| [certificate, key]);
        pairs.chain(&tls.client_ca)
    });
    let read = config.file.iter().chain([&config.auth.users_file, &config.auth.state_directory]);
    let is_foreign = |path: &&PathBuf| {
        path.ancestors().any(|part| part.metadata().is_ok_and(|facts| facts.uid() != 0))
    };
    read.chain(of_tls).filter(is_foreign).cloned().collect()
}

fn drop_in(needs: &Needs) -> String {
    let mut text = String::from(
        "# Printed by `bulkhead unit`. Print it again after adding an account or changing the\n\
         # configuration:\n\
         #   mkdir -p /etc/systemd/system/bulkhead.service.d\n\
         #   bulkhead unit > /etc/systemd/system/bulkhead.service.d/directories.conf\n\
         #   systemctl daemon-reload && systemctl restart bulkhead\n",
    );
    if needs.pam_alone {
        text.push_str(
            "\n[Unit]\n# There is no account file with PAM alone.\nConditionPathExists=\n",
        );
    }
    text.push_str("\n[Service]\n");
    let homes = ["/home", "/root", "/run/user"];
    let served = needs.writable.iter().chain(&needs.readable);
    let home = needs.pam || served.clone().any(|path| homes.iter().any(|h| path.starts_with(h)));
    if home {
        text.push_str("# Homes are served. They are read-only but for the directories below.\n");
        text.push_str("ProtectHome=read-only\n");
    }
    if needs.pam || !needs.names.is_empty() {
        if needs.pam {
            text.push_str("# PAM's modules may ask servers of the network.\n");
        }
        for name in &needs.names {
            writeln!(text, "# {} is looked up in DNS.", name.escape_debug()).ok();
        }
        text.push_str("PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6\n");
    }
    if needs.pam {
        text.push_str("# System users write to their homes, and PAM writes audit records.\n");
        text.push_str("ReadWritePaths=-/home\nRestrictAddressFamilies=AF_NETLINK\n");
        text.push_str("# PAM's modules read the shadow file and write files of the users.\n");
        text.push_str("CapabilityBoundingSet=CAP_AUDIT_WRITE CAP_DAC_READ_SEARCH\n");
        text.push_str("CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_CHOWN\n");
    }
    if needs.admin_group {
        text.push_str("# The control socket is given to the admin group.\n");
        text.push_str("CapabilityBoundingSet=CAP_CHOWN\n");
    }
    if !needs.foreign.is_empty() {
        text.push_str("# These do not belong to root, or are beneath a directory that does not:\n");
        for path in &needs.foreign {
            // A control character in a name would end the comment.
            writeln!(text, "#   {}", path.display().to_string().escape_debug()).ok();
        }
        text.push_str("CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE\n");
    }
    for path in &needs.writable {
        // `-`: a directory that is not there must not keep the server from starting.
        write_path(&mut text, "ReadWritePaths", path);
    }
    text
}

/// Quotes a path as systemd.syntax(7) wants it; `%` begins a specifier.
fn write_path(text: &mut String, key: &str, path: &Path) {
    let mut quoted = String::new();
    for c in path.to_string_lossy().chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            c => quoted.push(c),
        }
    }
    // Writing to a String does not fail.
    writeln!(text, "{key}=\"-{quoted}\"").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs_of(configuration: &str, accounts: &str) -> Needs {
        let config =
            Config::parse(Path::new("/etc/bulkhead/bulkhead.toml"), configuration).unwrap();
        let store = Store::parse(Path::new("users.toml"), accounts).unwrap();
        needs(&config, &store)
    }

    const ACCOUNTS: &str = "[accounts.alice]\nroot = \"/srv/alice\"\n\n\
                            [accounts.bob]\nroot = \"/home/bob/out\"\nread_only = true\n";

    #[test]
    fn only_what_accounts_may_write_to_is_writable() {
        let text = drop_in(&needs_of("", ACCOUNTS));
        assert!(text.contains("ReadWritePaths=\"-/srv/alice\"\n"), "{text}");
        assert!(!text.contains("ReadWritePaths=\"-/home/bob"), "{text}");
        assert!(text.contains("ProtectHome=read-only"), "{text}");
    }

    #[test]
    fn homes_stay_hidden_where_nobody_serves_them() {
        assert!(!drop_in(&needs_of("", "")).contains("ProtectHome"));
    }

    #[test]
    fn pam_gets_what_it_needs() {
        let text = drop_in(&needs_of("[auth]\nbackends = [\"pam\"]\n", ""));
        assert!(text.contains("PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6\n"));
        assert!(text.contains("AF_NETLINK") && text.contains("CAP_AUDIT_WRITE"), "{text}");
        assert!(text.contains("CAP_DAC_OVERRIDE CAP_CHOWN\n"), "{text}");
        assert!(text.contains("ConditionPathExists=\n"), "{text}");
    }

    #[test]
    fn the_network_is_given_back_only_to_resolve_a_name() {
        let passive = |address: &str| {
            let configuration = format!("[passive]\naddress = {address}\n");
            drop_in(&needs_of(&configuration, ""))
        };
        assert!(!passive("\"192.0.2.7\"").contains("PrivateNetwork"));
        let text = passive("\"ftp.example.org\"");
        assert!(text.contains("# ftp.example.org is looked up"), "{text}");
        assert!(text.contains("PrivateNetwork=no\n"), "{text}");
    }

    #[test]
    fn capabilities_are_added_only_where_the_configuration_needs_them() {
        assert!(!drop_in(&Needs::default()).contains("CapabilityBoundingSet"));
        let group = drop_in(&needs_of("admin_group = \"adm\"\n", ""));
        assert!(group.contains("\nCapabilityBoundingSet=CAP_CHOWN\n"), "{group}");
        let foreign = Needs { foreign: ["/srv/a\nUser=b".into()].into(), ..Needs::default() };
        let text = drop_in(&foreign);
        assert!(text.contains("\n#   /srv/a\\nUser=b\n"), "{text}");
        assert!(text.contains("=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE\n"), "{text}");
    }

    #[test]
    fn files_of_another_owner_are_found() {
        let own = nix::unistd::geteuid().as_raw();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users.toml");
        std::fs::write(&file, "").unwrap();
        if own == 0 {
            std::os::unix::fs::chown(&file, Some(1), None).unwrap();
        }
        let configuration = format!("[auth]\nusers_file = {file:?}\n");
        assert!(needs_of(&configuration, "").foreign.contains(&file));
    }

    #[test]
    fn a_path_cannot_add_a_directive() {
        let mut text = String::new();
        write_path(&mut text, "ReadWritePaths", Path::new("/srv/a b%n\"c"));
        assert_eq!(text, "ReadWritePaths=\"-/srv/a b%%n\\\"c\"\n");
    }
}
