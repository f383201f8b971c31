//! `bulkhead user …`: the accounts of the account file.

use std::path::{Path, PathBuf};

use accounts::{
    AccountError, import, judge_root, last_good, name, owner_to_write, password,
    record::{Expiry, NetworkText, Record, RightList, TlsWord, right},
    settle,
    store::{Store, StoreError, flaw},
};
use clap::{Args, Subcommand};
use config::Config;
use ipc::{account::Rights, bounded::UserName, root_path::RootPath};

use super::{Failure, console, totp, unit};

/// Manage the accounts of the account file.
#[derive(Subcommand)]
pub enum Command {
    /// Add an account.
    Add(Box<Add>),
    /// Change the password of an account.
    Passwd {
        /// The account.
        name: String,
        /// Read the password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Demand one-time codes of an account, or no longer.
    Totp(totp::Totp),
    /// List the accounts.
    List {
        /// As JSON, one array.
        #[arg(long)]
        json: bool,
    },
    /// Take over the accounts of a passwd-style file: htpasswd, ProFTPD, Pure-FTPd, shadow.
    Import {
        /// The file, one account per line.
        file: PathBuf,
        /// The root of accounts whose line names no home; `{name}` stands for the name.
        #[arg(long, value_name = "DIR")]
        root: Option<String>,
        /// The uid of accounts whose line names none (the owner of the root when left out).
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        uid: Option<u32>,
        /// The gid of accounts whose line names none (the group of the root when left out).
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        gid: Option<u32>,
    },
    /// Remove an account and its second factor.
    Remove {
        /// The account.
        name: String,
    },
}

/// A new account.
#[derive(Args, Default)]
pub struct Add {
    /// Its name.
    pub name: String,
    /// The directory its clients see as `/`.
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// Where its sessions start, as its clients see it.
    #[arg(long, value_name = "DIR")]
    start: Option<PathBuf>,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Demand one-time codes from the start.
    #[arg(long)]
    pub totp: bool,
    /// Allow nothing that changes anything.
    #[arg(long)]
    pub read_only: bool,
    /// What it may do, separated by commas (everything but symlink when left out).
    #[arg(long, value_name = "RIGHT,…", value_delimiter = ',', value_parser = right)]
    rights: Vec<Rights>,
    /// Its uid (the owner of the directory when left out).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub uid: Option<u32>,
    /// Its gid (the group of the directory when left out).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub gid: Option<u32>,
    /// Its supplementary groups, separated by commas.
    #[arg(long, value_name = "GID,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    groups: Vec<u32>,
    /// Bytes per second it may upload.
    #[arg(long, value_name = "BYTES")]
    upload_rate: Option<u64>,
    /// Bytes per second it may download.
    #[arg(long, value_name = "BYTES")]
    download_rate: Option<u64>,
    /// Most sessions at a time.
    #[arg(long, value_name = "NUMBER")]
    max_sessions: Option<u32>,
    /// Networks it may log in from, separated by commas.
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',')]
    networks: Vec<NetworkText>,
    /// The last day it may log in, such as 2027-12-31 (UTC).
    #[arg(long, value_name = "DAY")]
    expires: Option<Expiry>,
    /// TLS demanded of it: none, control or control+data.
    #[arg(long, value_name = "DEMAND")]
    tls: Option<TlsWord>,
    /// Answer SITE WHO.
    #[arg(long)]
    administrator: bool,
}

/// Runs a command.
///
/// # Errors
/// What cannot be done, and what to do instead.
pub fn run(config: Config, command: Command) -> Result<(), Failure> {
    let file = &config.auth.users_file;
    match command {
        Command::Add(add) => self::add(&config, *add),
        Command::Totp(command) => totp::run(&config, &command),
        Command::Passwd { name, password_stdin } => passwd(file, &name, password_stdin),
        Command::List { json } => list(file, json),
        Command::Import { file: from, root, uid, gid } => {
            import(file, &from, root.as_deref(), (uid, gid))
        }
        Command::Remove { name } => remove(file, &name),
    }?;
    // A removed account must not come back with the last good file.
    last_good::refresh(file, &config.auth.state_directory).map_err(Into::into)
}

impl Add {
    /// An account with nothing but a name and a root.
    pub fn new(name: String, root: PathBuf) -> Add {
        Add { name, root, ..Add::default() }
    }
}

fn add(config: &Config, add: Add) -> Result<(), Failure> {
    // Before somebody types a password for nothing.
    if exists(&config.auth.users_file, &add.name)? {
        return Err(taken(&add.name));
    }
    judge_name(&add.name)?;
    record(&add)?;
    let typed = console::new_password(add.password_stdin)?;
    let (root, writes) = (std::fs::canonicalize(&add.root)?, record(&add)?.rights().any_write());
    create(config, add, &typed)?;
    if let Some(advice) = unit::advice(config, &root, writes) {
        console::say(advice);
    }
    Ok(())
}

fn judge_name(name: &str) -> Result<UserName, Failure> {
    name::judge(name).map_err(|e| format!("the name {name:?} cannot be used: {e}").into())
}

/// Adds an account with this password, and enrols it if that is asked for.
///
/// # Errors
/// What cannot be added, and what to do instead.
pub fn create(config: &Config, add: Add, typed: &str) -> Result<(), Failure> {
    let file = &config.auth.users_file;
    let name = judge_name(&add.name)?;
    let mut record = record(&add)?;
    let identity = record.identity()?;
    record.password = Some(password::hash(typed.as_bytes())?);
    let root = record.root.clone();
    Store::edit(file, |store| -> Result<(), Failure> {
        if store.accounts.contains_key(name.as_str()) {
            return Err(taken(name.as_str()));
        }
        store.accounts.insert(name.as_str().to_owned(), record);
        Ok(())
    })?;
    console::say(format_args!(
        "Added {name}: uid {}, gid {}, root {}.",
        identity.uid,
        identity.gid,
        root.display()
    ));
    if add.totp { totp::enrol(config, name.as_str()) } else { Ok(()) }
}

/// The record of an account, without its password.
fn record(add: &Add) -> Result<Record, Failure> {
    let found = settle(&add.root)?;
    judge_root(&found.path)?;
    let (uid, gid) = written_identity(add.uid, add.gid, &found)?;
    let rights = add.rights.iter().copied().reduce(Rights::with).map(RightList);
    Ok(Record {
        root: found.path,
        start: add.start.clone(),
        read_only: add.read_only,
        rights,
        uid: Some(uid),
        gid: Some(gid),
        groups: add.groups.clone(),
        upload_rate: add.upload_rate,
        download_rate: add.download_rate,
        max_sessions: add.max_sessions,
        networks: add.networks.clone(),
        expires: add.expires,
        tls: add.tls,
        administrator: add.administrator,
        ..Record::default()
    })
}

/// The uid and gid of a new account, which are always written down: nobody who changes a directory
/// later changes an account.
///
/// # Errors
/// When they are to be those of the root's owner, and cannot be.
fn written_identity(
    uid: Option<u32>,
    gid: Option<u32>,
    found: &RootPath,
) -> Result<(u32, u32), AccountError> {
    if let (Some(uid), Some(gid)) = (uid, gid) {
        return Ok((uid, gid));
    }
    let owner = owner_to_write(found)?;
    Ok((uid.unwrap_or(owner.uid), gid.unwrap_or(owner.gid)))
}

fn passwd(file: &Path, name: &str, from_stdin: bool) -> Result<(), Failure> {
    if !exists(file, name)? {
        return Err(unknown(name));
    }
    let typed = console::new_password(from_stdin)?;
    let hash = password::hash(typed.as_bytes())?;
    Store::edit(file, |store| -> Result<(), Failure> {
        store.accounts.get_mut(name).ok_or_else(|| unknown(name))?.password = Some(hash);
        Ok(())
    })?;
    console::say(format_args!("Changed the password of {name}."));
    Ok(())
}

fn list(file: &Path, json: bool) -> Result<(), Failure> {
    let store = Store::load_or_empty(file)?;
    if json {
        let rows: Vec<_> = store
            .accounts
            .iter()
            .map(|(name, record)| {
                serde_json::json!({
                    "name": name,
                    "root": record.root,
                    "rights": record.rights().names().collect::<Vec<_>>(),
                    "uid": record.uid,
                    "gid": record.gid,
                    "groups": record.groups,
                    "second_factor": store.second_factors.contains_key(name),
                    "disabled": record.disabled,
                })
            })
            .collect();
        console::say(serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    if store.accounts.is_empty() {
        console::say("No accounts. `bulkhead user add NAME --root DIR` makes one.");
    }
    for (name, record) in &store.accounts {
        let identity = match record.identity() {
            Ok(identity) => format!("{}:{}", identity.uid, identity.gid),
            Err(_) => "-".into(),
        };
        let mut words = Vec::new();
        if !record.rights().any_write() {
            words.push("read-only".to_owned());
        }
        if store.second_factors.contains_key(name) {
            words.push("second factor".into());
        }
        if let Some(expiry) = record.expires {
            words.push(format!("expires {expiry}"));
        }
        if record.disabled {
            words.push("disabled".into());
        }
        let root = record.root.display();
        console::say(format_args!("{name:<20} {identity:<12} {root}  {}", words.join(", ")));
    }
    Ok(())
}

/// Takes over what can be taken over and names every line that cannot, which makes it a failure.
fn import(
    file: &Path,
    from: &Path,
    root: Option<&str>,
    identity: (Option<u32>, Option<u32>),
) -> Result<(), Failure> {
    let text = std::fs::read_to_string(from)
        .map_err(|e| format!("{} cannot be read: {e}", from.display()))?;
    let (mut taken_over, mut problems) = (0usize, Vec::new());
    Store::edit(file, |store| -> Result<(), StoreError> {
        for (number, line) in (1usize..).zip(text.lines()) {
            let place = format!("{}:{number}", from.display());
            let taken = import::read(line, root)
                .and_then(|line| line.map(|line| settle_line(line, identity)).transpose());
            match taken {
                Ok(None) => {}
                Err(why) => problems.push(format!("{place}: {}", console::escape(&why))),
                Ok(Some(line)) if store.accounts.contains_key(&line.name) => {
                    problems.push(format!("{place}: {} exists already", line.name));
                }
                Ok(Some(line)) => {
                    for field in &line.left_out {
                        problems.push(format!(
                            "{place}: {}: left out: {}",
                            line.name,
                            console::escape(field)
                        ));
                    }
                    store.accounts.insert(line.name, line.record);
                    taken_over = taken_over.saturating_add(1);
                }
            }
        }
        Ok(())
    })?;
    console::say(format_args!("Took over {}.", console::counted(taken_over, "account")));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// A line with its identity written down and a root without links. A root that is not there yet can
/// be taken over where the identity is known.
fn settle_line(
    mut line: import::Line,
    (uid, gid): (Option<u32>, Option<u32>),
) -> Result<import::Line, String> {
    let record = &mut line.record;
    judge_root(&record.root).map_err(|e| format!("{}: {e}", line.name))?;
    (record.uid, record.gid) = (record.uid.or(uid), record.gid.or(gid));
    match settle(&record.root) {
        Ok(found) => {
            judge_root(&found.path).map_err(|e| format!("{}: {e}", line.name))?;
            let (uid, gid) = written_identity(record.uid, record.gid, &found)
                .map_err(|e| format!("{}: {e}", line.name))?;
            (record.uid, record.gid) = (Some(uid), Some(gid));
            record.root = found.path;
        }
        Err(AccountError::Root(root, _))
            if record.uid.is_some() && record.gid.is_some() && !is_there(&root) => {}
        Err(e) => {
            let name = &line.name;
            return Err(format!("{name}: {e}; make it first, or give --uid and --gid"));
        }
    }
    // One line that the next reader would refuse must not spoil the others.
    flaw(&line.name, &line.record).map_or(Ok(line), Err)
}

fn is_there(root: &Path) -> bool {
    !std::fs::symlink_metadata(root).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

fn remove(file: &Path, name: &str) -> Result<(), Failure> {
    Store::edit(file, |store| -> Result<(), Failure> {
        store.second_factors.remove(name);
        store.accounts.remove(name).map(drop).ok_or_else(|| unknown(name))
    })?;
    console::say(format_args!("Removed {name}. Its files are still there."));
    Ok(())
}

fn exists(file: &Path, name: &str) -> Result<bool, StoreError> {
    Ok(Store::load_or_empty(file)?.accounts.contains_key(name))
}

fn taken(name: &str) -> Failure {
    format!("{name} exists already; change it with `bulkhead user passwd`, or remove it first")
        .into()
}

fn unknown(name: &str) -> Failure {
    format!("there is no account {name:?}; `bulkhead user list` shows those there are").into()
}
