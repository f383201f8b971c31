//! Deadlines and rates.

use std::time::{Duration, Instant};

/// A moment some time from now; never, for the 0 that means "no limit" in the configuration.
pub fn deadline(from: Instant, seconds: u64) -> Option<Instant> {
    (seconds > 0).then(|| from.checked_add(Duration::from_secs(seconds))).flatten()
}

/// The earlier of two moments, where `None` is never.
pub fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}

/// The time between two moves of a limited transfer. Short enough that the data seems to flow, long
/// enough that it costs nothing.
const STEP: Duration = Duration::from_millis(20);

/// Idle commands a session may send at once before `commands_per_second` holds for them.
pub const IDLE_COMMANDS_BURST: u64 = 1000;

/// A token bucket: tokens come in at a rate, and no more than a burst of them waits.
#[derive(Debug)]
pub struct Bucket {
    rate: u64,
    /// Most tokens that wait.
    burst: u64,
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    /// An empty bucket for bytes per second, with a burst of a tenth of a second's worth; `None` for
    /// the 0 that means "no limit".
    pub fn new(rate: u64, now: Instant) -> Option<Bucket> {
        let burst = (rate / 10).max(1);
        (rate > 0).then_some(Bucket { rate, burst, tokens: 0, filled: now })
    }

    /// A full bucket for commands per second; `None` for the 0 that means "no limit".
    pub fn with_burst(rate: u64, burst: u64, now: Instant) -> Option<Bucket> {
        let burst = burst.max(1);
        (rate > 0).then_some(Bucket { rate, burst, tokens: burst, filled: now })
    }

    /// Fills the bucket, so that a whole burst is allowed again.
    pub fn fill(&mut self, now: Instant) {
        self.tokens = self.burst;
        self.filled = now;
    }

    /// How many tokens may be taken now; 0: not before [`Bucket::next`].
    pub fn allowance(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.filled);
        let fresh = u128::from(self.rate).saturating_mul(elapsed.as_nanos()) / 1_000_000_000;
        if fresh > 0 {
            // The time that made whole bytes is used up, the rest goes on counting.
            let used = fresh.saturating_mul(1_000_000_000) / u128::from(self.rate);
            let used = u64::try_from(used).unwrap_or(u64::MAX);
            self.filled = self.filled.checked_add(Duration::from_nanos(used)).unwrap_or(now);
            let fresh = u64::try_from(fresh).unwrap_or(u64::MAX);
            self.tokens = self.tokens.saturating_add(fresh).min(self.burst);
        }
        self.tokens
    }

    /// Takes tokens for bytes that moved, or for a command that was served.
    pub fn take(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_sub(tokens);
    }

    /// When it is worth looking again.
    pub fn next(&self, now: Instant) -> Instant {
        let one_byte = Duration::from_nanos(1_000_000_000 / self.rate.max(1));
        now.checked_add(STEP.max(one_byte.min(Duration::from_secs(1)))).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds of a transfer that always takes all it may.
    fn moved(rate: u64, step: Duration) -> u64 {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::new(rate, start).unwrap();
        let mut moved = 0;
        while now.duration_since(start) < Duration::from_secs(10) {
            let some = bucket.allowance(now);
            bucket.take(some);
            moved += some;
            now += step;
        }
        moved
    }

    #[test]
    fn the_average_over_ten_seconds_is_within_five_percent() {
        for rate in [100, 4_000, 1_000_000, 8_192_000, 1 << 33] {
            for step in [Duration::from_millis(3), STEP, Duration::from_millis(90)] {
                let got = moved(rate, step);
                let want = rate * 10;
                assert!(got.abs_diff(want) * 20 <= want, "{rate} B/s by {step:?}: {got} of {want}");
            }
        }
    }

    #[test]
    fn what_was_not_used_does_not_become_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, start).unwrap();
        assert!(bucket.allowance(start + Duration::from_secs(60)) <= 1000);
    }

    #[test]
    fn a_burst_is_there_at_once_and_again_when_the_bucket_is_filled() {
        let start = Instant::now();
        let mut bucket = Bucket::with_burst(10, 1000, start).unwrap();
        assert_eq!(bucket.allowance(start), 1000);
        bucket.take(1000);
        assert_eq!(bucket.allowance(start), 0);
        assert_eq!(bucket.next(start), start + Duration::from_millis(100));
        assert_eq!(bucket.allowance(start + Duration::from_secs(1)), 10);
        assert_eq!(bucket.allowance(start + Duration::from_secs(3600)), 1000);
        bucket.take(1000);
        bucket.fill(start);
        assert_eq!(bucket.allowance(start), 1000);
    }

    #[test]
    fn zero_means_no_limit() {
        assert!(Bucket::with_burst(0, 1, Instant::now()).is_none());
        assert!(Bucket::new(0, Instant::now()).is_none());
        assert_eq!(deadline(Instant::now(), 0), None);
    }
}
