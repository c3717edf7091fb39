//! From the data connection to an upload.

use std::thread;
use std::time::{Duration, Instant};

use super::ascii::FromWire;
use super::connection::{DataConnection, Read};
use super::error::DataError;
use super::pump::Pump;
use super::tube::Tube;
use super::watch::{Ready, wait};
use crate::vfs::Upload;

/// Uploads are read in pieces of this size.
const RECEIVE_CHUNK: usize = 64 << 10;

/// One that has come so far is worth a pipe.
const LARGE: u64 = 256 << 10;

/// After the end of an upload its control connection is watched for no longer than this.
const MOMENT: Duration = Duration::from_millis(5);

impl Pump<'_> {
    /// Gives to an upload what comes until the client closes the data connection; in ASCII
    /// type, with lines as they are here.
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
        // most clients send nothing before the 150 has come; and what is in place stays as it was
        // for one that has gone by then
        while self.look_for(from.readable())? == Ready::TimedOut {}
        upload.begin().map_err(DataError::Write)?;
        let mut lines = ascii.then(Lines::default);
        let mut may_splice = !ascii && from.plain().is_some();
        let (mut room, mut buffer) = (0, Vec::new());
        loop {
            if may_splice && self.progress.bytes >= LARGE && self.throttle.is_off() {
                match self.receive_through(from, upload)? {
                    Through::End => break,
                    Through::Slower => {}
                    Through::Not => may_splice = false,
                }
            }
            buffer.clear();
            let wanted = self.throttle.chunk(RECEIVE_CHUNK);
            if wanted != room {
                // the limit on the speed has changed
                room = wanted;
                buffer = Vec::with_capacity(room);
            }
            match from.read(&mut buffer)? {
                Read::End => break,
                Read::Nothing => self.until_ready(from.readable())?,
                Read::Some => {
                    let local = lines.as_mut().map_or(&buffer, |lines| lines.take(&buffer));
                    upload.write_all(local).map_err(DataError::Write)?;
                    self.moved(buffer.len())?;
                }
            }
        }
        // before the text is ended: one that was cut between CR and LF goes on with the LF
        self.still_there()?;
        if let Some(mut lines) = lines {
            upload.write_all(lines.finish()).map_err(DataError::Write)?;
        }
        from.end_receiving();
        Ok(())
    }

    /// Receives within the kernel.
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

    /// The system of a client that was killed closes both connections, and the data connection
    /// may come first. What has arrived is the whole file only if the client is still there to
    /// hear so, or has taken its leave: a moment, in proportion to the transfer, shows that.
    fn still_there(&mut self) -> Result<(), DataError> {
        let now = Instant::now();
        let moment = (now.duration_since(self.progress.since) / 10).min(MOMENT);
        // the system's timers are too coarse for less
        if moment >= Duration::from_millis(1) {
            wait(self.watch, &self.progress, None, Some(now + moment))?;
            return Ok(());
        }
        // a client on this machine that is being ended gets on with it
        thread::yield_now();
        wait(self.watch, &self.progress, None, Some(now))?;
        Ok(())
    }
}

/// Text of the wire on its way to local lines.
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

/// What an upload through the kernel ended with.
enum Through {
    /// The end of the stream.
    End,
    /// A limit on its speed, which has come meanwhile.
    Slower,
    /// The file system wants to be written to.
    Not,
}
