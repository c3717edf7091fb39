//! Argument values: each is made from the text behind a command's name, or refused.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use time::{Date, Month, PrimitiveDateTime, Time};

use super::syntax::SyntaxError;
use crate::data::listing::{Fact, Facts};

/// A pathname as the client typed it. Holds no NUL, CR or LF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pathname(Vec<u8>);

impl Pathname {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A password on its way to the check. `Debug` does not show it.
pub struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn of(text: &[u8]) -> Self {
        Self(text.to_vec())
    }

    /// For the check alone.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

pub(super) fn pathname(text: &[u8]) -> Result<Pathname, SyntaxError> {
    if text.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(SyntaxError::BadPathname);
    }
    Ok(Pathname(text.to_vec()))
}

/// A restart offset: at most 2^63-1, which is what a file can hold.
pub(super) fn offset(text: &[u8]) -> Result<u64, SyntaxError> {
    i64::try_from(number(text)?).map(i64::cast_unsigned).map_err(|_| SyntaxError::BadNumber)
}

pub(super) fn number(text: &[u8]) -> Result<u64, SyntaxError> {
    let text = words(text)?;
    // `parse` would take a plus sign
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(SyntaxError::BadNumber)
}

/// The size of ALLO, whose record size does not matter here (RFC 959 §4.1.3).
pub(super) fn allocation(text: &[u8]) -> Result<u64, SyntaxError> {
    let text = words(text)?;
    let mut words = text.split_ascii_whitespace();
    let size = number(words.next().unwrap_or_default().as_bytes())?;
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Ok(size),
        (Some(r), Some(record), None) if r.eq_ignore_ascii_case("r") => {
            number(record.as_bytes()).map(|_| size)
        }
        _ => Err(SyntaxError::BadNumber),
    }
}

/// UTF-8 text of one or more words, without blanks around it.
pub(super) fn words(text: &[u8]) -> Result<&str, SyntaxError> {
    std::str::from_utf8(text.trim_ascii()).map_err(|_| SyntaxError::BadArgument)
}

/// What TYPE asks for (RFC 959 §3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferType {
    /// `A`, `A N`.
    Ascii,
    /// `I`, `L 8`.
    Image,
    /// A type, format or byte size that is defined and that we do not have.
    Other,
}

pub(super) fn transfer_type(text: &[u8]) -> Result<TransferType, SyntaxError> {
    // some clients leave out the space of `L 8`
    let compact: Vec<_> =
        text.iter().filter(|byte| **byte != b' ').map(u8::to_ascii_uppercase).collect();
    match compact.as_slice() {
        b"A" | b"AN" => Ok(TransferType::Ascii),
        b"I" | b"L8" => Ok(TransferType::Image),
        [b'A' | b'E' | b'I', ..] => Ok(TransferType::Other),
        [b'L', digits @ ..] if number(digits).is_ok() => Ok(TransferType::Other),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// The letter of STRU or MODE, in upper case.
pub(super) fn letter(text: &[u8]) -> Result<u8, SyntaxError> {
    match text.trim_ascii() {
        [letter] if letter.is_ascii_alphabetic() => Ok(letter.to_ascii_uppercase()),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// `h1,h2,h3,h4,p1,p2` (RFC 959 §4.1.2).
pub(super) fn host_port(text: &[u8]) -> Result<SocketAddr, SyntaxError> {
    let text = words(text)?;
    let mut bytes = [0_u8; 6];
    let mut parts = text.split(',');
    for byte in &mut bytes {
        let part = parts.next().ok_or(SyntaxError::BadArgument)?.trim();
        let value = number(part.as_bytes()).ok().and_then(|value| u8::try_from(value).ok());
        *byte = value.ok_or(SyntaxError::BadArgument)?;
    }
    if parts.next().is_some() {
        return Err(SyntaxError::BadArgument);
    }
    let [a, b, c, d, high, low] = bytes;
    Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

/// `|protocol|address|port|` (RFC 2428 §2).
pub(super) fn extended(text: &[u8]) -> Result<SocketAddr, SyntaxError> {
    let text = words(text)?;
    let delimiter = text.chars().next().filter(char::is_ascii_graphic);
    let delimiter = delimiter.ok_or(SyntaxError::BadArgument)?;
    let parts: Vec<_> = text.split(delimiter).collect();
    let ["", protocol, address, port, ""] = parts.as_slice() else {
        return Err(SyntaxError::BadArgument);
    };
    let address = match *protocol {
        "1" => address.parse().map(IpAddr::V4).map_err(|_| SyntaxError::BadArgument)?,
        "2" => address.parse().map(IpAddr::V6).map_err(|_| SyntaxError::BadArgument)?,
        other if number(other.as_bytes()).is_ok() => return Err(SyntaxError::UnknownProtocol),
        _ => return Err(SyntaxError::BadArgument),
    };
    let port = number(port.as_bytes()).ok().and_then(|port| u16::try_from(port).ok());
    Ok((address, port.ok_or(SyntaxError::BadArgument)?).into())
}

/// The argument of EPSV (RFC 2428 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// None, or the network protocol: 1 for IPv4 and 2 for IPv6.
    Protocol(Option<u8>),
    /// No other command for data connections will follow.
    All,
}

pub(super) fn extended_passive(text: &[u8]) -> Result<Extended, SyntaxError> {
    match text.trim_ascii() {
        b"1" => Ok(Extended::Protocol(Some(1))),
        b"2" => Ok(Extended::Protocol(Some(2))),
        all if all.eq_ignore_ascii_case(b"ALL") => Ok(Extended::All),
        other if number(other).is_ok() => Err(SyntaxError::UnknownProtocol),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// Permission bits in octal. What goes beyond read, write and execute is refused.
pub(super) fn mode(text: &[u8]) -> Result<u32, SyntaxError> {
    let text = words(text)?;
    let octal = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| octal && mode <= 0o777);
    mode.ok_or(SyntaxError::BadMode)
}

pub(super) fn mode_and_path(text: &[u8]) -> Result<(u32, Pathname), SyntaxError> {
    let (first, rest) = word_and_rest(text)?;
    Ok((mode(first)?, pathname(rest)?))
}

/// A moment in seconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

/// `YYYYMMDDHHMMSS`, with a fraction that does not matter (RFC 3659 §2.3). A date that does
/// not exist is refused.
pub(super) fn time_val(text: &[u8]) -> Result<Moment, SyntaxError> {
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
    // a leap second is the first of the next minute
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

/// Earlier ones cannot be written (RFC 3659 §2.3).
const FIRST_YEAR: u16 = 1000;

pub(super) fn time_and_path(text: &[u8]) -> Result<(Moment, Pathname), SyntaxError> {
    let (first, rest) = word_and_rest(text)?;
    Ok((time_val(first)?, pathname(rest)?))
}

/// MDTM as a setter, which older clients use: a time, perhaps with minutes from UTC behind a
/// sign, and a path; and the whole as a path, for a name may begin with digits as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedPath {
    /// The time.
    pub moment: Moment,
    /// What stands behind it.
    pub path: Pathname,
    /// All of it.
    pub whole: Pathname,
}

pub(super) fn timed_path(text: &[u8]) -> Result<TimedPath, SyntaxError> {
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

/// What SITE UTIME sets: the time and the path of the form that a line has, and of the other form
/// if it has both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedPaths {
    first: (Moment, Pathname),
    second: Option<(Moment, Pathname)>,
}

impl TimedPaths {
    /// The one whose path is there, if only one is; the first otherwise.
    pub fn meant(&self, is_there: impl Fn(&Pathname) -> bool) -> (Moment, &Pathname) {
        let second = self.second.as_ref();
        let second = second.filter(|(_, path)| !is_there(&self.first.1) && is_there(path));
        let (at, path) = second.unwrap_or(&self.first);
        (*at, path)
    }
}

/// SITE UTIME in both of its forms: `path` with the times of access, modification and creation
/// and the word `UTC` behind it, and `YYYYMMDDHHMM[SS] path`.
pub(super) fn utime(text: &[u8]) -> Result<TimedPaths, SyntaxError> {
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

/// The facts of OPTS MLST; those that we do not know are left out, and what cannot be the
/// name of a fact spoils them all (RFC 3659 §7.9). The last semicolon may be missing.
pub(super) fn facts(text: &[u8]) -> Result<Facts, SyntaxError> {
    let text = words(text)?;
    let known =
        |name: &str| Fact::ALL.into_iter().find(|fact| fact.name().eq_ignore_ascii_case(name));
    let names = || text.split_terminator(';');
    if names().all(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        Ok(names().filter_map(known).fold(Facts::NONE, Facts::with))
    } else {
        Err(SyntaxError::BadArgument)
    }
}

/// ON or OFF.
pub(super) fn switch(text: &[u8]) -> Result<bool, SyntaxError> {
    match text.trim_ascii() {
        on if on.is_empty() || on.eq_ignore_ascii_case(b"ON") => Ok(true),
        off if off.eq_ignore_ascii_case(b"OFF") => Ok(false),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// The first word and what stands behind the space after it.
fn word_and_rest(text: &[u8]) -> Result<(&[u8], &[u8]), SyntaxError> {
    let space =
        text.iter().position(|&byte| byte == b' ').ok_or(SyntaxError::MissingArgument)?;
    let (first, rest) = text.split_at(space);
    match rest.get(1..) {
        Some(rest) if !rest.is_empty() => Ok((first, rest)),
        _ => Err(SyntaxError::MissingArgument),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_both_forms_are_read() {
        let address: SocketAddr = "10.0.0.1:5001".parse().unwrap();
        assert_eq!(host_port(b"10,0,0,1,19,137"), Ok(address));
        assert_eq!(extended(b"|1|10.0.0.1|5001|"), Ok(address));
        assert_eq!(extended(b"!2!::1!5001!"), Ok("[::1]:5001".parse().unwrap()));
        for text in ["1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,256", "+1,2,3,4,5,6", "a", ""] {
            assert_eq!(host_port(text.as_bytes()), Err(SyntaxError::BadArgument), "{text}");
        }
        for text in ["|1|::1|5|", "|1|1.2.3.4|70000|", "|1|1.2.3.4|5", "1.2.3.4", "", "|"] {
            assert_eq!(extended(text.as_bytes()), Err(SyntaxError::BadArgument), "{text}");
        }
        assert_eq!(extended(b"|3|x|5|"), Err(SyntaxError::UnknownProtocol));
    }

    #[test]
    fn offsets_go_up_to_what_a_file_can_hold() {
        assert_eq!(offset(b"9223372036854775807"), Ok(u64::MAX / 2));
        for text in ["9223372036854775808", "18446744073709551616", "-1", "+1", "1 2", "x", ""]
        {
            assert_eq!(offset(text.as_bytes()), Err(SyntaxError::BadNumber), "{text}");
        }
    }

    #[test]
    fn only_dates_that_exist_are_times() {
        assert_eq!(time_val(b"20240229120000"), Ok(Moment(1_709_208_000)));
        assert_eq!(time_val(b"20240229120000.999"), Ok(Moment(1_709_208_000)));
        assert_eq!(time_val(b"19691231235959"), Ok(Moment(-1)));
        assert_eq!(time_val(b"20161231235960"), Ok(Moment(1_483_228_800)));
        for text in [
            "20230229120000",
            "20241301000000",
            "20240100000000",
            "20240101240000",
            "20240101006000",
            "2024010100000",
            "20240101000000.",
            "2024010100000x",
            "09991231235959",
        ] {
            assert_eq!(time_val(text.as_bytes()), Err(SyntaxError::BadTime), "{text}");
        }
    }

    #[test]
    fn setters_of_time_take_all_the_forms_that_clients_send() {
        let at = |text: &[u8]| timed_path(text).map(|timed| timed.moment.0);
        assert_eq!(at(b"20240229120000 a b"), Ok(1_709_208_000));
        assert_eq!(at(b"20240229120000+60 a"), Ok(1_709_208_000 - 3600));
        assert_eq!(at(b"20240229120000-60 a"), Ok(1_709_208_000 + 3600));
        assert_eq!(at(b"file.txt"), Err(SyntaxError::MissingArgument));
        let path = |text: &[u8]| {
            utime(text).map(|fits| {
                let (at, path) = fits.meant(|_| true);
                (at.0, String::from_utf8(path.0.clone()).unwrap())
            })
        };
        assert_eq!(path(b"202402291200 a b"), Ok((1_709_208_000, "a b".into())));
        assert_eq!(path(b"20240229120000 a"), Ok((1_709_208_000, "a".into())));
        assert_eq!(
            path(b"a b 20240101000000 20240229120000 20240101000000 UTC"),
            Ok((1_709_208_000, "a b".into()))
        );
    }

    #[test]
    fn modes_are_three_octal_digits_of_permission() {
        assert_eq!(mode_and_path(b"0644 a b"), Ok((0o644, pathname(b"a b").unwrap())));
        for text in ["4755 a", "1777 a", "888 a", "+44 a", "00644 a"] {
            assert_eq!(mode_and_path(text.as_bytes()), Err(SyntaxError::BadMode), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_an_argument_panic(text: Vec<u8>) {
            let _ = (pathname(&text), offset(&text), allocation(&text), transfer_type(&text));
            let _ = (letter(&text), host_port(&text), extended(&text), extended_passive(&text));
            let _ = (mode_and_path(&text), timed_path(&text), utime(&text), facts(&text));
            let _ = (switch(&text), time_and_path(&text), mode(&text));
        }
    }
}
