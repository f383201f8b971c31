//! Accounts: the account file, password hashes, and who may log in without a password.

pub mod import;
pub mod last_good;
pub mod password;
pub mod record;
pub mod second_factor;
pub mod store;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ipc::{
    account::{Account, Identity, Rights},
    bounded::UserName,
};

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
    /// It would run as root.
    #[error(
        "the account would have uid or gid 0 ({0} belongs to root); give it a uid and gid, or \
         another owner to the directory"
    )]
    Superuser(PathBuf),
    /// Anonymous login, or I2FTP, is not enabled.
    #[error("this kind of login is not enabled")]
    NotEnabled,
    /// The account file cannot be used.
    #[error("{0}")]
    Store(String),
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
    let identity = match owner_of(root) {
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
        administrator: false,
        anonymous: true,
    })
}

/// What the configuration says of the account of I2FTP's clients.
#[derive(Debug, Clone, Copy)]
pub struct I2ftpAccount<'a> {
    /// `[auth] users_file`.
    pub users_file: &'a Path,
    /// `[i2ftp] account`.
    pub account: Option<&'a str>,
    /// `[i2ftp] root`.
    pub root: Option<&'a Path>,
    /// `[i2ftp] read_only`.
    pub read_only: bool,
}

/// The account of I2FTP's clients: that of the account file which `[i2ftp] account` names, or the
/// owner of `[i2ftp] root`. `[i2ftp] root` and `read_only` narrow what an account says.
///
/// # Errors
/// When I2FTP is not enabled, or neither can be used.
pub fn of_i2ftp(i2ftp: Option<I2ftpAccount<'_>>) -> Result<Account, AccountError> {
    let i2ftp = i2ftp.ok_or(AccountError::NotEnabled)?;
    let mut record = match i2ftp.account {
        Some(name) => store::Store::load(i2ftp.users_file)
            .map_err(|e| AccountError::Store(e.to_string()))?
            .accounts
            .remove(name)
            .ok_or_else(|| AccountError::Unknown(name.to_owned()))?,
        None => record::Record::default(),
    };
    if let Some(root) = i2ftp.root {
        root.clone_into(&mut record.root);
    }
    record.read_only |= i2ftp.read_only;
    let name = i2ftp.account.unwrap_or("i2ftp").to_owned();
    let name = UserName::try_from(name.clone()).map_err(|_| AccountError::Unknown(name))?;
    record.account(&name)
}

/// Uid and gid of nobody and nogroup, the same on every Linux.
const NOBODY: Identity = Identity { uid: 65534, gid: 65534, groups: Vec::new() };

/// Uid and gid of the owner of a directory.
///
/// # Errors
/// When it is no directory, or belongs to root (and this process is root, so that it matters).
pub fn owner_of(root: &std::path::Path) -> Result<Identity, AccountError> {
    use std::os::unix::fs::MetadataExt;
    let unreachable = |why: String| AccountError::Root(root.to_owned(), why);
    let metadata = std::fs::metadata(root).map_err(|e| unreachable(e.to_string()))?;
    if !metadata.is_dir() {
        return Err(unreachable("it is no directory".into()));
    }
    if metadata.uid() == 0 || metadata.gid() == 0 {
        return Err(AccountError::Superuser(root.to_owned()));
    }
    Ok(Identity { uid: metadata.uid(), gid: metadata.gid(), groups: Vec::new() })
}
