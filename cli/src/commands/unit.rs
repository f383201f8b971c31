//! `bulkhead unit`: what the packaged systemd unit does not know, because it is in the configuration.
//!
//! The unit makes the whole file system read-only, hides the homes, leaves the server no capability
//! that overrides the mode of a file, and no network but the sockets that the helper's unit makes. The
//! drop-in names the directories that accounts may write to, homes that are served at all, and the
//! capabilities and the network that this configuration needs.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::Permissions,
    io::Write as _,
    net::IpAddr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use accounts::store::Store;
use clap::Args;
use config::Config;
use ipc::authenticator::Backend;
use rustix::{fs::StatVfsMountFlags, io::Errno};

use super::{Failure, console};

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

/// The name of the drop-in in the directory of the unit's drop-ins.
const DROP_IN: &str = "directories.conf";
/// Where drop-ins of the unit are.
const DIRECTORY: &str = "/etc/systemd/system/bulkhead.service.d";
/// Directories that no drop-in makes writable as a whole for an account below them.
const SHARED: [&str; 20] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc",
    "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/tmp",
];

/// Options of `bulkhead unit`.
#[derive(Args)]
pub struct Unit {
    /// Write the drop-in where systemd reads it, and have systemd read it.
    #[arg(long)]
    write: bool,
    /// Where drop-ins of the unit are.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, requires = "write")]
    directory: PathBuf,
}

/// Prints the drop-in, or writes it.
///
/// # Errors
/// When the account file cannot be read, or the drop-in cannot be written.
pub fn run(config: &Config, unit: &Unit) -> Result<(), Failure> {
    let text = text_for(config)?;
    if !unit.write {
        console::say(text.trim_end());
        return Ok(());
    }
    let file = write_to(&unit.directory, &text)?;
    console::say(format_args!("Written: {}", file.display()));
    console::say("A server that runs takes it on with: systemctl restart bulkhead");
    Ok(())
}

/// The drop-in for a configuration and its accounts.
///
/// # Errors
/// When the account file cannot be read.
fn text_for(config: &Config) -> Result<String, Failure> {
    let store = Store::load_or_empty(&config.auth.users_file)?;
    Ok(drop_in(&needs(config, &store)))
}

/// Whether the server of the default configuration is started by systemd on this host.
pub fn is_managed(config: &Config) -> bool {
    let units = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    config.file.as_deref() == Some(Path::new(super::DEFAULT_CONFIGURATION))
        && Path::new("/run/systemd/system").exists()
        && units.iter().any(|place| Path::new(place).join("bulkhead.service").exists())
}

/// Writes the drop-in where systemd reads it; gives its path.
///
/// # Errors
/// When it cannot be written, or systemd does not read it.
pub fn write(config: &Config) -> Result<PathBuf, Failure> {
    write_to(Path::new(DIRECTORY), &text_for(config)?)
}

fn write_to(directory: &Path, text: &str) -> Result<PathBuf, Failure> {
    let file = directory.join(DROP_IN);
    let failed = |e: std::io::Error| format!("{} cannot be written: {e}", file.display());
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut new = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    new.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    new.persist(&file).map_err(|e| failed(e.error))?;
    if Path::new("/run/systemd/system").exists() && directory == Path::new(DIRECTORY) {
        let status = Command::new("systemctl").arg("daemon-reload").status();
        if !status.as_ref().is_ok_and(ExitStatus::success) {
            return Err(format!(
                "{} is written, and systemd did not read it ({status:?}); run: systemctl \
                 daemon-reload",
                file.display()
            )
            .into());
        }
    }
    Ok(file)
}

/// What has to be done before a server reaches the root of an account that was added just now;
/// nothing where it runs and reaches it already.
pub fn advice(config: &Config, root: &Path, writes: bool) -> Option<String> {
    let restart = match is_managed(config) {
        true => "  bulkhead unit --write\n  systemctl restart bulkhead",
        false => "  start the server again where it sees that directory",
    };
    let running = super::operator::open(&config.control_socket)
        .and_then(|channel| super::operator::server_status(&channel));
    match running {
        Ok(status) => {
            let what = hindrance(status.pid, root, writes)?;
            Some(format!("The running server {what} {} yet. Do this:\n{restart}", root.display()))
        }
        // The server that is started next reads the drop-in as it stands.
        Err(_) if is_managed(config) => {
            let text = text_for(config).ok()?;
            let there = std::fs::read_to_string(Path::new(DIRECTORY).join(DROP_IN));
            let covered = there.is_ok_and(|there| covers(&there, &text));
            (!covered).then(|| {
                "The server's unit does not know the account's directory yet. Before you start \
                 it:\n  bulkhead unit --write"
                    .to_owned()
            })
        }
        Err(_) => None,
    }
}

/// Whether every setting of a drop-in is in another one.
fn covers(there: &str, wanted: &str) -> bool {
    let setting = |line: &&str| line.contains('=') && !line.starts_with('#');
    wanted.lines().filter(setting).all(|line| there.lines().any(|other| other == line))
}

/// What keeps a process from a directory: how it is mounted where that process lives.
fn hindrance(pid: u32, root: &Path, writes: bool) -> Option<&'static str> {
    let beneath = Path::new(&format!("/proc/{pid}/root")).join(root.strip_prefix("/").ok()?);
    match rustix::fs::statvfs(&beneath) {
        Ok(facts) => (writes && facts.f_flag.contains(StatVfsMountFlags::RDONLY))
            .then_some("cannot write to"),
        Err(Errno::NOENT) => Some("does not see"),
        // Only root may look there.
        Err(_) => None,
    }
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
        "# Written by `bulkhead unit --write`. Needed again after a change of the configuration, and\n\
         # after adding an account whose root lies below none of the directories that stand here:\n\
         #   bulkhead unit --write && systemctl restart bulkhead\n",
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
        // Not ProtectHome=read-only: of the same path named twice, systemd takes the stricter one.
        text.push_str(
            "# Homes are served. ProtectSystem=strict keeps them read-only but for the\n",
        );
        text.push_str("# directories below.\nProtectHome=no\n");
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
    let writable = declared(&needs.writable);
    if !writable.is_empty() {
        text.push_str(
            "# Accounts below these need nothing more: each is confined to its own root.\n",
        );
    }
    for path in &writable {
        // `-`: a directory that is not there must not keep the server from starting.
        write_path(&mut text, "ReadWritePaths", path);
    }
    text
}

/// What is declared for the roots: the directory above each, so that an account that is added beside it
/// needs no other drop-in and no restart, or the root itself where everybody's files are above it.
/// Nothing that lies below something else that is declared.
fn declared(roots: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let of = |root: &PathBuf| match root.parent() {
        Some(parent) if !SHARED.iter().any(|shared| parent == Path::new(shared)) => {
            parent.to_owned()
        }
        Some(_) | None => root.clone(),
    };
    let all: BTreeSet<PathBuf> = roots.iter().map(of).collect();
    let inner = |path: &PathBuf| path.ancestors().skip(1).any(|above| all.contains(above));
    all.iter().filter(|path| !inner(path)).cloned().collect()
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
        assert!(text.contains("ReadWritePaths=\"-/srv\"\n"), "{text}");
        assert!(!text.contains("ReadWritePaths=\"-/home/bob"), "{text}");
        assert!(text.contains("ProtectHome=no\n"), "{text}");
    }

    #[test]
    fn c8_the_directory_above_the_roots_is_declared_once() {
        let declared = |roots: &[&str]| {
            let roots = roots.iter().map(PathBuf::from).collect();
            let declared = super::declared(&roots);
            declared.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(declared(&["/srv/ftp/alice", "/srv/ftp/bob"]), ["/srv/ftp"]);
        assert_eq!(declared(&["/srv/alice", "/srv/ftp/bob"]), ["/srv"]);
        assert_eq!(declared(&["/data/alice"]), ["/data"]);
        // Never what belongs to everybody.
        assert_eq!(
            declared(&["/home/alice", "/data", "/var/lib/x"]),
            ["/data", "/home/alice", "/var/lib/x"]
        );
        assert_eq!(declared(&["/home/alice/ftp"]), ["/home/alice"]);
        assert_eq!(declared(&["/"]), ["/"]);
    }

    #[test]
    fn c8_a_drop_in_that_says_more_covers_one_that_says_less() {
        let one = drop_in(&needs_of("", ACCOUNTS));
        let more = drop_in(&needs_of("admin_group = \"adm\"\n", ACCOUNTS));
        assert!(covers(&more, &one) && !covers(&one, &more) && !covers("", &one));
    }

    #[test]
    fn c8_the_drop_in_is_written_whole() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("bulkhead.service.d");
        for text in ["[Service]\nA=b\n", "[Service]\n"] {
            let file = write_to(&directory, text).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert!(write_to(&place.path().join("file"), "").is_err());
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

    /// systemd takes the stricter one of two settings for one path.
    #[test]
    fn h6_what_is_writable_is_not_read_only_as_well() {
        let pam = drop_in(&needs_of("[auth]\nbackends = [\"pam\"]\n", ""));
        let of_home = drop_in(&needs_of("", "[accounts.all]\nroot = \"/home\"\n"));
        for text in [pam, of_home] {
            assert!(text.contains("ReadWritePaths=-/home\n") || text.contains("\"-/home\""));
            let homes: Vec<_> =
                text.lines().filter(|line| line.starts_with("ProtectHome")).collect();
            assert_eq!(homes, ["ProtectHome=no"], "{text}");
        }
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
