//! The control line: however its bytes arrive, the lines are the same, and a client cannot make
//! the server hold more than a queue of them. A command means the same whatever the case of its
//! name.

use ftpd::control::command::VERBS;
use ftpd::control::line::{Framer, LONGEST, Line};
use ftpd::control::request::parse;

use super::pieces::Pieces;

/// The most that may wait besides the last piece: the queue, and a line that has not ended.
const MOST: usize = (16 << 10) + LONGEST;

const IAC: u8 = 255;

/// Checks the lines of one input, and each line as a command.
pub(super) fn check(data: &[u8]) {
    let pieces = Pieces::of(data);
    let bytes = pieces.rest();
    let framed = Framed::of(pieces.clone());
    assert_eq!(framed, Framed::of(bytes.chunks(1)), "pieces matter");
    assert!(framed.answers.len() <= bytes.len(), "more answers than there were questions");
    if !bytes.contains(&IAC) {
        assert_eq!(framed.lines, simple_lines(bytes));
    }
    for line in &framed.lines {
        if let Line::Text(text) = line {
            assert!(text.len() <= LONGEST && !text.contains(&b'\n') && !text.ends_with(b"\r"));
            check_command(text);
        }
    }
}

/// All that comes out of a framer, and how it is left.
#[derive(Debug, PartialEq, Eq)]
struct Framed {
    lines: Vec<Line>,
    answers: Vec<u8>,
    is_idle: bool,
    has_noise: bool,
}

impl Framed {
    /// Reads as a connection does: lines are taken when there is no room for more.
    fn of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut framer, mut lines, mut answers) = (Framer::default(), Vec::new(), Vec::new());
        for piece in pieces {
            while !framer.has_room() {
                lines.extend(framer.pop());
            }
            framer.feed(piece);
            answers.extend(framer.take_answers());
            let text = |line: &Line| match line {
                Line::Text(text) => text.len(),
                Line::TooLong => 0,
            };
            let held: usize = framer.waiting().map(text).sum();
            assert!(held <= MOST + piece.len(), "{held} bytes are held");
        }
        let has_noise = framer.has_noise();
        lines.extend(std::iter::from_fn(|| framer.pop()));
        framer.shrink();
        Self { lines, answers, is_idle: framer.is_idle(), has_noise }
    }
}

/// The lines of bytes without Telnet codes.
fn simple_lines(bytes: &[u8]) -> Vec<Line> {
    let ended = bytes.split_inclusive(|&byte| byte == b'\n');
    let lines = ended.filter_map(|line| line.strip_suffix(b"\n")).map(|line| {
        let end = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
        if line.len() > LONGEST { Line::TooLong } else { Line::Text(line[..end].to_vec()) }
    });
    lines.collect()
}

fn check_command(line: &[u8]) {
    let parsed = |line: &[u8]| {
        parse(line).asks().map(|(verb, command)| (verb.name(), format!("{command:?}")))
    };
    let meant = parsed(line);
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let mut other_case = line.to_vec();
    for letter in &mut other_case[..end] {
        if letter.is_ascii_alphabetic() {
            *letter ^= 0x20;
        }
    }
    assert_eq!(meant, parsed(&other_case), "the case of a name matters");
    if let Ok((name, _)) = meant {
        assert!(begins_with_name(line, name), "{name} is not the name of this line");
    }
    // the log shows the name of a known command, or nothing of the line
    let shown = parse(line).name();
    assert!(shown == "a line" || begins_with_name(line, shown), "{shown}");
}

/// Whether a line begins with the first word of a name of this command.
fn begins_with_name(line: &[u8], name: &str) -> bool {
    let verb = VERBS.iter().find(|verb| verb.name() == name).unwrap();
    let first = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    verb.names.iter().any(|name| {
        let word = name.split(' ').next().unwrap_or_default();
        first.eq_ignore_ascii_case(word.as_bytes())
    })
}
