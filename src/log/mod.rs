//! The log: one escaped line for each event, as text or JSON, to a file, standard error or the
//! system's log; and the transfer log in xferlog form.
//!
//! File names and user names come from strangers. They are escaped here and nowhere else, so
//! that none of them can forge a line. Passwords never get this far.

mod json;
mod recent;
mod sink;
mod syslog;
mod way;

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};
use time::{OffsetDateTime, UtcOffset};

use crate::rights::Ids;
use sink::Sink;

pub use sink::descriptor;

pub use recent::{Recent, Told};
pub use way::Way;

/// Starts the log. `filters`, in the words of `RUST_LOG`, go before `level`.
///
/// # Errors
///
/// When the file cannot be opened.
///
/// A second start lets the log go on elsewhere.
pub fn start(
    level: LevelFilter,
    filters: Option<&str>,
    form: Form,
    to: Destination<'_>,
) -> io::Result<()> {
    let mut builder = Builder::new();
    builder.filter_level(level);
    if let Some(filters) = filters {
        builder.parse_filters(filters);
    }
    let frame = match to {
        Destination::File(..) | Destination::Writer(_) | Destination::Stderr => Frame::None,
        Destination::Journal => Frame::Journal,
        Destination::Syslog(_) => Frame::Syslog,
    };
    builder.format(move |out, record| write_line(out, record, form, frame));
    let mut file = None;
    builder.target(match to {
        Destination::Syslog(path) => {
            let path = path.unwrap_or(Path::new(syslog::USUAL));
            Target::Pipe(Box::new(syslog::Syslog::open(path)))
        }
        Destination::File(path, owner) => {
            let sink = Sink::file("log_file", path, owner)?;
            file = Some(Arc::clone(&sink));
            Target::Pipe(Box::new(Lines(sink)))
        }
        Destination::Writer(writer) => Target::Pipe(writer),
        Destination::Stderr | Destination::Journal => match Sink::stderr() {
            Ok(sink) => Target::Pipe(Box::new(Lines(sink))),
            Err(_) => Target::Stderr,
        },
    });
    let logger = builder.build();
    log::set_max_level(logger.filter());
    *LOG.0.write().unwrap_or_else(PoisonError::into_inner) = Some(logger);
    *LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner) = file;
    // it is the same for each start
    let _ = log::set_logger(&LOG);
    Ok(())
}

/// Tries again what could not be written: to be called each second. The log hears what is wrong
/// with one of its files, and so does standard error if that is the log's own.
pub fn retry() {
    let log_file = LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for sink in sink::retry() {
        for complaint in sink.complaints() {
            if log_file.as_ref().is_some_and(|file| Arc::ptr_eq(file, &sink))
                && let Ok(stderr) = Sink::stderr()
            {
                stderr.write(format!("{complaint}\n").as_bytes());
            }
            log::error!("{complaint}");
        }
    }
}

/// The file that the log goes to, if it goes to one.
static LOG_FILE: Mutex<Option<Arc<Sink>>> = Mutex::new(None);

/// Gets each line in one piece.
struct Lines(Arc<Sink>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs: an object of JSON.
    Json,
}

/// What the reader of the log wants to stand before each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    None,
    /// The level as a number; the journal adds the time by itself.
    Journal,
    /// The level, the time and the program.
    Syslog,
}

/// The target of events, by which a line of JSON knows that they have members of their own.
const EVENT: &str = concat!(module_path!(), "::event");

thread_local! {
    /// Whether the line that this thread writes is one of JSON. An event cannot be told in another
    /// way: between it and the line stands the facade, which knows text alone.
    static AS_JSON: Cell<bool> = const { Cell::new(false) };
}

fn write_line(
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
        if record.target() == EVENT {
            AS_JSON.set(true);
            let written = write!(out, "{}", record.args());
            AS_JSON.set(false);
            written?;
        } else {
            let text = record.args().to_string();
            write!(out, "\"event\":\"message\",\"text\":{}", json::Quoted(&text))?;
        }
        return writeln!(out, "}}");
    }
    if frame == Frame::None {
        return writeln!(out, "{}", record.args());
    }
    // a second line would have no level there
    writeln!(out, "{}", record.args().to_string().replace('\n', " "))
}

/// Where the log goes.
pub enum Destination<'a> {
    /// Standard error.
    Stderr,
    /// Standard error, which is read by systemd's journal.
    Journal,
    /// The system's log, at this socket or the usual one.
    Syslog(Option<&'a Path>),
    /// A file, which is opened anew when somebody moves it away; made for that user.
    File(&'a Path, Option<&'a Ids>),
    /// Anything else; it gets each line in one piece.
    Writer(Box<dyn Write + Send>),
}

/// The log as it is now.
static LOG: Current = Current(RwLock::new(None));

struct Current(RwLock<Option<env_logger::Logger>>);

impl Current {
    fn with<T>(&self, work: impl FnOnce(&env_logger::Logger) -> T) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(work)
    }
}

impl Log for Current {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.with(|logger| logger.enabled(metadata)).unwrap_or_default()
    }

    fn log(&self, record: &Record<'_>) {
        self.with(|logger| logger.log(record));
    }

    fn flush(&self) {
        self.with(Log::flush);
    }
}

/// A moment, as the log writes it.
pub fn stamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let here = UtcOffset::local_offset_at(at).map_or(at, |offset| at.to_offset(offset));
    Stamp(here).to_string()
}

/// Something worth a line about one session.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client has connected.
    Connected,
    /// A client was turned away before a session began.
    TurnedAway(&'a str),
    /// TLS has begun: how, and whom the client's certificate names.
    Secured(&'a str, Option<&'a str>),
    /// Data connections are protected, and resume the TLS session or not.
    DataSecured(bool),
    /// A data connection did not resume the TLS session, although earlier ones did.
    ResumptionStopped,
    /// A good login, and where the user's home is.
    LoggedIn(&'a Path),
    /// A login that failed, with the name it was tried for.
    LoginFailed(&'a [u8], &'a str),
    /// A command that was refused: its name, its path if it has one, and the cause.
    Refused(&'a str, Option<&'a Path>, &'a str),
    /// A transfer has ended, well or not.
    Transferred(&'a Transfer<'a>),
    /// Something changed in the user's tree.
    Changed(&'a str, &'a Path),
    /// A rename, from and to.
    Renamed(&'a Path, &'a Path),
    /// An upload writes to the file in place, for this reason.
    InPlace(&'a Path, &'a str),
    /// Whom a ban holds for from now on, for how many seconds (`None`: until it is lifted),
    /// after how many failures, and the last one.
    Banned(&'a str, Option<u64>, usize, &'a str),
    /// A remark for the administrator.
    Note(&'a str),
    /// The session has ended, for this reason.
    Ended(&'a str, Duration),
}

/// One transfer, as both logs tell it.
#[derive(Debug)]
pub struct Transfer<'a> {
    /// The command: RETR, STOR, APPE or STOU.
    pub verb: &'a str,
    /// Whether it is an upload or a download.
    pub way: Way,
    /// The file.
    pub path: &'a Path,
    /// Bytes over the data connection.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether it was in ASCII type.
    pub ascii: bool,
    /// Whether the client got or sent all of it; if not, why.
    pub result: Result<(), &'a str>,
}

/// Whose session an event belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The client.
    pub peer: SocketAddr,
    /// The user, once logged in.
    pub user: Option<&'a str>,
}

/// Writes one line.
pub fn session(who: Who<'_>, event: &Event<'_>) {
    if event.is_heard() {
        log::log!(target: EVENT, event.level(), "{}", Line(who, event));
    }
}

impl Event<'_> {
    /// Whether the log has lines of its level.
    pub fn is_heard(&self) -> bool {
        log::log_enabled!(target: EVENT, self.level())
    }

    fn level(&self) -> Level {
        match self {
            Self::TurnedAway(_)
            | Self::LoginFailed(..)
            | Self::Note(_)
            | Self::InPlace(..)
            | Self::ResumptionStopped
            | Self::Banned(..) => Level::Warn,
            Self::Connected
            | Self::Secured(..)
            | Self::DataSecured(_)
            | Self::LoggedIn(_)
            | Self::Refused(..)
            | Self::Transferred(_)
            | Self::Changed(..)
            | Self::Renamed(..)
            | Self::Ended(..) => Level::Info,
        }
    }
}

struct Line<'a>(Who<'a>, &'a Event<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if AS_JSON.get() {
            return json::Members::new(f).event(self.0, self.1);
        }
        write!(f, "{}", self.0.peer)?;
        if let Some(user) = self.0.user {
            write!(f, " [{}]", Escaped(user.as_bytes()))?;
        }
        f.write_char(' ')?;
        match self.1 {
            Event::Connected => f.write_str("connected"),
            Event::ResumptionStopped => f.write_str(
                "a data connection did not resume the TLS session, although earlier ones did; \
                 tls_resume = require would refuse it",
            ),
            Event::DataSecured(true) => f.write_str("TLS data connections resume the session"),
            Event::DataSecured(false) => {
                f.write_str("TLS data connections do not resume the session")
            }
            Event::Secured(how, None) => f.write_str(how),
            Event::Secured(how, Some(subject)) => {
                write!(f, "{how}, certificate of '{}'", Escaped(subject.as_bytes()))
            }
            Event::TurnedAway(why) => write!(f, "turned away: {why}"),
            Event::LoggedIn(home) => write!(f, "logged in, home {}", path(home)),
            Event::LoginFailed(name, why) => {
                write!(f, "login failed for '{}': {why}", Escaped(name))
            }
            Event::Refused(verb, None, why) => {
                write!(f, "{} refused: {}", Escaped(verb.as_bytes()), Escaped(why.as_bytes()))
            }
            Event::Refused(verb, Some(file), why) => {
                let why = Escaped(why.as_bytes());
                write!(f, "{} {} refused: {why}", Escaped(verb.as_bytes()), path(file))
            }
            Event::Transferred(transfer) => transfer.fmt(f),
            Event::Changed(verb, file) => write!(f, "{verb} {}", path(file)),
            Event::Renamed(from, to) => write!(f, "RNTO {} -> {}", path(from), path(to)),
            Event::InPlace(file, why) => {
                write!(f, "{} is written to in place: {}", path(file), Escaped(why.as_bytes()))
            }
            Event::Banned(whom, seconds, failures, last) => {
                write!(f, "banned: {whom}")?;
                seconds.map_or(Ok(()), |seconds| write!(f, " for {seconds} s"))?;
                write!(f, ", {failures} failures, the last one {last}")
            }
            Event::Note(text) => Escaped(text.as_bytes()).fmt(f),
            Event::Ended(why, took) => write!(f, "ended after {} s: {why}", took.as_secs()),
        }
    }
}

impl fmt::Display for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let rate = kib_per_second(self.bytes, self.took);
        write!(f, "{} {}: {} bytes", self.verb, path(self.path), self.bytes)?;
        write!(f, " in {seconds:.3} s, {rate:.1} KiB/s, ")?;
        match self.result {
            Ok(()) => f.write_str("complete"),
            Err(why) => write!(f, "failed: {}", Escaped(why.as_bytes())),
        }
    }
}

/// A rate for people to read.
#[expect(clippy::cast_precision_loss, reason = "people do not count so far")]
pub fn kib_per_second(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1024.0 / took.as_secs_f64().max(1e-6)
}

/// A path in double quotes, escaped.
pub fn path(path: &Path) -> impl fmt::Display + '_ {
    struct Quoted<'a>(&'a Path);
    impl fmt::Display for Quoted<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "\"{}\"", Escaped(self.0.as_os_str().as_encoded_bytes()))
        }
    }
    Quoted(path)
}

/// Bytes for a line of the log.
pub fn escaped(bytes: &[u8]) -> impl fmt::Display + '_ {
    Escaped(bytes)
}

/// What no terminal shows and some obey: marks of direction, and letters without a width.
fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// What is escaped wherever text of strangers is printed: control characters, what [`is_unseen`]
/// names, and what some readers take for the end of a line.
fn is_odd(letter: char) -> bool {
    letter.is_control() || is_unseen(letter) || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// A value as JSON of one line, with everything escaped that a terminal would obey.
pub fn json(value: &serde_json::Value) -> String {
    json::tame(&value.to_string())
}

/// Bytes from a stranger: control characters, `"`, `\` and what is not UTF-8 are escaped.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '"' | '\\' => write!(f, "\\{letter}")?,
                    _ if letter.is_ascii_control() => {
                        write!(f, "\\x{:02x}", u32::from(letter))?;
                    }
                    _ if is_odd(letter) => write!(f, "{}", letter.escape_unicode())?,
                    _ => f.write_char(letter)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// The transfer log: one line for each transfer, in the form that wu-ftpd's tools read.
#[derive(Debug)]
pub struct TransferLog(Arc<Sink>);

impl TransferLog {
    /// Opens the file for appending; if it is made, then for that user.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(path: &Path, owner: Option<&Ids>) -> io::Result<Self> {
        Sink::file("transfer_log", path, owner).map(Self)
    }

    /// Appends one line.
    pub fn record(&self, peer: IpAddr, user: &str, anonymous: bool, transfer: &Transfer<'_>) {
        self.0.write(xferlog(now(), peer, user, anonymous, transfer).as_bytes());
    }
}

fn xferlog(
    at: OffsetDateTime,
    peer: IpAddr,
    user: &str,
    anonymous: bool,
    transfer: &Transfer<'_>,
) -> String {
    let seconds = transfer.took.as_secs() + u64::from(transfer.took.subsec_millis() >= 500);
    let kind = if transfer.ascii { 'a' } else { 'b' };
    let way = transfer.way.letter();
    let mode = if anonymous { 'a' } else { 'r' };
    let done = if transfer.result.is_ok() { 'c' } else { 'i' };
    let one_word = |bytes: &[u8]| {
        let tame = |&byte: &u8| {
            if byte.is_ascii_control() || byte == b' ' { b'_' } else { byte }
        };
        let tamed: Vec<u8> = bytes.iter().map(tame).collect();
        Escaped(&tamed).to_string()
    };
    let name = one_word(transfer.path.as_os_str().as_encoded_bytes());
    let user = one_word(user.as_bytes());
    let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
    let (weekday, month) = (weekday.get(..3).unwrap_or_default(), month.get(..3));
    format!(
        "{weekday} {} {:2} {:02}:{:02}:{:02} {} {seconds} {peer} {} {name} {kind} _ {way} {mode} {user} ftp 0 * {done}\n",
        month.unwrap_or_default(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.year(),
        transfer.bytes,
    )
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc())
}

/// Local time with its distance from UTC, as RFC 3339 writes it.
struct Stamp(OffsetDateTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0;
        write!(f, "{:04}-{:02}-{:02}T", at.year(), u8::from(at.month()), at.day())?;
        write!(f, "{:02}:{:02}:{:02}.", at.hour(), at.minute(), at.second())?;
        write!(f, "{:03}", at.millisecond())?;
        if at.offset() == UtcOffset::UTC {
            return f.write_char('Z');
        }
        let (hours, minutes, _) = at.offset().as_hms();
        let sign = if at.offset().is_negative() { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(path: &Path) -> Transfer<'_> {
        Transfer {
            verb: "STOR",
            way: Way::Up,
            path,
            bytes: 3072,
            took: Duration::from_millis(1500),
            ascii: false,
            result: Ok(()),
        }
    }

    fn line(user: Option<&str>, event: &Event<'_>) -> String {
        let who = Who { peer: ([192, 0, 2, 1], 5000).into(), user };
        Line(who, event).to_string()
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let name =
            Event::LoginFailed(b"x\r\n2026 root logged in \x1b[2J\xff", "wrong password");
        assert_eq!(
            line(None, &name),
            "192.0.2.1:5000 login failed for 'x\\x0d\\x0a2026 root logged in \\x1b[2J\\xff': \
             wrong password"
        );
    }

    #[test]
    fn a_transfer_line_says_path_bytes_seconds_rate_and_result() {
        let event = transfer(Path::new("/home/bob/a b"));
        assert_eq!(
            line(Some("bob"), &Event::Transferred(&event)),
            "192.0.2.1:5000 [bob] STOR \"/home/bob/a b\": 3072 bytes in 1.500 s, 2.0 KiB/s, \
             complete"
        );
    }

    #[test]
    fn an_xferlog_line_has_fourteen_words_behind_its_date() {
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let file = transfer(Path::new("/home/bob/a b\n"));
        assert_eq!(
            xferlog(at, [192, 0, 2, 1].into(), "bob", false, &file),
            "Tue Nov 14 22:13:20 2023 2 192.0.2.1 3072 /home/bob/a_b_ b _ i r bob ftp 0 * c\n"
        );
    }
}
