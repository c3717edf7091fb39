//! A TCP stream whose reads and writes end at a deadline, or as soon as they are no longer wanted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A stream with a deadline.
pub(super) struct Timed<'a> {
    pub(super) stream: TcpStream,
    pub(super) until: Instant,
    pub(super) is_over: &'a dyn Fn() -> bool,
}

/// How often it is checked whether the stream is still wanted.
const LOOK: Duration = Duration::from_millis(100);

impl Timed<'_> {
    /// Tries until it succeeds, fails, or the time is over.
    fn within<T>(
        &mut self,
        mut attempt: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() || (self.is_over)() {
                return Err(io::Error::new(ErrorKind::TimedOut, "no response in time"));
            }
            let time = Some(left.min(LOOK));
            self.stream.set_read_timeout(time)?;
            self.stream.set_write_timeout(time)?;
            match attempt(&mut self.stream) {
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
        self.stream.flush()
    }
}
