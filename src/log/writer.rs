//! Writing the log: in a thread of its own while the server runs, and otherwise in the thread
//! that logs something.
//!
//! Entries are taken from the queue in batches, and each batch goes to its files in as few calls
//! of the system as possible. One thread at a time writes, so that lines are whole and in the
//! order in which they were handed over.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::clock;
use super::entry::{Entry, What};
use super::output;
use super::queue::{Batch, Queue};
use super::xferlog;

/// The entries of all threads.
static QUEUE: Queue = Queue::new();

/// The batch that is being written. The thread that has the lock is the one that writes.
static DESK: Mutex<Desk> = Mutex::new(Desk { batch: Batch::new(), text: String::new() });

struct Desk {
    batch: Batch,
    /// The text of the entry that is being written.
    text: String,
}

thread_local! {
    /// Whether this thread is writing the log. What it logs meanwhile is written afterwards.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Marks the present thread as the one that writes the log, until it is dropped.
struct Mark;

impl Mark {
    /// Returns `None` if this thread writes the log already.
    fn set() -> Option<Self> {
        (!WRITES.replace(true)).then_some(Self)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        WRITES.set(false);
    }
}

/// Writes what other threads hand over, until the value of [`Running`] is dropped.
pub fn write_log() {
    let mut last = None;
    loop {
        let work = || {
            while QUEUE.wait(last) {
                last = Some(Instant::now());
                flush();
            }
        };
        if catch_unwind(AssertUnwindSafe(work)).is_ok() {
            return;
        }
        log::error!("the thread that writes the log panicked at a line, and goes on after it");
    }
}

/// The time in which [`write_log`] runs in a thread. Dropping it ends that thread and writes
/// everything that was handed over; from then on, each thread writes its own entries again.
#[derive(Debug)]
pub struct Running(());

impl Running {
    /// Announces the thread, which need not run yet.
    pub fn begin() -> Self {
        QUEUE.open();
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        QUEUE.close();
        flush();
    }
}

/// Hands over an entry.
pub(super) fn hand_over<'a>(what: impl FnOnce(&mut Batch) -> What<'a>) {
    // the thread that writes must not wait for itself
    let is_written = QUEUE.push(!WRITES.get(), what);
    if !is_written {
        flush();
    }
}

/// Writes all entries that were handed over before the call. Does nothing in the thread that is
/// writing the log.
pub fn flush() {
    between_batches(|| ());
}

/// Does `work` after everything that was handed over has been written. Nothing is written while
/// it is being done.
pub(super) fn between_batches<T>(work: impl FnOnce() -> T) -> T {
    let Some(_mark) = Mark::set() else { return work() };
    let mut desk = DESK.lock().unwrap_or_else(PoisonError::into_inner);
    // after a panic, there may be a rest of the last batch
    desk.write();
    // writing may itself have led to an entry, which nobody else writes if no thread does
    for _ in 0..2 {
        QUEUE.take(&mut desk.batch);
        desk.write();
    }
    work()
}

impl Desk {
    /// Writes the rest of the batch.
    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Self { batch, text } = self;
        output::with(|output| {
            batch.read(|Entry { at, what }, sinks| {
                clock::turn_to(at);
                match what {
                    What::Event(who, event) => output.event(who, &event, text),
                    What::Message(level, target, said) => output.message(level, target, said),
                    What::Transfer(line) => {
                        if let Some(sink) = sinks.get(line.sink) {
                            xferlog::write(&line, sink, text);
                        }
                    }
                }
            });
            output.end_batch();
        });
        batch.sinks().iter().for_each(|sink| sink.flush());
        batch.clear();
    }
}
