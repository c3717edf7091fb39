//! Sends requests to one URL.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Instant;

use super::response::Response;
use crate::config::Url;
use crate::dial::{Patience, Peer, Stream};

/// Sends requests to one URL.
#[derive(Debug)]
pub struct Client {
    url: Url,
    peer: Peer,
}

impl Client {
    /// Returns a client for a URL. With TLS, the server must have a certificate of the authorities in
    /// `ca_file`, or else of those of the system.
    ///
    /// # Errors
    ///
    /// When there are no such authorities; the text is for the administrator.
    pub fn new(url: &Url, ca_file: Option<&Path>) -> Result<Self, String> {
        let peer = Peer::new((&url.host, url.port), url.tls, ca_file)?;
        Ok(Self { url: url.clone(), peer })
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
        let patience = Patience::new(until, is_over);
        let request = self.request(json, &[]);
        exchange(self.peer.connect(&patience)?, &request, |stream| {
            Response::read(stream, longest)
        })
    }

    /// Sends a JSON text by POST, with these fields in the head, and returns the status. The body of the
    /// response does not matter.
    ///
    /// # Errors
    ///
    /// As for [`Client::post`].
    pub fn tell(
        &self,
        (json, fields): (&[u8], &[(&str, &str)]),
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> io::Result<u16> {
        let patience = Patience::new(until, is_over);
        let request = self.request(json, fields);
        exchange(self.peer.connect(&patience)?, &request, |stream| {
            Response::read_status(stream)
        })
    }

    fn request(&self, json: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
        let (authority, target) = (self.url.authority(), &self.url.target);
        let length = json.len();
        let mut head = format!(
            "POST {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: ftpd/{}\r\n\
             Content-Type: application/json\r\nAccept: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n",
            env!("CARGO_PKG_VERSION"),
        );
        for (name, value) in fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        [head.as_bytes(), b"\r\n", json].concat()
    }
}

/// Sends a request and reads the response by `read`.
fn exchange<T>(
    mut stream: Stream<'_>,
    request: &[u8],
    read: impl FnOnce(Stream<'_>) -> io::Result<T>,
) -> io::Result<T> {
    // a server may answer and close before it has read all
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    read(stream).map_err(|why| match sent {
        Err(sent) if why.kind() != ErrorKind::TimedOut => sent,
        Ok(()) if why.kind() == ErrorKind::UnexpectedEof => {
            io::Error::new(why.kind(), "the response is cut off")
        }
        Ok(()) | Err(_) => why,
    })
}
