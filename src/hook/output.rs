//! What programs print, on its way to the log.

use std::io::{PipeReader, Read};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::log::escaped;

/// Of one program, so many lines go to the log, each up to this length.
const MOST_LINES: usize = 1000;
const LONGEST_LINE: usize = 1000;

/// So many pieces of output are read before the program is looked after again.
const CHUNKS: usize = 16;

/// What a program prints, line by line.
#[derive(Debug)]
pub(super) struct Output<'a> {
    key: &'a str,
    pid: u32,
    /// Nothing once the program has closed it.
    pipe: Option<PipeReader>,
    line: Vec<u8>,
    lines: usize,
}

impl<'a> Output<'a> {
    /// The output of the program of this key and process number.
    pub(super) fn new(key: &'a str, pid: u32, pipe: PipeReader) -> Self {
        Self { key, pid, pipe: Some(pipe), line: Vec::new(), lines: 0 }
    }

    /// Takes what is there, and waits for it up to this long. A program that prints without
    /// end is left in between, so that its time can run out.
    #[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
    pub(super) fn take(&mut self, time: Duration) {
        let Some(pipe) = &mut self.pipe else { return thread::sleep(time) };
        let mut wait = time;
        let mut chunk = [0; 4096];
        for _ in 0..CHUNKS {
            let timeout = Timespec::try_from(wait).ok();
            let mut fds = [PollFd::new(&*pipe, PollFlags::IN)];
            if !matches!(poll(&mut fds, timeout.as_ref()), Ok(1..)) {
                return;
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
