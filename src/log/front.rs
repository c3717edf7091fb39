//! What the rest of the program calls to log something: everything is handed over to the thread
//! that writes.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use log::{Log, Metadata, Record};

use super::entry::{Line, What};
use super::event::{Event, Transfer, Who};
use super::output;
use super::sink::Sink;
use super::writer::{between_batches, flush, hand_over};
use crate::rights::Ids;

/// Logs an event of a session.
pub fn session(who: Who<'_>, event: &Event<'_>) {
    if event.is_heard() {
        hand_over(|_| What::Event(Some(who), *event));
    }
}

/// Logs an event of the server, which belongs to no session.
pub fn own(event: &Event<'_>) {
    if event.is_heard() {
        hand_over(|_| What::Event(None, *event));
    }
}

/// The open transfer log.
#[derive(Debug)]
pub struct TransferLog(Arc<Sink>);

impl TransferLog {
    /// Opens the file for appending. A file that does not exist is created and belongs to
    /// `owner`.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn open(path: &Path, owner: Option<&Ids>) -> io::Result<Self> {
        between_batches(|| Sink::file("transfer_log", path, owner)).map(Self)
    }

    /// Appends the line of a transfer.
    pub fn record(&self, peer: IpAddr, user: &str, anonymous: bool, transfer: &Transfer<'_>) {
        hand_over(|batch| {
            let (sink, transfer) = (batch.number(&self.0), *transfer);
            What::Transfer(Line { sink, peer, user, anonymous, transfer })
        });
    }
}

/// Messages of the server, which it logs by the macros of the `log` crate.
pub(super) struct Messages;

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        output::is_enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let (level, target, args) = (record.level(), record.target(), record.args());
        if !self.enabled(record.metadata()) {
            return;
        }
        // the text is put together before the lock of the queue is taken, since that may log
        // something as well
        let text = args.as_str().map_or_else(|| args.to_string().into(), Cow::Borrowed);
        hand_over(|_| What::Message(level, target, &text));
    }

    fn flush(&self) {
        flush();
    }
}
