//! When a certificate is valid, and what an operator is told about its end.

use time::OffsetDateTime;

/// Days before the end of a certificate from which on it is warned of.
const WARNED_DAYS: i64 = 30;
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// When a certificate is valid, Unix time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its begin.
    pub not_before: i64,
    /// Its end.
    pub not_after: i64,
}

/// What is wrong with the validity of a certificate, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// It ends within 30 days.
    EndsSoon,
    /// It has ended, or begins only later.
    NotValid,
}

impl Validity {
    /// Whole days from `now` until the end; negative when it is over.
    pub fn days_left(self, now: i64) -> i64 {
        self.not_after.saturating_sub(now).div_euclid(DAY)
    }

    /// What is to be said about it `now`, with how bad it is.
    pub fn judge(self, now: i64) -> Option<(Concern, String)> {
        let days = self.days_left(now);
        if now > self.not_after {
            let text = format!(
                "its validity ended on {}: clients that check certificates refuse it",
                date(self.not_after)
            );
            return Some((Concern::NotValid, text));
        }
        if now < self.not_before {
            let text = format!(
                "its validity begins on {} only, or the clock of this host is wrong: clients that \
                 check certificates refuse it",
                date(self.not_before)
            );
            return Some((Concern::NotValid, text));
        }
        (days < WARNED_DAYS).then(|| {
            let text = match days {
                0 => format!("it ends today, on {}", date(self.not_after)),
                1 => format!("it ends in 1 day, on {}", date(self.not_after)),
                _ => format!("it ends in {days} days, on {}", date(self.not_after)),
            };
            (Concern::EndsSoon, text)
        })
    }
}

/// What to do about a certificate that ends.
pub const RENEWAL: &str = "renew it: new files are served within seconds, without a reload. \
    `bulkhead certificate --renew` renews those that Bulkhead has made, an ACME client all others";

/// A time as RFC 3339, in UTC.
pub fn date(unix: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix)
        .ok()
        .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| format!("second {unix} of 1970"))
}

/// The time, Unix time in seconds.
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_a_certificate_is_warned_of_from_thirty_days_on() {
        let validity = Validity { not_before: 0, not_after: 100 * DAY };
        let judged = |now: i64| validity.judge(now);
        assert_eq!(judged(60 * DAY), None);
        let (concern, text) = judged(80 * DAY).unwrap();
        assert_eq!(concern, Concern::EndsSoon);
        assert_eq!(text, "it ends in 20 days, on 1970-04-11T00:00:00Z");
        assert!(judged(70 * DAY + 1).is_some() && judged(70 * DAY).is_none());
        assert!(judged(99 * DAY + 1).unwrap().1.contains("today"));
        let (concern, text) = judged(101 * DAY).unwrap();
        assert_eq!(concern, Concern::NotValid);
        assert!(text.contains("ended on 1970-04-11"), "{text}");
        assert_eq!(validity.days_left(101 * DAY), -1);
        assert_eq!(judged(-1).unwrap().0, Concern::NotValid);
    }
}
