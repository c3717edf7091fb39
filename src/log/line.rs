//! One line of the log: the text or the JSON, and what is written before it.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use log::Record;

use super::escape::JsonString;
use super::event::{Account, Event, TARGET, Who};
use super::json::Members;
use super::stamp::{Stamp, now};
use super::syslog;
use super::text::TextLine;

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

thread_local! {
    /// Whether this thread is writing a line of JSON. The `log` crate hands a record to the
    /// writer as text only, so this is how the form reaches [`EventLine`].
    static AS_JSON: Cell<bool> = const { Cell::new(false) };
}

/// Logs an event of a session.
pub fn session(who: Who<'_>, event: &Event<'_>) {
    let account = event.account();
    if account.is_heard() {
        log::log!(target: TARGET, account.level, "{}", EventLine(who, &account));
    }
}

/// An event of a session in the form of the line that is being written.
struct EventLine<'a>(Who<'a>, &'a Account<'a>);

impl Display for EventLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(who, account) = *self;
        if AS_JSON.get() {
            return Members(who, account).fmt(f);
        }
        TextLine(who, account).fmt(f)
    }
}

/// Writes the line of a record.
pub(super) fn write_line(
    out: &mut impl Write,
    record: &Record<'_>,
    form: Form,
    frame: Frame,
) -> io::Result<()> {
    let (at, level) = (now(), record.level());
    match (frame, form) {
        (Frame::None, Form::Text) => write!(out, "{} {level:<5} ", Stamp(at))?,
        (Frame::None, Form::Json) => {}
        (Frame::Journal, _) => write!(out, "<{}>", syslog::severity(level))?,
        (Frame::Syslog, _) => write!(out, "{}", syslog::Head(level, at))?,
    }
    if form == Form::Json {
        let word = level.as_str().to_ascii_lowercase();
        write!(out, "{{\"time\":\"{}\",\"level\":\"{word}\",", Stamp(at))?;
        if record.target() == TARGET {
            AS_JSON.set(true);
            let written = write!(out, "{}", record.args());
            AS_JSON.set(false);
            written?;
        } else {
            let text = record.args().to_string();
            write!(out, "\"event\":\"message\",\"text\":{}", JsonString(&text))?;
        }
        return writeln!(out, "}}");
    }
    if frame == Frame::None {
        return writeln!(out, "{}", record.args());
    }
    // a second line of the same message would have no level
    writeln!(out, "{}", record.args().to_string().replace('\n', " "))
}
