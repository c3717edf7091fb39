//! Chooses the address that PASV replies name: the server's own, or the public one of its
//! router.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
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
    known: Mutex<Known>,
    /// Held while the name is looked up.
    asking: Mutex<()>,
}

/// The address of the name, and when it is due.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// The address that it had last; `None`: it has never been resolved.
    address: Option<Ipv4Addr>,
    /// When to look it up again; `None`: at once.
    due: Option<Instant>,
}

/// A name is looked up again after this long, because dynamic DNS changes its address.
const LIFETIME: Duration = Duration::from_secs(60);

/// A name that could not be resolved is looked up again after this long. A name server that
/// does not answer takes a lookup about as long to notice, and must not delay every client.
const RETRY: Duration = Duration::from_secs(10);

impl Masquerade {
    /// Takes the settings, without looking up the name.
    pub fn new(passive: &Passive) -> Self {
        Self {
            name: passive.masquerade_address.clone(),
            except: passive.masquerade_except.clone(),
            known: Mutex::default(),
            asking: Mutex::default(),
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

    /// Returns whether PASV replies to `peer` name `masquerade_address`.
    pub fn is_for(&self, peer: IpAddr) -> bool {
        self.name.is_some() && !self.except.iter().any(|peers| peers.contain(peer))
    }

    /// Returns the address for the PASV reply to `peer`, whose control connection arrived at
    /// `own`.
    ///
    /// # Errors
    ///
    /// When the name has never been resolved, or `own` is not an IPv4 address and there is no other.
    pub fn address(&self, peer: IpAddr, own: IpAddr) -> Result<Ipv4Addr, DataError> {
        let name = self.name.as_ref().filter(|_| self.is_for(peer));
        let address = match (name, own) {
            (Some(name), _) => self.resolve(name),
            (None, IpAddr::V4(own)) => Some(own),
            (None, IpAddr::V6(_)) => None,
        };
        address.ok_or(DataError::NoAddress)
    }

    /// Resolves a name. If that fails, the previous address is returned. One thread at a time
    /// looks the name up; meanwhile, the others take the previous address, or wait if there is
    /// none.
    fn resolve(&self, name: &str) -> Option<Ipv4Addr> {
        if let Ok(address) = name.parse() {
            return Some(address);
        }
        let before = *self.known();
        if before.is_fresh() {
            return before.address;
        }
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if before.address.is_some() => return before.address,
            Err(TryLockError::WouldBlock) => {
                self.asking.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        // another thread may have looked it up in the meantime
        let before = *self.known();
        if before.is_fresh() {
            return before.address;
        }
        let found = match ask(name) {
            Ok(found) => Some(found),
            Err(why) => {
                log::warn!("masquerade_address: {why}");
                None
            }
        };
        let due = Instant::now() + if found.is_some() { LIFETIME } else { RETRY };
        let now = Known { address: found.or(before.address), due: Some(due) };
        *self.known() = now;
        now.address
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() < due)
    }
}

/// Asks the system for the IPv4 address of a name.
fn ask(name: &str) -> Result<Ipv4Addr, String> {
    let ipv4 = |address: SocketAddr| match address.ip() {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    let own = name.to_owned();
    let found = look_up(move || (own.as_str(), 0).to_socket_addrs());
    let found = found.unwrap_or_else(|| Err(io::Error::other("the lookup thread has ended")));
    let mut found = found.map_err(|why| format!("{name}: {why}"))?;
    found.find_map(ipv4).ok_or_else(|| format!("{name} has no IPv4 address"))
}
