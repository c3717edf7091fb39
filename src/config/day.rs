//! Days of the calendar, for accounts that expire.

use std::fmt;

use time::{Date, Month, OffsetDateTime};

/// A day of the calendar, in the server's local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(Date);

impl Day {
    /// Reads a day such as `2026-12-31`. Returns `None` if the calendar has no such day.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            let part = parts.next()?;
            let all = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| all)
        };
        let (year, month, day) = (next(4)?, next(2)?, next(2)?);
        if parts.next().is_some() {
            return None;
        }
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok().map(Self)
    }

    /// Returns whether the day is over, in local time.
    pub fn is_over(self) -> bool {
        let now = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc());
        now.date() > self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_in_no_calendar_are_refused() {
        for text in ["2026-12-31", "2028-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-1-1",
            "26-01-01",
            "2026-12-31-",
            "2026-12",
            "+026-12-31",
            "20261231",
            "2026/12/31",
            "2026-12-31 ",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_is_over_when_the_next_one_begins() {
        let of = |text| Day::parse(text).unwrap();
        assert!(of("2020-01-01").is_over() && !of("9999-12-31").is_over());
        let now = OffsetDateTime::now_local().unwrap();
        // unless midnight passes between the two readings of the clock
        assert!(!Day(now.date()).is_over() || OffsetDateTime::now_local().unwrap() > now);
    }
}
