//! `cargo xtask try`: from a fresh clone to a running server in one command.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{
    command::Done,
    dist::{self, Flavour},
};

/// Builds the release binaries and becomes `bulkhead try`.
///
/// # Errors
/// When the build fails or the binary cannot be started; otherwise it does not return.
pub fn run(arguments: &[String]) -> Done<()> {
    let bulkhead = dist::build(Flavour::Release)?.join("bulkhead");
    // Relative directories among the arguments are the caller's: the working directory stays.
    let error = Command::new(&bulkhead).arg("try").args(arguments).exec();
    Err(format!("{} cannot be started: {error}", bulkhead.display()))
}
