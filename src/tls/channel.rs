//! A TCP stream that carries TLS or clear text, for control and data connections. Its file
//! descriptor is private: to wait for the connection, use an [`Awaited`], which takes into account
//! what the TLS layer has buffered.

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

/// A connection, with or without TLS.
#[derive(Debug)]
pub struct Channel {
    stream: Arc<TcpStream>,
    tls: Option<Box<Layer>>,
}

/// First byte of every TLS connection: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

impl Channel {
    /// Makes a connection in clear text.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, tls: None }
    }

    /// Returns whether TLS has begun.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns the stream that carries clear text or TLS, to change its options.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns the stream if it carries clear text.
    pub fn clear(&self) -> Option<&TcpStream> {
        self.tls.is_none().then_some(&*self.stream)
    }

    /// Begins TLS on a control connection; [`Channel::shake`] continues the handshake.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn begin_control(&mut self, tls: &SessionTls) -> Result<(), TlsError> {
        self.tls = Some(Layer::control(tls)?);
        Ok(())
    }

    /// Begins TLS on a data connection; [`Channel::shake`] continues the handshake.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn begin_data(&mut self, tls: &SessionTls) -> Result<(), TlsError> {
        self.tls = Some(Layer::data(tls)?);
        Ok(())
    }

    /// Continues the handshake as far as the stream allows. Returns `None` when the handshake is done,
    /// or the connection has no TLS.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    pub fn shake(&mut self) -> Result<Option<Want>, TlsError> {
        self.tls.as_mut().map_or(Ok(None), |layer| layer.shake(&self.stream))
    }

    /// Returns the TLS layer, which knows the state of the session and its peer.
    pub fn layer(&self) -> Option<&Layer> {
        self.tls.as_deref()
    }

    /// Returns whether the peer has sent the first byte of a TLS handshake, without reading it from
    /// the stream; `None` as long as the peer has sent nothing.
    pub fn begins_with_tls(&self) -> Option<bool> {
        let mut first = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(&*self.stream, &mut first, flags) {
            Ok((1.., _)) => Some(first == [HANDSHAKE]),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Ok(_) | Err(_) => Some(false),
        }
    }

    /// Appends the bytes that have arrived to `out`, beginning with those that the TLS layer has
    /// buffered.
    ///
    /// # Errors
    ///
    /// When the stream fails, or a TLS record is invalid.
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

    /// Returns whether a read would return something even if nothing arrived on the stream.
    pub fn holds(&self) -> bool {
        self.tls.as_ref().is_some_and(|layer| layer.holds())
    }

    /// Sends bytes and returns how many were accepted; 0 if the stream has no room. With TLS, all
    /// bytes are accepted, and [`Channel::flush`] sends them.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub fn send(&mut self, bytes: &[u8], flags: SendFlags) -> io::Result<usize> {
        match &mut self.tls {
            None => match send(&*self.stream, bytes, SendFlags::NOSIGNAL | flags) {
                Err(Errno::AGAIN | Errno::INTR) => Ok(0),
                other => Ok(other?),
            },
            Some(layer) => layer.queue(bytes).map(|()| bytes.len()),
        }
    }

    /// Sends what is queued. Returns whether all of it has been written to the stream.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |layer| layer.flush(&self.stream))
    }

    /// Queues the closing message of TLS (`close_notify`) for the next [`Channel::flush`].
    pub fn close(&mut self) {
        if let Some(layer) = &mut self.tls {
            layer.close();
        }
    }

    /// Shuts the stream down, in one direction or both.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    /// Returns the connection in clear text, after TLS has been closed.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { stream: self.stream, tls: None }
    }

    /// Reads and discards what the peer still sends, up to a limit. Returns whether the peer has
    /// closed its side.
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

    /// Returns an [`Awaited`] that is ready when there is something to read: bytes or the end of
    /// the stream.
    pub fn readable(&self) -> Awaited<'_> {
        self.awaited(PollFlags::IN, self.holds())
    }

    /// Returns an [`Awaited`] that is ready when the stream has room for bytes.
    pub fn writable(&self) -> Awaited<'_> {
        self.awaited(PollFlags::OUT, false)
    }

    /// Returns an [`Awaited`] that is ready when the peer has closed its side, or the connection is
    /// broken.
    pub fn ended(&self) -> Awaited<'_> {
        self.awaited(PollFlags::RDHUP, false)
    }

    /// Returns an [`Awaited`] that is ready when the connection is closed in both directions.
    pub fn broken(&self) -> Awaited<'_> {
        self.awaited(PollFlags::empty(), false)
    }

    /// Returns an [`Awaited`] that is ready when the handshake can continue.
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
    #[expect(clippy::disallowed_methods, reason = "the test opens its own sockets")]
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
