//! The policy data that is part of every program: the files' text, and their translation by build.rs.

use crate::{model::Policy, role::Role};

/// A translated policy that does not decode: the program was not built from its own data.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy of the {role} does not load: {reason}")]
pub struct TranslationError {
    /// Whose policy.
    pub role: Role,
    /// The decoder's words.
    pub reason: String,
}

/// The text of a role's policy file.
pub fn source(role: Role) -> &'static str {
    match role {
        Role::Supervisor => include_str!("../roles/supervisor.toml"),
        Role::Keeper => include_str!("../roles/keeper.toml"),
        Role::Authenticator => include_str!("../roles/authenticator.toml"),
        Role::PamAuthenticator => include_str!("../roles/pam-authenticator.toml"),
        Role::Helper => include_str!("../roles/helper.toml"),
        Role::Gate => include_str!("../roles/gate.toml"),
        Role::Relay => include_str!("../roles/relay.toml"),
        Role::Session => include_str!("../roles/session.toml"),
    }
}

/// A role's policy as build.rs has translated it.
fn translated(role: Role) -> &'static [u8] {
    macro_rules! embedded {
        ($name:literal) => {
            include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".policy"))
        };
    }
    match role {
        Role::Supervisor => embedded!("supervisor"),
        Role::Keeper => embedded!("keeper"),
        Role::Authenticator => embedded!("authenticator"),
        Role::PamAuthenticator => embedded!("pam-authenticator"),
        Role::Helper => embedded!("helper"),
        Role::Gate => embedded!("gate"),
        Role::Relay => embedded!("relay"),
        Role::Session => embedded!("session"),
    }
}

/// The policy of a role, from its translation. That it is the file's, and that the file passes
/// every check, is tested for every build by the crate `policy-audit`.
///
/// # Errors
/// When the translation does not decode.
pub fn policy_of(role: Role) -> Result<Policy, TranslationError> {
    ipc::codec::decode(translated(role)).map_err(|reason| TranslationError { role, reason })
}
