//! What every child of the supervisor is told before it does anything, and what it answers.

use serde::{Deserialize, Serialize};

use crate::{account::Identity, bounded};

/// How much Landlock must be there (`[sandbox] landlock`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LandlockDemand {
    /// Some Landlock must be there; each missing right is reported.
    Required,
    /// Every right this build knows must be enforced.
    Strict,
    /// None: chroot, uid and seccomp remain.
    Off,
}

/// The first message to every child: how it has to lock itself down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The identity to take on; `None` when the server runs unprivileged.
    pub identity: Option<Identity>,
    /// How much Landlock must be there.
    pub landlock: LandlockDemand,
}

/// What a child has raised, as the child says; `bulkhead policy verify` compares it with /proc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// Landlock ABI in force; 0 when Landlock is off, or the kernel has nothing of what the role's
    /// policy takes away.
    pub landlock_abi: u32,
    /// Landlock rights of this build that the kernel lacks.
    #[serde(deserialize_with = "bounded::list::<64, _, _>")]
    pub landlock_missing: Vec<String>,
    /// Number of system calls the seccomp filter allows.
    pub system_calls: u32,
    /// The securebits (prctl(2), `PR_GET_SECUREBITS`), which /proc does not show. Those that are
    /// locked stay as they are.
    pub securebits: u32,
}

/// A child could not lock itself down, and ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockdownFailure {
    /// The layer that could not be raised: `landlock`, `seccomp`, `capabilities`, `identity`, …
    #[serde(deserialize_with = "bounded::text::<1024, _>")]
    pub layer: String,
    /// Why, and what the administrator can do.
    #[serde(deserialize_with = "bounded::text::<4096, _>")]
    pub reason: String,
}
