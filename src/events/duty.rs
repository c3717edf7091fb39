//! What the thread that sends has to do, as those see it who speak with the receiver.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::outbox::{Batch, Next, Outbox};

/// The events to be sent, and whether it goes on.
pub(super) struct Duty<'a> {
    pub(super) outbox: &'a Outbox,
    /// Whether to stop, given whether there is no event.
    pub(super) is_over: &'a dyn Fn(bool) -> bool,
    /// Whether to stop in the middle of an exchange.
    pub(super) is_cut: &'a dyn Fn() -> bool,
    /// Called when the receiver works.
    pub(super) works: &'a dyn Fn(),
}

/// How long the receiver may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

impl Duty<'_> {
    /// Returns what is to be done next. Waits for an event, or until `fd` is readable, or for `time`.
    pub(super) fn next(&self, time: Option<Duration>, fd: Option<BorrowedFd<'_>>) -> Next {
        self.outbox.next(time, fd, self.is_over)
    }

    /// Notes that the receiver will not have an event of a batch, for this reason, and drops it. Those before
    /// it have been noted already.
    pub(super) fn refused(&self, batch: &Batch, at: usize, why: &str) {
        if let Some(record) = batch.records.get(at) {
            let name = record.name();
            log::error!("events: the receiver refuses {name}, which is dropped: {why}");
            self.outbox.refused(batch, at);
        }
    }

    /// Notes that these events of a batch were sent. Those before them have been noted already.
    pub(super) fn sent(&self, batch: &Batch, which: Range<usize>) {
        if !which.is_empty() {
            (self.works)();
        }
        self.outbox.sent(batch, which);
    }
}
