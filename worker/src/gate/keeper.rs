//! Another channel to the keeper, in the middle of a handshake, when the keeper has died.

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use ipc::{
    Channel,
    gate::{GateToSupervisor, SupervisorToGate},
};
use rustix::event::{PollFd, PollFlags};

use super::SupervisorChannel;
use crate::{tls::Renew, wait::poll_until};

/// How long the supervisor may take: it waits for the next keeper for five seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What asks the supervisor for another channel. Called before lockdown: it has a descriptor of its
/// own for the channel to the supervisor.
///
/// # Errors
/// When descriptors have run out.
pub(super) fn renewal(channel: &SupervisorChannel) -> io::Result<Renew> {
    let supervisor: SupervisorChannel = Channel::from_fd(channel.as_fd().try_clone_to_owned()?);
    Ok(Box::new(move || {
        supervisor.send(&GateToSupervisor::NeedKeeper, &[]).ok()?;
        let until = Instant::now().checked_add(ANSWER_TIMEOUT);
        let mut fds = [PollFd::new(&supervisor, PollFlags::IN)];
        if poll_until(&mut fds, until).ok()? == 0 {
            return None;
        }
        let mut received = supervisor.try_recv().ok()??;
        match received.message {
            SupervisorToGate::KeeperChannel => received.fds.pop().map(Channel::from_fd),
            // The end of the connection: without a signature the handshake fails, and the gate ends.
            SupervisorToGate::End { .. }
            | SupervisorToGate::NotAvailable
            | SupervisorToGate::AuthResult(_)
            | SupervisorToGate::Authenticator
            | SupervisorToGate::Boot { .. }
            | SupervisorToGate::Serve { .. }
            | SupervisorToGate::BecomeRelay => None,
        }
    }))
}
