//! The roles, and the features that switch rules of their policies on.

use std::fmt;

use ipc::account::Rights;
use serde::{Deserialize, Serialize};

/// A process of Bulkhead, by what it is for. Each has its own policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Accepts connections and starts everybody else.
    Supervisor,
    /// Holds the TLS private keys and signs.
    Keeper,
    /// Judges one attempt to log in, by the account file.
    Authenticator,
    /// Judges one attempt to log in, by PAM or the account file.
    #[serde(rename = "pam-authenticator")]
    PamAuthenticator,
    /// Makes data connections.
    Helper,
    /// Serves a client before its login.
    Gate,
    /// A gate after a login over TLS: moves bytes between the client and its session.
    Relay,
    /// Serves a client after its login, as its account.
    Session,
}

impl Role {
    /// All roles, the most privileged first.
    pub const ALL: [Role; 8] = [
        Role::Supervisor,
        Role::Keeper,
        Role::Authenticator,
        Role::PamAuthenticator,
        Role::Helper,
        Role::Gate,
        Role::Relay,
        Role::Session,
    ];

    /// The name, as policy files and commands write it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Supervisor => "supervisor",
            Role::Keeper => "keeper",
            Role::Authenticator => "authenticator",
            Role::PamAuthenticator => "pam-authenticator",
            Role::Helper => "helper",
            Role::Gate => "gate",
            Role::Relay => "relay",
            Role::Session => "session",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What can be switched off by the configuration or by an account's rights, and takes its rules
/// with it when it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// The account may list directories.
    List,
    /// The account may read files.
    Read,
    /// The account may create files.
    Write,
    /// The account may append to files and resume uploads.
    Append,
    /// The account may replace the contents of files.
    Overwrite,
    /// The account may delete files.
    Delete,
    /// The account may rename files and directories.
    Rename,
    /// The account may make directories.
    Mkdir,
    /// The account may remove directories.
    Rmdir,
    /// The account may change modes and times.
    Chmod,
    /// The account may make symbolic links.
    Symlink,
    /// TLS is configured.
    Tls,
    /// Uploads are written to a temporary file and renamed.
    AtomicUploads,
    /// Uploads are synced to disk before they are confirmed.
    SyncUploads,
    /// The session speaks I2FTP.
    I2ftp,
    /// Accounts come from PAM, whose modules are foreign code with needs of their own.
    Pam,
}

impl Feature {
    /// All features.
    pub const ALL: [Feature; 16] = [
        Feature::List,
        Feature::Read,
        Feature::Write,
        Feature::Append,
        Feature::Overwrite,
        Feature::Delete,
        Feature::Rename,
        Feature::Mkdir,
        Feature::Rmdir,
        Feature::Chmod,
        Feature::Symlink,
        Feature::Tls,
        Feature::AtomicUploads,
        Feature::SyncUploads,
        Feature::I2ftp,
        Feature::Pam,
    ];

    /// The name, as policy files write it.
    pub fn name(self) -> &'static str {
        match self {
            Feature::List => "list",
            Feature::Read => "read",
            Feature::Write => "write",
            Feature::Append => "append",
            Feature::Overwrite => "overwrite",
            Feature::Delete => "delete",
            Feature::Rename => "rename",
            Feature::Mkdir => "mkdir",
            Feature::Rmdir => "rmdir",
            Feature::Chmod => "chmod",
            Feature::Symlink => "symlink",
            Feature::Tls => "tls",
            Feature::AtomicUploads => "atomic-uploads",
            Feature::SyncUploads => "sync-uploads",
            Feature::I2ftp => "i2ftp",
            Feature::Pam => "pam",
        }
    }

    /// The feature of a name.
    pub fn from_name(name: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|feature| feature.name() == name)
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of features.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u32);

impl Features {
    /// No feature.
    pub const NONE: Features = Features(0);

    /// Every feature: the widest form of each policy.
    pub fn all() -> Features {
        Feature::ALL.into_iter().collect()
    }

    /// The features that an account's rights switch on.
    pub fn from_rights(rights: Rights) -> Features {
        [
            (Rights::LIST, Feature::List),
            (Rights::READ, Feature::Read),
            (Rights::WRITE, Feature::Write),
            (Rights::APPEND, Feature::Append),
            (Rights::OVERWRITE, Feature::Overwrite),
            (Rights::DELETE, Feature::Delete),
            (Rights::RENAME, Feature::Rename),
            (Rights::MKDIR, Feature::Mkdir),
            (Rights::RMDIR, Feature::Rmdir),
            (Rights::CHMOD, Feature::Chmod),
            (Rights::SYMLINK, Feature::Symlink),
        ]
        .into_iter()
        .filter(|(right, _)| rights.contains(*right))
        .map(|(_, feature)| feature)
        .collect()
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, feature: Feature) -> Features {
        Features(self.0 | feature.bit())
    }

    /// These and one more, if `on`.
    #[must_use]
    pub fn with_if(self, on: bool, feature: Feature) -> Features {
        if on { self.with(feature) } else { self }
    }

    /// Whether a feature is among these. How uploads are made is no feature of an account that may
    /// not upload, whatever the configuration says.
    pub fn has(self, feature: Feature) -> bool {
        let uploads = Feature::Write.bit() | Feature::Append.bit() | Feature::Overwrite.bit();
        let of_uploads = matches!(feature, Feature::AtomicUploads | Feature::SyncUploads);
        self.0 & feature.bit() != 0 && (!of_uploads || self.0 & uploads != 0)
    }

    /// The names of these features.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Feature::ALL.into_iter().filter(move |f| self.has(*f)).map(Feature::name)
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Features {
        features.into_iter().fold(Features::NONE, Features::with)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_is_a_feature_of_the_same_name() {
        for name in Rights::all_names() {
            let right = Rights::from_name(name).unwrap();
            let features: Vec<_> = Features::from_rights(right).names().collect();
            assert_eq!(features, [name]);
        }
    }

    #[test]
    fn names_lead_back() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        for feature in Feature::ALL {
            assert_eq!(Feature::from_name(feature.name()), Some(feature));
        }
    }
}
