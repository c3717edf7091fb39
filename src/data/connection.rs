//! The data connection: a TCP stream, with TLS or without. The pump asks it for bytes and
//! gives it bytes, and need not know which it is.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::{DataError, Progress, Ready, Watch, wait};
use crate::tls::{Got, Layer, SessionTls, Want};

/// A connection that is there, and whose stream does not block.
#[derive(Debug)]
pub struct DataConnection {
    stream: TcpStream,
    tls: Option<Box<Layer>>,
    phase: Phase,
    /// An end of the stream without an end of TLS is good enough.
    lenient: bool,
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

/// How long the client may take to say that it has seen the end of a download.
const LINGER: Duration = Duration::from_secs(5);

impl DataConnection {
    /// A connection in clear text.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, tls: None, phase: Phase::Ready, lenient: false }
    }

    /// Begins TLS, if it has not begun.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub fn begin_tls(&mut self, tls: &SessionTls) -> Result<(), DataError> {
        if self.tls.is_none() {
            let layer =
                Layer::data(tls).map_err(|why| DataError::Handshake(why.to_string()))?;
            self.tls = Some(Box::new(layer));
            self.phase = Phase::Shaking;
        }
        Ok(())
    }

    /// Goes on with the handshake as far as is possible without waiting. A failure is kept
    /// for the transfer that comes for the connection.
    pub(super) fn shake(&mut self) {
        let _ = self.step();
    }

    /// Whether the client may have to be answered before its command comes: some begin the
    /// handshake as soon as they have connected.
    pub(super) fn may_shake(&self) -> bool {
        self.tls.is_none() || matches!(self.phase, Phase::Shaking)
    }

    fn step(&mut self) -> Result<Option<Want>, DataError> {
        if let Phase::Failed(why) = &self.phase {
            return Err(DataError::Handshake(why.clone()));
        }
        let Some(layer) = &mut self.tls else { return Ok(None) };
        match layer.shake(&self.stream, RecvFlags::empty()) {
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
            let flags = match want {
                Want::Read => PollFlags::IN,
                Want::Write => PollFlags::OUT,
            };
            let stream = Some((self.stream.as_fd(), flags));
            if wait(watch, &Progress::start(), stream, until)? == Ready::TimedOut {
                return Err(DataError::Handshake("timeout".to_owned()));
            }
        }
        Ok(())
    }

    /// Whether the handshake resumed the session of the control connection. Clear text is
    /// nobody's.
    pub fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|layer| layer.is_resumed())
    }

    /// Takes the end of the stream for the end of the file, even if TLS has not ended.
    pub fn be_lenient(&mut self) {
        self.lenient = true;
    }

    /// The stream, where bytes may go to it as they are.
    pub(super) fn plain(&self) -> Option<&TcpStream> {
        self.tls.is_none().then_some(&self.stream)
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Read> {
        let Some(layer) = &mut self.tls else {
            return match recv(&self.stream, spare_capacity(buffer), RecvFlags::empty()) {
                Ok((0, _)) => Ok(Read::End),
                Ok(_) => Ok(Read::Some),
                Err(Errno::AGAIN | Errno::INTR) => Ok(Read::Nothing),
                Err(why) => Err(why.into()),
            };
        };
        match layer.receive(&self.stream, RecvFlags::empty(), buffer)? {
            Got::Some => Ok(Read::Some),
            Got::Nothing => Ok(Read::Nothing),
            Got::Closed => Ok(Read::End),
            Got::Truncated if self.lenient => Ok(Read::End),
            Got::Truncated => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Takes some bytes, or none while the stream has no room. With TLS all are taken, and
    /// wait until [`DataConnection::flush`] has sent them. The `last` ones may wait for the end of
    /// the stream.
    pub(super) fn write(&mut self, bytes: &[u8], last: bool) -> io::Result<usize> {
        let more = if last { SendFlags::MORE } else { SendFlags::empty() };
        match &mut self.tls {
            None => match send(&self.stream, bytes, SendFlags::NOSIGNAL | more) {
                Err(Errno::AGAIN | Errno::INTR) => Ok(0),
                other => Ok(other?),
            },
            Some(layer) => {
                layer.queue(bytes)?;
                Ok(bytes.len())
            }
        }
    }

    /// Whether all that was written has gone to the stream.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => Ok(true),
            Some(layer) => layer.flush(&self.stream),
        }
    }

    /// The client has sent all: with TLS it is told that we have seen it. It may have gone
    /// already.
    pub(super) fn end_receiving(&mut self) {
        if let Some(layer) = &mut self.tls {
            layer.close();
            let _ = layer.flush(&self.stream);
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// All has been sent: the client is told so, and with TLS it is waited for a while until
    /// it says the same.
    ///
    /// # Errors
    ///
    /// When the client did not get all of it.
    pub(super) fn end_sending(&mut self, watch: &mut dyn Watch) -> Result<(), DataError> {
        let progress = Progress::start();
        let until = Some(Instant::now() + LINGER);
        if let Some(layer) = &mut self.tls {
            layer.close();
        }
        while !self.flush().map_err(DataError::Lost)? {
            let stream = Some((self.stream.as_fd(), PollFlags::OUT));
            if wait(watch, &progress, stream, until)? == Ready::TimedOut {
                return Err(DataError::Stalled);
            }
        }
        self.stream.shutdown(Shutdown::Write).map_err(DataError::Lost)?;
        if self.tls.is_none() {
            return Ok(());
        }
        let mut rest = Vec::new();
        loop {
            match self.read(&mut rest) {
                // whatever the end was like, the client had its chance to read
                Ok(Read::End) | Err(_) => return Ok(()),
                Ok(Read::Some) => rest.clear(),
                Ok(Read::Nothing) => {
                    let stream = Some((self.stream.as_fd(), PollFlags::IN));
                    if wait(watch, &progress, stream, until)? == Ready::TimedOut {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl AsFd for DataConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
