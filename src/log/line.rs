//! One line of the log: the text or the JSON, and what is written before it.

use std::io::{self, Write};

use log::{Level, Record};

use super::clock::clock;
use super::escape::JsonString;
use super::event::TARGET;
use super::syslog;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text, for people.
    Text,
    /// An object of JSON, for programs.
    Json,
}

/// What is written before each line, as the reader of the log expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Nothing is written.
    None,
    /// The level as a number. systemd's journal adds the time itself.
    Journal,
    /// The level, the time and the name of the program.
    Syslog,
}

/// Writes the line of a record.
pub(super) fn write_line(
    out: &mut impl Write,
    record: &Record<'_>,
    form: Form,
    frame: Frame,
) -> io::Result<()> {
    let (clock, level) = (clock(), record.level());
    match (frame, form) {
        (Frame::None, Form::Text) => {
            out.write_all(clock.text().as_bytes())?;
            out.write_all(padded(level).as_bytes())?;
        }
        (Frame::None, Form::Json) => {}
        (Frame::Journal, _) => write!(out, "<{}>", syslog::severity(level))?,
        (Frame::Syslog, _) => write!(out, "{}", syslog::Head(level, clock.now()))?,
    }
    if form == Form::Json {
        let word = level.as_str().to_ascii_lowercase();
        write!(out, "{{\"time\":\"{}\",\"level\":\"{word}\",", clock.text())?;
        if record.target() == TARGET {
            write!(out, "{}", record.args())?;
        } else {
            let text = record.args().to_string();
            write!(out, "\"event\":\"message\",\"text\":{}", JsonString(&text))?;
        }
        return writeln!(out, "}}");
    }
    if frame == Frame::None {
        out.write_fmt(*record.args())?;
        return out.write_all(b"\n");
    }
    // a second line of the same message would have no level
    writeln!(out, "{}", record.args().to_string().replace('\n', " "))
}

/// Returns the name of a level between spaces, in a column.
fn padded(level: Level) -> &'static str {
    match level {
        Level::Error => " ERROR ",
        Level::Warn => " WARN  ",
        Level::Info => " INFO  ",
        Level::Debug => " DEBUG ",
        Level::Trace => " TRACE ",
    }
}
