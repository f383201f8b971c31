//! The policies as people read them: what `bulkhead policy` prints.

mod difference;
mod disassembly;
mod text;

pub use difference::differences;
pub use disassembly::{bytes, disassemble};
pub use text::{Row, condition, explain, rows, show};

use policy::{Feature, Features, Role, TranslationError, compile, model::Policy, policy_of};
use serde::Serialize;

/// A policy and the numbers that belong to it, for `--json`.
#[derive(Debug, Serialize)]
pub struct RoleReport {
    /// How many system calls its widest form allows.
    pub system_calls: usize,
    /// The most the design allows it, where it names allowed calls.
    pub goal: Option<usize>,
    /// Their names.
    pub allowed: Vec<&'static str>,
    /// The session of an account that may only list and read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<Box<RoleReport>>,
    /// The data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// The widest features of a session that may not write.
pub fn read_only_features() -> Features {
    [Feature::List, Feature::Read, Feature::Tls, Feature::I2ftp].into_iter().collect()
}

/// The most system calls the design allows a role.
pub fn goal(role: Role, features: Features) -> Option<usize> {
    match role {
        Role::Gate => Some(16),
        Role::Relay => Some(11),
        Role::Keeper => Some(12),
        Role::Helper => Some(18),
        Role::Session if features == read_only_features() => Some(28),
        Role::Session => Some(36),
        Role::Authenticator => Some(18),
        Role::Supervisor | Role::PamAuthenticator => None,
    }
}

/// The report of a role.
///
/// # Errors
/// As [`policy_of`].
pub fn report(role: Role) -> Result<RoleReport, TranslationError> {
    let policy = policy_of(role)?;
    let of = |features, policy: &Policy| {
        let allowed = compile::allowed_names(policy, features);
        RoleReport {
            system_calls: allowed.len(),
            goal: goal(role, features),
            allowed,
            read_only: None,
            policy: None,
        }
    };
    let mut report = of(Features::all(), &policy);
    if role == Role::Session {
        report.read_only = Some(Box::new(of(read_only_features(), &policy)));
    }
    report.policy = Some(policy);
    Ok(report)
}
