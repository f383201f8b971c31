//! A sender's share of its receiver's time (invariant I13). Pure arithmetic: the caller brings the
//! time.
//!
//! Speed alone is never a violation. A sender that has used its share up is left unread until it has
//! earned more; its messages wait in the kernel, and then the sender itself waits.

use std::time::{Duration, Instant};

/// How much work one sender may cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units of work per second.
    pub per_second: u32,
    /// Units of work that may come at once after a silence.
    pub burst: u32,
}

impl Rate {
    /// A rate. `per_second` 0 counts as 1.
    pub const fn new(per_second: u32, burst: u32) -> Rate {
        Rate { per_second, burst }
    }

    /// How long the share takes to earn one unit.
    fn unit(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// What one sender has used of its [`Rate`].
#[derive(Debug, Clone)]
pub struct Share {
    rate: Rate,
    /// When all the work that was charged would be done at the rate.
    used_until: Instant,
}

impl Share {
    /// A share of which nothing is used.
    pub fn new(rate: Rate, now: Instant) -> Share {
        Share { rate, used_until: now }
    }

    /// Charges `units` of work. It is done already, so the share may become negative.
    pub fn charge(&mut self, units: u32, now: Instant) {
        let work = self.rate.unit().saturating_mul(units);
        let begin = self.used_until.max(now);
        // Work beyond what an instant can hold would be done after the life of this server.
        self.used_until = begin.checked_add(work).unwrap_or(begin);
    }

    /// How long the sender has to be left unread; `None`: not at all.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let burst = self.rate.unit().saturating_mul(self.rate.burst);
        let ahead = self.used_until.saturating_duration_since(now);
        let wait = ahead.checked_sub(burst)?;
        (!wait.is_zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_a_sender_is_left_unread_once_its_burst_is_used_up() {
        let begin = Instant::now();
        let mut share = Share::new(Rate::new(100, 10), begin);
        for _ in 0..10 {
            assert_eq!(share.wait(begin), None);
            share.charge(1, begin);
        }
        share.charge(1, begin);
        assert_eq!(share.wait(begin), Some(Duration::from_millis(10)));
        assert_eq!(share.wait(begin + Duration::from_millis(10)), None);
    }

    #[test]
    fn a1_work_is_earned_at_the_rate_and_never_more_than_the_burst() {
        let begin = Instant::now();
        let mut share = Share::new(Rate::new(100, 10), begin);
        // One large message costs what it costs, and is paid for afterwards.
        share.charge(510, begin);
        assert_eq!(share.wait(begin), Some(Duration::from_secs(5)));
        let later = begin + Duration::from_secs(3600);
        for _ in 0..10 {
            share.charge(1, later);
        }
        assert_eq!(share.wait(later), None);
        share.charge(1, later);
        assert!(share.wait(later).is_some(), "an hour of silence is worth a burst and no more");
    }

    #[test]
    fn a1_no_cost_overflows() {
        let begin = Instant::now();
        let mut share = Share::new(Rate::new(0, u32::MAX), begin);
        for _ in 0..1000 {
            share.charge(u32::MAX, begin);
        }
        assert!(share.wait(begin).is_some());
    }
}
