//! Waiting for the client or the supervisor, and no longer than the limits allow.

use std::{io, os::fd::AsFd, time::Instant};

use rustix::event::{PollFd, PollFlags};

/// What ended the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The control connection.
    Control,
    /// The channel (the control connection perhaps as well).
    Supervisor,
    /// The deadline.
    TimeOut,
}

/// Waits for one of two descriptors. A control connection that is polled for nothing is left out:
/// its hang-up is found when it is read next.
pub(super) fn wait(
    control: (&impl AsFd, PollFlags),
    channel: &impl AsFd,
    until: Option<Instant>,
) -> io::Result<Woken> {
    let mut fds = [PollFd::new(channel, PollFlags::IN), PollFd::new(control.0, control.1)];
    let used = if control.1.is_empty() { 1 } else { 2 };
    let polled = fds.get_mut(..used).unwrap_or_default();
    if crate::wait::poll_until(polled, until)? == 0 {
        return Ok(Woken::TimeOut);
    }
    let supervisor = polled.first().is_some_and(|fd| !fd.revents().is_empty());
    Ok(if supervisor { Woken::Supervisor } else { Woken::Control })
}
