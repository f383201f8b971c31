//! Accounts: the account file, password hashes, and who may log in without a password.

pub mod password;
pub mod record;
pub mod store;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use ipc::{
    account::{Account, Identity, Rights},
    bounded::UserName,
};

use crate::config::Config;

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
    /// Anonymous login is not enabled.
    #[error("anonymous login is not enabled")]
    NotEnabled,
}

/// The account of anonymous clients: read-only, as the owner of `[anonymous] root`, or as nobody
/// where that is root.
///
/// # Errors
/// When it is not enabled, or its root cannot be used.
pub fn anonymous(config: &Config) -> Result<Account, AccountError> {
    let root = &config.anonymous.as_ref().ok_or(AccountError::NotEnabled)?.root;
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
        root: root.clone(),
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
