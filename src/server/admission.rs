//! Who is let in: `max_cons` in all and `max_per_ip` from one address, with guards that give
//! back on drop.

pub(super) mod ban;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::Away;

/// Counts the clients.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A client's place, given back on drop.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    address: IpAddr,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Server,
    Address,
}

impl Full {
    /// What it is counted as.
    pub(super) fn away(self) -> Away {
        match self {
            Self::Server => Away::Server,
            Self::Address => Away::Address,
        }
    }

    /// For the log.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Server => "max_cons clients are connected",
            Self::Address => "max_per_ip clients are connected from there",
        }
    }
}

impl Admission {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inside: Mutex::default() }
    }

    /// A place for a client from this address, which may have so many.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        most_per_address: Option<usize>,
    ) -> Result<Ticket, Full> {
        let mut inside = self.inside();
        if inside.all >= self.most {
            return Err(Full::Server);
        }
        let count = inside.by_address.get(&address).copied().unwrap_or_default();
        if most_per_address.is_some_and(|most| count >= most) {
            return Err(Full::Address);
        }
        inside.all += 1;
        inside.by_address.insert(address, count + 1);
        Ok(Ticket { admission: Arc::clone(self), address })
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = self.admission.inside();
        inside.all -= 1;
        if let Some(count) = inside.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_ticket_is_dropped() {
        let admission = Arc::new(Admission::new(2));
        let (a, b, c) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into());
        let first = admission.admit(a, Some(1)).unwrap();
        assert_eq!(admission.admit(a, Some(1)).unwrap_err(), Full::Address);
        let _second = admission.admit(b, Some(1)).unwrap();
        assert_eq!(admission.admit(c, Some(1)).unwrap_err(), Full::Server);
        drop(first);
        let _third = admission.admit(a, Some(1)).unwrap();
        assert_eq!(admission.inside().by_address.len(), 2);
    }
}
