//! A TCP connection of a client, in clear text or under TLS, that chooses which bytes go into
//! one send. rustls writes to memory, and from there one segment may carry the end of a
//! handshake together with a command or a whole file, or one record, or one byte.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::{Domain, SockRef, Socket, Type};

use crate::random::Random;

/// Maximum time that a write of a client may take.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(15);

/// A connection, and the bytes that wait on either side.
pub struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Bytes that are not sent yet.
    ready: Vec<u8>,
    /// Bytes that have arrived and were not read yet.
    pub got: Vec<u8>,
    /// How the server has ended its side, if it has.
    pub end: Option<End>,
    /// Number of bytes that one read asks for.
    pub appetite: usize,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// FIN in clear text, `close_notify` under TLS.
    Clean,
    /// FIN without `close_notify`.
    Truncated,
    Reset,
}

/// How bytes are divided into sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Once,
    /// Each TLS record in a send of its own.
    Records,
    /// The first few hundred bytes one by one.
    Bytes,
    /// Two pieces, with a moment between them.
    Late,
}

impl Manner {
    /// Returns a random way, which is usually one send for all bytes.
    pub fn any(random: &mut Random) -> Self {
        match random.below(10) {
            0 => Self::Records,
            1 => Self::Bytes,
            2 => Self::Late,
            _ => Self::Once,
        }
    }
}

/// Connects from an address of this machine.
pub fn connect(own: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(own, 0).into())?;
    socket.connect_timeout(&to.into(), WRITE_PATIENCE)?;
    Ok(socket.into())
}

impl Wire {
    /// Returns a connection in clear text over a stream that is connected already.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        let (ready, got) = (Vec::new(), Vec::new());
        Ok(Self { stream, tls: None, ready, got, end: None, appetite: 64 << 10 })
    }

    /// Returns the client's own address.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Whether TLS has begun.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the handshake resumed a session.
    pub fn is_resumed(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Begins TLS, and queues the bytes that must be sent first.
    pub fn begin_tls(&mut self, config: &Arc<ClientConfig>) -> io::Result<()> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut tls = Box::new(tls);
        tls.set_buffer_limit(None);
        self.tls = Some(tls);
        self.encrypt()
    }

    /// Completes the handshake. The client's last bytes stay queued, to be sent with the bytes
    /// that follow.
    pub fn shake(&mut self, random: &mut Random, until: Instant) -> io::Result<()> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            let manner = Manner::any(random);
            self.push(manner, random)?;
            if !self.read_some(until)? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Queues bytes to be sent.
    pub fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.ready.extend_from_slice(bytes),
            Some(tls) => tls.writer().write_all(bytes)?,
        }
        self.encrypt()
    }

    /// Queues `close_notify` if TLS has begun.
    pub fn queue_end(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.encrypt()
    }

    fn encrypt(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.ready)?;
            }
        }
        Ok(())
    }

    /// Sends the queued bytes.
    pub fn push(&mut self, manner: Manner, random: &mut Random) -> io::Result<()> {
        let ready = std::mem::take(&mut self.ready);
        let mut rest = &ready[..];
        match manner {
            Manner::Once => {}
            Manner::Records if self.tls.is_some() => {
                while let [_, _, _, high, low, ..] = rest {
                    let record = 5 + usize::from(u16::from_be_bytes([*high, *low]));
                    let (now, later) = rest.split_at(record.min(rest.len()));
                    self.stream.write_all(now)?;
                    rest = later;
                }
            }
            Manner::Records | Manner::Bytes => {
                let (first, later) = rest.split_at(rest.len().min(300));
                for byte in first.chunks(1) {
                    self.stream.write_all(byte)?;
                }
                rest = later;
            }
            Manner::Late => {
                if rest.len() > 1 {
                    let (now, later) = rest.split_at(random.index(rest.len()));
                    self.stream.write_all(now)?;
                    rest = later;
                }
                thread::sleep(Duration::from_millis(random.between(1, 40)));
            }
        }
        self.stream.write_all(rest)
    }

    /// Waits for more bytes. Returns `false` if the server has ended its side.
    pub fn read_some(&mut self, until: Instant) -> io::Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        let left = until.saturating_duration_since(Instant::now());
        if !wait(&self.stream, PollFlags::IN, left) {
            return Err(ErrorKind::TimedOut.into());
        }
        let mut chunk = vec![0; self.appetite];
        let read = match self.stream.read(&mut chunk) {
            Ok(read) => read,
            Err(why) if why.kind() == ErrorKind::ConnectionReset => {
                self.end = Some(End::Reset);
                return Ok(false);
            }
            Err(why) => return Err(why),
        };
        let Some(tls) = &mut self.tls else {
            self.got.extend_from_slice(&chunk[..read]);
            if read == 0 {
                self.end = Some(End::Clean);
            }
            return Ok(read > 0);
        };
        if read == 0 {
            self.end = Some(End::Truncated);
            return Ok(false);
        }
        let mut rest = &chunk[..read];
        while !rest.is_empty() && self.end.is_none() {
            tls.read_tls(&mut rest)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            match tls.reader().read_to_end(&mut self.got) {
                Ok(_) => self.end = Some(End::Clean),
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => return Err(why),
            }
        }
        self.encrypt()?;
        Ok(true)
    }

    /// Reads to the end.
    pub fn read_all(&mut self, until: Instant) -> io::Result<End> {
        while self.read_some(until)? {}
        self.end.ok_or_else(|| ErrorKind::Other.into())
    }

    /// Ends the client's side of the TCP stream.
    pub fn shut(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset. It is sent at once, even if a program that an operator is
    /// starting has a copy of the descriptor.
    pub fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        let _ = rustix::net::connect_unspec(&self.stream);
    }
}

/// Waits until a stream is ready, and returns whether it is.
pub fn wait(stream: &impl std::os::fd::AsFd, flags: PollFlags, time: Duration) -> bool {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        let mut fds = [PollFd::new(stream, flags)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(_) => {}
        }
    }
}
