//! The log, which has one line for each event, and the transfer log.
//!
//! The log is text or JSON and goes to a file, to standard error or to the system's log. The
//! transfer log is a file in the xferlog form. File names and user names are chosen by
//! strangers, so this room escapes them, and no other room does: a name cannot forge a line.
//! Passwords never reach this room.
//!
//! A session formats and writes nothing. If the level is logged at all (`heard`), it copies what
//! has happened into a bounded queue (`queue`) in a compact form (`entry`, `packed`). One thread
//! (`writer`), which `server` starts, takes batches of entries, puts the lines together (`text`,
//! `json`, `xferlog`), passes them through the logger (`output`, `line`) to the sinks (`sink`),
//! and writes each sink once for a batch. Before that thread runs and after it has ended, each
//! thread writes its own entries in the same way.
//!
//! A file is waited for: if the disk is slow, the queue fills, and then sessions wait. The reader
//! of standard error may never read again, so it is waited for no longer than a second.

mod clock;
mod entry;
mod escape;
mod event;
mod file;
mod front;
mod heard;
mod json;
mod line;
mod outlet;
mod output;
mod packed;
mod queue;
mod recent;
mod sink;
mod stamp;
mod syslog;
mod text;
mod way;
mod writer;
mod xferlog;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use env_logger::{Builder, Target};
use log::LevelFilter;

use crate::rights::Ids;
use front::Messages;
use line::{Frame, write_line};
use output::Output;
use sink::{Lines, Sink};
use writer::between_batches;

pub use escape::{escaped, json, path};
pub use event::{Event, Hashing, Transfer, Who, kib_per_second};
pub use file::descriptor;
pub use front::{TransferLog, own, session};
pub use line::Form;
pub use recent::{Recent, Told};
pub use sink::{folders, on_trouble};
pub use stamp::stamp;
pub use way::Way;
pub use writer::{Running, flush, write_log};

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
    // what was logged before goes to the log before
    between_batches(|| {
        let is_file = matches!(to, Destination::File(..));
        let (target, sink) = open(to)?;
        output::set(Output { logger: builder.target(target).build(), sink, is_file, form });
        Ok::<_, io::Error>(())
    })?;
    // this fails on a later call, when the logger is set already
    let _ = log::set_logger(&Messages);
    Ok(())
}

/// Opens what the log is written to. Returns its sink, if it has one.
fn open(to: Destination<'_>) -> io::Result<(Target, Option<Arc<Sink>>)> {
    let sink = match to {
        Destination::Syslog(path) => {
            let path = path.unwrap_or(Path::new(syslog::USUAL));
            return Ok((Target::Pipe(Box::new(syslog::Syslog::open(path))), None));
        }
        Destination::Writer(writer) => return Ok((Target::Pipe(writer), None)),
        Destination::File(path, owner) => Sink::file("log_file", path, owner)?,
        Destination::Stderr | Destination::Journal => match Sink::stderr() {
            Ok(sink) => sink,
            Err(_) => return Ok((Target::Stderr, None)),
        },
    };
    Ok((Target::Pipe(Box::new(Lines(Arc::clone(&sink)))), Some(sink)))
}

/// Tries again to write lines that could not be written before, and returns whether none are left.
/// This must be called after [`on_trouble`] has reported trouble, when something has happened in
/// one of [`folders`], and each second while lines are left. Problems with the file of the log or
/// of the transfer log are logged. A problem with the log's own file is written to standard error
/// as well.
pub fn retry() -> bool {
    let mut is_written = true;
    for sink in sink::retry() {
        is_written &= !sink.is_waiting();
        for complaint in sink.complaints() {
            if output::is_file(&sink)
                && let Ok(stderr) = Sink::stderr()
            {
                stderr.write(format!("{complaint}\n").as_bytes());
            }
            log::error!("{complaint}");
        }
    }
    is_written
}

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
