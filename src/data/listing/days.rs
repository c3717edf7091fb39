//! Calendar days and times of day.

use std::io::Write;

use time::{OffsetDateTime, UtcOffset};

use super::digits::{digits, push_number};

const MONTHS: [[u8; 3]; 12] = [
    *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct",
    *b"Nov", *b"Dec",
];

/// Converts times to calendar days. The last day is cached, because neighbouring entries often
/// share it.
#[derive(Debug, Default)]
pub(super) struct Days {
    last: Option<(i64, Day)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) year: i32,
    pub(super) name: [u8; 3],
    /// Month and day of the month, in two digits each.
    pub(super) digits: [[u8; 2]; 2],
}

const DAY: i64 = 24 * 3600;

/// The time zone in which LIST shows times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    Utc,
    /// The time zone of the server.
    Local,
}

impl Zone {
    /// Returns the number of seconds for which UTC has the date and the time of day that this zone has
    /// at `seconds`. Each time has the distance from UTC of its own day, not that of today.
    pub(super) fn shift(self, seconds: i64) -> i64 {
        if self == Self::Utc {
            return seconds;
        }
        let at = OffsetDateTime::from_unix_timestamp(seconds).ok();
        let offset = at.and_then(|at| UtcOffset::local_offset_at(at).ok());
        seconds.saturating_add(offset.map_or(0, |offset| offset.whole_seconds().into()))
    }
}

impl Days {
    /// Returns the day of a time, and the second of that day.
    pub(super) fn of(&mut self, seconds: i64) -> (Day, u64) {
        let number = seconds.div_euclid(DAY);
        let time = u64::try_from(seconds.rem_euclid(DAY)).unwrap_or_default();
        if let Some((last, day)) = self.last
            && last == number
        {
            return (day, time);
        }
        // a time outside the calendar is shown as 1970
        let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return self.of(0) };
        let month = u8::from(at.month());
        let name = MONTHS.get(usize::from(month) - 1).copied().unwrap_or(*b"Jan");
        let digits = [month, at.day()].map(|number| digits(number.into()));
        let day = Day { year: at.year(), name, digits };
        self.last = Some((number, day));
        (day, time)
    }
}

/// Formats a time as `YYYYMMDDHHMMSS` in UTC (RFC 3659 §2.3).
pub fn time_val(seconds: i64) -> String {
    let mut out = Vec::with_capacity(14);
    push_time(seconds, &mut Days::default(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn push_time(seconds: i64, days: &mut Days, out: &mut Vec<u8>) {
    let (day, time) = days.of(seconds);
    // writing to a Vec cannot fail
    match u64::try_from(day.year) {
        Ok(year) => push_number(year, 4, b'0', out),
        Err(_) => drop(write!(out, "{:04}", day.year)),
    }
    let [month, day] = day.digits;
    let [hour, minute, second] = [time / 3600, time / 60 % 60, time % 60];
    let rest = [month, day, digits(hour), digits(minute), digits(second)];
    out.extend_from_slice(rest.as_flattened());
}
