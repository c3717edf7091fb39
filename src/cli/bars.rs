//! The progress bars of `ftpd share`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::print::complain;
use super::screen::{per_second, size, transfer};
use crate::server::protocol::SessionView;

/// Time between two updates of the progress bars.
const EVERY: Duration = Duration::from_millis(500);

/// Standard error: the lines of the log and, below them, a progress bar for each transfer.
#[derive(Clone, Default)]
pub(super) struct Screen(Arc<Mutex<Drawn>>);

/// The progress bars on the terminal.
#[derive(Default)]
struct Drawn {
    lines: usize,
    text: String,
}

impl Screen {
    /// Starts a thread that updates the progress bars.
    #[expect(clippy::disallowed_methods, reason = "it ends with the program")]
    pub(super) fn follow(&self, sessions: impl Fn() -> Vec<SessionView> + Send + 'static) {
        let screen = self.clone();
        let mut before = HashMap::new();
        let mut at = Instant::now();
        let draw = move || {
            loop {
                thread::sleep(EVERY);
                let (text, bytes) = bars(&sessions(), &before, at.elapsed());
                (before, at) = (bytes, Instant::now());
                // this fails if the terminal is gone
                let _ = screen.drawn().replace(text);
            }
        };
        if let Err(why) = thread::Builder::new().name("bars".to_owned()).spawn(draw) {
            complain(&format!("ftpd: cannot show progress: {why}"));
        }
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a progress bar for each transfer, and the bytes of each.
fn bars(
    sessions: &[SessionView],
    before: &HashMap<u64, u64>,
    since: Duration,
) -> (String, HashMap<u64, u64>) {
    let (columns, rows) = size(io::stderr());
    let (mut text, mut bytes) = (String::new(), HashMap::new());
    for session in sessions {
        let Some(of) = &session.transfer else { continue };
        let (id, now) = (session.id, of.bytes);
        let earlier = before.get(&id).copied().unwrap_or_default().min(now);
        if bytes.len() + 1 < rows {
            let rate = per_second(now - earlier, since.as_secs_f64());
            text.push_str(&transfer(of, rate, columns));
            text.push('\n');
        }
        bytes.insert(id, now);
    }
    (text, bytes)
}

impl Drawn {
    fn replace(&mut self, text: String) -> io::Result<()> {
        if text == self.text {
            return Ok(());
        }
        let out = self.above(text.as_bytes());
        (self.lines, self.text) = (text.lines().count(), text);
        io::stderr().write_all(&out)
    }

    /// Returns the bytes that clear the progress bars and write `bytes` in their place.
    fn above(&self, bytes: &[u8]) -> Vec<u8> {
        let up =
            if self.lines > 0 { format!("\x1b[{}F\x1b[J", self.lines) } else { String::new() };
        [up.as_bytes(), bytes].concat()
    }
}

impl Write for Screen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let drawn = self.drawn();
        let mut out = drawn.above(line);
        out.extend_from_slice(drawn.text.as_bytes());
        io::stderr().write_all(&out)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
