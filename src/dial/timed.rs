//! A TCP stream whose reads and writes end at a deadline, or as soon as they are no longer wanted.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long something is waited for. The time can be set anew for each exchange on a connection.
pub struct Patience<'a> {
    until: Cell<Instant>,
    is_over: &'a dyn Fn() -> bool,
}

impl<'a> Patience<'a> {
    /// Waits until this time, or until `is_over` says that nothing is wanted any more.
    pub fn new(until: Instant, is_over: &'a dyn Fn() -> bool) -> Self {
        Self { until: Cell::new(until), is_over }
    }

    /// Waits until this time from now on.
    pub fn renew(&self, until: Instant) {
        self.until.set(until);
    }

    /// Returns the time until which something is waited for.
    pub(super) fn until(&self) -> Instant {
        self.until.get()
    }

    /// Returns the time that is left; `None` if it is over.
    pub fn left(&self) -> Option<Duration> {
        let left = self.until().saturating_duration_since(Instant::now());
        (!left.is_zero() && !(self.is_over)()).then_some(left)
    }
}

/// A stream with a deadline.
pub(super) struct Timed<'a> {
    pub(super) stream: Arc<TcpStream>,
    pub(super) patience: &'a Patience<'a>,
}

/// How often it is checked whether the stream is still wanted.
pub(super) const LOOK: Duration = Duration::from_millis(100);

impl Timed<'_> {
    /// Tries until it succeeds, fails, or the time is over.
    fn within<T>(
        &mut self,
        mut attempt: impl FnMut(&mut &TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let Some(left) = self.patience.left() else {
                return Err(io::Error::new(ErrorKind::TimedOut, "no response in time"));
            };
            let time = Some(left.min(LOOK));
            self.stream.set_read_timeout(time)?;
            self.stream.set_write_timeout(time)?;
            match attempt(&mut &*self.stream) {
                Err(why)
                    if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.within(|stream| stream.read(buffer))
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.stream).flush()
    }
}
