//! One account as the account file writes it.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use ipc::{
    account::{Account, Identity, Rights, TlsDemand},
    bounded::UserName,
    network::Network,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{Date, OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{AccountError, owner_of};

/// One account of the account file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Hash of the password; without one nobody can log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The directory the client sees as `/`.
    pub root: PathBuf,
    /// Where the session starts, beneath the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// Shorthand for the rights list and read.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// What the account may do; everything but symlink when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<RightList>,
    /// Its uid. `bulkhead user` always writes it; when absent, the owner of the root, where nobody
    /// but root can replace that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its gid, as `uid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Its supplementary groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// Bytes per second it may upload; 0 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_rate: Option<u64>,
    /// Bytes per second it may download; 0 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_rate: Option<u64>,
    /// Most sessions at a time; the server's setting when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// Networks it may log in from; anywhere when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkText>,
    /// The last day it may log in (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
    /// TLS demanded of this account; the server's setting when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsWord>,
    /// Whether its data connections must resume the control connection's TLS session; the server's
    /// setting when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_session_reuse: Option<bool>,
    /// Whether it cannot log in without a second factor.
    #[serde(skip_serializing_if = "is_false")]
    pub second_factor: bool,
    /// Whether `SITE WHO` is answered.
    #[serde(skip_serializing_if = "is_false")]
    pub administrator: bool,
    /// Whether it may not log in for now.
    #[serde(skip_serializing_if = "is_false")]
    pub disabled: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Record {
    /// What it may do.
    pub fn rights(&self) -> Rights {
        match &self.rights {
            Some(list) if self.read_only => {
                let forbidden = Rights::READ_WRITE.with(Rights::SYMLINK).without(Rights::READ_ONLY);
                list.0.without(forbidden)
            }
            Some(list) => list.0,
            None if self.read_only => Rights::READ_ONLY,
            None => Rights::READ_WRITE,
        }
    }

    /// Why it may not log in from `client` now, although the password may be right.
    pub fn refusal(&self, client: IpAddr, now: OffsetDateTime) -> Option<&'static str> {
        if self.disabled {
            Some("disabled")
        } else if self.expires.is_some_and(|expiry| now.date() > expiry.0) {
            Some("expired")
        } else if !self.networks.is_empty() && !self.networks.iter().any(|n| n.0.contains(client)) {
            Some("network")
        } else {
            None
        }
    }

    /// The account as a session needs it.
    ///
    /// # Errors
    /// When its root is not there, or it would be root.
    pub fn account(&self, name: &UserName) -> Result<Account, AccountError> {
        Ok(Account {
            name: name.clone(),
            identity: self.identity()?,
            root: self.root.clone(),
            start: self.start.clone().unwrap_or_else(|| "/".into()),
            rights: self.rights(),
            upload_rate: self.upload_rate,
            download_rate: self.download_rate,
            max_sessions: self.max_sessions.unwrap_or(0),
            tls: self.tls.map(|word| word.0),
            session_reuse: self.require_session_reuse,
            administrator: self.administrator,
            anonymous: false,
        })
    }

    /// Its uid, gid and groups, the root's owner where the record says nothing.
    ///
    /// # Errors
    /// As [`Record::account`].
    pub fn identity(&self) -> Result<Identity, AccountError> {
        let identity = match (self.uid, self.gid) {
            (Some(uid), Some(gid)) => Identity { uid, gid, groups: self.groups.clone() },
            (uid, gid) => {
                let owner = owner_of(
                    &self.root,
                    "write its uid and gid down: `bulkhead user set NAME --uid UID --gid GID`",
                )?;
                Identity {
                    uid: uid.unwrap_or(owner.uid),
                    gid: gid.unwrap_or(owner.gid),
                    groups: self.groups.clone(),
                }
            }
        };
        if identity.uid == 0 || identity.gid == 0 || identity.groups.contains(&0) {
            return Err(AccountError::Superuser(self.root.clone()));
        }
        Ok(identity)
    }
}

/// Rights as a list of their names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RightList(pub Rights);

impl<'de> Deserialize<'de> for RightList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rights = Rights::NONE;
        for name in Vec::<String>::deserialize(deserializer)? {
            rights = rights.with(right(&name).map_err(D::Error::custom)?);
        }
        Ok(RightList(rights))
    }
}

impl Serialize for RightList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.names())
    }
}

/// The right of a name.
///
/// # Errors
/// A text that names the rights there are.
pub fn right(name: &str) -> Result<Rights, String> {
    Rights::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Rights::all_names().collect();
        format!("\"{name}\" is no right; the rights are {}", known.join(", "))
    })
}

/// A value that is written as text.
macro_rules! written_as_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

/// An address block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkText(pub Network);
written_as_text!(NetworkText);

impl FromStr for NetworkText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(NetworkText)
    }
}

impl fmt::Display for NetworkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The last day of an account, as `2027-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(pub Date);
written_as_text!(Expiry);

const DAY: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");

impl FromStr for Expiry {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Date::parse(text, DAY)
            .map(Expiry)
            .map_err(|_| format!("\"{text}\" is no day; write it as 2027-12-31"))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(DAY).map_err(|_| fmt::Error)?)
    }
}

/// A TLS demand, in the words of `[tls] require`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsWord(pub TlsDemand);
written_as_text!(TlsWord);

impl FromStr for TlsWord {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        TlsDemand::from_word(text).map(TlsWord).ok_or_else(|| {
            format!("\"{text}\" is no TLS demand; write none, control or control+data")
        })
    }
}

impl fmt::Display for TlsWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}
