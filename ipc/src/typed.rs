//! The channel gate → authenticator: what a client typed, past the supervisor.
//!
//! The supervisor makes a channel for one attempt and hands out its two ends; it can neither read
//! nor keep what is sent over it.

use serde::{Deserialize, Serialize};

use crate::{bounded::Secret, channel::Message};

/// Gate → authenticator.
#[derive(Debug, Serialize, Deserialize)]
pub enum GateToAuthenticator {
    /// The only message: the password, perhaps with a code glued behind it, or the code.
    Typed(Secret),
}

impl Message for GateToAuthenticator {
    const MAX_BYTES: usize = 2048;
}

/// Authenticator → gate: there is no such message. The verdict goes to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum AuthenticatorToGate {}

impl Message for AuthenticatorToGate {
    const MAX_BYTES: usize = 1;
}
