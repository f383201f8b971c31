//! The program `bulkhead`: the operator's commands, and the roles that are this program executed
//! anew.
//!
//! `bulkhead serve` is the supervisor. It starts the keeper and the authenticator as `bulkhead
//! keeper` and `bulkhead authenticator`, each with a policy of its own; the role is picked before
//! the command line is parsed. Everything else is a command that ends by itself.

mod certificate;
mod commands;
mod write_access;

use std::{ffi::OsStr, process::ExitCode};

fn main() -> ExitCode {
    match role().as_deref().and_then(OsStr::to_str) {
        Some("authenticator") => authenticator::run(),
        Some("keeper") => keeper::run(),
        Some(_) | None => commands::run(),
    }
}

/// The one argument there is. The supervisor starts a role with its name and nothing else.
fn role() -> Option<std::ffi::OsString> {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().filter(|_| arguments.next().is_none())
}
