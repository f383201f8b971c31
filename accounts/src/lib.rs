//! Accounts: the account file, password hashes, and who may log in without a password.

mod document;
mod guesses;
pub mod import;
pub mod index;
pub mod last_good;
pub mod name;
pub mod password;
pub mod record;
pub mod second_factor;
pub mod store;

#[cfg(test)]
mod tests;

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ipc::{
    account::{Account, Identity, Rights},
    authenticator::I2ftpAccount,
    bounded::UserName,
    root_path::{self, Links, RootPath},
};

/// What to do about `[i2ftp] root` whose owner others can choose.
pub const MOVE_I2FTP_ROOT: &str = "move it beneath directories that only root can change, or name an \
    `account` below [i2ftp] whose uid is written down";

/// Names that log in anonymously, where that is enabled (RFC 1635).
pub const ANONYMOUS_NAMES: [&str; 2] = ["anonymous", "ftp"];

/// Whether `name` asks for an anonymous login.
pub fn is_anonymous(name: &str) -> bool {
    ANONYMOUS_NAMES.contains(&name)
}

/// Why an account cannot be used although its password may be right. For the log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// The root does not exist or is no directory.
    #[error("the root {0} is not a directory that can be reached: {1}")]
    Root(PathBuf, String),
    /// Nobody wrote down who it is, and whoever can replace its root could choose.
    #[error(
        "it would run as the owner of {}, and somebody else than root can change {} above it, and so \
         choose whom it runs as; {remedy}",
        root.display(), directory.display()
    )]
    Exposed {
        /// The root.
        root: PathBuf,
        /// The directory.
        directory: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// It belongs to somebody else, and somebody may have put it there.
    #[error(
        "the root {} belongs to uid {owner} and not to the account, and somebody else than root can \
         change {}, and so put it there; give it to the account",
        root.display(), directory.display()
    )]
    Planted {
        /// The root.
        root: PathBuf,
        /// Whose it is.
        owner: u32,
        /// The directory.
        directory: PathBuf,
    },
    /// Its root is everything.
    #[error(
        "the root / is the whole host, with every file that the account's uid can read; serve a \
         directory beneath it (or write root = \"/\" into the account file by hand)"
    )]
    WholeHost,
    /// Its root holds no files.
    #[error("the root {} is in {}, which is the kernel's and holds no files to serve", .0.display(), .1)]
    Kernel(PathBuf, &'static str),
    /// It would run as root.
    #[error(
        "the account would have uid or gid 0 ({0} belongs to root); give it a uid and gid, or \
         another owner to the directory"
    )]
    Superuser(PathBuf),
    /// Anonymous login, or I2FTP, is not enabled.
    #[error("this kind of login is not enabled")]
    NotEnabled,
    /// `[i2ftp] account` names nobody.
    #[error("there is no account {0:?}; `bulkhead user list` shows those there are")]
    Unknown(String),
}

/// The account of anonymous clients: read-only, as the owner of `[anonymous] root`, or as nobody
/// where that is root.
///
/// # Errors
/// When it is not enabled, or its root cannot be used.
pub fn anonymous(root: Option<&Path>) -> Result<Account, AccountError> {
    let root = root.ok_or(AccountError::NotEnabled)?;
    let identity = match owner_of(root, "move it beneath directories that only root can change") {
        Ok(identity) => identity,
        // A read-only tree often belongs to root; nobody can read what everybody can.
        Err(AccountError::Superuser(_)) => NOBODY,
        Err(e) => return Err(e),
    };
    let name = UserName::try_from("anonymous".to_owned()).map_err(|_| AccountError::NotEnabled)?;
    Ok(Account {
        name,
        identity,
        root: root.to_owned(),
        start: "/".into(),
        rights: Rights::READ_ONLY,
        upload_rate: None,
        download_rate: None,
        max_sessions: 0,
        tls: None,
        session_reuse: None,
        administrator: false,
        anonymous: true,
    })
}

/// The account of I2FTP's clients: that of the account file which `[i2ftp] account` names, or the
/// owner of `[i2ftp] root`. `[i2ftp] root` and `read_only` narrow what an account says.
///
/// # Errors
/// When neither can be used.
pub fn of_i2ftp(i2ftp: &I2ftpAccount, mut store: store::Store) -> Result<Account, AccountError> {
    let mut record = match &i2ftp.account {
        Some(name) => {
            let record = store.accounts.remove(name);
            record.ok_or_else(|| AccountError::Unknown(name.clone()))?
        }
        None => record::Record::default(),
    };
    if let Some(root) = &i2ftp.root {
        record.root.clone_from(root);
    }
    record.read_only |= i2ftp.read_only;
    if i2ftp.account.is_none() {
        let owner = owner_of(&record.root, MOVE_I2FTP_ROOT)?;
        (record.uid, record.gid) = (Some(owner.uid), Some(owner.gid));
    }
    let name = i2ftp.account.clone().unwrap_or_else(|| "i2ftp".to_owned());
    let name = UserName::try_from(name.clone()).map_err(|_| AccountError::Unknown(name))?;
    record.account(&name)
}

/// Uid and gid of nobody and nogroup, the same on every Linux.
const NOBODY: Identity = Identity { uid: 65534, gid: 65534, groups: Vec::new() };

/// Uid and gid of the owner of a directory, for an account that has none written down. Whoever can
/// replace a part of the path could choose them, so only root may be able to. (Where this process is
/// not root every account has its identity, and there is nothing to choose.)
///
/// # Errors
/// When it cannot be reached without following a link, belongs to root, or somebody else than root
/// can change a directory above it; `remedy` says what to do about that.
pub fn owner_of(root: &Path, remedy: &'static str) -> Result<Identity, AccountError> {
    let found = if rustix::process::geteuid().is_root() {
        root_path::look(root, Links::None).map_err(|e| unreachable(root, &e))?
    } else {
        as_it_stands(root.to_owned())?
    };
    if found.exposed.is_empty() { identity_of(&found) } else { Err(exposed(root, &found, remedy)) }
}

/// Uid and gid of the owner of a directory, to be written down in a new account: whoever can replace
/// a part of the path is that owner, or root.
///
/// # Errors
/// When somebody else can, or it belongs to root.
pub fn owner_to_write(found: &RootPath) -> Result<Identity, AccountError> {
    if found.is_certain_for(found.owner) {
        return identity_of(found);
    }
    Err(exposed(&found.path, found, "say whom with --uid and --gid"))
}

/// Why no account may have a directory as its root: behind it are no files but the kernel's own
/// settings and processes, or the whole host.
///
/// # Errors
/// A sentence that says so.
pub fn judge_root(root: &Path) -> Result<(), AccountError> {
    if root == Path::new("/") {
        return Err(AccountError::WholeHost);
    }
    let named = |name: &&str| root.starts_with(name);
    match ["/proc", "/sys", "/dev"].iter().find(|name| named(name)) {
        Some(system) => Err(AccountError::Kernel(root.to_owned(), system)),
        None => Ok(()),
    }
}

/// That a session of this identity would open a root.
///
/// # Errors
/// Why it would not.
pub fn judge_place(root: &Path, identity: &Identity) -> Result<(), AccountError> {
    let found = settle(root)?;
    match found.planted_for(identity.uid) {
        Some(exposure) => Err(AccountError::Planted {
            root: root.to_owned(),
            owner: found.owner,
            directory: exposure.directory.clone(),
        }),
        None => Ok(()),
    }
}

fn exposed(root: &Path, found: &RootPath, remedy: &'static str) -> AccountError {
    let directory = found.exposed.first().map(|exposure| exposure.directory.clone());
    let (root, directory) = (root.to_owned(), directory.unwrap_or_default());
    AccountError::Exposed { root, directory, remedy }
}

/// The directory of a root that is about to be written down: its path without symbolic links, and
/// its owner. A link that somebody else than root can have made is refused.
///
/// # Errors
/// When it cannot be reached so.
pub fn settle(root: &Path) -> Result<RootPath, AccountError> {
    if rustix::process::geteuid().is_root() {
        let root = std::path::absolute(root).map_err(|e| unreachable(root, &e))?;
        return root_path::look(&root, Links::OfRoot).map_err(|e| unreachable(&root, &e));
    }
    as_it_stands(std::fs::canonicalize(root).map_err(|e| unreachable(root, &e))?)
}

/// A directory and its owner, by a path that nobody walks: for processes that are not root, whose
/// accounts all have the identity of the server. An authenticator may read no link (readlink(2)).
fn as_it_stands(path: PathBuf) -> Result<RootPath, AccountError> {
    let metadata = std::fs::metadata(&path).map_err(|e| unreachable(&path, &e))?;
    if !metadata.is_dir() {
        return Err(unreachable(&path, &"it is no directory"));
    }
    Ok(RootPath { path, owner: metadata.uid(), group: metadata.gid(), exposed: Vec::new() })
}

fn unreachable(root: &Path, why: &dyn std::fmt::Display) -> AccountError {
    AccountError::Root(root.to_owned(), why.to_string())
}

fn identity_of(found: &RootPath) -> Result<Identity, AccountError> {
    if found.owner == 0 || found.group == 0 {
        return Err(AccountError::Superuser(found.path.clone()));
    }
    Ok(Identity { uid: found.owner, gid: found.group, groups: Vec::new() })
}
