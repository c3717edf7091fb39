//! A control connection: lines are sent, replies must come in time, and everything is recorded.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::wire::{Manner, Wire};

/// Something that the server has done wrong.
#[derive(Debug)]
pub struct Fault(pub String);

/// The result of a step of a client.
pub type Done<T = ()> = Result<T, Fault>;

/// Ends a step with a fault.
pub fn fault<T>(why: impl Into<String>) -> Done<T> {
    Err(Fault(why.into()))
}

/// The time within which every reply must come, unless the settings let the server wait.
pub const PROMPT: Duration = Duration::from_secs(10);

/// Maximum number of lines of the transcript that are kept.
const KEPT: usize = 1000;

/// The latest lines that a client has sent and received, and its counts. The run prints them.
pub struct Notes {
    began: Instant,
    lines: Mutex<VecDeque<String>>,
    counts: Mutex<Counts>,
}

/// Counts of one client, or of all.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Number of operations, by name.
    pub operations: BTreeMap<&'static str, u64>,
    /// Number of commands, by name and by the code of the reply.
    pub replies: BTreeMap<u16, u64>,
    /// Number of complete transfers, and of those of files whose content is known.
    pub transfers: u64,
    pub files: u64,
    /// Number of transfers that were cut.
    pub cuts: u64,
    /// Number of bytes of complete transfers.
    pub up: u64,
    pub down: u64,
    /// Number of control connections.
    pub connections: u64,
    /// How often the server had no room.
    pub turned_away: u64,
    /// Number of TLS data connections that resumed the session, and of those that did not.
    pub resumed: u64,
    pub full: u64,
    /// The reply that took longest, and the command before it.
    pub longest: (Duration, String),
}

impl Counts {
    /// Adds the counts of another client.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.operations {
            *self.operations.entry(name).or_default() += count;
        }
        for (code, count) in &other.replies {
            *self.replies.entry(*code).or_default() += count;
        }
        self.transfers += other.transfers;
        self.files += other.files;
        self.cuts += other.cuts;
        self.up += other.up;
        self.down += other.down;
        self.connections += other.connections;
        self.turned_away += other.turned_away;
        self.resumed += other.resumed;
        self.full += other.full;
        if other.longest.0 > self.longest.0 {
            self.longest = other.longest.clone();
        }
    }
}

impl Notes {
    /// Returns empty notes.
    pub fn new() -> Arc<Self> {
        let (lines, counts) = (Mutex::default(), Mutex::default());
        Arc::new(Self { began: Instant::now(), lines, counts })
    }

    /// Records a line.
    pub fn say(&self, what: impl AsRef<str>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        let at = self.began.elapsed().as_secs_f64();
        lines.push_back(format!("{at:10.4} {}", what.as_ref()));
    }

    /// Returns the last lines.
    pub fn transcript(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Returns the counts.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A complete reply.
#[derive(Debug, Clone)]
pub struct Reply {
    pub code: u16,
    /// All lines, without the ends of lines.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Returns the text of the last line.
    pub fn text(&self) -> &[u8] {
        self.lines.last().and_then(|line| line.get(4..)).unwrap_or_default()
    }

    /// Returns the lines between the first and the last.
    pub fn body(&self) -> &[Vec<u8>] {
        let last = self.lines.len().saturating_sub(1);
        self.lines.get(1..last).unwrap_or_default()
    }

    /// Returns the reply as readable text.
    pub fn show(&self) -> String {
        let lines: Vec<_> =
            self.lines.iter().map(|line| line.escape_ascii().to_string()).collect();
        lines.join(" / ")
    }
}

const IAC: u8 = 255;

/// A control connection.
pub struct Session {
    pub wire: Wire,
    /// The client's address, by which the log names the session.
    pub local: SocketAddr,
    notes: Arc<Notes>,
    /// The bytes that have arrived, without Telnet codes.
    text: Vec<u8>,
    /// The last command, for the counts.
    said: String,
    since: Instant,
}

impl Session {
    /// Returns a control connection over a connection that is made already.
    pub fn over(wire: Wire, notes: &Arc<Notes>) -> Done<Self> {
        let local = wire.local().map_err(|why| Fault(format!("no local address: {why}")))?;
        let (notes, said) = (Arc::clone(notes), "the connection".to_owned());
        notes.say(format!("-- connected from {local}"));
        Ok(Self { wire, local, notes, text: Vec::new(), said, since: Instant::now() })
    }

    /// Sends bytes unchanged.
    pub fn raw(&mut self, bytes: &[u8], manner: Manner, random: &mut Random) -> Done {
        let shown = bytes.get(..bytes.len().min(300)).unwrap_or_default().escape_ascii();
        self.notes.say(format!("> {shown} ({manner:?})"));
        self.said = shown.to_string();
        self.since = Instant::now();
        let sent = self.wire.queue(bytes).and_then(|()| self.wire.push(manner, random));
        sent.map_err(|why| Fault(format!("the control connection takes nothing: {why}")))
    }

    /// Sends bytes to a server that may have ended the session.
    pub fn raw_if_there(&mut self, bytes: &[u8], manner: Manner, random: &mut Random) {
        let _ = self.raw(bytes, manner, random);
    }

    /// Sends a line, as a Telnet client does.
    pub fn send(&mut self, line: &[u8], random: &mut Random) -> Done {
        let manner = Manner::any(random);
        self.raw(&wire_line(line), manner, random)
    }

    /// Reads a reply, which must have one of these codes.
    pub fn expect(&mut self, codes: &[u16]) -> Done<Reply> {
        self.expect_within(codes, PROMPT)
    }

    /// Reads a reply for which the server may wait for this long.
    pub fn expect_within(&mut self, codes: &[u16], time: Duration) -> Done<Reply> {
        let Some(reply) = self.reply(time)? else {
            return fault(format!("the server closed the connection instead of {codes:?}"));
        };
        if !codes.contains(&reply.code) {
            return fault(format!(
                "expected {codes:?} for {}, not {}",
                self.said,
                reply.show()
            ));
        }
        Ok(reply)
    }

    /// Sends a line and reads the reply.
    pub fn ask(&mut self, line: &[u8], codes: &[u16], random: &mut Random) -> Done<Reply> {
        self.send(line, random)?;
        self.expect(codes)
    }

    /// Reads a reply. Returns `None` if the server has closed the connection.
    pub fn reply(&mut self, time: Duration) -> Done<Option<Reply>> {
        let until = Instant::now() + time;
        let Some(first) = self.line(until)? else { return Ok(None) };
        let digits: Vec<u8> = first.iter().take(3).copied().collect();
        let code = std::str::from_utf8(&digits).ok().and_then(|text| text.parse::<u16>().ok());
        let Some(code) = code.filter(|code| (100..600).contains(code)) else {
            return fault(format!("not a reply: {}", first.escape_ascii()));
        };
        let is_last = |line: &[u8]| line.starts_with(&digits) && line.get(3) == Some(&b' ');
        let mut lines = vec![first];
        if lines[0].get(3) == Some(&b'-') {
            while lines.len() == 1 || !lines.last().is_some_and(|line| is_last(line)) {
                let Some(line) = self.line(until)? else {
                    return fault("the server closed the connection within a reply");
                };
                lines.push(line);
            }
        }
        let took = self.since.elapsed();
        let mut counts = self.notes.counts();
        *counts.replies.entry(code).or_default() += 1;
        if took > counts.longest.0 {
            counts.longest = (took, format!("{code} to {}", self.said));
        }
        drop(counts);
        self.since = Instant::now();
        Ok(Some(Reply { code, lines }))
    }

    /// Reads a line. Returns `None` if the server has closed the connection properly.
    fn line(&mut self, until: Instant) -> Done<Option<Vec<u8>>> {
        loop {
            self.take_text();
            if let Some(end) = self.text.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.text.drain(..end + 2).take(end).collect();
                self.notes.say(format!("< {}", line.escape_ascii()));
                return Ok(Some(line));
            }
            match self.wire.read_some(until) {
                Ok(true) => {}
                Ok(false) if self.text.is_empty() => {
                    self.notes.say(format!("< (end: {:?})", self.wire.end));
                    return Ok(None);
                }
                Ok(false) => return fault("the connection ends within a line"),
                Err(why) => {
                    return fault(format!("no reply to {}: {why}", self.said));
                }
            }
        }
    }

    /// Takes in the bytes that have arrived. A doubled 255 is one byte, and other Telnet codes
    /// are dropped.
    fn take_text(&mut self) {
        let got = std::mem::take(&mut self.wire.got);
        let mut bytes = got.iter().copied().enumerate();
        while let Some((at, byte)) = bytes.next() {
            if byte != IAC {
                self.text.push(byte);
                continue;
            }
            match bytes.next() {
                Some((_, IAC)) => self.text.push(IAC),
                Some((_, 251..=254)) if at + 2 < got.len() => drop(bytes.next()),
                // the rest of the code has not arrived yet
                _ => {
                    self.wire.got = got[at..].to_vec();
                    return;
                }
            }
        }
    }

    /// Checks that the server has closed the connection and sent nothing more.
    pub fn expect_end(&mut self) -> Done {
        match self.reply(PROMPT)? {
            None => Ok(()),
            Some(reply) => fault(format!("expected the end, not {}", reply.show())),
        }
    }
}

/// Returns a line as it is sent, with each byte 255 doubled.
pub fn wire_line(line: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(line.len() + 2);
    for &byte in line {
        bytes.push(byte);
        if byte == IAC {
            bytes.push(byte);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
