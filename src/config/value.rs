//! Types of values that several rooms use.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::hash::Hash;

/// What a user's password is compared with. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The password itself.
    Clear(String),
    /// What was made of it.
    Hash(Hash),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// How many ports that are.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Whether a port lies inside.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// An address or name with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Without the brackets of IPv6.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
}

/// How the lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// A file.
    File(PathBuf),
    /// The system's log, at this socket or the usual one.
    Syslog(Option<PathBuf>),
}

/// Peers that `masquerade_except` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// The word `local`: loopback, private and link-local addresses.
    Local,
    /// An address or a prefix.
    Prefix(IpNet),
}

impl Peers {
    /// Whether an address is one of them.
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
