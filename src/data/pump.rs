//! Source to sink, in chunks: with a deadline for each progress, and with a look at the
//! control connection between chunks and whenever the data connection would block.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::fs::sendfile;
use rustix::io::Errno;

use super::ascii::FromWire;
use super::connection::Read;
use super::tube::Tube;
use super::{DataConnection, DataError, Throttle};
use crate::tls::{self, Awaited};
use crate::vfs::{FsError, Upload};

/// Why a transfer must end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The client sent ABOR.
    Abort,
    /// The client's control connection is gone.
    ControlLost,
    /// The server's grace period is over.
    Stopped,
    /// The session was ended from outside.
    Ended(&'static str),
}

/// The server-PI's ear while the server-DTP works. Whatever finds out that the control connection
/// is lost, a read or a reply that could not be sent, each wait asks here before and after, so
/// that nothing goes on without it.
pub trait Watch {
    /// Says what has been held back and how far the transfer has come, for something is going
    /// to be waited for.
    ///
    /// # Errors
    ///
    /// When the transfer must end.
    fn speak(&mut self, progress: &Progress) -> Result<(), Interrupt>;

    /// The control connection and what to wait for on it, unless nothing more can come.
    fn control(&self) -> Option<Awaited<'_>>;

    /// Becomes ready when every transfer must end.
    fn stop(&self) -> Awaited<'_>;

    /// Takes in what has arrived on the control connection.
    ///
    /// # Errors
    ///
    /// When it says that the transfer must end.
    fn look(&mut self, progress: &Progress) -> Result<(), Interrupt>;
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bytes over the data connection.
    pub bytes: u64,
    /// When it began.
    pub since: Instant,
}

impl Progress {
    /// Nothing yet.
    pub fn start() -> Self {
        Self { bytes: 0, since: Instant::now() }
    }
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// The file descriptor is ready.
    Yes,
    /// The time is over.
    TimedOut,
}

/// Waits until `data` is ready or the time comes, and listens to the control connection.
///
/// # Errors
///
/// When something says that the transfer must end.
pub(super) fn wait(
    watch: &mut dyn Watch,
    progress: &Progress,
    data: Option<Awaited<'_>>,
    until: Option<Instant>,
) -> Result<Ready, Interrupt> {
    watch.speak(progress)?;
    loop {
        let mut left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let control = watch.control();
        let is_deaf = control.is_none();
        if is_deaf {
            // an order to end the session wakes only who listens to its client
            left = Some(left.map_or(DEAF, |left| left.min(DEAF)));
        }
        let [stopped, is_ready, spoke] = tls::wait([Some(watch.stop()), data, control], left);
        if stopped {
            return Err(Interrupt::Stopped);
        }
        if spoke {
            watch.look(progress)?;
        }
        if is_ready {
            return Ok(Ready::Yes);
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(Ready::TimedOut);
        }
        if is_deaf {
            watch.speak(progress)?;
        }
    }
}

/// Listens to the control connection without waiting, for work that nothing is sent by.
///
/// # Errors
///
/// When something says that it must end.
pub fn heed(watch: &mut dyn Watch, progress: &Progress) -> Result<(), Interrupt> {
    wait(watch, progress, None, Some(Instant::now())).map(drop)
}

/// Bytes to send that are made as they go.
pub trait Source {
    /// Appends some; `false` when there are no more.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError>;
}

/// One transfer.
pub struct Pump<'a> {
    watch: &'a mut dyn Watch,
    throttle: Throttle,
    patience: Option<Duration>,
    looked: Instant,
    /// Since when nothing has moved, once that was found out.
    stalled: Option<Instant>,
    /// How far it has come.
    pub progress: Progress,
}

/// `sendfile` is asked for this much at once. Longer steps cost fewer calls and gain nothing by it
/// (tests/bench/RESULTS.md); where the system paces what is sent they are slower.
const FILE_CHUNK: usize = 256 << 10;

/// Uploads are read in pieces of this size.
const RECEIVE_CHUNK: usize = 64 << 10;

/// One that has come so far is worth a pipe.
const LARGE: u64 = 256 << 10;

/// Listings and converted text are sent in pieces of about this size.
const SEND_CHUNK: usize = 64 << 10;

/// Files up to this size are read and sent at once: together with the end of the stream they are
/// one packet, or few.
const SMALL: u64 = 32 << 10;

/// A data connection that never blocks, and work before there is one, is left for a look at the
/// control connection so often.
pub const LOOK: Duration = Duration::from_millis(20);

/// A wait during which nothing more can be heard of the client is interrupted so often for a look
/// at what else may end it.
const DEAF: Duration = Duration::from_millis(500);

/// After the end of an upload its control connection is watched for no longer than this.
const MOMENT: Duration = Duration::from_millis(5);

impl<'a> Pump<'a> {
    /// A transfer that is given up after `patience` without progress.
    pub fn new(
        watch: &'a mut dyn Watch,
        throttle: Throttle,
        patience: Option<Duration>,
    ) -> Self {
        let progress = Progress::start();
        Self { watch, throttle, patience, looked: progress.since, stalled: None, progress }
    }

    /// Sends a part of a file, in the kernel where that is possible. What is added behind it
    /// meanwhile is not sent.
    ///
    /// # Errors
    ///
    /// When not all of it could be sent.
    pub fn send_file(
        &mut self,
        to: &mut DataConnection,
        file: &File,
        part: Range<u64>,
    ) -> Result<(), DataError> {
        let Range { start: mut offset, end } = part;
        let small = end.saturating_sub(offset) <= SMALL;
        while !small && let Some(stream) = to.plain() {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let chunk = self.throttle.chunk(FILE_CHUNK).min(left);
            if chunk == 0 {
                return Ok(());
            }
            match sendfile(stream, file, Some(&mut offset), chunk) {
                Ok(0) => return Err(DataError::Shortened),
                Ok(sent) => self.moved(sent)?,
                Err(Errno::AGAIN) => self.until_ready(to.writable())?,
                Err(Errno::INTR) => {}
                // a file system whose files cannot be sent from within the kernel
                Err(Errno::INVAL | Errno::NOSYS) => break,
                Err(why @ (Errno::IO | Errno::NOMEM | Errno::OVERFLOW)) => {
                    return Err(DataError::Read(why.into()));
                }
                Err(why) => return Err(DataError::Lost(why.into())),
            }
        }
        let mut source = FileSource { file, offset, end };
        self.send(to, &mut source)?;
        if source.offset < end { Err(DataError::Shortened) } else { Ok(()) }
    }

    /// Sends what a source makes.
    ///
    /// # Errors
    ///
    /// When not all of it could be sent.
    pub fn send(
        &mut self,
        to: &mut DataConnection,
        source: &mut dyn Source,
    ) -> Result<(), DataError> {
        let mut buffer = Vec::with_capacity(SEND_CHUNK + (SEND_CHUNK >> 2));
        let mut more = true;
        while more {
            buffer.clear();
            while more && buffer.len() < SEND_CHUNK {
                more = source.fill(&mut buffer).map_err(DataError::Read)?;
                self.glance()?;
            }
            self.send_all(to, &buffer, !more)?;
        }
        Ok(())
    }

    /// Looks at the control connection if that is due: it may take long until there is something
    /// to send.
    fn glance(&mut self) -> Result<(), DataError> {
        let now = Instant::now();
        if now.duration_since(self.looked) >= LOOK {
            heed(self.watch, &self.progress)?;
            self.looked = now;
        }
        Ok(())
    }

    /// All has been handed to the system: the client is told that this is the end.
    ///
    /// # Errors
    ///
    /// When the transfer must end, or the client takes nothing any more.
    pub fn finish(&mut self, to: &mut DataConnection) -> Result<(), DataError> {
        to.end_sending(self.watch, self.patience)
    }

    /// What is the last of it may go out with the end of the stream.
    fn send_all(
        &mut self,
        to: &mut DataConnection,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), DataError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let chunk = rest.get(..self.throttle.chunk(rest.len())).unwrap_or(rest);
            let last = last && chunk.len() == rest.len();
            let sent = to.write(chunk, last).map_err(DataError::Lost)?;
            rest = rest.get(sent..).unwrap_or_default();
            if sent == 0 {
                self.until_ready(to.writable())?;
                continue;
            }
            while !to.flush().map_err(DataError::Lost)? {
                self.until_ready(to.writable())?;
            }
            self.moved(sent)?;
        }
        Ok(())
    }

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
        let mut room = self.throttle.chunk(RECEIVE_CHUNK);
        let mut buffer = Vec::with_capacity(room);
        let mut lines = ascii.then(|| (FromWire::default(), Vec::new()));
        let mut may_splice = !ascii && from.plain().is_some();
        // most clients send nothing before the 150 has come; and what is in place stays as it was
        // for one that has gone by then
        while self.look_for(from.readable())? == Ready::TimedOut {}
        upload.begin().map_err(DataError::Write)?;
        loop {
            if may_splice && self.progress.bytes >= LARGE && self.throttle.is_off() {
                match Tube::open() {
                    None => may_splice = false,
                    Some(tube) => match self.receive_through(&tube, from, upload)? {
                        Through::End => break,
                        Through::Slower => {}
                        Through::Not => may_splice = false,
                    },
                }
            }
            let mut write = |bytes: &[u8]| upload.write_all(bytes).map_err(DataError::Write);
            buffer.clear();
            let wanted = self.throttle.chunk(RECEIVE_CHUNK);
            if wanted != room {
                // the limit has changed
                room = wanted;
                buffer = Vec::with_capacity(room);
            }
            match from.read(&mut buffer)? {
                Read::End => break,
                Read::Nothing => self.until_ready(from.readable())?,
                Read::Some => {
                    match &mut lines {
                        None => write(&buffer)?,
                        Some((state, local)) => {
                            local.clear();
                            state.take(&buffer, local);
                            write(local)?;
                        }
                    }
                    self.moved(buffer.len())?;
                }
            }
        }
        // before the text is ended: one that was cut between CR and LF goes on with the LF
        self.still_there()?;
        if let Some((mut state, mut local)) = lines {
            local.clear();
            state.finish(&mut local);
            upload.write_all(&local).map_err(DataError::Write)?;
        }
        from.end_receiving();
        Ok(())
    }

    /// The same within the kernel.
    fn receive_through(
        &mut self,
        tube: &Tube,
        from: &mut DataConnection,
        upload: &mut Upload,
    ) -> Result<Through, DataError> {
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

    /// Waits for the data connection. The system calls it ready for more only when a good part
    /// of its buffers is free, which with a slow peer may take longer than `patience`; so
    /// before a transfer is given up, one more try shows whether there is room for a little.
    fn until_ready(&mut self, data: Awaited<'_>) -> Result<(), DataError> {
        self.look_for(data).map(drop)
    }

    fn look_for(&mut self, data: Awaited<'_>) -> Result<Ready, DataError> {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let until = self.patience.map(|patience| since + patience);
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(DataError::Stalled);
        }
        Ok(wait(self.watch, &self.progress, Some(data), until)?)
    }

    /// Counts, sleeps for the rate, and looks at the control connection now and then.
    fn moved(&mut self, bytes: usize) -> Result<(), DataError> {
        let bytes = bytes as u64;
        self.progress.bytes += bytes;
        self.stalled = None;
        let now = Instant::now();
        let sleep = self.throttle.spend(bytes, now);
        if !sleep.is_zero() || now.duration_since(self.looked) >= LOOK {
            wait(self.watch, &self.progress, None, Some(now + sleep))?;
            self.looked = now;
        }
        Ok(())
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

/// A file that is read, for the few that cannot be sent from within the kernel.
struct FileSource<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Source for FileSource<'_> {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError> {
        let left = usize::try_from(self.end.saturating_sub(self.offset));
        let before = out.len();
        let read = loop {
            match rustix::io::pread(self.file, spare_capacity(out), self.offset) {
                Err(Errno::INTR) => {}
                other => break other.map_err(io::Error::from)?,
            }
        };
        let read = read.min(left.unwrap_or(usize::MAX));
        out.truncate(before + read);
        self.offset += read as u64;
        Ok(read > 0 && self.offset < self.end)
    }
}
