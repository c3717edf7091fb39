//! Reads what the server needs to know of a certificate (RFC 5280 §4.1). Whether the certificate is
//! valid is for rustls to decide.

use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime, Time};

use super::der::{self, Reader};
use super::name;

/// A part of what a certificate says.
pub(super) struct Certificate<'a> {
    /// The version, as the certificate encodes it: 2 for version 3.
    version: u8,
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
    issuer: Reader<'a>,
    subject: Reader<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate. Returns `None` if it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(bytes);
        let mut signed = outer.enter(der::SEQUENCE)?;
        let mut fields = signed.enter(der::SEQUENCE)?;
        signed.expect(der::SEQUENCE)?;
        signed.expect(der::BIT_STRING)?;
        if !outer.is_at_end() || !signed.is_at_end() {
            return None;
        }
        let version = match fields.tag() {
            Some(der::EXPLICIT_0) => {
                match *fields.enter(der::EXPLICIT_0)?.expect(der::INTEGER)? {
                    [version] => version,
                    _ => return None,
                }
            }
            _ => 0,
        };
        let _serial = fields.expect(der::INTEGER)?;
        let _algorithm = fields.expect(der::SEQUENCE)?;
        let issuer = fields.enter(der::SEQUENCE)?;
        let mut validity = fields.enter(der::SEQUENCE)?;
        let (begins, ends) = (time(&mut validity)?, time(&mut validity)?);
        let subject = fields.enter(der::SEQUENCE)?;
        let _key = fields.expect(der::SEQUENCE)?;
        Some(Self { version, begins, ends, issuer, subject })
    }

    /// Returns whether this is a certificate of version 3, the only one that rustls supports.
    pub(super) const fn is_version_3(&self) -> bool {
        self.version == 2
    }

    /// Returns the subject as RFC 4514 writes it. Returns `None` if it is not a name.
    pub(super) fn subject(&self) -> Option<String> {
        name::text(self.subject)
    }

    /// Returns the issuer in the same form. Returns `None` if it is not a name.
    pub(super) fn issuer(&self) -> Option<String> {
        name::text(self.issuer)
    }
}

/// Reads a time in one of the two forms that RFC 5280 §4.1.2.5 allows. Times before 1970 are refused.
fn time(reader: &mut Reader<'_>) -> Option<SystemTime> {
    let value = reader.value()?;
    let digits = value.content.strip_suffix(b"Z")?;
    let pairs = digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>()?;
    let (year, rest) = match (value.tag, pairs.as_slice()) {
        (der::UTC_TIME, [year, rest @ ..]) => {
            (i32::from(*year) + if *year < 50 { 2000 } else { 1900 }, rest)
        }
        (der::GENERALIZED_TIME, [century, year, rest @ ..]) => {
            (i32::from(*century) * 100 + i32::from(*year), rest)
        }
        _ => return None,
    };
    let &[month, day, hour, minute, second] = rest else { return None };
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    (year >= 1970).then(|| OffsetDateTime::new_utc(date, time).into())
}

/// Reads two decimal digits.
fn pair(digits: &[u8]) -> Option<u8> {
    match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + ones - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(tag: u8, text: &str) -> Option<u64> {
        let length = u8::try_from(text.len()).unwrap();
        let bytes = [&[tag, length], text.as_bytes()].concat();
        let since = time(&mut Reader::new(&bytes))?.duration_since(SystemTime::UNIX_EPOCH);
        since.ok().as_ref().map(Duration::as_secs)
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        assert_eq!(read(der::UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(read(der::UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read(der::GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(read(der::GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn other_times_are_refused() {
        for text in
            ["691231235959Z", "700101000001", "7001010000Z", "701301000000Z", "7x0101000000Z"]
        {
            assert_eq!(read(der::UTC_TIME, text), None, "{text}");
        }
        for text in ["19700101000001Z", "700101000001+0100"] {
            assert_eq!(read(der::UTC_TIME, text), None, "{text}");
        }
        assert_eq!(read(der::GENERALIZED_TIME, "20500230000000Z"), None);
        assert_eq!(read(der::INTEGER, "700101000001Z"), None);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        for bytes in [&b""[..], b"0", b"0\0", b"text", &[0x30, 2, 0x30, 0]] {
            assert!(Certificate::read(bytes).is_none(), "{bytes:x?}");
        }
    }
}
