//! The channels of the keeper: supervisor ↔ keeper, and one signing channel for each gate or session.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{
    account::SessionId,
    bounded::{self, Bytes},
    channel::Message,
    process::{Confinement, LockdownFailure, SandboxReport},
};

/// Version of the bytes of this channel: raised when those of a message change, not when one is added.
pub const EPOCH: u32 = 1;

/// Number of a private key within the keeper. A reload gives new numbers; old ones stay valid for
/// the channels that were attached before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub u32);

/// Longest DER certificate chain of one key, in bytes.
pub const MAX_CHAIN: usize = 32 * 1024;

/// The limit of locked memory the supervisor gives its keeper, in bytes; `policy/roles/keeper.toml`
/// keeps it.
pub const LOCKED_MEMORY: u64 = 256 << 20;

/// Supervisor → keeper.
#[derive(Debug, Serialize, Deserialize)]
pub enum SupervisorToKeeper {
    /// First message.
    Boot {
        /// How to lock down.
        confinement: Confinement,
    },
    /// Load a certificate chain and its key. Two descriptors: the certificate file and the key
    /// file, opened for reading by the supervisor, which reads neither. Answer: `Loaded` or
    /// `NotLoaded`.
    Load {
        /// Number for the key.
        key: KeyId,
    },
    /// Forget a key (after a reload, when no channel needs it any longer).
    Forget {
        /// Number of the key.
        key: KeyId,
    },
    /// Another keeper has taken over: end when the last signing channel has closed.
    Retire,
    /// One descriptor: a signing channel. It takes the place of the one this session has.
    Attach {
        /// For whom.
        session: SessionId,
        /// How many signatures it may have.
        signatures: u32,
        /// Whether signatures for TLS 1.2 are made.
        tls12: bool,
    },
    /// Is the keeper still serving? Answer: `Pong`.
    Ping,
}

impl Message for SupervisorToKeeper {
    const MAX_BYTES: usize = 1024;
    fn descriptors(&self) -> RangeInclusive<usize> {
        match self {
            SupervisorToKeeper::Load { .. } => 2..=2,
            SupervisorToKeeper::Attach { .. } => 1..=1,
            SupervisorToKeeper::Boot { .. }
            | SupervisorToKeeper::Forget { .. }
            | SupervisorToKeeper::Retire
            | SupervisorToKeeper::Ping => 0..=0,
        }
    }
}

/// Which of the two files of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateFile {
    /// The chain: `[tls] certificate`.
    Certificate,
    /// The key: `[tls] private_key`.
    PrivateKey,
}

/// Keeper → supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeeperToSupervisor {
    /// The sandbox is up.
    Ready {
        /// What it is made of.
        report: SandboxReport,
        /// Whether the keys cannot reach the swap space.
        memory_locked: bool,
    },
    /// It is not, and the keeper ends.
    Failed(LockdownFailure),
    /// A key was loaded.
    Loaded {
        /// Number of the key.
        key: KeyId,
        /// The chain in DER, leaf first.
        #[serde(deserialize_with = "bounded::list::<16, _, _>")]
        chain: Vec<Bytes<MAX_CHAIN>>,
        /// TLS signature schemes the key can make (RFC 8446 section 4.2.3), best first.
        #[serde(deserialize_with = "bounded::list::<64, _, _>")]
        schemes: Vec<u16>,
        /// DNS names and addresses of the leaf, for the choice by SNI.
        #[serde(deserialize_with = "bounded::list::<1024, _, _>")]
        names: Vec<String>,
        /// Begin of the leaf's validity, Unix time in seconds.
        not_before: i64,
        /// End of the leaf's validity, Unix time in seconds.
        not_after: i64,
        /// SHA-256 of the leaf.
        fingerprint: [u8; 32],
    },
    /// A key was not loaded.
    NotLoaded {
        /// Number of the key.
        key: KeyId,
        /// Which file is at fault. The keeper knows no names; the supervisor puts it before the
        /// reason.
        file: CertificateFile,
        /// What is wrong with it, and what to do.
        #[serde(deserialize_with = "bounded::text::<4096, _>")]
        reason: String,
    },
    /// A signing channel asked for what it may not have; the keeper has closed it.
    Violation {
        /// Whose channel.
        session: SessionId,
        /// What it did.
        #[serde(deserialize_with = "bounded::text::<1024, _>")]
        what: String,
    },
    /// The answer to `Ping`.
    Pong,
}

impl Message for KeeperToSupervisor {
    const MAX_BYTES: usize = 64 * 1024;
}

/// Gate or session → keeper.
#[derive(Debug, Serialize, Deserialize)]
pub enum Sign {
    /// Sign the CertificateVerify input (TLS 1.3, RFC 8446 section 4.4.3) or the ServerKeyExchange
    /// parameters (TLS 1.2, RFC 5246 section 7.4.3). Answer: `Signature` or `Refused`.
    Sign {
        /// Which key.
        key: KeyId,
        /// Signature scheme, as its TLS code point.
        scheme: u16,
        /// Whether the handshake is TLS 1.3.
        tls13: bool,
        /// What to sign.
        input: Bytes<1024>,
    },
}

impl Message for Sign {
    const MAX_BYTES: usize = 1100;
}

/// Keeper → gate or session.
#[derive(Debug, Serialize, Deserialize)]
pub enum Signed {
    /// The signature.
    Signature(Bytes<1024>),
    /// None.
    Refused,
}

impl Message for Signed {
    const MAX_BYTES: usize = 1100;
}
