//! Connections to other servers, with a deadline and with or without TLS. Rooms that speak a protocol
//! with another server do so over them.

mod timed;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
};

use crate::rights;
use crate::tls::Trust;
use timed::{LOOK, Timed};

pub use timed::Patience;

/// Another server.
#[derive(Debug)]
pub struct Peer {
    place: Place,
    /// The authorities that its certificate must come from; `None`: without TLS.
    trust: Option<Trust>,
}

/// Where a server listens.
#[derive(Debug)]
enum Place {
    /// On a port of this name or address.
    Remote(String, u16),
    /// On this socket of the same machine.
    Local(PathBuf),
}

/// A connection to another server.
pub struct Stream<'a> {
    socket: Arc<TcpStream>,
    bytes: Box<dyn Both + 'a>,
}

/// Both directions of a connection.
trait Both: Read + Write {}

impl<T: Read + Write> Both for T {}

/// Maximum time for one of several addresses to accept the connection.
const CONNECT: Duration = Duration::from_secs(3);

impl Peer {
    /// Returns the server at a name or address and a port. With TLS, it must have a certificate of the
    /// authorities in `ca_file`, or else of those of the system.
    ///
    /// # Errors
    ///
    /// When there are no such authorities; the text is for the administrator.
    pub fn new(
        (host, port): (&str, u16),
        tls: bool,
        ca_file: Option<&Path>,
    ) -> Result<Self, String> {
        let trust = tls.then(|| Trust::read(ca_file)).transpose();
        let trust = trust.map_err(|why| why.to_string())?;
        Ok(Self { place: Place::Remote(host.to_owned(), port), trust })
    }

    /// Returns the server that listens on a socket of the same machine.
    pub fn local(path: &Path) -> Self {
        Self { place: Place::Local(path.to_owned()), trust: None }
    }

    /// Connects to the first address that accepts. With TLS, the handshake takes place with the first
    /// bytes.
    ///
    /// # Errors
    ///
    /// When no address accepts in time.
    pub fn connect<'a>(&self, patience: &'a Patience<'a>) -> io::Result<Stream<'a>> {
        let socket = Arc::new(self.reach(patience)?);
        let stream = Timed { stream: Arc::clone(&socket), patience };
        let bytes: Box<dyn Both + 'a> = match (&self.trust, &self.place) {
            (None, _) | (_, Place::Local(_)) => Box::new(stream),
            (Some(trust), Place::Remote(host, _)) => {
                let stream = trust.over(host, stream);
                Box::new(stream.map_err(|why| io::Error::other(why.to_string()))?)
            }
        };
        Ok(Stream { socket, bytes })
    }

    #[expect(clippy::disallowed_methods, reason = "no data connection")]
    fn reach(&self, patience: &Patience<'_>) -> io::Result<TcpStream> {
        let (host, port) = match &self.place {
            Place::Remote(host, port) => (host, *port),
            Place::Local(path) => return reach_local(path, patience),
        };
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses(host, port, patience.until())? {
            let Some(left) = patience.left() else { return Err(ErrorKind::TimedOut.into()) };
            match TcpStream::connect_timeout(&address, left.min(CONNECT)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }
}

/// Connects to a socket of this machine. The connection waits while the server's queue is full.
fn reach_local(path: &Path, patience: &Patience<'_>) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    loop {
        let Some(left) = patience.left() else { return Err(ErrorKind::TimedOut.into()) };
        set_socket_timeout(&socket, Timeout::Send, Some(left.min(LOOK)))?;
        match connect(&socket, &address) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => break done?,
        }
    }
    // what follows are reads and writes with a time limit, which do not depend on the family of the socket
    Ok(socket.into())
}

/// Returns the addresses of a server. A name is looked up by the thread for lookups if there is one,
/// because the sandbox does not let other threads read the files for this.
fn addresses(host: &str, port: u16, until: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let host = host.to_owned();
    let look_up = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
    let found = rights::look_up_until(look_up, until);
    found.unwrap_or_else(|| Err(io::Error::other("the name was not looked up in time")))
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes.flush()
    }
}

impl AsFd for Stream<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
