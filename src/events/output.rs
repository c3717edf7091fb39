//! Logging what hook programs print.

use std::io::{PipeReader, Read};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::launch::Running;
use crate::log::escaped;

/// Maximum number of lines of one program that are logged.
const MOST_LINES: usize = 1000;

/// Maximum length of a line, in bytes. A longer line is logged in several.
const LONGEST_LINE: usize = 1000;

/// Maximum number of reads from the pipe before the program's state is checked again.
const CHUNKS: usize = 16;

/// The output of a hook program, which is logged line by line.
#[derive(Debug)]
pub(super) struct Output<'a> {
    key: &'a str,
    running: &'a Running,
    /// The reading end of the pipe; `None` once the program has closed the other end.
    pipe: Option<PipeReader>,
    line: Vec<u8>,
    lines: usize,
}

impl<'a> Output<'a> {
    /// Returns the output of a program. The key and the process number begin each of its log
    /// lines.
    pub(super) fn new(key: &'a str, running: &'a Running, pipe: PipeReader) -> Self {
        Self { key, running, pipe: Some(pipe), line: Vec::new(), lines: 0 }
    }

    /// Waits up to `time` for output or for the end of the program, and reads and logs the
    /// output. Returns after a few reads even if there is more, so that a program that prints
    /// without end can still be ended.
    pub(super) fn take(&mut self, time: Duration) {
        let mut wait = time;
        let mut chunk = [0; 4096];
        for _ in 0..CHUNKS {
            if !self.has_output(wait) {
                return;
            }
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut chunk) {
                Ok(read) if read > 0 => {
                    for &byte in chunk.get(..read).unwrap_or_default() {
                        if byte == b'\n' || self.line.len() >= LONGEST_LINE {
                            say(self.key, self.running.pid(), &mut self.line, &mut self.lines);
                        }
                        if byte != b'\n' {
                            self.line.push(byte);
                        }
                    }
                }
                Ok(_) | Err(_) => {
                    self.pipe = None;
                    return;
                }
            }
            wait = Duration::ZERO;
        }
    }

    /// Returns the reading end of the pipe, unless the program has closed the other end.
    pub(super) fn pipe(&self) -> Option<&PipeReader> {
        self.pipe.as_ref()
    }

    /// Waits up to `time` for output or for the end of the program. Returns whether there is
    /// output, or its end.
    #[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
    fn has_output(&self, time: Duration) -> bool {
        let timeout = Timespec::try_from(time).ok();
        let ended = PollFd::new(self.running, PollFlags::IN);
        let pipe = self.pipe.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let mut fds: Vec<_> = pipe.chain([ended]).collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => {}
            Ok(_) | Err(Errno::INTR) => return false,
            // the caller repeats this, which must not keep the processor busy
            Err(_) => {
                thread::sleep(time);
                return false;
            }
        }
        self.pipe.is_some() && fds.first().is_some_and(|pipe| !pipe.revents().is_empty())
    }

    /// Logs a last line that does not end with the end of a line.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            say(self.key, self.running.pid(), &mut self.line, &mut self.lines);
        }
    }
}

fn say(key: &str, pid: u32, line: &mut Vec<u8>, lines: &mut usize) {
    *lines += 1;
    if *lines <= MOST_LINES {
        log::info!("{key}[{pid}]: {}", escaped(line));
    } else if *lines == MOST_LINES + 1 {
        log::warn!("{key}[{pid}] prints more than {MOST_LINES} lines; the rest is left out");
    }
    line.clear();
}
