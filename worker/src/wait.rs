//! Waiting with ppoll(2).

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
};

/// Waits until one of the descriptors is ready (its number of them is the answer) or the moment has
/// come (0). A moment in the past waits for nothing and only looks.
///
/// # Errors
/// As ppoll(2).
pub fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<usize> {
    loop {
        let left = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        match poll(fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            answer => return Ok(answer?),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
