//! The channel supervisor ↔ authenticator: one attempt, then the authenticator exits.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, Rights},
    bounded::{self, Bytes, Secret, UserName},
    channel::Message,
    process::{Confinement, LockdownFailure, SandboxReport},
};

/// Version of the bytes of this channel: raised when those of a message change, not when one is added.
pub const EPOCH: u32 = 2;

/// Where accounts are looked up, in the order of `[auth] backends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    /// The account file.
    File,
    /// PAM and the system's users.
    Pam,
}

/// By what rules an attempt is judged: `[auth]` of the configuration, but for how many attempts there
/// may be, which the supervisor counts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthSettings {
    /// Backends in order.
    #[serde(deserialize_with = "bounded::list::<8, _, _>")]
    pub backends: Vec<Backend>,
    /// The account file.
    pub users_file: PathBuf,
    /// Where used codes and the last good account file are kept.
    pub state_directory: PathBuf,
    /// PAM service name.
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub pam_service: String,
    /// PAM: groups that may log in; empty: all.
    #[serde(deserialize_with = "bounded::list::<4096, _, _>")]
    pub allow_groups: Vec<String>,
    /// Users that alone may log in, of whichever backend; empty: all.
    pub allow_users: Vec<String>,
    /// Users that may not log in.
    #[serde(deserialize_with = "bounded::list::<4096, _, _>")]
    pub deny_users: Vec<String>,
    /// PAM: smallest uid that may log in.
    pub minimum_uid: u32,
    /// PAM: whether the shell must be listed in /etc/shells.
    pub valid_shell: bool,
    /// PAM: whether a session is opened for a login, and closed after it.
    pub pam_session: bool,
    /// PAM: what its users may do beneath their home directories.
    pub pam_rights: Rights,
}

impl AuthSettings {
    /// Whether somebody of this name may log in at all, whatever his password.
    pub fn admits(&self, name: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|one| one == name);
        !is_in(&self.deny_users) && (self.allow_users.is_empty() || is_in(&self.allow_users))
    }
}

/// Supervisor → authenticator.
#[derive(Debug, Serialize, Deserialize)]
pub enum SupervisorToAuthenticator {
    /// The only message. Answer: `Failed`, or `Ready`, perhaps `Warning`, and then `Verdict`. One
    /// descriptor where something was typed: the channel from the gate, [`crate::typed`].
    Attempt {
        /// How to lock down.
        confinement: Confinement,
        /// What the configuration says.
        settings: AuthSettings,
        /// The client's address (PAM_RHOST, allowed networks).
        client: IpAddr,
        /// Whether the control connection is TLS.
        tls: bool,
        /// What is tried.
        attempt: Attempt,
    },
}

impl Message for SupervisorToAuthenticator {
    const MAX_BYTES: usize = 32 * 1024;
    fn descriptors(&self) -> RangeInclusive<usize> {
        let SupervisorToAuthenticator::Attempt { attempt, .. } = self;
        let typed = usize::from(attempt.is_typed());
        typed..=typed
    }
}

/// One attempt to log in.
#[derive(Debug, Serialize, Deserialize)]
pub enum Attempt {
    /// A name and what was typed for it: the password, perhaps with a code glued behind it.
    Password {
        /// The name.
        user: UserName,
        /// Name of the client certificate, where it has to be that of the account.
        client_name: Option<Bytes<255>>,
    },
    /// The code, after `NeedSecondFactor` for this user on this connection: the supervisor
    /// remembers whose password was right.
    SecondFactor {
        /// The name that was typed.
        user: UserName,
        /// The name of whoever's password was right, as `NeedSecondFactor` said it: nobody else may
        /// be logged in.
        canonical: UserName,
    },
    /// After `GrantedInSession`: the beginning of the PAM session. Answer: `SessionOpened`.
    OpenSession {
        /// The account's name.
        user: UserName,
    },
    /// Its end. Answer: `SessionClosed`.
    CloseSession {
        /// The account's name.
        user: UserName,
    },
    /// I2FTP's first 16 bytes.
    I2ftpKnock {
        /// The pre-shared key.
        psk: Secret,
        /// The bytes.
        key: [u8; 16],
    },
    /// I2FTP's answer to the nonce.
    I2ftpProof {
        /// The pre-shared key.
        psk: Secret,
        /// The nonce.
        nonce: Bytes<64>,
        /// The answer.
        proof: Bytes<64>,
        /// Whose account the right answer is for.
        account: I2ftpAccount,
    },
    /// Nobody's: the supervisor asks at its start whether an authenticator can lock itself down on
    /// this host. It ends after `Ready`, without a verdict.
    Rehearsal,
}

impl Attempt {
    /// Whether what was typed comes from the gate.
    pub fn is_typed(&self) -> bool {
        match self {
            Attempt::Password { .. } | Attempt::SecondFactor { .. } => true,
            Attempt::OpenSession { .. }
            | Attempt::CloseSession { .. }
            | Attempt::I2ftpKnock { .. }
            | Attempt::I2ftpProof { .. }
            | Attempt::Rehearsal => false,
        }
    }
}

/// What `[i2ftp]` says of the account of its clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct I2ftpAccount {
    /// `account`: its name in the account file.
    #[serde(deserialize_with = "bounded::optional_text::<1024, _>")]
    pub account: Option<String>,
    /// `root`.
    pub root: Option<PathBuf>,
    /// `read_only`.
    pub read_only: bool,
}

/// Authenticator → supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum AuthenticatorToSupervisor {
    /// The sandbox is up.
    Ready(SandboxReport),
    /// It is not, and the authenticator ends.
    Failed(LockdownFailure),
    /// Something an administrator has to repair; the attempt goes on. At most one, before `Verdict`.
    Warning(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// What became of the attempt.
    Verdict(Verdict),
}

impl Message for AuthenticatorToSupervisor {
    const MAX_BYTES: usize = 32 * 1024;
}

/// The word with which the reason of a refusal begins when somebody guesses at a second factor.
pub const GUESSING: &str = "second-factor-guessing";

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Logged in.
    Granted(Account),
    /// Logged in, once a PAM session has been opened; the supervisor has that done, and has it closed
    /// when the client is gone.
    GrantedInSession(Account),
    /// The PAM session is open, and the home is there.
    SessionOpened,
    /// The PAM session is closed.
    SessionClosed,
    /// The password is right; a code is needed.
    NeedSecondFactor {
        /// The name by which the account store knows whoever's password it is.
        canonical: UserName,
    },
    /// I2FTP: the first 16 bytes are right. (The right proof is `Granted`, with the account.)
    I2ftpRight,
    /// Refused. The reason is for the log alone, never for the client.
    Refused {
        /// Stable word for the log: `unknown-user`, `wrong-password`, `wrong-code`, `expired`, …
        #[serde(deserialize_with = "bounded::text::<4096, _>")]
        reason: String,
    },
    /// The password has expired; this text is for the client.
    Expired(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
    /// The account demands TLS.
    TlsDemanded,
    /// The backend failed: the account file is damaged, PAM is misconfigured. For the log.
    Broken(#[serde(deserialize_with = "bounded::text::<1024, _>")] String),
}
