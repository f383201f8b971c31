//! `bulkhead check --account NAME`: whether somebody can log in, and if not, why; and whether he may do
//! something with a path. It asks the code that judges a login, and the kernel as the account.

use std::{
    net::IpAddr,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use ::accounts::{
    is_anonymous, judge_place,
    record::{Record, right},
    store::Store,
};
use config::Config;
use ipc::{
    account::{Account, Rights, TlsDemand},
    authenticator::Backend,
    bounded::UserName,
};
use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use rustix::fs::{Access, AtFlags, Mode, OFlags, ResolveFlags};

use super::{EXIT_FAILURE, Failure, console};

/// What is asked about an account.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Question {
    /// Say whether this account can log in, and if not, why; check nothing else.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Say as well whether it may do this (a right, such as write) with this path, as it sees it.
    #[arg(long, num_args = 2, value_names = ["RIGHT", "PATH"], requires = "account")]
    may: Vec<String>,
    /// The address it logs in from.
    #[arg(long, value_name = "ADDRESS", requires = "account")]
    from: Option<IpAddr>,
}

/// Answers. The exit code is 0 where it can, and 1 where it cannot.
///
/// # Errors
/// When the account file cannot be read, or the question is none.
pub fn answer(config: &Config, name: &str, question: &Question) -> Result<ExitCode, Failure> {
    let name = console::escape(name);
    let asked = match question.may.as_slice() {
        [word, path] => Some((right(word)?, word.as_str(), path.as_str())),
        _ => None,
    };
    let (mut obstacles, found) = log_in(config, &name, question.from)?;
    let advice = advice(config, found.as_ref());
    if obstacles.is_empty() {
        console::say(format_args!("{name} can log in{advice}."));
    }
    if let (Some((right, word, path)), Some(account)) = (asked, &found) {
        match may(account, right, path) {
            Ok(()) if obstacles.is_empty() => {
                console::say(format_args!("{name} may {word} {}.", console::escape(path)));
            }
            Ok(()) => {}
            Err(why) => obstacles.push(format!("{word} {}: {why}", console::escape(path))),
        }
    }
    for obstacle in &obstacles {
        console::say(format_args!("{name}: {obstacle}"));
    }
    Ok(if obstacles.is_empty() { ExitCode::SUCCESS } else { EXIT_FAILURE.into() })
}

/// What keeps somebody from logging in, and the account he would have.
fn log_in(
    config: &Config,
    name: &str,
    from: Option<IpAddr>,
) -> Result<(Vec<String>, Option<Account>), Failure> {
    let mut obstacles = Vec::new();
    if let Some(from) = from.filter(|from| !config.access.admits(*from)) {
        obstacles.push(format!("[access] refuses clients of {from}"));
    }
    if is_anonymous(name) {
        let root = config.anonymous.as_ref().map(|anonymous| anonymous.root.as_path());
        return Ok(match ::accounts::anonymous(root) {
            Ok(account) => (obstacles, Some(account)),
            Err(e) => {
                obstacles.push(format!("anonymous login: {e}"));
                (obstacles, None)
            }
        });
    }
    if !config.auth.admits(name) {
        let key = match config.auth.deny_users.iter().any(|denied| denied == name) {
            true => "[auth] deny_users names it",
            false => "[auth] allow_users does not name it",
        };
        obstacles.push(key.into());
    }
    let has = |backend| config.auth.backends.contains(&backend);
    let store = Store::load_or_empty(&config.auth.users_file)?;
    if let Some(record) = store.accounts.get(name).filter(|_| has(Backend::File)) {
        let account = of_file(name, record, &store, from, &mut obstacles);
        return Ok((obstacles, account));
    }
    if !has(Backend::Pam) {
        let users = config.auth.users_file.display();
        obstacles.push(format!("there is no account of this name in {users}"));
        return Ok((obstacles, None));
    }
    let account = of_system(config, name, &mut obstacles)?;
    Ok((obstacles, account))
}

fn of_file(
    name: &str,
    record: &Record,
    store: &Store,
    from: Option<IpAddr>,
    obstacles: &mut Vec<String>,
) -> Option<Account> {
    let now = time::OffsetDateTime::now_utc();
    // Without an address, that of its first network, which is one it may come from.
    let own = record.networks.first().map(|network| network.0.address());
    let client = from.or(own).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    match record.refusal(client, now) {
        Some("network") => obstacles.push(format!("its networks do not have {client}")),
        Some("disabled") => {
            obstacles.push(format!("it is disabled; run: bulkhead user enable {name}"));
        }
        Some(reason) => obstacles.push(format!("it is refused: {reason}")),
        None => {}
    }
    if record.password.is_none() {
        obstacles.push(format!("it has no password; run: bulkhead user passwd {name}"));
    }
    if record.second_factor && !store.second_factors.contains_key(name) {
        obstacles.push(format!("it needs a second factor; run: bulkhead user totp {name}"));
    }
    let user = UserName::try_from(name.to_owned()).ok()?;
    let account = record.account(&user).and_then(|account| {
        judge_place(&account.root, &account.identity)?;
        Ok(account)
    });
    account.map_err(|e| obstacles.push(e.to_string())).ok()
}

/// A system user: what PAM says of his password is not asked.
fn of_system(
    config: &Config,
    name: &str,
    obstacles: &mut Vec<String>,
) -> Result<Option<Account>, Failure> {
    let Some(user) = User::from_name(name)? else {
        obstacles.push("there is no account and no system user of this name".into());
        return Ok(None);
    };
    let uid = user.uid.as_raw();
    if uid == 0 || user.gid.as_raw() == 0 {
        obstacles.push("uid or gid 0 never logs in".into());
    } else if uid < config.auth.minimum_uid {
        obstacles.push(format!("its uid {uid} is below [auth] minimum_uid"));
    }
    if !user.dir.is_dir() {
        obstacles.push(format!("its home {} is not there", user.dir.display()));
    }
    console::say(format_args!(
        "{name} is a system user: PAM ({}) decides too.",
        config.auth.pam_service
    ));
    Ok(None)
}

/// What a client has to do besides.
fn advice(config: &Config, account: Option<&Account>) -> &'static str {
    let own = account.and_then(|account| account.tls).unwrap_or(TlsDemand::None);
    match own.max(config.tls_demand()) {
        TlsDemand::None => "",
        TlsDemand::Control => ", over TLS",
        TlsDemand::ControlAndData => ", over TLS, and data over TLS too",
    }
}

/// Whether the account may do something with a path. From here on this process is the account: it is
/// the last thing that it does.
fn may(account: &Account, right: Rights, path: &str) -> Result<(), String> {
    if !account.rights.contains(right) {
        let name = right.names().next().unwrap_or_default();
        return Err(format!("it does not have the right {name}"));
    }
    become_account(account).map_err(|e| format!("the account's uid cannot be taken on: {e}"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&account.root, flags, Mode::empty())
        .map_err(|e| format!("its root cannot be opened as the account: {e}"))?;
    let beneath = beneath(&account.start, path);
    let open = |path: &Path, flags: OFlags| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::BENEATH)
            .map_err(|e| format!("{}: {e}", console::escape(&path.display().to_string())))
    };
    let allowed = |file: &rustix::fd::OwnedFd, access: Access, what: &str| {
        let own = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(file));
        rustix::fs::accessat(rustix::fs::CWD, own, access, AtFlags::EACCESS)
            .map_err(|e| format!("{what} does not let uid {} do it: {e}", account.identity.uid))
    };
    let file = open(&beneath, OFlags::PATH | OFlags::CLOEXEC);
    let parent = beneath.parent().unwrap_or(Path::new(""));
    match right {
        Rights::LIST => allowed(&file?, Access::READ_OK | Access::EXEC_OK, "the directory"),
        Rights::READ => allowed(&file?, Access::READ_OK, "the file"),
        Rights::APPEND | Rights::OVERWRITE => allowed(&file?, Access::WRITE_OK, "the file"),
        Rights::CHMOD => owns(&file?, account),
        _ => allowed(
            &open(parent, flags)?,
            Access::WRITE_OK | Access::EXEC_OK,
            "the directory it is in",
        ),
    }
}

fn owns(file: &rustix::fd::OwnedFd, account: &Account) -> Result<(), String> {
    match rustix::fs::fstat(file).map(|stat| stat.st_uid) {
        Ok(owner) if owner == account.identity.uid => Ok(()),
        Ok(owner) => Err(format!("it belongs to uid {owner}, and only its owner may")),
        Err(e) => Err(e.to_string()),
    }
}

/// A path as the client writes it, relative to the root.
fn beneath(start: &Path, path: &str) -> PathBuf {
    let mut beneath = PathBuf::new();
    for component in start.join(path).components() {
        match component {
            Component::Normal(name) => beneath.push(name),
            Component::ParentDir
            | Component::RootDir
            | Component::CurDir
            | Component::Prefix(_) => {
                if component == Component::ParentDir {
                    beneath.pop();
                }
            }
        }
    }
    beneath
}

fn become_account(account: &Account) -> nix::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let identity = &account.identity;
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}
