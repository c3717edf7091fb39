//! Calendar days and times of day, in UTC.

use std::io::Write;

use time::OffsetDateTime;

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
