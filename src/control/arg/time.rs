//! Times, and the arguments of commands that set one.

use time::{Date, Month, PrimitiveDateTime, Time};

use super::text::{Pathname, number, pathname, word_and_rest, words};
use crate::control::syntax::SyntaxError;

/// A time in seconds since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

/// Reads `YYYYMMDDHHMMSS`; a fraction of a second is ignored (RFC 3659 §2.3). A date that does
/// not exist is refused.
pub(in crate::control) fn time_val(text: &[u8]) -> Result<Moment, SyntaxError> {
    let text = words(text)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return Err(SyntaxError::BadTime);
    }
    let part = |from: usize, to: usize| {
        whole.get(from..to).and_then(|part| part.parse::<u16>().ok()).unwrap_or_default()
    };
    let small = |from| u8::try_from(part(from, from + 2)).unwrap_or_default();
    let year = part(0, 4);
    if year < FIRST_YEAR {
        return Err(SyntaxError::BadTime);
    }
    let month = Month::try_from(small(4)).map_err(|_| SyntaxError::BadTime)?;
    let date = Date::from_calendar_date(year.into(), month, small(6));
    // a leap second counts as the first second of the next minute
    let leap = small(12) == 60;
    let time = Time::from_hms(small(8), small(10), if leap { 59 } else { small(12) });
    match (date, time) {
        (Ok(date), Ok(time)) => {
            let at = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
            Ok(Moment(at + i64::from(leap)))
        }
        _ => Err(SyntaxError::BadTime),
    }
}

/// The first year that `YYYY` can express (RFC 3659 §2.3).
const FIRST_YEAR: u16 = 1000;

pub(in crate::control) fn time_and_path(
    text: &[u8],
) -> Result<(Moment, Pathname), SyntaxError> {
    let (first, rest) = word_and_rest(text)?;
    Ok((time_val(first)?, pathname(rest)?))
}

/// The argument of MDTM in the form by which older clients set a time: a time, perhaps with an
/// offset from UTC in minutes, and a path. The name of a file may look like that as well, so
/// the whole argument is also kept as a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedPath {
    /// The time to set.
    pub moment: Moment,
    /// The path that follows the time.
    pub path: Pathname,
    /// The whole argument as a path.
    pub whole: Pathname,
}

pub(in crate::control) fn timed_path(text: &[u8]) -> Result<TimedPath, SyntaxError> {
    let (first, rest) = word_and_rest(text)?;
    let sign = first.iter().position(|byte| matches!(byte, b'+' | b'-'));
    let (time, shift) = first.split_at(sign.unwrap_or(first.len()));
    let Moment(mut at) = time_val(time)?;
    if let Some((sign, minutes)) = shift.split_first() {
        let minutes = number(minutes).ok().filter(|&minutes| minutes <= 24 * 60);
        let seconds = minutes.ok_or(SyntaxError::BadTime)?.cast_signed() * 60;
        at += if *sign == b'+' { -seconds } else { seconds };
    }
    Ok(TimedPath { moment: Moment(at), path: pathname(rest)?, whole: pathname(text)? })
}

/// The argument of SITE UTIME, which has two forms. If the text fits both, `second` holds the
/// second reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedPaths {
    first: (Moment, Pathname),
    second: Option<(Moment, Pathname)>,
}

impl TimedPaths {
    /// Returns the second reading if only its path exists; otherwise the first.
    pub fn meant(&self, is_there: impl Fn(&Pathname) -> bool) -> (Moment, &Pathname) {
        let second = self.second.as_ref();
        let second = second.filter(|(_, path)| !is_there(&self.first.1) && is_there(path));
        let (at, path) = second.unwrap_or(&self.first);
        (*at, path)
    }
}

/// Reads both forms of SITE UTIME: `path` followed by the times of access, modification and
/// creation and the word `UTC`; and `YYYYMMDDHHMM[SS] path`.
pub(in crate::control) fn utime(text: &[u8]) -> Result<TimedPaths, SyntaxError> {
    let after = || {
        let (first, rest) = word_and_rest(text)?;
        Ok((minute_or_second(first)?, pathname(rest)?))
    };
    let words: Vec<_> = text.split(|&byte| byte == b' ').collect();
    if let [path @ .., _, modified, _, utc] = words.as_slice()
        && utc.eq_ignore_ascii_case(b"UTC")
        && !path.is_empty()
        && let Ok(moment) = minute_or_second(modified)
    {
        let first = (moment, pathname(&path.join(&b' '))?);
        return Ok(TimedPaths { first, second: after().ok() });
    }
    Ok(TimedPaths { first: after()?, second: None })
}

fn minute_or_second(text: &[u8]) -> Result<Moment, SyntaxError> {
    if text.len() == 12 { time_val(&[text, b"00"].concat()) } else { time_val(text) }
}
