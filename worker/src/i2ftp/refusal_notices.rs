//! Refused requests in the log: one line per second, and one with the number of those that have none.

use std::time::{Duration, Instant};

/// How often there is a line.
const EVERY: Duration = Duration::from_secs(1);

/// What was refused and is not in the log yet.
#[derive(Debug, Default)]
pub struct RefusalNotices {
    /// When the last line was written.
    last: Option<Instant>,
    /// Refusals since then.
    more: u64,
}

impl RefusalNotices {
    /// Counts a refusal. `Some`: it is time for a line about it, and before it for one about those
    /// that were only counted, if there are any.
    pub fn add(&mut self, now: Instant) -> Option<Option<String>> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            self.more = self.more.saturating_add(1);
            return None;
        }
        let before = self.rest(now);
        self.last = Some(now);
        Some(before)
    }

    /// When the refusals that were only counted are due for a line of their own.
    pub fn due(&self) -> Option<Instant> {
        (self.more > 0).then(|| self.last?.checked_add(EVERY)).flatten()
    }

    /// The line for the refusals that were only counted, if there are any.
    pub fn rest(&mut self, now: Instant) -> Option<String> {
        let more = std::mem::take(&mut self.more);
        if more > 0 {
            self.last = Some(now);
        }
        (more > 0).then(|| format!("I2FTP: {more} more requests were refused"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a8_refusals_have_one_line_per_second_and_none_is_lost() {
        let mut notices = RefusalNotices::default();
        let start = Instant::now();
        assert_eq!(notices.add(start), Some(None));
        assert_eq!(notices.due(), None);
        for _ in 0..7700 {
            assert_eq!(notices.add(start), None);
        }
        assert_eq!(notices.due(), Some(start + EVERY));
        let before = notices.add(start + EVERY).flatten();
        assert_eq!(before.as_deref(), Some("I2FTP: 7700 more requests were refused"));
        assert_eq!(notices.add(start + EVERY), None);
        let later = start + 2 * EVERY;
        assert_eq!(notices.rest(later).as_deref(), Some("I2FTP: 1 more requests were refused"));
        assert_eq!((notices.rest(later), notices.due()), (None, None));
        assert_eq!(notices.add(later), None, "that was the line of this second");
    }
}
