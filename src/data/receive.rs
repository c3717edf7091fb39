//! Receives an upload over the data connection.

use std::thread;
use std::time::{Duration, Instant};

use super::ascii::FromWire;
use super::connection::{DataConnection, Read};
use super::error::DataError;
use super::pump::Pump;
use super::tube::Tube;
use super::watch::{Ready, wait};
use crate::vfs::Upload;

/// Size of the pieces in which uploads are read.
const RECEIVE_CHUNK: usize = 64 << 10;

/// Size of the first piece. A small buffer is cheaper to allocate, and most small files fit.
const FIRST_CHUNK: usize = 16 << 10;

/// From this many bytes on an upload goes through a pipe in the kernel.
const LARGE: u64 = 256 << 10;

/// Maximum time for which the control connection is watched once the data of an upload has
/// ended.
const MOMENT: Duration = Duration::from_millis(5);

/// Minimum time to watch it for. Shorter times are near the resolution of the system's timers.
const WORTHWHILE: Duration = Duration::from_micros(200);

impl Pump<'_> {
    /// Writes what the client sends to an upload until the client closes the data connection.
    /// In ASCII type, line ends are converted to local ones.
    ///
    /// # Errors
    ///
    /// When not all of it arrived or could be written.
    pub fn receive(
        &mut self,
        from: &mut DataConnection,
        upload: &mut Upload,
        ascii: bool,
    ) -> Result<(), DataError> {
        // wait for the first bytes: if the client disappears before it sends any, the existing
        // file must stay unchanged
        while self.look_for(from.readable())? == Ready::TimedOut {}
        upload.begin().map_err(DataError::Write)?;
        let mut lines = ascii.then(Lines::default);
        let mut may_splice = !ascii && from.plain().is_some();
        let (mut room, mut buffer, mut most) = (0, Vec::new(), FIRST_CHUNK);
        loop {
            if may_splice && self.progress.bytes >= LARGE && self.throttle.is_off() {
                match self.receive_through(from, upload)? {
                    Through::End => break,
                    Through::Slower => {}
                    Through::Not => may_splice = false,
                }
            }
            buffer.clear();
            let wanted = self.throttle.chunk(most);
            if wanted != room {
                room = wanted;
                buffer = Vec::with_capacity(room);
            }
            match from.read(&mut buffer)? {
                Read::End => break,
                Read::Nothing => self.until_ready(from.readable())?,
                Read::Some => {
                    if buffer.len() >= FIRST_CHUNK {
                        most = RECEIVE_CHUNK;
                    }
                    let local = lines.as_mut().map_or(&buffer, |lines| lines.take(&buffer));
                    upload.write_all(local).map_err(DataError::Write)?;
                    self.moved(buffer.len())?;
                }
            }
        }
        // checked before the last CR is written: if the client died between CR and LF, the
        // upload that resumes this one begins with the LF
        self.still_there()?;
        if let Some(mut lines) = lines {
            upload.write_all(lines.finish()).map_err(DataError::Write)?;
        }
        from.end_receiving();
        Ok(())
    }

    /// Receives through a pipe in the kernel, so that the bytes are not copied to this
    /// program.
    fn receive_through(
        &mut self,
        from: &mut DataConnection,
        upload: &mut Upload,
    ) -> Result<Through, DataError> {
        let Some(tube) = Tube::open() else { return Ok(Through::Not) };
        while let Some(stream) = from.plain() {
            if !self.throttle.is_off() {
                return Ok(Through::Slower);
            }
            match tube.fill(stream).map_err(DataError::Lost)? {
                Some(0) => return Ok(Through::End),
                None => self.until_ready(from.readable())?,
                Some(bytes) => {
                    let spliced = upload.splice_all(tube.outlet(), bytes);
                    self.moved(bytes)?;
                    if !spliced.map_err(DataError::Write)? {
                        return Ok(Through::Not);
                    }
                }
            }
        }
        Ok(Through::Not)
    }

    /// Checks that the client was not killed. If it was, its system closes both connections,
    /// perhaps the data connection first. The upload counts as complete only if the control
    /// connection is still open, or the client has sent QUIT. To find out, the control
    /// connection is watched for a moment, which is longer after a long transfer.
    fn still_there(&mut self) -> Result<(), DataError> {
        let now = Instant::now();
        let moment = (now.duration_since(self.progress.since) / 10).min(MOMENT);
        if moment >= WORTHWHILE {
            wait(self.watch, &self.progress, None, Some(now + moment))?;
            return Ok(());
        }
        // if the client is being killed on this machine, this lets the system close its
        // connections
        thread::yield_now();
        wait(self.watch, &self.progress, None, Some(now))?;
        Ok(())
    }
}

/// Converts received text to local lines.
#[derive(Default)]
struct Lines {
    state: FromWire,
    local: Vec<u8>,
}

impl Lines {
    fn take(&mut self, wire: &[u8]) -> &Vec<u8> {
        self.local.clear();
        self.state.take(wire, &mut self.local);
        &self.local
    }

    fn finish(&mut self) -> &[u8] {
        self.local.clear();
        self.state.finish(&mut self.local);
        &self.local
    }
}

/// Why receiving through a pipe stopped.
enum Through {
    /// The stream has ended.
    End,
    /// A rate limit has been set meanwhile.
    Slower,
    /// The system or the file system does not support it, or TLS is in use.
    Not,
}
