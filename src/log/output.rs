//! Where the log goes: the logger that [`super::start`] has built, and its sink.

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use log::{Level, Log, Metadata, Record};

use super::event::{Event, TARGET, Who};
use super::heard;
use super::json::Members;
use super::line::Form;
use super::sink::Sink;
use super::text::write_event;

/// The log that is in use.
pub(super) struct Output {
    /// Filters records, adds what is written before each line, and passes the lines on.
    pub(super) logger: env_logger::Logger,
    /// The sink of the logger; `None` if it has another writer.
    pub(super) sink: Option<Arc<Sink>>,
    /// Whether `sink` is the file in `log_file`.
    pub(super) is_file: bool,
    pub(super) form: Form,
}

static OUTPUT: RwLock<Option<Output>> = RwLock::new(None);

/// Writes to another log from now on.
pub(super) fn set(output: Output) {
    log::set_max_level(output.logger.filter());
    let hears = |level| output.logger.enabled(&record(level, TARGET));
    heard::set(hears);
    *OUTPUT.write().unwrap_or_else(PoisonError::into_inner) = Some(output);
}

/// Does `work` with the log that is in use, if there is one.
pub(super) fn with<T>(work: impl FnOnce(&Output) -> T) -> Option<T> {
    OUTPUT.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(work)
}

/// Whether the log writes records of this kind.
pub(super) fn is_enabled(metadata: &Metadata<'_>) -> bool {
    with(|output| output.logger.enabled(metadata)).unwrap_or_default()
}

/// Whether this is the sink of the file in `log_file`.
pub(super) fn is_file(sink: &Arc<Sink>) -> bool {
    let is_own = |own: &Arc<Sink>| Arc::ptr_eq(own, sink);
    with(|output| output.is_file && output.sink.as_ref().is_some_and(is_own))
        .unwrap_or_default()
}

fn record(level: Level, target: &str) -> Metadata<'_> {
    Metadata::builder().level(level).target(target).build()
}

impl Output {
    /// Writes an event of a session; `None`: of the server. `text` is used as a buffer.
    pub(super) fn event(&self, who: Option<Who<'_>>, event: &Event<'_>, text: &mut String) {
        let account = event.account();
        text.clear();
        match self.form {
            Form::Text => write_event(text, who, &account),
            Form::Json => {
                // writing to a String cannot fail
                let _ = write!(text, "{}", Members(who, &account));
            }
        }
        self.message(event.level(), TARGET, text);
    }

    /// Writes a message with this target and text.
    pub(super) fn message(&self, level: Level, target: &str, text: &str) {
        let metadata = record(level, target);
        let mut builder = Record::builder();
        self.logger.log(&builder.metadata(metadata).args(format_args!("{text}")).build());
    }

    /// Writes out what the logger has passed to its sink.
    pub(super) fn end_batch(&self) {
        if let Some(sink) = &self.sink {
            sink.flush();
        }
    }
}
