//! Chooses the address that PASV replies name: the server's own, or the public one of its
//! router.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::DataError;
use crate::config::{Passive, Peers};
use crate::rights::look_up;

/// The settings `masquerade_address` and `masquerade_except`, and the address of the name, if
/// it has been looked up.
#[derive(Debug)]
pub struct Masquerade {
    name: Option<String>,
    except: Vec<Peers>,
    known: Mutex<Option<(Ipv4Addr, Instant)>>,
}

/// A name is looked up again when its address is older than this, because dynamic DNS changes
/// it.
const LIFETIME: Duration = Duration::from_secs(60);

impl Masquerade {
    /// Takes the settings, without looking up the name.
    pub fn new(passive: &Passive) -> Self {
        Self {
            name: passive.masquerade_address.clone(),
            except: passive.masquerade_except.clone(),
            known: Mutex::default(),
        }
    }

    /// Returns whether `masquerade_address` is a name that must be looked up.
    pub fn is_name(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.parse::<Ipv4Addr>().is_err())
    }

    /// Looks up the name before the first client needs its address. Logs a warning if it does
    /// not resolve.
    pub fn look_up(&self) {
        if let Some(name) = &self.name {
            self.resolve(name);
        }
    }

    /// Returns the address for the PASV reply to `peer`, whose control connection arrived at
    /// `own`.
    ///
    /// # Errors
    ///
    /// When the name has never been resolved.
    pub fn address(&self, peer: IpAddr, own: Ipv4Addr) -> Result<Ipv4Addr, DataError> {
        match &self.name {
            Some(name) if !self.except.iter().any(|peers| peers.contain(peer)) => {
                self.resolve(name).ok_or(DataError::NoAddress)
            }
            _ => Ok(own),
        }
    }

    /// Resolves a name. If that fails, the previous address is returned. The lock is not held
    /// during the lookup.
    fn resolve(&self, name: &str) -> Option<Ipv4Addr> {
        if let Ok(address) = name.parse() {
            return Some(address);
        }
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((address, since)) = known
            && since.elapsed() < LIFETIME
        {
            return Some(address);
        }
        let ipv4 = |address: std::net::SocketAddr| match address.ip() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        let own = name.to_owned();
        let found = look_up(move || (own.as_str(), 0).to_socket_addrs());
        let found =
            found.unwrap_or_else(|| Err(std::io::Error::other("the lookup thread has ended")));
        let found = found.map(|mut all| all.find_map(ipv4));
        let found = match found {
            Ok(Some(address)) => Some(address),
            Ok(None) => {
                log::warn!("masquerade_address: {name} has no IPv4 address");
                None
            }
            Err(why) => {
                log::warn!("masquerade_address: {name}: {why}");
                None
            }
        };
        let address = found.or(known.map(|(address, _)| address))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((address, Instant::now()));
        Some(address)
    }
}
