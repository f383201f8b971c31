//! Times as FTP writes them: UTC, by the proleptic Gregorian calendar.

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of a date")]
pub struct Date {
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

const DAY: i64 = 86_400;
/// First and last year that four digits can write.
const YEARS: std::ops::RangeInclusive<i64> = 0..=9999;

impl Date {
    /// The date of a number of seconds since 1970. Outside the years 0 to 9999, which no client
    /// could read, it is the nearest date within.
    pub fn from_seconds(seconds: i64) -> Date {
        let seconds = seconds.clamp(FIRST, LAST);
        let days = seconds.div_euclid(DAY);
        let rest = seconds.rem_euclid(DAY);
        // Days from 0000-03-01, in eras of 400 years (Howard Hinnant, chrono-compatible dates).
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = |value: i64| u8::try_from(value).unwrap_or(0);
        Date {
            year,
            month: small(month),
            day: small(day),
            hour: small(rest / 3600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
        }
    }

    /// Seconds since 1970, when there is such a date.
    pub fn to_seconds(self) -> Option<i64> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let last = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if !YEARS.contains(&self.year)
            || !(1..=last).contains(&self.day)
            || self.hour > 23
            || self.minute > 59
            || self.second > 60
        {
            return None;
        }
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let time = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60;
        Some(days * DAY + time + i64::from(self.second))
    }
}

/// 0000-01-01T00:00:00 and 9999-12-31T23:59:59.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// `YYYYMMDDHHMMSS`, as MDTM, MLST and the fact `modify` write it (RFC 3659 section 2.3).
pub fn format(seconds: i64) -> [u8; 14] {
    let date = Date::from_seconds(seconds);
    let century = u8::try_from(date.year / 100).unwrap_or(0);
    let year = u8::try_from(date.year % 100).unwrap_or(0);
    let mut text = [0; 14];
    let fields = [century, year, date.month, date.day, date.hour, date.minute, date.second];
    for (place, value) in text.chunks_exact_mut(2).zip(fields) {
        place.copy_from_slice(&two_digits(value));
    }
    text
}

/// A number below 100 as two digits.
pub(super) fn two_digits(value: u8) -> [u8; 2] {
    [b'0' + value / 10 % 10, b'0' + value % 10]
}

/// Seconds since 1970 of `YYYYMMDDHHMMSS`, with or without a fraction, which is dropped.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (digits, fraction) = text.split_at_checked(14)?;
    match fraction {
        [] => {}
        [b'.', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    parse_digits(digits)
}

/// Seconds since 1970 of `YYYYMMDDHHMM`, the short form of SITE UTIME.
pub fn parse_minutes(text: &[u8]) -> Option<i64> {
    let minutes: &[u8; 12] = text.try_into().ok()?;
    let mut digits = [b'0'; 14];
    digits.get_mut(..12)?.copy_from_slice(minutes);
    parse_digits(&digits)
}

fn parse_digits(digits: &[u8]) -> Option<i64> {
    let mut fields = digits.chunks_exact(2).map(|pair| match pair {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    });
    let mut next = || fields.next().flatten();
    Date {
        year: i64::from(next()?) * 100 + i64::from(next()?),
        month: next()?,
        day: next()?,
        hour: next()?,
        minute: next()?,
        second: next()?,
    }
    .to_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked with `date -u -d @N +%Y%m%d%H%M%S`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101000000"),
            (-1, "19691231235959"),
            (951_782_400, "20000229000000"),
            (1_700_000_000, "20231114221320"),
            (4_102_444_800, "21000101000000"),
            (4_107_542_400, "21000301000000"),
            (LAST, "99991231235959"),
            (FIRST, "00000101000000"),
        ] {
            assert_eq!(format(seconds), text.as_bytes(), "{seconds}");
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
        assert_eq!(format(i64::MAX), *b"99991231235959");
        assert_eq!(format(i64::MIN), *b"00000101000000");
    }

    #[test]
    fn dates_that_are_not_are_refused() {
        for text in [
            "20230229000000",
            "21000229000000",
            "20231301000000",
            "20230001000000",
            "20230100000000",
            "20230101240000",
            "20230101006000",
            "2023010100000",
            "202301010000000",
            "20230101000000.",
            "20230101000000.x",
            "+0230101000000",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"20230101000000.123"), parse(b"20230101000000"));
        assert_eq!(parse_minutes(b"202301010203"), parse(b"20230101020300"));
    }
}
