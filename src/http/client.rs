//! Sends requests to one URL.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use super::response::Response;
use super::timed::Timed;
use crate::config::Url;
use crate::rights;
use crate::tls::Trust;

/// Sends requests to one URL.
#[derive(Debug)]
pub struct Client {
    url: Url,
    /// The authorities that the server's certificate must come from; `None`: without TLS.
    trust: Option<Trust>,
}

/// Maximum time for one of several addresses to accept the connection.
const CONNECT: Duration = Duration::from_secs(3);

impl Client {
    /// Returns a client for a URL. With TLS, the server must have a certificate of the authorities in
    /// `ca_file`, or else of those of the system.
    ///
    /// # Errors
    ///
    /// When there are no such authorities; the text is for the administrator.
    pub fn new(url: &Url, ca_file: Option<&Path>) -> Result<Self, String> {
        let trust = url.tls.then(|| Trust::read(ca_file)).transpose();
        let trust = trust.map_err(|why| why.to_string())?;
        Ok(Self { url: url.clone(), trust })
    }

    /// Sends a JSON text by POST and returns the response, whose body has at most `longest` bytes.
    ///
    /// # Errors
    ///
    /// When there is no whole response at the time `until`, or `is_over` says that it is not wanted any
    /// more.
    pub fn post(
        &self,
        json: &[u8],
        longest: usize,
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> io::Result<Response> {
        let Url { host, target, .. } = &self.url;
        let authority = self.url.authority();
        let length = json.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: ftpd/{}\r\n\
             Content-Type: application/json\r\nAccept: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION"),
        );
        let request = [head.as_bytes(), json].concat();
        let stream = Timed { stream: self.connect(until)?, until, is_over };
        match &self.trust {
            None => exchange(stream, &request, longest),
            Some(trust) => {
                let stream = trust.over(host, stream);
                let stream = stream.map_err(|why| io::Error::other(why.to_string()))?;
                exchange(stream, &request, longest)
            }
        }
    }

    /// Connects to the first address that accepts.
    #[expect(clippy::disallowed_methods, reason = "no data connection")]
    fn connect(&self, until: Instant) -> io::Result<TcpStream> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.addresses(until)? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
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

    /// Returns the addresses of the server. A name is looked up by the thread for lookups if there is one,
    /// because the sandbox does not let other threads read the files for this.
    fn addresses(&self, until: Instant) -> io::Result<Vec<SocketAddr>> {
        let Url { host, port, .. } = &self.url;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, *port).into()]);
        }
        let own = (host.clone(), *port);
        let look_up = move || (own.0.as_str(), own.1).to_socket_addrs().map(Iterator::collect);
        let found = rights::look_up_until(look_up, until);
        found.unwrap_or_else(|| Err(io::Error::other("the name was not looked up in time")))
    }
}

/// Sends a request and reads the response.
fn exchange(
    mut stream: impl Read + Write,
    request: &[u8],
    longest: usize,
) -> io::Result<Response> {
    // a server may answer and close before it has read all
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    Response::read(stream, longest).map_err(|why| match sent {
        Err(sent) if why.kind() != ErrorKind::TimedOut => sent,
        Ok(()) if why.kind() == ErrorKind::UnexpectedEof => {
            io::Error::new(why.kind(), "the response is cut off")
        }
        Ok(()) | Err(_) => why,
    })
}
