//! What waits in the queue of the log: an event of a session, a message of the server, or a line
//! of the transfer log.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use log::Level;

use super::event::{Event, Hashing, Transfer, Who};
use super::packed::Packed;

/// Something that is to be written, and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The time since 1970.
    pub(super) at: Duration,
    pub(super) what: What<'a>,
}

/// Something that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// An event of a session; `None`: of the server.
    Event(Option<Who<'a>>, Event<'a>),
    /// A message of the server: its level, its target in the sense of the `log` crate, and its
    /// text.
    Message(Level, &'a str, &'a str),
    /// A line of the transfer log.
    Transfer(Line<'a>),
}

/// A line of the transfer log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The number of the transfer log in the batch.
    pub(super) sink: usize,
    pub(super) peer: IpAddr,
    pub(super) user: &'a str,
    pub(super) anonymous: bool,
    pub(super) transfer: Transfer<'a>,
}

impl<'a> Entry<'a> {
    /// An entry about something that happens now.
    pub(super) fn now(what: What<'a>) -> Self {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self { at: at.unwrap_or_default(), what }
    }
}

impl<'a> Packed<'a> for Entry<'a> {
    fn put(self, to: &mut Vec<u8>) {
        self.at.put(to);
        match self.what {
            What::Event(Some(Who { peer, user }), event) => {
                (0_u8, peer, user, event).put(to);
            }
            What::Event(None, event) => (3_u8, event).put(to),
            What::Message(level, target, text) => (1_u8, level, target, text).put(to),
            What::Transfer(Line { sink, peer, user, anonymous, transfer }) => {
                (2_u8, sink, peer).put(to);
                (user, anonymous, transfer).put(to);
            }
        }
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        let at = Duration::take(from)?;
        let what = match u8::take(from)? {
            0 => {
                let (peer, user, event) = Packed::take(from)?;
                What::Event(Some(Who { peer, user }), event)
            }
            3 => What::Event(None, Packed::take(from)?),
            1 => {
                let (level, target, text) = Packed::take(from)?;
                What::Message(level, target, text)
            }
            _ => {
                let (sink, peer) = Packed::take(from)?;
                let (user, anonymous, transfer) = Packed::take(from)?;
                What::Transfer(Line { sink, peer, user, anonymous, transfer })
            }
        };
        Some(Self { at, what })
    }
}

impl<'a> Packed<'a> for Event<'a> {
    fn put(self, to: &mut Vec<u8>) {
        match self {
            Self::Connected => to.push(0),
            Self::TurnedAway(why) => (1_u8, why).put(to),
            Self::Secured(how, subject) => (2_u8, how, subject).put(to),
            Self::DataSecured(resumed) => (3_u8, resumed).put(to),
            Self::ResumptionStopped => to.push(4),
            Self::LoggedIn(home) => (5_u8, home).put(to),
            Self::LoginFailed(name, why) => (6_u8, name, why).put(to),
            Self::Refused(verb, file, why) => (7_u8, verb, file, why).put(to),
            Self::Transferred(transfer) => (8_u8, transfer).put(to),
            Self::Changed(verb, file) => (9_u8, verb, file).put(to),
            Self::Renamed(from, into) => (10_u8, from, into).put(to),
            Self::InPlace(file, why) => (11_u8, file, why).put(to),
            Self::Banned(whom, seconds, failures, last) => {
                (12_u8, whom, seconds, failures, last).put(to);
            }
            Self::Note(text) => (13_u8, text).put(to),
            Self::Ended(why, took) => (14_u8, why, took).put(to),
            Self::Trashed(file) => (15_u8, file).put(to),
            Self::Removed(file, age, bytes, rule) => (16_u8, file, age, bytes, rule).put(to),
            Self::Expunged(file, age, bytes) => (17_u8, file, age, bytes).put(to),
            Self::Restored(file) => (18_u8, file).put(to),
            Self::Copied(from, into, bytes, took) => (20_u8, from, into, bytes, took).put(to),
            Self::Rejected(file, why, kept) => (21_u8, file, why, kept).put(to),
            Self::Unjudged(file, accepted, why) => (22_u8, file, accepted, why).put(to),
            Self::Hashed(Hashing { command, path, algorithm, range, took }) => {
                (19_u8, command, path, algorithm).put(to);
                (range.0, range.1, took).put(to);
            }
        }
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        Some(match u8::take(from)? {
            0 => Self::Connected,
            1 => Self::TurnedAway(Packed::take(from)?),
            2 => Self::Secured(Packed::take(from)?, Packed::take(from)?),
            3 => Self::DataSecured(Packed::take(from)?),
            4 => Self::ResumptionStopped,
            5 => Self::LoggedIn(Packed::take(from)?),
            6 => Self::LoginFailed(Packed::take(from)?, Packed::take(from)?),
            7 => Self::Refused(Packed::take(from)?, Packed::take(from)?, Packed::take(from)?),
            8 => Self::Transferred(Packed::take(from)?),
            9 => Self::Changed(Packed::take(from)?, Packed::take(from)?),
            10 => Self::Renamed(Packed::take(from)?, Packed::take(from)?),
            11 => Self::InPlace(Packed::take(from)?, Packed::take(from)?),
            12 => {
                let (whom, seconds, failures, last) = Packed::take(from)?;
                Self::Banned(whom, seconds, failures, last)
            }
            13 => Self::Note(Packed::take(from)?),
            14 => Self::Ended(Packed::take(from)?, Packed::take(from)?),
            15 => Self::Trashed(Packed::take(from)?),
            16 => {
                let (file, age, bytes, rule) = Packed::take(from)?;
                Self::Removed(file, age, bytes, rule)
            }
            17 => Self::Expunged(Packed::take(from)?, Packed::take(from)?, Packed::take(from)?),
            18 => Self::Restored(Packed::take(from)?),
            20 => {
                let (from, into, bytes, took) = Packed::take(from)?;
                Self::Copied(from, into, bytes, took)
            }
            21 => Self::Rejected(Packed::take(from)?, Packed::take(from)?, Packed::take(from)?),
            22 => Self::Unjudged(Packed::take(from)?, Packed::take(from)?, Packed::take(from)?),
            19 => {
                let (command, path, algorithm) = Packed::take(from)?;
                let (start, end, took) = Packed::take(from)?;
                let range = (start, end);
                Self::Hashed(Hashing { command, path, algorithm, range, took })
            }
            _ => return None,
        })
    }
}

impl<'a> Packed<'a> for Transfer<'a> {
    fn put(self, to: &mut Vec<u8>) {
        (self.verb, self.way, self.path, self.bytes).put(to);
        (self.took, self.ascii, self.result.err()).put(to);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        let (verb, way, path, bytes) = Packed::take(from)?;
        let (took, ascii, failure) = Packed::take(from)?;
        let result = Option::map_or(failure, Ok(()), Err);
        Some(Self { verb, way, path, bytes, took, ascii, result })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::net::{Ipv6Addr, SocketAddrV6};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::super::event::one_of_each;
    use super::super::way::Way;
    use super::*;

    fn read_back(what: What<'_>) {
        let entry = Entry::now(what);
        let mut bytes = Vec::new();
        entry.put(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(Entry::take(&mut rest), Some(entry));
        assert!(rest.is_empty());
    }

    #[test]
    fn every_entry_is_read_back_as_it_was() {
        let path = Path::new(OsStr::from_bytes(b"/home/\xff\n"));
        let took = Duration::new(1, 5);
        let mut transfer = Transfer {
            verb: "STOR",
            way: Way::Up,
            path,
            bytes: 7,
            took,
            ascii: true,
            result: Ok(()),
        };
        let mut events = one_of_each(path, transfer);
        events.extend([
            Event::Secured("TLS", None),
            Event::LoginFailed(b"x\r\n\xff", "wrong"),
            Event::Renamed(path, Path::new("")),
            Event::Banned("192.0.2.1", None, 3, "a failed login"),
        ]);
        (transfer.way, transfer.result) = (Way::Down, Err("no space"));
        events.push(Event::Transferred(transfer));
        let v4 = ([192, 0, 2, 1], 5000).into();
        let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 21, 0, 7).into();
        for (peer, user) in [(v4, None), (v6, Some("b\u{e9}"))] {
            for event in &events {
                read_back(What::Event(Some(Who { peer, user }), *event));
                read_back(What::Event(None, *event));
            }
        }
        for level in Level::iter() {
            read_back(What::Message(level, "ftpd::server", "a\nb"));
        }
        for anonymous in [false, true] {
            let line = Line { sink: 3, peer: v4.ip(), user: "bob", anonymous, transfer };
            read_back(What::Transfer(line));
        }
    }
}
