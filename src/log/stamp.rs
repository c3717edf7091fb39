//! Times, as the log writes them.

use std::fmt::{self, Display, Formatter, Write};
use std::time::SystemTime;

use time::{OffsetDateTime, UtcOffset};

/// Returns a time as the log writes it: local time with its distance from UTC.
pub fn stamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let here = UtcOffset::local_offset_at(at).map_or(at, |offset| at.to_offset(offset));
    Stamp(here).to_string()
}

/// Returns the local time, or the time in UTC if the local one is unknown.
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc())
}

/// A time in the form of RFC 3339, with milliseconds.
pub(super) struct Stamp(pub(super) OffsetDateTime);

impl Display for Stamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = self.0;
        write!(f, "{:04}-{:02}-{:02}T", at.year(), u8::from(at.month()), at.day())?;
        write!(f, "{:02}:{:02}:{:02}.", at.hour(), at.minute(), at.second())?;
        write!(f, "{:03}", at.millisecond())?;
        if at.offset() == UtcOffset::UTC {
            return f.write_char('Z');
        }
        let (hours, minutes, _) = at.offset().as_hms();
        let sign = if at.offset().is_negative() { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    }
}
