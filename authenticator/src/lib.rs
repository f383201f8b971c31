//! The authenticator: judges one attempt to log in, answers, and ends.
//!
//! Run by the supervisor as `bulkhead authenticator`, one process per attempt, with its channel as
//! standard input. It holds one attempt's secret and reads the account file or asks PAM. What a client
//! typed comes from its gate, over a channel of the attempt's own and as one bounded value; it locks
//! itself down before it reads it.

#[cfg(feature = "pam")]
mod pam;
mod verify;

use std::{
    cell::Cell,
    fs::{DirBuilder, File},
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::Path,
};

use ipc::{
    Channel, ChannelError,
    authenticator::{
        Attempt, AuthenticatorToSupervisor, Backend, SupervisorToAuthenticator, Verdict,
    },
    fdpass, last_words,
    typed::{AuthenticatorToGate, GateToAuthenticator},
};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike},
};
use policy::{Features, Role};
use time::OffsetDateTime;

use verify::{Circumstances, judge};

type Supervisor = Channel<AuthenticatorToSupervisor, SupervisorToAuthenticator>;

/// How long a gate may take to pass on what was typed, which it has when it asks, in seconds.
const TYPED_TIMEOUT_SECONDS: i64 = 3;

/// Runs the authenticator; its exit code says whether an answer was given. It ends with exit_group
/// alone, which is all its policy allows.
pub fn run() -> ! {
    // Standard error is /dev/null here: what failed shows in the exit code alone, and the
    // supervisor logs an attempt without an answer.
    last_words::leave(i32::from(serve().is_err()))
}

/// The channel from the gate. One that is silent must not keep an authenticator from others.
fn typed_channel(fd: OwnedFd) -> io::Result<Channel<AuthenticatorToGate, GateToAuthenticator>> {
    setsockopt(&fd, ReceiveTimeout, &TimeVal::seconds(TYPED_TIMEOUT_SECONDS))?;
    Ok(Channel::from_fd(fd))
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn serve() -> Result<(), ChannelError> {
    fdpass::close_from(3)?;
    last_words::install(0)?;
    let supervisor: Supervisor = Channel::from_fd(fdpass::inherited_channel()?);
    let mut received = supervisor.recv()?;
    let from_gate = received.fds.pop().map(typed_channel).transpose()?;
    let SupervisorToAuthenticator::Attempt { confinement, settings, client, tls, attempt } =
        received.message;
    // Opened before the lockdown, read behind it: no path but the state directory's is open then.
    let account_file = File::open(&settings.users_file);
    let state = settings.state_directory.as_path();
    let (role, root) = if settings.backends.contains(&Backend::Pam) {
        (Role::PamAuthenticator, None)
    } else {
        // What cannot be made or opened cannot be written either, which is told there.
        (Role::Authenticator, make_directory(state).is_ok().then_some(state))
    };
    // What a process does once and policies do not allow: aws-lc wakes threads there might be when
    // its tables are made.
    let _tables = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"");
    let locked = match policy::lockdown(role, &confinement, Features::NONE, root) {
        Ok(locked) => locked,
        Err(failure) => {
            return supervisor.send(&AuthenticatorToSupervisor::Failed(failure), &[]);
        }
    };
    supervisor.send(&AuthenticatorToSupervisor::Ready(locked.report().clone()), &[])?;
    if matches!(attempt, Attempt::Rehearsal) {
        return Ok(());
    }
    let now = OffsetDateTime::now_utc();
    // A warning that cannot be sent is followed by a verdict that cannot be sent.
    let warn = |text| drop(supervisor.send(&AuthenticatorToSupervisor::Warning(text), &[]));
    let account_file = Cell::new(Some(account_file));
    let circumstances =
        Circumstances { settings: &settings, account_file, client, tls, now, warn: &warn };
    let verdict = match from_gate.map(|gate| gate.recv_by_read()).transpose() {
        Ok(typed) => {
            judge(&circumstances, &attempt, typed.map(|GateToAuthenticator::Typed(it)| it).as_ref())
        }
        Err(e) => Verdict::Broken(format!("the gate did not pass on what was typed: {e}")),
    };
    supervisor.send(&AuthenticatorToSupervisor::Verdict(verdict), &[])
}
