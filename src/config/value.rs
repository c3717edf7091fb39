//! Types of values that several modules use.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::hash::Hash;

/// The password of a user, in clear text or as a hash. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The password in clear text.
    Clear(String),
    /// A hash of the password.
    Hash(Hash),
    /// The settings do not have the user, and `auth_program` checks the password.
    Elsewhere,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A range of ports, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// Returns the number of ports in the range.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Returns whether a port is in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// An address or host name with a port, to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address, without the brackets of IPv6, or the host name.
    pub host: String,
    /// The port; 0 lets the system choose one.
    pub port: u16,
}

/// The value of `overwrite`: what an upload or a rename does to a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It replaces the file.
    Yes,
    /// It is refused.
    No,
    /// It gets another name.
    Rename,
}

/// How `auth_program` is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthProtocol {
    /// A JSON object on its standard input, and another one as its answer.
    Json,
    /// The variables and answers of the scripts of Pure-FTPd.
    Extauth,
}

/// A virus scanner that speaks the protocol of clamd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanner {
    /// A scanner that listens on this socket of the same machine.
    Local(PathBuf),
    /// A scanner that listens on this port of a host: a name, or an address without the brackets
    /// of IPv6.
    Remote(String, u16),
}

/// The scanner as a value of `scan`.
impl fmt::Display for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "clamd:{}", path.display()),
            Self::Remote(host, port) if host.contains(':') => {
                write!(f, "clamd:[{host}]:{port}")
            }
            Self::Remote(host, port) => write!(f, "clamd:{host}:{port}"),
        }
    }
}

/// The address of something that is asked over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS protects the connection (https).
    pub tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and the query.
    pub target: String,
}

impl Url {
    /// Returns the host as a request names it, with the port unless it is the usual one.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port, if self.tls { 443 } else { 80 })
    }

    /// Whether the URL has a query, which may be a secret.
    pub(super) fn has_query(&self) -> bool {
        self.target.contains('?')
    }
}

/// Returns a host with its port, unless that is the usual one.
fn authority(host: &str, port: u16, usual: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == usual { host } else { format!("{host}:{port}") }
}

/// The URL as it may be shown: a query may be a secret.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let (path, query) =
            self.target.split_once('?').map_or((&*self.target, ""), |(path, _)| (path, "?***"));
        write!(f, "{scheme}://{}{path}{query}", self.authority())
    }
}

/// Where events are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsTo {
    /// By POST to a URL.
    Http(Url),
    /// To an MQTT broker.
    Mqtt(Broker),
}

/// An MQTT broker, and the topic below which events are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Whether TLS protects the connection (mqtts).
    pub tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The first levels of all topics.
    pub topic: String,
    /// The name that the broker is told, with the password if there is one.
    pub user: Option<(String, Option<Secret>)>,
}

impl fmt::Display for EventsTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => url.fmt(f),
            Self::Mqtt(Broker { tls, host, port, topic, .. }) => {
                let scheme = if *tls { "mqtts" } else { "mqtt" };
                write!(f, "{scheme}://{}/{topic}", authority(host, *port, mqtt_port(*tls)))
            }
        }
    }
}

/// Returns the port of MQTT brokers.
pub(super) fn mqtt_port(tls: bool) -> u16 {
    if tls { 8883 } else { 1883 }
}

/// A text that must not be shown. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How much of the events that have not been sent yet is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsKept {
    /// Maximum number of bytes.
    pub bytes: u64,
    /// Maximum age.
    pub age: Duration,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// Lines of text, for people.
    Text,
    /// A JSON object per line, for programs.
    Json,
}

/// Where the log is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// A file.
    File(PathBuf),
    /// The system log, through this socket or the usual one.
    Syslog(Option<PathBuf>),
}

/// One entry of the lists `masquerade_except` and `ban_exempt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// The word `local`: loopback, private and link-local addresses.
    Local,
    /// An address or a prefix.
    Prefix(IpNet),
}

impl Peers {
    /// Returns whether `address` belongs to these clients.
    pub fn contain(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Prefix(prefix), _) => prefix.contains(&address),
            (Self::Local, IpAddr::V4(v4)) => {
                v4.is_loopback() || v4.is_private() || v4.is_link_local()
            }
            (Self::Local, IpAddr::V6(v6)) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        }
    }
}

/// Free space that a file system must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// This part of the file system, in hundredths.
    Percent(u64),
    /// This number of bytes.
    Bytes(u64),
}

impl Room {
    /// Returns the number of bytes, on a file system of this size in bytes.
    pub fn bytes(self, size: u64) -> u64 {
        match self {
            Self::Percent(percent) => size / 100 * percent,
            Self::Bytes(bytes) => bytes,
        }
    }
}
