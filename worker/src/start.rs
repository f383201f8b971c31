//! The first steps of every stage, before it is locked down.

use std::{ffi::OsStr, os::fd::AsRawFd};

use ipc::{Channel, Message, fdpass, last_words};

use crate::{gate, session};

/// Exit status for a stage that could not go on; the supervisor reads the reason from the channel.
const FAILED: i32 = 1;
/// Exit status for a wrong command line.
const USAGE: i32 = 2;

/// Runs the stage named on the command line and returns the status to leave with.
pub fn run(stage: Option<&OsStr>) -> i32 {
    let ended = match stage.and_then(OsStr::to_str) {
        Some("gate") => adopt().map(|channel| gate::run(channel).is_ok()),
        Some("session") => adopt().map(|channel| session::run(channel).is_ok()),
        Some(_) | None => return USAGE,
    };
    match ended {
        Ok(true) => 0,
        Ok(false) | Err(_) => FAILED,
    }
}

/// Closes what a careless parent left open, and adopts the channel that is standard input.
fn adopt<S: Message, R: Message>() -> std::io::Result<Channel<S, R>> {
    fdpass::close_from(3)?;
    let channel = Channel::from_fd(fdpass::inherited_channel()?);
    last_words::install(channel.as_raw_fd())?;
    Ok(channel)
}
