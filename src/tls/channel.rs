//! A TCP stream that carries TLS or clear text, for the control connection and data connections
//! alike. It does not give out its file descriptor: who wants to wait for it takes an
//! [`Awaited`], which knows what TLS holds.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::error::TlsError;
use super::layer::{Got, Layer, Want};
use super::session::SessionTls;
use super::wait::Awaited;

/// A connection, and the TLS on it if there is any.
#[derive(Debug)]
pub struct Channel {
    stream: Arc<TcpStream>,
    tls: Option<Box<Layer>>,
}

/// The first byte of each TLS connection: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

impl Channel {
    /// A connection in clear text.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, tls: None }
    }

    /// Whether TLS has begun.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The stream, where bytes go over it as they are.
    pub fn clear(&self) -> Option<&TcpStream> {
        self.tls.is_none().then_some(&*self.stream)
    }

    /// Begins TLS as on a control connection; [`Channel::shake`] goes on with it.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub fn begin_control(&mut self, tls: &SessionTls) -> Result<(), TlsError> {
        self.tls = Some(Box::new(Layer::control(tls)?));
        Ok(())
    }

    /// Begins TLS as on a data connection; [`Channel::shake`] goes on with it.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub fn begin_data(&mut self, tls: &SessionTls) -> Result<(), TlsError> {
        self.tls = Some(Box::new(Layer::data(tls)?));
        Ok(())
    }

    /// Goes on with the handshake as far as the stream allows; `None` when it is done, or there
    /// is none.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn shake(&mut self) -> Result<Option<Want>, TlsError> {
        self.tls.as_mut().map_or(Ok(None), |layer| layer.shake(&self.stream))
    }

    /// What TLS knows of itself and of its peer.
    pub fn layer(&self) -> Option<&Layer> {
        self.tls.as_deref()
    }

    /// Whether the peer has begun to speak TLS, as far as can be told without taking anything:
    /// `None` as long as it has said nothing.
    pub fn begins_with_tls(&self) -> Option<bool> {
        let mut first = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(&*self.stream, &mut first, flags) {
            Ok((1.., _)) => Some(first == [HANDSHAKE]),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Ok(_) | Err(_) => Some(false),
        }
    }

    /// Appends what has arrived, and first what TLS holds.
    ///
    /// # Errors
    ///
    /// The stream's, or what is wrong with the records.
    pub fn receive(&mut self, flags: RecvFlags, out: &mut Vec<u8>) -> io::Result<Got> {
        let Some(layer) = &mut self.tls else {
            return match recv(&*self.stream, spare_capacity(out), flags) {
                Ok((0, _)) => Ok(Got::Closed),
                Ok(_) => Ok(Got::Some),
                Err(Errno::AGAIN | Errno::INTR) => Ok(Got::Nothing),
                Err(why) => Err(why.into()),
            };
        };
        layer.receive(&self.stream, flags, out)
    }

    /// Whether a read would give something even if the stream had nothing.
    pub fn holds(&self) -> bool {
        self.tls.as_ref().is_some_and(|layer| layer.holds())
    }

    /// Takes bytes to be sent: some of them, or none while the stream has no room. With TLS all
    /// are taken, and wait for [`Channel::flush`].
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn send(&mut self, bytes: &[u8], flags: SendFlags) -> io::Result<usize> {
        match &mut self.tls {
            None => match send(&*self.stream, bytes, SendFlags::NOSIGNAL | flags) {
                Err(Errno::AGAIN | Errno::INTR) => Ok(0),
                other => Ok(other?),
            },
            Some(layer) => layer.queue(bytes).map(|()| bytes.len()),
        }
    }

    /// Whether all that was to be sent has gone to the stream.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |layer| layer.flush(&self.stream))
    }

    /// Says in TLS that no more will be sent; goes out with the next [`Channel::flush`].
    pub fn close(&mut self) {
        if let Some(layer) = &mut self.tls {
            layer.close();
        }
    }

    /// Ends the stream, in one direction or both.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    /// The stream below TLS, which has said all that it will.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { stream: self.stream, tls: None }
    }

    /// Throws away what the peer still sends, but for a part of it if there is much; says whether
    /// its end has come.
    pub fn discard(&self) -> bool {
        const MOST: usize = 64;
        let mut rest = [0; 1024];
        for _ in 0..MOST {
            match recv(&*self.stream, &mut rest, RecvFlags::DONTWAIT) {
                Ok((1.., _)) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Ok(_) | Err(_) => return true,
            }
        }
        false
    }

    /// Waits until there is something to read: bytes or an end.
    pub fn readable(&self) -> Awaited<'_> {
        self.awaited(PollFlags::IN, self.holds())
    }

    /// Waits until the stream takes bytes.
    pub fn writable(&self) -> Awaited<'_> {
        self.awaited(PollFlags::OUT, false)
    }

    /// Waits until the peer has said all that it will, or is gone.
    pub fn ended(&self) -> Awaited<'_> {
        self.awaited(PollFlags::RDHUP, false)
    }

    /// Waits until the connection is of no use in either direction.
    pub fn broken(&self) -> Awaited<'_> {
        self.awaited(PollFlags::empty(), false)
    }

    /// Waits for what the handshake needs.
    pub fn wanted(&self, want: Want) -> Awaited<'_> {
        match want {
            Want::Read => self.readable(),
            Want::Write => self.writable(),
        }
    }

    fn awaited(&self, flags: PollFlags, is_here: bool) -> Awaited<'_> {
        Awaited::new(self.stream.as_fd(), flags, is_here)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn a_peer_that_sends_without_end_is_left_in_between() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        peer.set_nonblocking(true).unwrap();
        while peer.write(&[0; 4096]).is_ok() {}
        let stream = Arc::new(stream);
        let channel = Channel::new(Arc::clone(&stream));
        assert!(!channel.discard());
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!((&*stream).read(&mut [0; 1]).is_ok_and(|read| read == 1));
        drop(peer);
        while !channel.discard() {}
    }
}
