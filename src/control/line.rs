//! Framing: turns bytes of the control connection into command lines.
//!
//! Telnet codes are removed (RFC 959 §2.3 makes the control connection a Telnet connection)
//! and Telnet options are refused (RFC 1123 §4.1.2.12). Lines end with LF. The length of a
//! line and of the queue of lines is limited.

use std::collections::VecDeque;

/// One line, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The bytes of the line.
    Text(Vec<u8>),
    /// The line was longer than [`LONGEST`] and was discarded.
    TooLong,
}

/// Maximum length of a line. A path may have 4,096 bytes on Linux, and a Telnet client may
/// double some of them.
pub const LONGEST: usize = 8192;

/// Maximum number of bytes of complete lines in the queue.
const QUEUE: usize = 16 << 10;

/// Maximum number of lines in the queue. A client that sends NOOP every half minute during a
/// long transfer can still send ABOR after half a day.
const QUEUE_LINES: usize = 2048;

/// Maximum number of bytes that are skipped of an overlong line.
const PATIENCE: usize = 1 << 20;

/// Collects bytes into lines, and queues the lines.
#[derive(Debug, Default)]
pub struct Framer {
    partial: Vec<u8>,
    /// Number of bytes of an overlong line that were discarded.
    skipped: usize,
    telnet: Telnet,
    /// Whether the first space of the line has come.
    in_argument: bool,
    /// Answers to Telnet options that are still to be sent.
    answers: Vec<u8>,
    lines: VecDeque<Line>,
    /// Number of lines at the front of the queue that were searched already.
    looked_at: usize,
    /// Number of bytes in the queue.
    queued: usize,
}

/// The position in a Telnet sequence (RFC 854).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Telnet {
    #[default]
    Data,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT.
    Option(u8),
}

const IAC: u8 = 255;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;

impl Framer {
    /// Takes in bytes that were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = self.take_plain(bytes);
        while let Some((&byte, after)) = rest.split_first() {
            match (self.telnet, byte) {
                (Telnet::Data, IAC) => self.telnet = Telnet::Command,
                (Telnet::Data, _) => self.push(byte),
                // a deliberate departure from RFC 854: no client sends Telnet codes inside an
                // argument, but many do not double a byte 255 in a name, which is a letter in
                // Cyrillic and Latin character sets
                (Telnet::Command, _) if self.in_argument && byte != IAC => {
                    self.telnet = Telnet::Data;
                    self.push(IAC);
                    self.push(byte);
                }
                (Telnet::Command, IAC) => {
                    self.telnet = Telnet::Data;
                    self.push(IAC);
                }
                (Telnet::Command, WILL..=DONT) => self.telnet = Telnet::Option(byte),
                (Telnet::Option(asked), option) => {
                    self.telnet = Telnet::Data;
                    self.refuse(asked, option);
                }
                (Telnet::Command, _) => self.telnet = Telnet::Data,
            }
            rest = self.take_plain(after);
        }
    }

    /// Takes in what belongs to the current line for certain, and returns the bytes after it, which
    /// begin with the end of the line, a Telnet code or a byte too many.
    fn take_plain<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.telnet != Telnet::Data || self.skipped > 0 {
            return bytes;
        }
        let most = bytes.len().min(LONGEST.saturating_sub(self.partial.len()));
        let most = bytes.get(..most).unwrap_or_default();
        let is_special = |&byte: &u8| matches!(byte, b'\n' | IAC);
        let end = most.iter().position(is_special).unwrap_or(most.len());
        let (plain, rest) = bytes.split_at_checked(end).unwrap_or_default();
        self.in_argument = self.in_argument || plain.contains(&b' ');
        self.partial.extend_from_slice(plain);
        rest
    }

    /// Refuses a Telnet option. No option is ever on, so a request to turn one off needs no
    /// answer (RFC 854).
    fn refuse(&mut self, asked: u8, option: u8) {
        match asked {
            WILL => self.answers.extend_from_slice(&[IAC, DONT, option]),
            DO => self.answers.extend_from_slice(&[IAC, WONT, option]),
            _ => {}
        }
    }

    /// Removes and returns the answers to Telnet options, which must be sent now.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.in_argument = false;
                self.end();
            }
            _ if self.skipped > 0 => self.skipped += 1,
            _ if self.partial.len() == LONGEST => {
                self.partial = Vec::new();
                self.skipped = 1;
            }
            _ => {
                self.in_argument |= byte == b' ';
                self.partial.push(byte);
            }
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.skipped) > 0 {
            self.lines.push_back(Line::TooLong);
            return;
        }
        let text = without_cr(&self.partial);
        self.queued += text.len();
        self.lines.push_back(Line::Text(text.to_vec()));
        self.partial.clear();
    }

    /// Removes and returns the next complete line.
    pub fn pop(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.looked_at = self.looked_at.saturating_sub(1);
        if let Line::Text(text) = &line {
            self.queued -= text.len();
        }
        Some(line)
    }

    /// Returns the complete lines, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// Searches the lines that have come since the last search, so that a full queue is not
    /// searched again for each byte that arrives. Returns whether the wanted line is among
    /// them.
    pub fn look_for(&mut self, is_it: impl Fn(&Line) -> bool) -> bool {
        let found = self.lines.iter().skip(self.looked_at).position(is_it);
        // a line that was found is found again next time
        self.looked_at = found.map_or(self.lines.len(), |at| self.looked_at + at);
        found.is_some()
    }

    /// Returns whether the queue is empty and no line has begun.
    pub fn is_idle(&self) -> bool {
        let nothing = self.partial.is_empty() && self.skipped == 0 && self.lines.is_empty();
        nothing && self.telnet == Telnet::Data
    }

    /// Returns whether an incomplete line contains bytes that no command has.
    pub fn has_noise(&self) -> bool {
        self.partial.iter().any(|&byte| byte.is_ascii_control() && !b"\t\r".contains(&byte))
    }

    /// Returns whether the queue has room, so that more may be read.
    pub fn has_room(&self) -> bool {
        self.queued < QUEUE && self.lines.len() < QUEUE_LINES
    }

    /// Returns whether a line has become so long without an end that the session must end.
    pub fn is_hopeless(&self) -> bool {
        self.skipped > PATIENCE
    }

    /// Frees the memory that a long line needed.
    pub fn shrink(&mut self) {
        if self.partial.is_empty() {
            self.partial.shrink_to(256);
        }
    }
}

/// Removes the CR before a line end: clients end lines with CR LF, LF, or CR CR LF.
fn without_cr(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Line> {
        let mut framer = Framer::default();
        for chunk in chunks {
            framer.feed(chunk);
        }
        std::iter::from_fn(|| framer.pop()).collect()
    }

    fn text(text: &[u8]) -> Line {
        Line::Text(text.to_vec())
    }

    #[test]
    fn lines_end_with_lf_and_any_number_of_cr_before_it() {
        assert_eq!(
            lines(&[b"NOOP\r\nPW", b"D\nSYST\r", b"\r\n\r\nQUIT"]),
            [text(b"NOOP"), text(b"PWD"), text(b"SYST"), text(b"")]
        );
    }

    #[test]
    fn telnet_codes_go_and_a_doubled_iac_is_a_byte() {
        let synch = b"\xff\xf4\xff\xf2ABOR\r\n";
        assert_eq!(lines(&[synch]), [text(b"ABOR")]);
        assert_eq!(lines(&[b"\xff\xf4\xff", b"\xf2ABOR\r\n"]), [text(b"ABOR")]);
        assert_eq!(lines(&[b"\xff\xfd\x01CWD a\xff\xffb\n"]), [text(b"CWD a\xffb")]);
    }

    #[test]
    fn a_letter_that_is_255_may_be_sent_once_in_an_argument() {
        let sent = b"CWD \xff\xe1\xeb \xff\xf2 \xff\nNO\xff\xf4OP\n";
        assert_eq!(lines(&[sent]), [text(b"CWD \xff\xe1\xeb \xff\xf2 \xff"), text(b"NOOP")]);
    }

    #[test]
    fn every_option_is_refused_once() {
        let mut framer = Framer::default();
        framer.feed(b"\xff\xfb\x01US\xff\xfd");
        framer.feed(b"\x03ER\xff\xfc\x01\xff\xfe\x03\n");
        assert_eq!(framer.take_answers(), b"\xff\xfe\x01\xff\xfc\x03");
        assert_eq!(framer.take_answers(), b"");
        assert_eq!(framer.pop(), Some(text(b"USER")));
    }

    #[test]
    fn a_long_line_is_reported_once_and_costs_no_memory() {
        let mut framer = Framer::default();
        for _ in 0..100 {
            framer.feed(&[b'a'; 4096]);
            assert!(framer.partial.capacity() <= 2 * LONGEST);
        }
        assert!(!framer.is_hopeless());
        framer.feed(b"\r\nNOOP\r\n");
        assert_eq!(framer.pop(), Some(Line::TooLong));
        assert_eq!(framer.pop(), Some(text(b"NOOP")));
        framer.feed(&vec![b'a'; 2 << 20]);
        assert!(framer.is_hopeless());
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut framer = Framer::default();
        framer.feed(&b"\n".repeat(QUEUE_LINES));
        assert!(!framer.has_room());
        while framer.pop().is_some() {}
        assert!(framer.has_room());
        framer.feed(&[&[b'a'; LONGEST - 1][..], b"\n"].concat());
        framer.feed(&[&[b'a'; LONGEST][..], b"\n"].concat());
        assert!(framer.has_room());
        framer.feed(b"a\n");
        assert!(!framer.has_room());
    }

    proptest! {
        #[test]
        fn where_the_reads_were_cut_does_not_matter(bytes: Vec<u8>, cut in 0_usize..64) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(lines(&[&bytes]), lines(&[head, tail]));
        }

        #[test]
        fn no_line_holds_its_own_end(bytes: Vec<u8>) {
            for line in lines(&[&bytes]) {
                let Line::Text(text) = line else { continue };
                prop_assert!(!text.contains(&b'\n') && !text.ends_with(b"\r"));
            }
        }
    }
}
