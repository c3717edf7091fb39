//! Kinds of value that are numbers, sizes, durations and days.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::parse::whole;
use super::value_kind::{ValueKind, limits, numbers, texts};
use crate::config::day::Day;
use crate::config::value::{EventsKept, Room};

/// A port; what 0 means depends on the key.
pub(in crate::config) const PORT: ValueKind<u16> =
    numbers(0..=65_535, |number| u16::try_from(number).unwrap_or(u16::MAX));

/// Makes a kind of whole numbers within `bounds`.
pub(in crate::config) const fn count(bounds: RangeInclusive<u64>) -> ValueKind<usize> {
    numbers(bounds, size)
}

/// Makes a kind of limits within `bounds`; 0 and an empty text mean no limit.
pub(in crate::config) const fn limit(bounds: RangeInclusive<u64>) -> ValueKind<Option<usize>> {
    limits(bounds, |number| (number > 0).then(|| size(number)))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A duration; 0 or an empty text is `None`.
pub(in crate::config) const TIME: ValueKind<Option<Duration>> =
    texts("duration", |given| Ok(time(given.text)?));

/// How long something is waited for.
pub(in crate::config) const PATIENCE: ValueKind<Duration> =
    texts("duration from 1s to 5m", |given| Ok(patience(given.text)?));

/// Bytes per second; 0 or an empty text is no limit.
pub(in crate::config) const RATE: ValueKind<Option<NonZeroU64>> =
    texts("size per second, 0 is no limit", |given| Ok(rate(given.text)?));

/// Bytes; 0 or an empty text is no limit.
pub(in crate::config) const SIZE: ValueKind<Option<NonZeroU64>> =
    texts("size, 0 is no limit", |given| Ok(size_in_bytes(given.text)?));

/// Age from which files are removed, from a home or from the trash; 0 or an empty text is none.
pub(in crate::config) const AGE: ValueKind<Option<Duration>> =
    texts("duration with a unit, at least 1h, 0 is no limit", |given| Ok(age(given.text)?));

/// Free space of a file system; 0 or an empty text is none.
pub(in crate::config) const ROOM: ValueKind<Option<Room>> =
    texts("size, or percent such as 5%, 0 is no limit", |given| Ok(room(given.text)?));

/// How much of the events that have not been sent yet is kept.
pub(in crate::config) const EVENTS_KEPT: ValueKind<EventsKept> =
    texts("size and duration such as 64M, 7d", |given| Ok(events_kept(given.text)?));

/// A day of the calendar, or none if the text is empty.
pub(in crate::config) const DAY: ValueKind<Option<Day>> =
    texts("day as YYYY-MM-DD", |given| Ok(day(given.text)?));

/// Octal permission bits.
pub(in crate::config) const MASK: ValueKind<u32> =
    texts("octal mask", |given| Ok(mask(given.text)?));

/// The mode of new files, or none if the text is empty.
pub(in crate::config) const FILE_MODE: ValueKind<Option<u32>> =
    texts("octal mode", |given| Ok(mode(given.text, 0o777, 0o600)?));

/// The mode of new directories, or none if the text is empty.
pub(in crate::config) const DIR_MODE: ValueKind<Option<u32>> =
    texts("octal mode", |given| Ok(mode(given.text, 0o3777, 0o700)?));

/// Splits a number with a unit into its digits and the factor of the unit.
fn scaled<'t>(text: &'t str, units: &[(char, u64)]) -> (&'t str, u64) {
    let unit = units.iter().find_map(|(unit, says)| Some((text.strip_suffix(*unit)?, *says)));
    unit.unwrap_or((text, 1))
}

/// Reads a speed. Returns `None`, which is no limit, for 0 or an empty text.
fn rate(text: &str) -> Result<Option<NonZeroU64>, String> {
    match text.to_ascii_lowercase().strip_suffix("/s") {
        Some("") => Err(NO_SIZE.to_owned()),
        Some(size) => size_in_bytes(size.trim_end()),
        None => size_in_bytes(text),
    }
}

const NO_SIZE: &str = "is not a size such as 300K, 10M or 1G";

/// Reads a size. Returns `None`, which is no limit, for 0 or an empty text.
fn size_in_bytes(text: &str) -> Result<Option<NonZeroU64>, String> {
    let refused = || NO_SIZE.to_owned();
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Ok(None);
    }
    let units = [('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];
    let (digits, unit) = scaled(&lower, &units);
    let count = whole(digits.trim_end()).ok_or_else(refused)?;
    let bytes = count.checked_mul(unit).ok_or_else(refused)?;
    Ok(NonZeroU64::new(bytes))
}

/// Reads a duration. Returns `None` for 0 or an empty text.
pub(in crate::config) fn time(text: &str) -> Result<Option<Duration>, String> {
    let refused = || "is not a duration such as 300, 90s, 5m, 1h or 1d".to_owned();
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, unit) = scaled(&lower, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]);
    let count = whole(digits.trim_end()).ok_or_else(refused)?;
    let seconds = count.checked_mul(unit).filter(|&seconds| seconds <= LONGEST);
    let seconds = seconds.ok_or_else(|| "is longer than a year".to_owned())?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// Maximum duration in seconds: a year. Deadlines are computed by addition, and this limit keeps
/// them far from an overflow.
const LONGEST: u64 = 365 * 24 * 3600;

/// Longest time that something is waited for, in seconds.
const LONGEST_WAIT: u64 = 300;

/// Reads how long something is waited for.
fn patience(text: &str) -> Result<Duration, String> {
    let time = time(text)?.filter(|time| time.as_secs() <= LONGEST_WAIT);
    time.ok_or_else(|| "is not a duration from 1s to 5m".to_owned())
}

/// Least age from which files are removed, in seconds.
const LEAST_AGE: u64 = 3600;

/// Maximum age from which files are removed, in seconds: a hundred years.
const MOST_AGE: u64 = 100 * LONGEST;

/// Reads the age from which files are removed. Returns `None` for 0 or an empty text. A bare number
/// could be meant as days, and would be read as seconds, so a unit is required.
fn age(text: &str) -> Result<Option<Duration>, String> {
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, unit) = scaled(&lower, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]);
    let refused = || "is not a duration such as 12h or 30d".to_owned();
    let count = whole(digits.trim_end()).ok_or_else(refused)?;
    if count == 0 {
        return Ok(None);
    }
    if digits.len() == lower.len() {
        return Err("has no unit; write for example 12h or 30d".to_owned());
    }
    match count.checked_mul(unit) {
        Some(..LEAST_AGE) => Err("is less than an hour".to_owned()),
        Some(seconds @ LEAST_AGE..=MOST_AGE) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err("is longer than a hundred years".to_owned()),
    }
}

/// Reads the free space of a file system. Returns `None` for 0 or an empty text.
fn room(text: &str) -> Result<Option<Room>, String> {
    let refused = || "is not a size such as 10G, or a percentage from 1% to 90%".to_owned();
    let Some(digits) = text.strip_suffix('%') else {
        let bytes = size_in_bytes(text).map_err(|_| refused())?;
        return Ok(bytes.map(|bytes| Room::Bytes(bytes.get())));
    };
    match whole(digits.trim_end()) {
        Some(0) => Ok(None),
        Some(percent @ 1..=90) => Ok(Some(Room::Percent(percent))),
        _ => Err(refused()),
    }
}

/// Least size of the events that are kept.
const LEAST_KEPT: u64 = 1 << 20;

/// Reads how much of the events that have not been sent yet is kept.
fn events_kept(text: &str) -> Result<EventsKept, String> {
    let refused = || "is not a size and a duration such as 64M, 7d".to_owned();
    let (bytes, age) = text.split_once(',').ok_or_else(refused)?;
    let bytes = size_in_bytes(bytes.trim()).map_err(|_| refused())?.map(NonZeroU64::get);
    let age = time(age.trim()).map_err(|_| refused())?;
    match (bytes, age) {
        (Some(LEAST_KEPT..), Some(age)) if age < MINUTE => {
            Err("keeps events for less than a minute".to_owned())
        }
        (Some(bytes @ LEAST_KEPT..), Some(age)) => Ok(EventsKept { bytes, age }),
        (Some(_), Some(_)) => Err("keeps less than 1M".to_owned()),
        _ => Err(refused()),
    }
}

/// A duration of a minute at least, or none if the text is empty.
pub(in crate::config) const EXPECTED: ValueKind<Option<Duration>> =
    texts("duration of a minute at least", |given| match time(given.text)? {
        Some(time) if time < MINUTE => Err("is less than a minute".to_owned().into()),
        time => Ok(time),
    });

const MINUTE: Duration = Duration::from_secs(60);

/// Reads a day of the calendar. Returns `None` for an empty text.
fn day(text: &str) -> Result<Option<Day>, String> {
    let day = (!text.is_empty()).then(|| Day::parse(text));
    day.map(|day| day.ok_or_else(|| "is not a day such as 2026-12-31".to_owned())).transpose()
}

/// Reads octal permission bits.
fn mask(text: &str) -> Result<u32, String> {
    let mask = octal(text).filter(|&mask| mask <= 0o777);
    mask.ok_or_else(|| "is not an octal mask between 000 and 777".to_owned())
}

/// Reads a mode that has only bits of `most`, and all bits of `least`: without these, the server
/// itself could not resume an upload, or make something in the directory. Returns `None` for an
/// empty text.
fn mode(text: &str, most: u32, least: u32) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match octal(text) {
        Some(mode) if mode & least == least && mode & !most == 0 => Ok(Some(mode)),
        _ => Err(format!(
            "is not an octal mode between {least:04o} and {most:04o}, with {least:04o} in it"
        )),
    }
}

fn octal(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(text, 8).ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_1024_based_and_may_say_per_second() {
        for (text, bytes) in [
            ("300K", 300 << 10),
            ("300k/s", 300 << 10),
            ("10M/s", 10 << 20),
            ("1 G", 1 << 30),
            ("1t", 1 << 40),
            ("512", 512),
        ] {
            assert_eq!(rate(text), Ok(NonZeroU64::new(bytes)), "{text}");
        }
        for text in ["", "0", "0K", "0/s"] {
            assert_eq!(rate(text), Ok(None), "{text}");
        }
        for text in ["K", "/s", "-1", "1.5M", "1P", "99999999999G", "300 K B"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_take_seconds_minutes_hours_and_days() {
        assert_eq!(time("90"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(time("90s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(time("5M"), Ok(Some(Duration::from_secs(300))));
        assert_eq!(time("1 h"), Ok(Some(Duration::from_secs(3600))));
        assert_eq!(time("1d"), Ok(Some(Duration::from_secs(86_400))));
        assert_eq!(time("0m"), Ok(None));
        assert_eq!(time(""), Ok(None));
        for text in ["m", "1w", "-1", "1.5h", "18446744073709551615h", "9999h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages_need_a_unit_and_are_an_hour_at_least() {
        for (text, seconds) in [("1h", 3600), ("60 M", 3600), ("30d", 2_592_000)] {
            assert_eq!(age(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "0", "0d"] {
            assert_eq!(age(text), Ok(None), "{text}");
        }
        for text in ["30", "3600", "59m", "3599s", "1s", "1w", "-1d", "d", "36501d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn room_is_a_percentage_or_a_size() {
        for (text, wanted) in [
            ("5%", Some(Room::Percent(5))),
            ("90 %", Some(Room::Percent(90))),
            ("10G", Some(Room::Bytes(10 << 30))),
            ("0%", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(room(text), Ok(wanted), "{text}");
        }
        for text in ["%", "91%", "2.5%", "-1", "5 percent", "5%%", "10G/s"] {
            assert!(room(text).is_err(), "{text}");
        }
    }

    #[test]
    fn masks_are_octal() {
        assert_eq!(mask("022"), Ok(0o022));
        assert_eq!(mask("77"), Ok(0o077));
        for text in ["", "8", "+22", "1000", "0x1"] {
            assert!(mask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_leave_the_server_what_it_needs_and_never_set_the_user_id() {
        let (file, dir) = (|text| mode(text, 0o777, 0o600), |text| mode(text, 0o3777, 0o700));
        assert_eq!(file("0640"), Ok(Some(0o640)));
        assert_eq!(file(""), Ok(None));
        assert_eq!(dir("2770"), Ok(Some(0o2770)));
        assert_eq!(dir("1777"), Ok(Some(0o1777)));
        for text in ["0", "440", "0200", "2640", "4640", "1644", "8", "rw", "+640", "-1"] {
            assert!(file(text).is_err(), "{text}");
        }
        for text in ["0", "555", "0600", "4755", "7777", "10755", "u=rwx"] {
            assert!(dir(text).is_err(), "{text}");
        }
    }
}
