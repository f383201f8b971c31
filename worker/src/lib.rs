//! The worker: the process that serves one client, first as gate, then (another process) as session.
//!
//! Run by the supervisor, once per stage, with the channel to the supervisor as standard input. The
//! gate holds the control connection and nothing else; the session holds the account's root and
//! runs as the account. It reads every byte the client sends, so it never starts a thread or a
//! process, never opens a file by an absolute name, and reads none of those bytes before
//! `policy::lockdown` has returned.
#![forbid(unsafe_code)]

pub mod files;
pub mod ftp;
pub mod relay;
pub mod tls;

use std::{ffi::OsStr, process::ExitCode};

/// Runs the stage named on the command line and returns the exit status of the process.
pub fn run(stage: Option<&OsStr>) -> ExitCode {
    match stage.and_then(OsStr::to_str) {
        Some("gate" | "session") => ExitCode::SUCCESS,
        Some(_) | None => ExitCode::from(2),
    }
}
