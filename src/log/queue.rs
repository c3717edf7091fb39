//! The queue between the sessions and the thread that writes the log.
//!
//! Its entries are bytes in one buffer (see [`super::packed`]), so that handing one over is a
//! copy under a lock. The bell is rung only if the thread sleeps: it lets entries gather for a
//! moment after each batch, so that a busy server makes one call of the system for many lines.
//! While nothing is logged, the thread makes no call of the system at all.
//!
//! The queue is bounded. If it is full, sessions wait until the thread has taken the entries, so
//! that a slow disk loses no line.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entry::{Entry, What};
use super::packed::Packed;
use super::sink::Sink;

/// Entries that wait to be written.
#[derive(Debug)]
pub(super) struct Batch {
    /// The entries, each after the number of its bytes.
    bytes: Vec<u8>,
    /// Position of the next entry to be read.
    next: usize,
    /// The transfer logs of the entries.
    sinks: Vec<Arc<Sink>>,
}

/// The queue, which all threads share.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the thread that writes the log.
    bell: Condvar,
    /// Wakes the sessions that wait for room.
    room: Condvar,
}

#[derive(Debug)]
struct State {
    batch: Batch,
    writer: Writer,
    /// Number of sessions that wait for room.
    starved: usize,
}

/// What the thread that writes the log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// No thread writes the log: each thread writes its own entries.
    Absent,
    /// It waits for an entry.
    Asleep,
    /// It lets entries gather.
    Gathers,
    /// It has been woken, or is writing.
    Awake,
}

/// Maximum number of bytes in the queue, beside the entry that exceeds it.
const BOUND: usize = 256 << 10;

/// If the queue holds this number of bytes, the thread takes them without letting more gather.
const URGENT: usize = BOUND / 4;

/// Minimum time between two batches, during which entries gather.
const GATHER: Duration = Duration::from_millis(10);

/// Capacity that an empty buffer may keep.
const KEPT: usize = 32 << 10;

impl Batch {
    /// Returns a batch without entries.
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), next: 0, sinks: Vec::new() }
    }

    /// Whether there are no entries.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends an entry.
    fn add(&mut self, entry: Entry<'_>) {
        let start = self.bytes.len();
        0_usize.put(&mut self.bytes);
        let behind = self.bytes.len();
        entry.put(&mut self.bytes);
        let length = self.bytes.len() - behind;
        if let Some(place) = self.bytes.get_mut(start..behind) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// Returns the number of a transfer log in this batch.
    pub(super) fn number(&mut self, sink: &Arc<Sink>) -> usize {
        let known = self.sinks.iter().position(|known| Arc::ptr_eq(known, sink));
        known.unwrap_or_else(|| {
            self.sinks.push(Arc::clone(sink));
            self.sinks.len() - 1
        })
    }

    /// Passes each entry that has not been read to `write`. An entry at which `write` panics
    /// counts as read.
    pub(super) fn read(&mut self, mut write: impl FnMut(Entry<'_>, &[Arc<Sink>])) {
        while let Some(mut rest) = self.bytes.get(self.next..).filter(|rest| !rest.is_empty()) {
            let Some(mut entry) = <&[u8]>::take(&mut rest) else { return };
            self.next = self.bytes.len() - rest.len();
            if let Some(entry) = Entry::take(&mut entry) {
                write(entry, &self.sinks);
            }
        }
    }

    /// The transfer logs that entries of this batch belong to.
    pub(super) fn sinks(&self) -> &[Arc<Sink>] {
        &self.sinks
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.sinks.clear();
        self.next = 0;
    }
}

impl Queue {
    /// Makes a queue from which no thread writes yet.
    pub(super) const fn new() -> Self {
        let state = State { batch: Batch::new(), writer: Writer::Absent, starved: 0 };
        Self { state: Mutex::new(state), bell: Condvar::new(), room: Condvar::new() }
    }

    /// Adds an entry. If the queue is full and `may_wait` is set, waits for room first. Returns
    /// whether a thread writes the log; if not, the caller must do so.
    pub(super) fn push<'a>(
        &self,
        may_wait: bool,
        what: impl FnOnce(&mut Batch) -> What<'a>,
    ) -> bool {
        let mut state = self.state();
        while may_wait && state.batch.bytes.len() >= BOUND && state.writer != Writer::Absent {
            state.starved += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.starved -= 1;
        }
        let what = what(&mut state.batch);
        // the lock is held, so that the times in the log never go backwards
        state.batch.add(Entry::now(what));
        let is_due = match state.writer {
            Writer::Absent => return false,
            Writer::Asleep => true,
            Writer::Gathers => state.batch.bytes.len() >= URGENT,
            Writer::Awake => false,
        };
        if is_due {
            state.writer = Writer::Awake;
            drop(state);
            self.bell.notify_one();
        }
        true
    }

    /// Takes all entries. `empty` must hold none; its buffer is used for the next ones.
    pub(super) fn take(&self, empty: &mut Batch) {
        let mut state = self.state();
        std::mem::swap(&mut state.batch, empty);
        let starved = state.starved > 0;
        drop(state);
        if starved {
            self.room.notify_all();
        }
    }

    /// Announces a thread that calls [`Queue::wait`] again and again.
    pub(super) fn open(&self) {
        self.state().writer = Writer::Awake;
    }

    /// Ends the thread that waits. From now on, each thread writes its own entries.
    pub(super) fn close(&self) {
        self.state().writer = Writer::Absent;
        self.bell.notify_all();
        self.room.notify_all();
    }

    /// Waits for entries, and then until the time for gathering since the `last` batch is over.
    /// Returns whether there are any; if not, the queue was closed.
    pub(super) fn wait(&self, last: Option<Instant>) -> bool {
        let mut state = self.state();
        while state.batch.is_empty() && state.writer != Writer::Absent {
            state.writer = Writer::Asleep;
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let gathered =
            || last.map_or(Duration::ZERO, |last| GATHER.saturating_sub(last.elapsed()));
        let mut left = gathered();
        while state.batch.bytes.len() < URGENT
            && state.writer != Writer::Absent
            && !left.is_zero()
        {
            state.writer = Writer::Gathers;
            let waited = self.bell.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            left = gathered();
        }
        let is_open = state.writer != Writer::Absent;
        if is_open {
            state.writer = Writer::Awake;
        }
        is_open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use log::Level;

    use super::*;

    fn texts(batch: &mut Batch) -> Vec<String> {
        let mut texts = Vec::new();
        batch.read(|entry, _| {
            if let What::Message(_, _, text) = entry.what {
                texts.push(text.to_owned());
            }
        });
        texts
    }

    fn push(queue: &Queue, text: &str) -> bool {
        queue.push(true, |_| What::Message(Level::Info, "x", text))
    }

    #[test]
    fn a_full_queue_makes_sessions_wait_and_loses_nothing() {
        const SESSIONS: usize = 4;
        const LINES: usize = 400;
        let (queue, long) = (Queue::new(), "x".repeat(4096));
        queue.open();
        let mut all = Vec::new();
        let mut longest = 0;
        thread::scope(|scope| {
            for session in 0..SESSIONS {
                let (queue, long) = (&queue, &long);
                scope.spawn(move || {
                    for line in 0..LINES {
                        assert!(push(queue, &format!("{session} {line} {long}")));
                    }
                });
            }
            let mut batch = Batch::new();
            while all.len() < SESSIONS * LINES {
                assert!(queue.wait(None));
                queue.take(&mut batch);
                longest = longest.max(batch.bytes.len());
                all.extend(texts(&mut batch));
                batch.clear();
            }
        });
        assert!(longest < BOUND + 2 * long.len(), "{longest}");
        let mut next = HashMap::new();
        for text in all {
            let words: Vec<_> = text.split(' ').collect();
            let due = next.entry(words[0].to_owned()).or_insert(0);
            assert_eq!(words[1].parse(), Ok(*due), "the order of one session");
            assert_eq!(words[2], long);
            *due += 1;
        }
    }

    #[test]
    fn a_queue_that_closes_lets_everybody_go() {
        let (queue, long) = (Queue::new(), "x".repeat(BOUND));
        queue.open();
        assert!(push(&queue, &long));
        thread::scope(|scope| {
            let waits = scope.spawn(|| push(&queue, "waits for room"));
            while queue.state().starved == 0 {
                thread::yield_now();
            }
            queue.close();
            assert!(!waits.join().unwrap(), "it must write its entry itself");
            assert!(!queue.wait(None));
        });
        let mut batch = Batch::new();
        queue.take(&mut batch);
        assert_eq!(texts(&mut batch), [&long, "waits for room"]);
    }

    #[test]
    fn a_panic_at_an_entry_costs_no_other_entry() {
        let queue = Queue::new();
        for text in ["a", "b", "c"] {
            assert!(!push(&queue, text));
        }
        let mut batch = Batch::new();
        queue.take(&mut batch);
        let mut seen = 0;
        let panics = catch_unwind(AssertUnwindSafe(|| {
            batch.read(|_, _| {
                seen += 1;
                assert!(seen < 2, "the panic of the test");
            });
        }));
        assert!(panics.is_err());
        assert_eq!(texts(&mut batch), ["c"]);
        assert!(texts(&mut batch).is_empty());
    }
}
