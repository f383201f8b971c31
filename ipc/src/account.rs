//! What the supervisor, the authenticator and a session say of an account.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::bounded::{self, UserName};

/// Number of a session, unique as long as the server runs. Given by the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the number, so that the width of a table's column counts.
        self.0.fmt(f)
    }
}

/// The uid, gid and supplementary groups of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups, exactly these.
    #[serde(deserialize_with = "bounded::list::<8192, _, _>")]
    pub groups: Vec<u32>,
}

/// What an account may do; a set of single rights.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rights(u16);

/// The names of the rights as configuration and account file write them, in the order of the bits.
const RIGHT_NAMES: [(&str, Rights); 11] = [
    ("list", Rights::LIST),
    ("read", Rights::READ),
    ("write", Rights::WRITE),
    ("append", Rights::APPEND),
    ("overwrite", Rights::OVERWRITE),
    ("delete", Rights::DELETE),
    ("rename", Rights::RENAME),
    ("mkdir", Rights::MKDIR),
    ("rmdir", Rights::RMDIR),
    ("chmod", Rights::CHMOD),
    ("symlink", Rights::SYMLINK),
];

impl Rights {
    /// No right at all.
    pub const NONE: Rights = Rights(0);
    /// List directories and see the facts of files.
    pub const LIST: Rights = Rights(1);
    /// Read files.
    pub const READ: Rights = Rights(1 << 1);
    /// Create files.
    pub const WRITE: Rights = Rights(1 << 2);
    /// Append to existing files and resume uploads.
    pub const APPEND: Rights = Rights(1 << 3);
    /// Replace the contents of existing files.
    pub const OVERWRITE: Rights = Rights(1 << 4);
    /// Delete files.
    pub const DELETE: Rights = Rights(1 << 5);
    /// Rename files and directories.
    pub const RENAME: Rights = Rights(1 << 6);
    /// Make directories.
    pub const MKDIR: Rights = Rights(1 << 7);
    /// Remove directories.
    pub const RMDIR: Rights = Rights(1 << 8);
    /// Change mode and times.
    pub const CHMOD: Rights = Rights(1 << 9);
    /// Make symbolic links.
    pub const SYMLINK: Rights = Rights(1 << 10);

    /// List and read.
    pub const READ_ONLY: Rights = Rights(0b11);
    /// Everything but symbolic links, which are off by default.
    pub const READ_WRITE: Rights = Rights(0b011_1111_1111);

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any right that changes something is among these.
    pub fn any_write(self) -> bool {
        self.0 & !Rights::READ_ONLY.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// These without the others.
    #[must_use]
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// The right of a name, as configuration and account file write it.
    pub fn from_name(name: &str) -> Option<Rights> {
        RIGHT_NAMES.iter().find(|(n, _)| *n == name).map(|(_, right)| *right)
    }

    /// The names of these rights.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        RIGHT_NAMES.iter().filter(move |(_, right)| self.contains(*right)).map(|(name, _)| *name)
    }

    /// The names of all rights there are.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        RIGHT_NAMES.iter().map(|(name, _)| *name)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The limits of a session. 0 means no limit, as in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes per second a client may upload.
    pub upload_rate: u64,
    /// Bytes per second a client may download.
    pub download_rate: u64,
    /// Seconds without a command, while no data moves.
    pub idle_ctrl_timeout: u64,
    /// Seconds without a byte on a data connection that is up.
    pub idle_data_timeout: u64,
    /// Seconds to wait for the client on a passive data connection.
    pub accept_timeout: u64,
    /// Seconds to wait for an active data connection to come up.
    pub connect_timeout: u64,
    /// Commands per second that are refused or reach no file, beyond a burst; more are answered
    /// late.
    pub commands_per_second: u32,
    /// Most entries of one listing; beyond, the listing ends with an error, never silently.
    pub listing_entries: u64,
    /// Largest file an upload may make, in bytes.
    pub file_size: u64,
}

/// How uploads reach their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uploads {
    /// Written where they belong.
    InPlace,
    /// Written to a hidden temporary beside the target, renamed when complete.
    Atomic,
}

/// When TLS is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsDemand {
    /// Plain connections are served.
    None,
    /// The control connection must be TLS before login.
    Control,
    /// Control and data connections must be TLS.
    ControlAndData,
}

impl TlsDemand {
    /// The demand that configuration and account file write as `word`.
    pub fn from_word(word: &str) -> Option<TlsDemand> {
        let demands = [TlsDemand::None, TlsDemand::Control, TlsDemand::ControlAndData];
        demands.into_iter().find(|demand| demand.word() == word)
    }

    /// The word that configuration and account file write for it.
    pub fn word(self) -> &'static str {
        match self {
            TlsDemand::None => "none",
            TlsDemand::Control => "control",
            TlsDemand::ControlAndData => "control+data",
        }
    }
}

/// An account after login: what a session may do and as whom. Only the authenticator makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name as the account store writes it.
    pub name: UserName,
    /// Its uid, gid and groups; never uid 0.
    pub identity: Identity,
    /// The directory the client sees as `/`.
    pub root: PathBuf,
    /// The directory beneath the root where the session starts.
    pub start: PathBuf,
    /// What it may do.
    pub rights: Rights,
    /// Own rates in bytes per second, where the account has some.
    pub upload_rate: Option<u64>,
    /// As `upload_rate`.
    pub download_rate: Option<u64>,
    /// Most sessions at a time; 0 = no limit.
    pub max_sessions: u32,
    /// TLS demanded of this account, where it differs from the server's setting.
    pub tls: Option<TlsDemand>,
    /// Whether its data connections must resume the control connection's TLS session, where it
    /// differs from the server's setting.
    pub session_reuse: Option<bool>,
    /// Whether `SITE WHO` is answered.
    pub administrator: bool,
    /// Logged in without a password.
    pub anonymous: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_has_a_name_and_a_bit_of_its_own() {
        let mut all = Rights::NONE;
        for name in Rights::all_names() {
            let right = Rights::from_name(name).unwrap();
            assert!(!all.contains(right), "{name} shares a bit");
            all = all.with(right);
        }
        assert_eq!(all, Rights::READ_WRITE.with(Rights::SYMLINK));
    }

    #[test]
    fn read_only_changes_nothing() {
        assert!(!Rights::READ_ONLY.any_write());
        assert!(Rights::READ_ONLY.with(Rights::MKDIR).any_write());
    }
}
