//! The log, which has one line for each event, and the transfer log.
//!
//! The log is text or JSON and goes to a file, to standard error or to the system's log. The
//! transfer log is a file in the xferlog form. File names and user names are chosen by
//! strangers, so this room escapes them, and no other room does: a name cannot forge a line.
//! Passwords never reach this room.

mod escape;
mod event;
mod file;
mod json;
mod line;
mod recent;
mod sink;
mod stamp;
mod syslog;
mod text;
mod way;
mod xferlog;

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use env_logger::{Builder, Target};
use log::{LevelFilter, Log, Metadata, Record};

use crate::rights::Ids;
use line::{Frame, write_line};
use sink::{Lines, Sink};

pub use escape::{escaped, json, path};
pub use event::{Event, Transfer, Who, kib_per_second};
pub use file::descriptor;
pub use line::{Form, session};
pub use recent::{Recent, Told};
pub use stamp::stamp;
pub use way::Way;
pub use xferlog::TransferLog;

/// Starts the log. `filters`, in the form of `RUST_LOG`, take precedence over `level`. A later
/// call replaces the log by another one, as a reload of the settings does.
///
/// # Errors
///
/// When the file cannot be opened.
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
    // this fails on a later call, when the logger is set already
    let _ = log::set_logger(&LOG);
    Ok(())
}

/// Tries again to write lines that could not be written before. This must be called once a
/// second. Problems with the file of the log or of the transfer log are logged. A problem with
/// the log's own file is written to standard error as well.
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

/// The file that the log is written to, if it is written to a file.
static LOG_FILE: Mutex<Option<Arc<Sink>>> = Mutex::new(None);

/// Where the log is written to.
pub enum Destination<'a> {
    /// Standard error.
    Stderr,
    /// Standard error, when systemd's journal reads it.
    Journal,
    /// The system's log, at this socket; `None` is `/dev/log`.
    Syslog(Option<&'a Path>),
    /// A file. It is opened again if it was moved away. A new file belongs to this user.
    File(&'a Path, Option<&'a Ids>),
    /// Any other writer. It gets each line in one call.
    Writer(Box<dyn Write + Send>),
}

/// The logger that is in use, which [`start`] replaces.
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
