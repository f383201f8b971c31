//! How every child of the supervisor begins: it is started, told how to lock itself down, and waited
//! for. And how the two that must always run, helper and keeper, begin again when they have died.

use std::{
    cell::Cell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use ipc::{Message, process::LockdownFailure};
use tokio::sync::Notify;

use crate::{
    children::{Child, Children, Program},
    server::Server,
    wire::AsyncChannel,
};

/// How long a child may take from its start to its first answer.
pub const BOOT_PATIENCE: Duration = Duration::from_secs(10);
/// First and longest pause before a dead process is replaced: after the first, new sessions and new
/// handshakes work again at once; after the longest, a host where it cannot start stays usable.
const RESTART_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A process that lived this long died of something new: the pauses begin anew.
const LONG_LIFE: Duration = Duration::from_secs(30);

/// Why a child did not get ready.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// It could not raise a layer of its sandbox.
    #[error("the {role} cannot raise its sandbox layer \"{}\": {}", .failure.layer, .failure.reason)]
    Lockdown {
        /// Who.
        role: &'static str,
        /// The layer and the reason.
        failure: LockdownFailure,
    },
    /// It could not be started, or ended before it was ready.
    #[error("the {role} could not be started: {reason}")]
    Start {
        /// Who.
        role: &'static str,
        /// Why.
        reason: String,
    },
}

impl BootError {
    /// A start that failed.
    pub fn start(role: &'static str, reason: impl std::fmt::Display) -> BootError {
        BootError::Start { role, reason: reason.to_string() }
    }

    /// A child whose first answer was none to the first message.
    pub fn out_of_turn(role: &'static str) -> BootError {
        BootError::start(role, "it spoke out of turn")
    }
}

/// What to start.
#[derive(Debug)]
pub struct Beginner<'a> {
    /// Its role, for messages.
    pub role: &'static str,
    /// The program.
    pub program: &'a Program,
    /// What ps(1) shows first.
    pub title: &'a str,
    /// The words after it.
    pub arguments: &'a [&'a str],
}

/// A child that has answered its first message.
#[derive(Debug)]
pub struct Booted<S, R> {
    /// The process.
    pub child: Child,
    /// Its channel.
    pub channel: AsyncChannel<S, R>,
    /// What it answered: that it is locked down, or why it is not.
    pub answer: R,
}

/// Starts a child, sends it its first message and waits for the answer. The message goes as soon as
/// it is sent: an authenticator's may have the key of I2FTP in it.
///
/// # Errors
/// When it cannot be started, ends, or does not answer within [`BOOT_PATIENCE`].
pub async fn boot<S: Message, R: Message>(
    children: &Rc<Children>,
    beginner: Beginner<'_>,
    first: S,
) -> Result<Booted<S, R>, BootError> {
    boot_with(children, beginner, first, None).await
}

/// As [`boot`], with a descriptor beside the first message.
///
/// # Errors
/// As [`boot`].
pub async fn boot_with<S: Message, R: Message>(
    children: &Rc<Children>,
    beginner: Beginner<'_>,
    first: S,
    descriptor: Option<OwnedFd>,
) -> Result<Booted<S, R>, BootError> {
    let Beginner { role, program, title, arguments } = beginner;
    let failed = |reason: &dyn std::fmt::Display| BootError::start(role, reason);
    let (child, channel) =
        children.start::<S, R>(program, title, arguments).map_err(|e| failed(&e))?;
    let pid = child.pid();
    let failed = |reason: &dyn std::fmt::Display| failed(&format!("process {pid}: {reason}"));
    let fds: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
    channel.send(&first, &fds).await.map_err(|e| failed(&e))?;
    drop(fds);
    drop((first, descriptor));
    let answer = tokio::time::timeout(BOOT_PATIENCE, channel.recv())
        .await
        .map_err(|_| failed(&"it did not get ready in time"))?
        .map_err(|e| failed(&e))?
        .message;
    Ok(Booted { child, channel, answer })
}

/// How long a gate or session waits for the next helper or keeper.
const REPLACEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it looks whether one that is busy has room for it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What `attach` gives, as soon as there is a process that it can attach to; `None` when there is none
/// in time. `arrived` tells of the next process.
pub async fn next_process<T>(arrived: &Notify, attach: impl Fn() -> Option<T>) -> Option<T> {
    let attached = async {
        loop {
            if let Some(attached) = attach() {
                return attached;
            }
            tokio::time::timeout(LOOK_AGAIN, arrived.notified()).await.ok();
        }
    };
    tokio::time::timeout(REPLACEMENT_TIMEOUT, attached).await.ok()
}

/// A process that must always run and has died.
#[derive(Debug)]
pub struct Dead {
    /// Its role.
    pub role: &'static str,
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub how: String,
    /// Why, as its channel tells.
    pub cause: String,
}

/// How long to wait before a dead process is replaced: longer each time, until one of them lives
/// long.
#[derive(Debug)]
pub struct Pauses {
    next: Cell<Duration>,
    born: Cell<tokio::time::Instant>,
}

impl Default for Pauses {
    /// The pauses of a process that starts now.
    fn default() -> Pauses {
        Pauses { next: Cell::new(RESTART_PAUSES.0), born: Cell::new(tokio::time::Instant::now()) }
    }
}

impl Pauses {
    fn age(&self) -> Duration {
        self.born.get().elapsed()
    }

    fn died_at(&self, age: Duration) {
        if age > LONG_LIFE {
            self.next.set(RESTART_PAUSES.0);
        }
    }

    fn take(&self) -> Duration {
        let now = self.next.get();
        self.next.set(now.saturating_mul(2).min(RESTART_PAUSES.1));
        now
    }

    fn born_now(&self) {
        self.born.set(tokio::time::Instant::now());
    }
}

/// Says that a process has died, and starts another one, however many times it takes. `start` gives
/// what the caller keeps of it, and its process id.
pub async fn replace<T>(
    server: &Server,
    dead: Dead,
    pauses: &Pauses,
    start: impl AsyncFn() -> Result<(T, u32), BootError>,
) -> T {
    let Dead { role, pid, how, cause } = dead;
    log_event!(ProcessDied, role, pid, how, cause, "the {role} died; starting another one");
    server.counters.violation();
    pauses.died_at(pauses.age());
    let (started, pid) = loop {
        tokio::time::sleep(pauses.take()).await;
        match start().await {
            Ok(started) => break started,
            Err(e) => log_event!(ProcessFailed, role, "{e}"),
        }
    };
    pauses.born_now();
    log_event!(ProcessStarted, role, pid, "the {role} runs again");
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_one_lives_long() {
        let pauses = Pauses::default();
        let after = |age: Duration| {
            pauses.died_at(age);
            pauses.take()
        };
        let short = Duration::from_secs(1);
        assert_eq!(after(short), RESTART_PAUSES.0);
        assert_eq!(after(short), RESTART_PAUSES.0 * 2);
        for _ in 0..10 {
            after(short);
        }
        assert_eq!(after(short), RESTART_PAUSES.1);
        assert_eq!(after(LONG_LIFE * 2), RESTART_PAUSES.0);
    }
}
