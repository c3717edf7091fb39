//! Times, as the log writes them.

use std::fmt::{self, Display, Formatter, Write};
use std::time::SystemTime;

use time::{OffsetDateTime, UtcOffset};

/// Returns a time as the log writes it: local time with its distance from UTC, in the form of
/// RFC 3339 with milliseconds.
pub fn stamp(at: SystemTime) -> String {
    let at = local(at.into());
    format!("{}.{:03}{}", Second(at), at.millisecond(), Zone(at.offset()))
}

/// Returns a time as local time, or in UTC if the local one is unknown.
pub(super) fn local(at: OffsetDateTime) -> OffsetDateTime {
    UtcOffset::local_offset_at(at).map_or(at, |offset| at.to_offset(offset))
}

/// A time in the form of RFC 3339, as far as its seconds.
pub(super) struct Second(pub(super) OffsetDateTime);

impl Display for Second {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = self.0;
        write!(f, "{:04}-{:02}-{:02}T", at.year(), u8::from(at.month()), at.day())?;
        write!(f, "{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
    }
}

/// A time as the C library's `ctime` writes it: `Tue Nov 14 22:13:20 2023`.
pub(super) struct Date(pub(super) OffsetDateTime);

impl Display for Date {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = self.0;
        write!(
            f,
            "{:.3} {:.3} {:2} ",
            at.weekday().to_string(),
            at.month().to_string(),
            at.day()
        )?;
        write!(f, "{:02}:{:02}:{:02} {}", at.hour(), at.minute(), at.second(), at.year())
    }
}

/// A distance from UTC in the form of RFC 3339.
pub(super) struct Zone(pub(super) UtcOffset);

impl Display for Zone {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == UtcOffset::UTC {
            return f.write_char('Z');
        }
        let (hours, minutes, _) = self.0.as_hms();
        let sign = if self.0.is_negative() { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    }
}
