//! The data connection: a TCP stream, with or without TLS. The pump reads and writes bytes
//! without knowing which of the two it is.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use super::error::DataError;
use super::pace::unpace;
use super::watch::{Progress, Ready, Watch, wait};
use crate::tls::{Awaited, Channel, Got, Layer, SessionTls, Want};

/// An open data connection. Its stream does not block.
#[derive(Debug)]
pub struct DataConnection {
    channel: Channel,
    phase: Phase,
    /// Whether the end of the stream is accepted as the end of the file without a
    /// `close_notify` of TLS.
    lenient: bool,
    /// Whether TLS has been told that nothing more will be sent.
    closed: bool,
    /// Whether both ends are on this machine, and the system's congestion control is in use.
    may_unpace: bool,
}

/// The progress of the TLS handshake.
#[derive(Debug)]
enum Phase {
    Shaking,
    Failed(String),
    /// The handshake is complete, or the connection is in clear text.
    Ready,
}

/// The result of one read.
pub(super) enum Read {
    Some,
    Nothing,
    End,
}

impl DataConnection {
    /// Wraps a stream as a connection in clear text. `is_within` says whether both ends are on
    /// this machine.
    pub(super) fn new(stream: TcpStream, is_within: bool) -> Self {
        let channel = Channel::new(Arc::new(stream));
        let phase = Phase::Ready;
        Self { channel, phase, lenient: false, closed: false, may_unpace: is_within }
    }

    /// Keeps the system from pacing what is sent, if both ends are on this machine. Called
    /// before more is sent than a few packets hold.
    pub(super) fn unpace(&mut self) {
        if std::mem::take(&mut self.may_unpace) {
            unpace(self.channel.stream());
        }
    }

    /// Begins TLS, unless it has begun already.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn begin_tls(&mut self, tls: &SessionTls) -> Result<(), DataError> {
        if !self.channel.has_tls() {
            let begun = self.channel.begin_data(tls);
            begun.map_err(|why| DataError::Handshake(why.to_string()))?;
            self.phase = Phase::Shaking;
        }
        Ok(())
    }

    /// Returns whether TLS has begun. If so, it has consumed bytes of the client already.
    pub fn has_tls(&self) -> bool {
        self.channel.has_tls()
    }

    /// Continues the handshake of a client that begins it before its command has come, as far
    /// as possible without waiting. Bytes that are not a handshake are left unread, because the
    /// command may use the connection in clear text. An error is kept, and
    /// [`DataConnection::secure`] returns it.
    pub(super) fn shake_early(&mut self, tls: &SessionTls) {
        if self.channel.has_tls() || self.channel.begins_with_tls() == Some(true) {
            // `secure` returns this error again
            let _ = self.begin_tls(tls).and_then(|()| self.step());
        }
    }

    /// Returns what to wait for before the command comes: bytes that begin or continue a
    /// handshake.
    pub(super) fn early(&self) -> Option<Awaited<'_>> {
        let may_begin =
            !self.channel.has_tls() && self.channel.begins_with_tls() != Some(false);
        let goes_on = matches!(self.phase, Phase::Shaking);
        (may_begin || goes_on).then(|| self.channel.readable())
    }

    fn step(&mut self) -> Result<Option<Want>, DataError> {
        if let Phase::Failed(why) = &self.phase {
            return Err(DataError::Handshake(why.clone()));
        }
        match self.channel.shake() {
            Ok(want) => {
                if want.is_none() {
                    self.phase = Phase::Ready;
                }
                Ok(want)
            }
            Err(why) => {
                self.phase = Phase::Failed(why.to_string());
                Err(DataError::Handshake(why.to_string()))
            }
        }
    }

    /// Finishes the handshake.
    ///
    /// # Errors
    ///
    /// When it fails, or takes too long.
    pub fn secure(
        &mut self,
        watch: &mut dyn Watch,
        patience: Option<Duration>,
    ) -> Result<(), DataError> {
        let until = patience.map(|patience| Instant::now() + patience);
        while let Some(want) = self.step()? {
            let stream = Some(self.channel.wanted(want));
            if wait(watch, &Progress::start(), stream, until)? == Ready::TimedOut {
                return Err(DataError::Handshake("timeout".to_owned()));
            }
        }
        Ok(())
    }

    /// The TLS layer, which describes itself and the client's certificate; `None` in clear
    /// text.
    pub fn layer(&self) -> Option<&Layer> {
        self.channel.layer()
    }

    /// Accepts the end of the stream as the end of the file, even without a `close_notify` of
    /// TLS.
    pub fn be_lenient(&mut self) {
        self.lenient = true;
    }

    /// Returns the stream if it is in clear text; `None` with TLS.
    pub(super) fn plain(&self) -> Option<&TcpStream> {
        self.channel.clear()
    }

    pub(super) fn readable(&self) -> Awaited<'_> {
        self.channel.readable()
    }

    pub(super) fn writable(&self) -> Awaited<'_> {
        self.channel.writable()
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Read, DataError> {
        match self.channel.receive(RecvFlags::empty(), buffer).map_err(DataError::Lost)? {
            Got::Some => Ok(Read::Some),
            Got::Nothing => Ok(Read::Nothing),
            Got::Closed => Ok(Read::End),
            Got::Truncated if self.lenient => Ok(Read::End),
            Got::Truncated => Err(DataError::NotClosed),
        }
    }

    /// Writes bytes and returns how many were taken: 0 if the stream has no room. With TLS all
    /// are taken, and buffered until [`DataConnection::flush`] has sent them. The `last` bytes
    /// are sent together with the end of the data (the `close_notify` of TLS, or the end of
    /// the stream): a client that knows the length closes the connection after the last byte,
    /// so the end could not be sent later.
    pub(super) fn write(&mut self, bytes: &[u8], last: bool) -> io::Result<usize> {
        let flags = if last { SendFlags::MORE } else { SendFlags::empty() };
        let taken = self.channel.send(bytes, flags)?;
        if last && self.channel.has_tls() {
            self.close();
        }
        Ok(taken)
    }

    /// Sends the bytes that TLS has buffered. Returns whether all of them were sent.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.channel.flush()
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.channel.close();
        }
    }

    /// Ends a connection over which the client has sent everything. With TLS, the client is
    /// sent a `close_notify`, although it may have left already.
    pub(super) fn end_receiving(&mut self) {
        if self.channel.has_tls() {
            self.close();
            let _ = self.channel.flush();
            let _ = self.channel.shutdown(Shutdown::Write);
        }
    }

    /// Tells the client that the data ends here. Called after all bytes were handed to the
    /// system, so the client was able to read them, whatever it does afterwards.
    ///
    /// # Errors
    ///
    /// When the transfer must end, or the client does not take the last bytes.
    pub(super) fn end_sending(
        &mut self,
        watch: &mut dyn Watch,
        patience: Option<Duration>,
    ) -> Result<(), DataError> {
        let until = patience.map(|patience| Instant::now() + patience);
        self.close();
        // an error means that the client knew the length and has closed the connection
        while self.flush().is_ok_and(|all| !all) {
            let stream = Some(self.channel.writable());
            if wait(watch, &Progress::start(), stream, until)? == Ready::TimedOut {
                return Err(DataError::Stalled);
            }
        }
        let _ = self.channel.shutdown(Shutdown::Write);
        Ok(())
    }
}

/// A data connection over which everything has been sent, and which stays open until the
/// client has closed its end. If the server closed it while bytes of the client were unread or
/// on their way, the system would discard bytes that have not reached the client yet.
#[derive(Debug)]
pub struct Lingering {
    channel: Channel,
    until: Instant,
}

/// How long the client may take to close its end of a download.
const LINGER: Duration = Duration::from_secs(5);

impl Lingering {
    /// Keeps a connection open. A connection in clear text is closed instead (`None`), which
    /// is safe, because a client sends nothing over it while it receives.
    pub fn after(data: DataConnection) -> Option<Self> {
        let is_needed = data.channel.has_tls();
        let until = Instant::now() + LINGER;
        is_needed.then(|| Self { channel: data.channel.without_tls(), until })
    }

    /// Returns when the connection is closed at the latest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Returns what to wait for: bytes of the client, or the end of its stream.
    pub fn awaited(&self) -> Awaited<'_> {
        self.channel.readable()
    }

    /// Discards what the client has sent. Returns whether the connection may be closed now.
    pub fn is_over(&self) -> bool {
        self.channel.discard() || self.until <= Instant::now()
    }
}
