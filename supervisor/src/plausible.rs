//! What a session may say it has moved: a session that has been taken over must not spoil the server's
//! counters. Pure: the caller brings the time.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes per second that no session moves: 400 Gbit/s.
const MOST_PER_SECOND: u64 = 50_000_000_000;

/// The bytes that one session has told of.
#[derive(Debug)]
pub struct Plausible {
    since: Instant,
    told: u64,
}

impl Plausible {
    /// A session that begins now.
    pub fn new(now: Instant) -> Plausible {
        Plausible { since: now, told: 0 }
    }

    /// What is to be counted of so many bytes: no more than could have been moved since the session
    /// began.
    pub fn bytes(&mut self, told: u64, now: Instant) -> u64 {
        // A session that lasts less than a second may have moved a second's worth.
        let age = now.saturating_duration_since(self.since) + Duration::from_secs(1);
        let possible = age.as_secs().saturating_mul(MOST_PER_SECOND);
        let counted = told.min(possible.saturating_sub(self.told));
        self.told = self.told.saturating_add(counted);
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_no_session_saturates_a_counter() {
        let now = Instant::now();
        let mut plausible = Plausible::new(now);
        let total: u64 = (0..1000).map(|_| plausible.bytes(u64::MAX, now)).sum();
        assert_eq!(total, MOST_PER_SECOND);
        let later = now + Duration::from_secs(10);
        assert_eq!(plausible.bytes(u64::MAX, later), 10 * MOST_PER_SECOND);
    }

    #[test]
    fn a10_what_was_moved_is_counted_exactly() {
        let now = Instant::now();
        let mut plausible = Plausible::new(now);
        for bytes in [0, 1, 4096, 5_000_000_000] {
            assert_eq!(plausible.bytes(bytes, now), bytes);
        }
    }
}
