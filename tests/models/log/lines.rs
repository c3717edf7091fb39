//! A model of the queue of the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use log::Level;

use super::entry::What;
use super::queue::{Batch, Queue};

const SESSIONS: usize = 3;
const LINES: usize = 2;

/// The queue, and what was written.
struct Log {
    queue: Queue,
    desk: Mutex<(Batch, Vec<String>)>,
}

impl Log {
    /// Writes what is in the queue, as `writer` does it.
    fn flush(&self) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let (batch, written) = &mut *desk;
        self.queue.take(batch);
        batch.read(|entry, _| {
            if let What::Message(_, _, text) = entry.what {
                written.push(text.trim_end().to_owned());
            }
        });
        batch.clear();
    }

    fn say(&self, text: &str) {
        if !self.queue.push(true, |_| What::Message(Level::Info, "model", text)) {
            self.flush();
        }
    }
}

/// Sessions log long lines, for which there is no room at once, and short ones, while the thread that writes the
/// log begins and ends.
pub(super) fn none_is_lost() {
    let desk = Mutex::new((Batch::new(), Vec::new()));
    let log = Arc::new(Log { queue: Queue::new(), desk });
    let session = |session: usize| {
        let log = Arc::clone(&log);
        thread::spawn(move || {
            for line in 0..LINES {
                // short lines gather; two long ones fill the queue
                let long = if (session + line).is_multiple_of(2) { 128 << 10 } else { 0 };
                log.say(&format!("{session} {line}{}", " ".repeat(long)));
            }
        })
    };
    let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
    log.queue.open();
    let writer = {
        let log = Arc::clone(&log);
        thread::spawn(move || {
            let mut last = None;
            while log.queue.wait(last) {
                last = Some(Instant::now());
                log.flush();
            }
        })
    };
    let mut sessions = sessions.into_iter();
    // one session may go on when the thread has ended
    sessions.by_ref().take(SESSIONS - 1).for_each(|session| session.join().expect("logs"));
    log.queue.close();
    log.flush();
    writer.join().expect("writes");
    sessions.for_each(|session| session.join().expect("logs"));
    let desk = log.desk.lock().unwrap_or_else(PoisonError::into_inner);
    for session in 0..SESSIONS {
        let own = format!("{session} ");
        let lines: Vec<_> = desk.1.iter().filter(|line| line.starts_with(&own)).collect();
        let all: Vec<_> = (0..LINES).map(|line| format!("{session} {line}")).collect();
        assert_eq!(lines, all.iter().collect::<Vec<_>>(), "{:?}", desk.1);
    }
}
