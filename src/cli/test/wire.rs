//! A TCP connection, with or without TLS, on which each wait has a deadline and ends with Ctrl-C.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::client::ClientConnectionData;
use rustls::{ClientConnection, ConnectionCommon, HandshakeKind, Stream};
use socket2::{Domain, SockRef, Socket, Type};

use super::facts::Trouble;

/// Maximum number of bytes in a small packet, besides its headers: every link can carry it.
const SMALL: u32 = 500;

/// A wait looks for Ctrl-C this often.
const SLICE: Duration = Duration::from_millis(200);

/// Knows how long waits may last, and tells them that Ctrl-C was pressed.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    stop: Option<Arc<AtomicBool>>,
    /// How long a connection may take. Other waits may last a multiple of it.
    connecting: Duration,
    /// Whether new connections use small packets only.
    is_small: bool,
}

impl Clock {
    pub(super) const fn new(stop: Arc<AtomicBool>, connecting: Duration) -> Self {
        Self { stop: Some(stop), connecting, is_small: false }
    }

    /// Returns a clock for attempts like one that has got no answer already.
    pub(super) fn shorter(&self) -> Self {
        Self { connecting: self.connecting / 2, ..self.clone() }
    }

    /// Returns the same clock, with or without connections that use small packets only.
    pub(super) fn small(&self, is_small: bool) -> Self {
        Self { is_small, ..self.clone() }
    }

    pub(super) const fn is_small(&self) -> bool {
        self.is_small
    }

    /// Returns the same clock for what must be done even after Ctrl-C.
    pub(super) fn without_stop(&self) -> Self {
        Self { stop: None, ..*self }
    }

    /// How long a reply may take. Lookups of the client's name take some servers 10 seconds.
    pub(super) fn reply(&self) -> Duration {
        self.connecting * 4
    }

    /// How long a handshake may take, a transfer may make no progress, or the server may need to
    /// connect in active mode.
    pub(super) fn step(&self) -> Duration {
        self.connecting * 2
    }

    /// How long a lookup may take.
    pub(super) fn lookup(&self) -> Duration {
        self.connecting * 3
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Repeats an operation on a socket with a timeout of [`SLICE`] until it succeeds.
    fn wait<T>(
        &self,
        until: Instant,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Result<T, Trouble> {
        loop {
            if self.is_stopped() {
                return Err(Trouble::Interrupted);
            }
            match attempt() {
                Ok(done) => return Ok(done),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if is_wait(&why) && Instant::now() < until => {}
                Err(why) => return Err(trouble(&why)),
            }
        }
    }
}

/// A connection to the server.
pub(super) struct Wire {
    tcp: TcpStream,
    tls: Option<ClientConnection>,
    clock: Clock,
}

/// Connects to an address. Returns how long it took as well.
pub(super) fn connect(to: SocketAddr, clock: &Clock) -> Result<(TcpStream, Duration), Trouble> {
    if clock.is_stopped() {
        return Err(Trouble::Interrupted);
    }
    let began = Instant::now();
    let tcp = Socket::new(Domain::for_address(to), Type::STREAM, None).and_then(|socket| {
        if clock.is_small {
            socket.set_tcp_mss(SMALL)?;
        }
        socket.connect_timeout(&to.into(), clock.connecting).map(|()| TcpStream::from(socket))
    });
    let tcp = tcp.map_err(|why| trouble(&why))?;
    Ok((tcp, began.elapsed()))
}

/// Accepts one connection. Closing the listener is for the caller.
pub(super) fn accept(
    listener: &TcpListener,
    patience: Duration,
    clock: &Clock,
) -> Result<TcpStream, Trouble> {
    // the timeout of a socket is that of accept as well (socket(7))
    let set = SockRef::from(listener).set_read_timeout(Some(SLICE));
    set.map_err(|why| trouble(&why))?;
    let (tcp, _) = clock.wait(Instant::now() + patience, || listener.accept())?;
    Ok(tcp)
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, clock: &Clock) -> Result<Self, Trouble> {
        let set = tcp.set_read_timeout(Some(SLICE));
        let set = set.and_then(|()| tcp.set_write_timeout(Some(SLICE)));
        set.and_then(|()| tcp.set_nodelay(true)).map_err(|why| trouble(&why))?;
        Ok(Self { tcp, tls: None, clock: clock.clone() })
    }

    /// Returns the two ends of the connection: ours and the server's.
    pub(super) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.tcp.local_addr().ok().zip(self.tcp.peer_addr().ok())
    }

    /// From now on the signals have no effect: what is left to do must be done.
    pub(super) fn ignore_signals(&mut self) {
        self.clock = self.clock.without_stop();
    }

    /// Shakes hands.
    pub(super) fn start_tls(
        &mut self,
        mut tls: ClientConnection,
        patience: Duration,
    ) -> Result<(), Trouble> {
        let until = Instant::now() + patience;
        let mut tcp = &self.tcp;
        while tls.is_handshaking() {
            let done = self.clock.wait(until, || tls.complete_io(&mut tcp));
            // the end of the stream, in the midst of a handshake
            done.map_err(|why| if why == Trouble::Cut { Trouble::Closed } else { why })?;
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// Returns TLS's side of the connection.
    pub(super) fn tls(&self) -> Option<&ConnectionCommon<ClientConnectionData>> {
        self.tls.as_deref()
    }

    /// Returns whether the handshake has resumed a session; `None` without TLS.
    pub(super) fn is_resumed(&self) -> Option<bool> {
        Some(self.tls()?.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    /// Reads what has arrived, or waits for it. Returns 0 at the end.
    pub(super) fn read(
        &mut self,
        into: &mut [u8],
        patience: Duration,
    ) -> Result<usize, Trouble> {
        let mut tcp = &self.tcp;
        let tls = &mut self.tls;
        self.clock.wait(Instant::now() + patience, || match tls {
            None => tcp.read(into),
            Some(tls) => Stream::new(tls, &mut tcp).read(into),
        })
    }

    /// Writes a part of the bytes, and returns how many they were.
    pub(super) fn write(&mut self, bytes: &[u8], patience: Duration) -> Result<usize, Trouble> {
        let mut tcp = &self.tcp;
        let tls = &mut self.tls;
        self.clock.wait(Instant::now() + patience, || match tls {
            None => tcp.write(bytes),
            Some(tls) => Stream::new(tls, &mut tcp).write(bytes),
        })
    }

    /// Sends what TLS has not sent yet.
    pub(super) fn flush(&mut self, patience: Duration) -> Result<(), Trouble> {
        let mut tcp = &self.tcp;
        let Some(tls) = &mut self.tls else { return Ok(()) };
        self.clock.wait(Instant::now() + patience, || Stream::new(tls, &mut tcp).flush())
    }

    /// Says that nothing more will be written.
    pub(super) fn end(&mut self, patience: Duration) -> Result<(), Trouble> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        let flushed = self.flush(patience);
        // fails if the server has reset the connection, which the reply tells better
        let _ = self.tcp.shutdown(Shutdown::Write);
        flushed
    }
}

/// Returns whether a timeout has passed.
fn is_wait(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Classifies an error of the system.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are rare")]
fn trouble(why: &io::Error) -> Trouble {
    match why.kind() {
        ErrorKind::ConnectionRefused => Trouble::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Trouble::Silent,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable => Trouble::Unreachable(words(why)),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Trouble::Reset,
        ErrorKind::ConnectionAborted => Trouble::Closed,
        ErrorKind::UnexpectedEof => Trouble::Cut,
        ErrorKind::InvalidData => Trouble::Tls(why.to_string()),
        _ => Trouble::Other(words(why)),
    }
}

/// Returns the system's words for an error, without its number.
fn words(why: &io::Error) -> String {
    let text = why.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_lowercase())
}
