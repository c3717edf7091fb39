//! What monitoring reads and people look at: HTTP on `metrics_listen`, from one thread that waits
//! for nobody. It answers GET and HEAD of a few paths, closes after each answer, and changes
//! nothing.
//!
//! Whoever reaches it sees users, addresses and paths, so it listens on loopback unless an
//! address is named. A page of somebody else's in a browser on this machine reaches it too: such
//! a page cannot read it under its own name, because names that are not ours are refused.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use serde_json::{Value, json};

use super::{Hub, admin, stats};
use crate::config::Listen;
use crate::log::{Told, stamp};
use crate::rights;

mod page;
mod rates;

use rates::Rates;

/// A request is shorter than this.
const LONGEST: usize = 8 << 10;

/// A connection is over after this long, whatever has become of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections at once; others wait to be accepted.
const MOST: usize = 32;

/// From one look at the rates to the next.
const SECOND: Duration = Duration::from_secs(1);

/// Where it listens. A server that cannot have an address serves all the same, the log says why, and
/// it is tried again each second: another server may still have it.
pub(super) struct Doors {
    at: Listen,
    listeners: Vec<TcpListener>,
    /// Addresses that could not be had; `None`: not even the name.
    missing: Option<Vec<SocketAddr>>,
    /// When what is missing is tried again.
    next: Instant,
    /// What the log was told of it.
    told: Vec<String>,
}

impl Doors {
    /// Binds.
    pub(super) fn open(at: &Listen) -> Self {
        let (listeners, next, told) = (Vec::new(), Instant::now(), Vec::new());
        let mut doors = Self { at: at.clone(), listeners, missing: None, next, told };
        doors.try_again(next);
        doors
    }

    fn try_again(&mut self, now: Instant) {
        if now < self.next || self.missing.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        self.next = now + SECOND;
        let name = format!("{}:{}", self.at.host, self.at.port);
        let addresses = match self.missing.take() {
            Some(missing) => missing,
            None => match look_up(&self.at) {
                Ok(addresses) => addresses,
                Err(why) => return self.complain(format!("no metrics at {name}: {why}")),
            },
        };
        let mut missing = Vec::new();
        for address in addresses {
            match bind(address) {
                Ok(listener) => {
                    announce(&listener);
                    self.listeners.push(listener);
                }
                Err(why) => {
                    missing.push(address);
                    self.complain(format!("no metrics at {address}: {why}"));
                }
            }
        }
        self.missing = Some(missing);
    }

    /// Says it once.
    fn complain(&mut self, text: String) {
        if !self.told.contains(&text) {
            log::warn!("{text}");
            self.told.push(text);
        }
    }
}

fn look_up(at: &Listen) -> io::Result<Vec<SocketAddr>> {
    let own = at.clone();
    let found = rights::look_up(move || {
        let found = (own.host.as_str(), own.port).to_socket_addrs();
        found.map(Iterator::collect)
    });
    found.unwrap_or_else(|| Err(io::Error::other("nobody looks the name up")))
}

fn announce(listener: &TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    log::info!("metrics: http://{address}/");
    if !address.ip().to_canonical().is_loopback() {
        log::warn!("whoever reaches http://{address}/ sees users, addresses and paths");
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = super::listen(address, &[])?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until the process ends.
pub(super) fn serve(doors: &mut Doors, hub: &Arc<Hub>) {
    let name = doors.at.host.clone();
    let mut talks: Vec<Talk> = Vec::new();
    let mut rates = Rates::new(Instant::now());
    loop {
        let now = Instant::now();
        rates.look(&hub.shared.counters, now);
        if !hub.shared.stop.is_soon() {
            doors.try_again(now);
        }
        let listeners = &doors.listeners;
        talks.retain(|talk| talk.until > now);
        let ready = wait(listeners, &talks, rates.next());
        for (talk, ready) in talks.iter_mut().zip(&ready) {
            if *ready {
                talk.go_on(|request| answer(request, &name, hub, &rates));
            }
        }
        talks.retain(|talk| talk.state != State::Over);
        for listener in listeners {
            while talks.len() < MOST {
                match listener.accept() {
                    Ok((stream, _)) => talks.extend(Talk::begin(stream)),
                    Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                    // no file descriptor left, perhaps: the client is still there the next time
                    Err(_) => {
                        thread::sleep(super::BREATH);
                        break;
                    }
                }
            }
        }
    }
}

/// Which of the connections are ready. Returns when a client comes, too, or at that time.
#[expect(clippy::disallowed_methods, reason = "there is no TLS")]
fn wait(listeners: &[TcpListener], talks: &[Talk], until: Instant) -> Vec<bool> {
    let left = until.saturating_duration_since(Instant::now());
    let flags = |talk: &Talk| match talk.state {
        State::Says => PollFlags::OUT,
        State::Hears | State::Parts | State::Over => PollFlags::IN,
    };
    let waits =
        talks.iter().map(|talk| PollFd::from_borrowed_fd(talk.stream.as_fd(), flags(talk)));
    let doors = listeners.iter().filter(|_| talks.len() < MOST);
    let doors = doors.map(|door| PollFd::from_borrowed_fd(door.as_fd(), PollFlags::IN));
    let mut fds: Vec<_> = waits.chain(doors).collect();
    let timeout = Timespec::try_from(left).ok();
    if poll(&mut fds, timeout.as_ref()).is_err() {
        return Vec::new();
    }
    fds.iter().take(talks.len()).map(|fd| !fd.revents().is_empty()).collect()
}

/// One client.
struct Talk {
    stream: TcpStream,
    state: State,
    until: Instant,
    heard: Vec<u8>,
    /// What is still to be said.
    says: Vec<u8>,
    said: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Hears,
    Says,
    /// All is said; a close with unread bytes would take it back.
    Parts,
    Over,
}

impl Talk {
    fn begin(stream: TcpStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        let until = Instant::now() + PATIENCE;
        let (heard, says) = (Vec::new(), Vec::new());
        Some(Self { stream, state: State::Hears, until, heard, says, said: 0 })
    }

    fn go_on(&mut self, answer: impl FnOnce(&[u8]) -> Vec<u8>) {
        match self.state {
            State::Hears => match self.hear() {
                Ok(false) => {}
                Ok(true) => {
                    self.says = answer(&self.heard);
                    self.state = State::Says;
                    self.say();
                }
                Err(()) => self.state = State::Over,
            },
            State::Says => self.say(),
            State::Parts => {
                self.heard.clear();
                if self.read().is_err() {
                    self.state = State::Over;
                }
            }
            State::Over => {}
        }
    }

    /// Whether the request is there, or too long already.
    fn hear(&mut self) -> Result<bool, ()> {
        self.read()?;
        let ended = self.heard.windows(4).any(|bytes| bytes == b"\r\n\r\n");
        Ok(ended || self.heard.len() >= LONGEST)
    }

    fn read(&mut self) -> Result<(), ()> {
        self.heard.reserve(1024);
        match recv(&self.stream, spare_capacity(&mut self.heard), RecvFlags::DONTWAIT) {
            Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Ok((0, _)) | Err(_) => Err(()),
        }
    }

    fn say(&mut self) {
        while let Some(rest) = self.says.get(self.said..).filter(|rest| !rest.is_empty()) {
            match send(&self.stream, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => self.said += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.state = State::Over;
                    return;
                }
            }
        }
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self.state = State::Parts;
    }
}

/// What a request asks for.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
}

/// Status lines of what is not 200.
const MALFORMED: &str = "400 Bad Request";
const FORBIDDEN: &str = "403 Forbidden";
const NOT_FOUND: &str = "404 Not Found";
const NOT_ALLOWED: &str = "405 Method Not Allowed";
const TOO_LONG: &str = "431 Request Header Fields Too Large";
const VERSION: &str = "505 HTTP Version Not Supported";

fn answer(bytes: &[u8], name: &str, hub: &Arc<Hub>, rates: &Rates) -> Vec<u8> {
    let request = match parse(bytes) {
        Ok(request) => request,
        Err(status) => {
            return refusal(status, "This is a request that is not answered.\n", "", false);
        }
    };
    let head_alone = request.method == "HEAD";
    if !is_ours(request.host, name) {
        let text = "Come by an address, by localhost or by the name in metrics_listen.\n";
        return refusal(FORBIDDEN, text, "", head_alone);
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let (kind, body) = match path {
        _ if !matches!(request.method, "GET" | "HEAD") && PATHS.contains(&path) => {
            return refusal(NOT_ALLOWED, "Only GET and HEAD.\n", "Allow: GET, HEAD\r\n", false);
        }
        "/" => ("text/html; charset=utf-8", page::PAGE.to_owned()),
        "/status.json" => ("application/json", status(hub, rates)),
        "/metrics" => {
            let metrics = stats::metrics(hub, &hub.registry.sights());
            ("text/plain; version=0.0.4; charset=utf-8", stats::prometheus(&metrics))
        }
        _ => {
            let text = "There are /, /metrics and /status.json.\n";
            return refusal(NOT_FOUND, text, "", head_alone);
        }
    };
    respond("200 OK", kind, &body, "", head_alone)
}

/// All that there is.
const PATHS: [&str; 3] = ["/", "/status.json", "/metrics"];

fn parse(bytes: &[u8]) -> Result<Request<'_>, &'static str> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(TOO_LONG)?;
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let mut lines = head.ok_or(MALFORMED)?.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path, version, None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(MALFORMED);
    };
    let (method, path) = (method.unwrap_or_default(), path.unwrap_or_default());
    let is_method = |byte: u8| byte.is_ascii_uppercase();
    if method.is_empty() || !method.bytes().all(is_method) || !path.starts_with('/') {
        return Err(MALFORMED);
    }
    match version {
        Some("HTTP/1.1" | "HTTP/1.0") => {}
        Some(other) if other.starts_with("HTTP/") => return Err(VERSION),
        Some(_) | None => return Err(MALFORMED),
    }
    let mut host = None;
    for line in lines {
        let (key, value) = line.split_once(':').ok_or(MALFORMED)?;
        if key.eq_ignore_ascii_case("host") && host.replace(value.trim()).is_some() {
            return Err(MALFORMED);
        }
    }
    Ok(Request { method, path, host: host.ok_or(MALFORMED)? })
}

/// Takes a request apart into method, path and host, or returns the status line of the refusal.
/// This is the metrics port as the fuzz targets see it.
#[doc(hidden)]
pub fn parse_request(bytes: &[u8]) -> Result<[&str; 3], &'static str> {
    parse(bytes).map(|request| [request.method, request.path, request.host])
}

/// Whether a client came by an address or by a name of ours. Another name that leads here is
/// somebody's who wants his page to read ours (DNS rebinding).
fn is_ours(host: &str, name: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[') {
        let inside = v6.split_once(']').filter(|(_, port)| is_port(port));
        return inside.is_some_and(|(v6, _)| v6.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let at = host.find(':').unwrap_or(host.len());
    let (host, port) = host.split_at_checked(at).unwrap_or_default();
    let known = host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || host.eq_ignore_ascii_case(name);
    known && is_port(port)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':');
    text.is_empty() || digits.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn refusal(status: &str, text: &str, more: &str, head_alone: bool) -> Vec<u8> {
    respond(status, "text/plain; charset=utf-8", text, more, head_alone)
}

fn respond(status: &str, kind: &str, body: &str, more: &str, head_alone: bool) -> Vec<u8> {
    let policy = page::policy();
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\nContent-Security-Policy: {policy}\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n{more}\r\n",
        body.len(),
    );
    if !head_alone {
        text.push_str(body);
    }
    text.into_bytes()
}

/// Bans that the page lists.
const MOST_BANS: usize = 50;

fn event(told: &Told) -> Value {
    let at = told.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "at": at,
        "address": told.address.to_string(),
        "user": told.user,
        "kind": told.kind,
        "text": told.text,
    })
}

/// What the page shows, for its script.
fn status(hub: &Hub, rates: &Rates) -> String {
    let sights = hub.registry.sights();
    let settings = hub.shared.settings();
    let since = hub.shared.counters.since;
    let (taken, ports) = settings.passive_ports();
    crate::log::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "since": stamp(since.date()),
        "seconds": since.age().as_secs(),
        "max_cons": settings.config.server.max_cons,
        "bans": hub.bans.active(Instant::now()),
        "banned": admin::bans(hub).into_iter().take(MOST_BANS).collect::<Vec<_>>(),
        "events": hub.shared.recent.list().iter().map(event).collect::<Vec<_>>(),
        "ports": { "taken": taken, "all": ports },
        "sessions": sights.iter().map(admin::session).collect::<Vec<_>>(),
        "rates": { "in": rates.incoming(), "out": rates.outgoing() },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_ours_are_refused() {
        for ours in [
            "127.0.0.1",
            "127.0.0.1:9121",
            "[::1]",
            "[::1]:9121",
            "localhost",
            "LocalHost:80",
            "192.0.2.1",
            "ftp.example.org:9121",
            "FTP.example.org",
        ] {
            assert!(is_ours(ours, "ftp.example.org"), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1].x",
            "[evil]",
            "localhost:x",
            "127.0.0.1@evil.example",
            "::1",
        ] {
            assert!(!is_ours(other, "ftp.example.org"), "{other}");
        }
    }

    #[test]
    fn requests_are_taken_apart_strictly() {
        let status = |text: &str| parse(text.as_bytes()).map(|request| request.path).err();
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), None);
        assert_eq!(status("GET / HTTP/1.0\r\nhost:x\r\nA: b\r\n\r\nbody"), None);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: x"), Some(TOO_LONG));
        assert_eq!(status("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), Some(VERSION));
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "get / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\r\nHost: x\r\n\r\n",
            "GET / FTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(status(bad), Some(MALFORMED), "{bad:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n").err(), Some(MALFORMED));
    }
}
