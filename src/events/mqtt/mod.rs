//! Publishes events at an MQTT broker: below `TOPIC/KIND/USER`, with `QoS` 1. The topic `TOPIC/state` is
//! `online`, or `offline` if the broker has lost the connection or the server has stopped.

mod packet;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::duty::{Duty, PATIENCE};
use super::outbox::{Batch, Next, Record};
use crate::config::{Broker, Secret};
use crate::dial::{self, Peer, Stream};
use packet::{Connect, DISCONNECT, PING, Packet, Publish};

/// A broker.
#[derive(Debug)]
pub(super) struct Publisher {
    broker: Broker,
    peer: Peer,
    suspect: Mutex<Option<Suspect>>,
}

/// An event after which the broker has closed the connection, and which may be the reason.
#[derive(Debug)]
struct Suspect {
    json: Vec<u8>,
    /// How often the broker has closed the connection while this event alone was on its way.
    times: u32,
}

/// A connection to a broker.
struct Link<'a> {
    stream: Stream<'a>,
    patience: &'a dial::Patience<'a>,
    /// The topic with the state of the server.
    state: String,
    /// Whether the broker has closed the connection.
    is_closed: bool,
}

/// What an event's topic is made of.
#[derive(Deserialize)]
struct About {
    kind: String,
    user: String,
}

/// Seconds within which a broker wants to hear something; half of it is the time between two pings.
const KEEP_ALIVE: u16 = 60;

/// The states.
const ONLINE: &str = "online";
const OFFLINE: &str = "offline";

/// After an event, the broker closes the connection so often before the event is taken for the reason and is
/// dropped: one that is malformed or too large for the broker would hold up all others for ever.
const REFUSED: u32 = 5;

/// Maximum number of characters of a user in a topic.
const LONGEST_USER: usize = 100;

impl Publisher {
    pub(super) fn new(broker: &Broker, ca_file: Option<&Path>) -> Result<Self, String> {
        let peer = Peer::new((&broker.host, broker.port), broker.tls, ca_file)?;
        Ok(Self { broker: broker.clone(), peer, suspect: Mutex::default() })
    }

    /// Whether both are for the same topics of the same broker, with the same name and password.
    pub(super) fn is_for_same(&self, other: &Self) -> bool {
        self.broker == other.broker
    }

    /// Publishes events until it is over, or until the broker fails.
    pub(super) fn deliver(&self, duty: &Duty<'_>) -> Result<(), String> {
        let patience = dial::Patience::new(Instant::now() + PATIENCE, duty.is_cut);
        let stream = self.peer.connect(&patience).map_err(|why| told(&why))?;
        let state = format!("{}/state", self.broker.topic);
        let mut link = Link { stream, patience: &patience, state, is_closed: false };
        self.begin(&mut link, duty.outbox.server_id())?;
        if duty.outbox.numbers().waiting == 0 {
            (duty.works)();
        }
        let ping = Duration::from_secs(u64::from(KEEP_ALIVE / 2));
        loop {
            match duty.next(Some(ping), Some(link.stream.as_fd())) {
                Next::Send(batch) => self.send(&mut link, duty, &batch)?,
                // also if the broker has said something: it may have closed the connection
                Next::Idle => link.ping()?,
                Next::Nothing => return link.end(),
            }
        }
    }

    /// Makes the broker's acquaintance.
    fn begin(&self, link: &mut Link<'_>, id: &str) -> Result<(), String> {
        let state = link.state.clone();
        let user = self.broker.user.as_ref();
        let connect = Connect {
            client: &format!("ftpd{id}"),
            keep_alive: KEEP_ALIVE,
            will: (&state, OFFLINE),
            user: user
                .map(|(name, password)| (name.as_str(), password.as_ref().map(Secret::expose))),
        };
        link.send(&connect.packet())?;
        match link.read()? {
            Packet::Connected(0) => link.publish_state(ONLINE),
            Packet::Connected(code) => Err(refusal(code).to_owned()),
            Packet::Taken(_) | Packet::Pong | Packet::Other => {
                Err("the broker does not greet".to_owned())
            }
        }
    }

    /// Sends events, and waits until the broker has taken them.
    fn send(&self, link: &mut Link<'_>, duty: &Duty<'_>, batch: &Batch) -> Result<(), String> {
        // which of several events the broker does not like is not known
        let most = if self.suspect().is_some() { 1 } else { batch.records.len() };
        let records = batch.records.get(..most).unwrap_or_default();
        let (taken, result) = self.publish(link, records);
        duty.sent(batch, 0..taken);
        if taken > 0 {
            *self.suspect() = None;
        }
        let first = records.first().filter(|_| taken == 0 && link.is_closed);
        let (Some(first), Err(why)) = (first, &result) else { return result };
        if self.is_refused(first, records.len()) {
            duty.refused(batch, 0, &format!("{why} {REFUSED} times after it"));
        }
        result
    }

    /// Sends these events. Returns how many the broker has taken.
    fn publish(&self, link: &mut Link<'_>, records: &[Record]) -> (usize, Result<(), String>) {
        let topics: Vec<_> = records.iter().map(|record| self.topic(record)).collect();
        let mut packets = Vec::new();
        for ((record, topic), id) in records.iter().zip(&topics).zip(1..) {
            let publish = Publish { topic, payload: &record.json, id, retain: false };
            packets.extend(publish.packet());
        }
        if let Err(why) = link.send(&packets) {
            return (0, Err(why));
        }
        // the broker answers in the order in which the packets were sent (§4.6)
        for (at, id) in (0..records.len()).zip(1..) {
            if let Err(why) = link.await_taken(id) {
                return (at, Err(why));
            }
        }
        (records.len(), Ok(()))
    }

    /// Notes that the broker has closed the connection and has taken none of so many events. Returns whether
    /// the first of them is the reason.
    fn is_refused(&self, first: &Record, count: usize) -> bool {
        let mut suspect = self.suspect();
        let found = suspect.take().filter(|suspect| suspect.json == first.json);
        let times = found.map_or(0, |found| found.times) + u32::from(count == 1);
        let is_refused = times >= REFUSED;
        *suspect = (!is_refused).then(|| Suspect { json: first.json.clone(), times });
        is_refused
    }

    fn suspect(&self) -> MutexGuard<'_, Option<Suspect>> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topic(&self, record: &Record) -> String {
        let about = serde_json::from_slice::<About>(&record.json);
        let About { kind, user } =
            about.unwrap_or_else(|_| About { kind: "unknown".to_owned(), user: String::new() });
        format!("{}/{kind}/{}", self.broker.topic, level(&user))
    }
}

/// Returns a name as one level of a topic.
fn level(name: &str) -> String {
    let plain = |letter: char| {
        let is_bad = letter.is_control() || is_noncharacter(letter);
        if is_bad || matches!(letter, '/' | '+' | '#') { '_' } else { letter }
    };
    let level: String = name.chars().take(LONGEST_USER).map(plain).collect();
    if level.is_empty() { "_".to_owned() } else { level }
}

/// Whether this is one of the 66 code points that never are characters: brokers may close the connection when
/// a topic has one (§1.5.3).
fn is_noncharacter(letter: char) -> bool {
    let code = u32::from(letter);
    code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code)
}

/// Returns what the code of a broker that refuses a client means (§3.2.2.3).
fn refusal(code: u8) -> &'static str {
    match code {
        1 => "the broker does not speak MQTT 3.1.1",
        2 => "the broker refuses the client's name",
        3 => "the broker is not available",
        4 => "the broker refuses the user or the password",
        5 => "the broker does not let this client in",
        _ => "the broker refuses the connection",
    }
}

/// Whether a fault means that the broker has closed the connection.
fn is_close(why: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(why.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn told(why: &io::Error) -> String {
    // whether there is more than the end depends on chance
    if is_close(why) {
        return "the broker has closed the connection".to_owned();
    }
    why.to_string()
}

impl Link<'_> {
    fn send(&mut self, packets: &[u8]) -> Result<(), String> {
        self.patience.renew(Instant::now() + PATIENCE);
        self.stream
            .write_all(packets)
            .and_then(|()| self.stream.flush())
            .map_err(|why| self.fault(&why))
    }

    fn read(&mut self) -> Result<Packet, String> {
        packet::read(&mut self.stream).map_err(|why| self.fault(&why))
    }

    /// Notes a fault of the connection, and returns the text for the log.
    fn fault(&mut self, why: &io::Error) -> String {
        self.is_closed |= is_close(why);
        told(why)
    }

    fn await_taken(&mut self, id: u16) -> Result<(), String> {
        self.patience.renew(Instant::now() + PATIENCE);
        self.read_until(&Packet::Taken(id))
    }

    fn read_until(&mut self, wanted: &Packet) -> Result<(), String> {
        loop {
            match self.read()? {
                found if found == *wanted => return Ok(()),
                Packet::Taken(_) => return Err("the broker has lost the order".to_owned()),
                Packet::Connected(_) | Packet::Pong | Packet::Other => {}
            }
        }
    }

    fn publish_state(&mut self, payload: &str) -> Result<(), String> {
        let state = self.state.clone();
        let publish =
            Publish { topic: &state, payload: payload.as_bytes(), id: 1, retain: true };
        self.send(&publish.packet())?;
        self.await_taken(1)
    }

    fn ping(&mut self) -> Result<(), String> {
        self.send(&PING)?;
        self.read_until(&Packet::Pong)
    }

    /// Takes leave of the broker, which then does not publish the will.
    fn end(mut self) -> Result<(), String> {
        self.publish_state(OFFLINE)?;
        self.send(&DISCONNECT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_level_of_the_topic() {
        assert_eq!(level("bob"), "bob");
        assert_eq!(level("a/b+#\n"), "a_b___");
        assert_eq!(level(""), "_");
        let bad = "\u{FFFF}\u{FFFE}\u{FDD0}\u{FDEF}\u{1FFFF}\u{10FFFE}";
        assert_eq!(level(bad), "______");
        assert_eq!(level("\u{FFFD}\u{FDCF}\u{FDF0}"), "\u{FFFD}\u{FDCF}\u{FDF0}");
        assert_eq!(level(&"ä".repeat(200)).chars().count(), LONGEST_USER);
    }
}
