//! Logging what hook programs print.

use std::io::{PipeReader, Read};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

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
    pid: u32,
    /// The reading end of the pipe; `None` once the program has closed the other end.
    pipe: Option<PipeReader>,
    line: Vec<u8>,
    lines: usize,
}

impl<'a> Output<'a> {
    /// Returns the output of a program. The key and the process number begin each of its log
    /// lines.
    pub(super) fn new(key: &'a str, pid: u32, pipe: PipeReader) -> Self {
        Self { key, pid, pipe: Some(pipe), line: Vec::new(), lines: 0 }
    }

    /// Waits up to `time` for output, and reads and logs it. Returns after a few reads even if
    /// there is more, so that a program that prints without end can still be ended.
    #[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
    pub(super) fn take(&mut self, time: Duration) {
        let Some(pipe) = &mut self.pipe else { return thread::sleep(time) };
        let mut wait = time;
        let mut chunk = [0; 4096];
        for _ in 0..CHUNKS {
            let timeout = Timespec::try_from(wait).ok();
            let mut fds = [PollFd::new(&*pipe, PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(1..) => {}
                Ok(_) | Err(Errno::INTR) => return,
                // the caller repeats this, which must not keep the processor busy
                Err(_) => return thread::sleep(wait),
            }
            match pipe.read(&mut chunk) {
                Ok(read) if read > 0 => {
                    for &byte in chunk.get(..read).unwrap_or_default() {
                        if byte == b'\n' || self.line.len() >= LONGEST_LINE {
                            say(self.key, self.pid, &mut self.line, &mut self.lines);
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

    /// Logs a last line that does not end with the end of a line.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            say(self.key, self.pid, &mut self.line, &mut self.lines);
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
