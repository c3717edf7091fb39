//! The data connection: a TCP stream, with TLS or without. The pump asks it for bytes and
//! gives it bytes, and need not know which it is.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use super::error::DataError;
use super::watch::{Progress, Ready, Watch, wait};
use crate::tls::{Awaited, Channel, Got, Layer, SessionTls, Want};

/// A connection that is there, and whose stream does not block.
#[derive(Debug)]
pub struct DataConnection {
    channel: Channel,
    phase: Phase,
    /// An end of the stream without an end of TLS is good enough.
    lenient: bool,
    /// TLS has been told that no more will be sent.
    closed: bool,
}

/// How far the handshake of TLS has come.
#[derive(Debug)]
enum Phase {
    Shaking,
    Failed(String),
    /// It is done, or there is none.
    Ready,
}

/// What came of a read.
pub(super) enum Read {
    Some,
    Nothing,
    End,
}

impl DataConnection {
    /// A connection in clear text.
    pub fn new(stream: TcpStream) -> Self {
        let channel = Channel::new(Arc::new(stream));
        Self { channel, phase: Phase::Ready, lenient: false, closed: false }
    }

    /// Begins TLS, if it has not begun.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub fn begin_tls(&mut self, tls: &SessionTls) -> Result<(), DataError> {
        if !self.channel.has_tls() {
            let begun = self.channel.begin_data(tls);
            begun.map_err(|why| DataError::Handshake(why.to_string()))?;
            self.phase = Phase::Shaking;
        }
        Ok(())
    }

    /// Whether TLS has begun, and so has taken what the client has sent.
    pub fn has_tls(&self) -> bool {
        self.channel.has_tls()
    }

    /// Answers a client that begins the handshake before its command has come, as far as is
    /// possible without waiting. What is no handshake is left where it is, for by the time of the
    /// command the connection may be one in clear text. A failure is kept for the transfer.
    pub(super) fn shake_early(&mut self, tls: &SessionTls) {
        if self.channel.has_tls() || self.channel.begins_with_tls() == Some(true) {
            // a failure is met again by the transfer
            let _ = self.begin_tls(tls).and_then(|()| self.step());
        }
    }

    /// What to wait for before the command comes: a handshake that begins or goes on.
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

    /// What TLS knows of itself and of the client; nothing in clear text.
    pub fn layer(&self) -> Option<&Layer> {
        self.channel.layer()
    }

    /// Takes the end of the stream for the end of the file, even if TLS has not ended.
    pub fn be_lenient(&mut self) {
        self.lenient = true;
    }

    /// The stream, where bytes may go to it as they are.
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

    /// Takes some bytes, or none while the stream has no room. With TLS all are taken, and
    /// wait until [`DataConnection::flush`] has sent them. The `last` ones go out with the end: of
    /// TLS in one piece, or of the stream. A client that knows the length closes as soon as it
    /// has the last byte, and could not be told the end any more.
    pub(super) fn write(&mut self, bytes: &[u8], last: bool) -> io::Result<usize> {
        let flags = if last { SendFlags::MORE } else { SendFlags::empty() };
        let taken = self.channel.send(bytes, flags)?;
        if last && self.channel.has_tls() {
            self.close();
        }
        Ok(taken)
    }

    /// Whether all that was written has gone to the stream.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.channel.flush()
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.channel.close();
        }
    }

    /// The client has sent all: with TLS it is told that we have seen it. It may have gone
    /// already.
    pub(super) fn end_receiving(&mut self) {
        if self.channel.has_tls() {
            self.close();
            let _ = self.channel.flush();
            let _ = self.channel.shutdown(Shutdown::Write);
        }
    }

    /// All bytes have been handed to the system: says the end. Whatever the client does from now
    /// on, it had its chance to read them.
    ///
    /// # Errors
    ///
    /// When the transfer must end, or the client takes nothing any more.
    pub(super) fn end_sending(
        &mut self,
        watch: &mut dyn Watch,
        patience: Option<Duration>,
    ) -> Result<(), DataError> {
        let until = patience.map(|patience| Instant::now() + patience);
        self.close();
        // an error: the client has closed, for it knew the length
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

/// A data connection over which all has been sent. A close while something of the client's is
/// unread, or on its way, would take back what is still on its way to the client; so it stays
/// open until the client has closed its end too, for a while.
#[derive(Debug)]
pub struct Lingering {
    channel: Channel,
    until: Instant,
}

/// How long the client may take to close its end of a download.
const LINGER: Duration = Duration::from_secs(5);

impl Lingering {
    /// Nothing for clear text: over such a connection a client that receives sends nothing.
    pub fn after(data: DataConnection) -> Option<Self> {
        let is_needed = data.channel.has_tls();
        let until = Instant::now() + LINGER;
        is_needed.then(|| Self { channel: data.channel.without_tls(), until })
    }

    /// When it is closed at the latest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Waits for something of the client's, which may be its end.
    pub fn awaited(&self) -> Awaited<'_> {
        self.channel.readable()
    }

    /// Takes in what the client has sent; says whether the connection may be closed.
    pub fn is_over(&self) -> bool {
        self.channel.discard() || self.until <= Instant::now()
    }
}
