//! The allocator of passive ports. A port is in use as long as its guard, a [`Lease`], exists.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::rand::{GetRandomFlags, getrandom};

use super::error::DataError;
use crate::config::PortRange;

/// The passive ports. All sessions share them, even sessions with settings from before a
/// reload.
#[derive(Debug)]
pub struct Ports {
    range: Mutex<PortRange>,
    skipped: Vec<u16>,
    taken: Mutex<HashSet<u16>>,
    random: Mutex<Random>,
}

/// A port in use. Dropping it gives the port back.
#[derive(Debug)]
pub(super) struct Lease {
    ports: Arc<Ports>,
    port: u16,
}

impl Ports {
    /// Offers all ports of `range` except the control ports.
    pub fn new(range: PortRange, control_ports: Vec<u16>) -> Self {
        let (taken, random) = (Mutex::default(), Mutex::default());
        Self { range: Mutex::new(range), skipped: control_ports, taken, random }
    }

    /// Replaces the range. Ports in use remain in use.
    pub fn renew(&self, range: PortRange) {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner) = range;
    }

    fn range(&self) -> PortRange {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a free port on which `open` succeeds. It is tried on each free port, beginning at
    /// a random one, until it succeeds or fails with an error other than `AddrInUse`.
    pub(super) fn lease<T>(
        self: &Arc<Self>,
        mut open: impl FnMut(u16) -> io::Result<T>,
    ) -> Result<(T, Lease), DataError> {
        let range = self.range();
        let count = u32::try_from(range.count()).unwrap_or(u32::MAX);
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).next();
        let start = random % count;
        for step in 0..count {
            let offset = u16::try_from((start + step) % count).unwrap_or_default();
            let port = range.first.saturating_add(offset);
            let Some(lease) = self.take(port) else { continue };
            match open(port) {
                Ok(opened) => return Ok((opened, lease)),
                Err(why) if why.kind() == io::ErrorKind::AddrInUse => {}
                Err(why) => return Err(DataError::CannotListen(why)),
            }
        }
        Err(DataError::NoPort)
    }

    /// Returns the number of ports in use, including those of an earlier range, and the number
    /// of ports in the current range.
    pub fn count(&self) -> (usize, usize) {
        let range = self.range();
        let skipped = self.skipped.iter().filter(|port| range.contains(**port)).count();
        (self.taken().len(), range.count() - skipped)
    }

    fn take(self: &Arc<Self>, port: u16) -> Option<Lease> {
        let free = !self.skipped.contains(&port) && self.taken().insert(port);
        free.then(|| Lease { ports: Arc::clone(self), port })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, HashSet<u16>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.taken().remove(&self.port);
    }
}

/// Random numbers for the first port to try. They need not be secret, but an attacker who can
/// predict the port could connect to it before the client. The system is asked for many
/// numbers at once.
#[derive(Debug, Default)]
struct Random {
    bytes: [u8; 32],
    left: usize,
}

impl Random {
    fn next(&mut self) -> u32 {
        if self.left == 0 {
            // if this fails, the search begins at the first port of the range
            let _ = getrandom(&mut self.bytes, GetRandomFlags::empty());
            self.left = self.bytes.len();
        }
        self.left -= size_of::<u32>();
        let chunk = self.bytes.get(self.left..).and_then(|rest| rest.first_chunk());
        chunk.map_or(0, |chunk| u32::from_ne_bytes(*chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16, last: u16, control: u16) -> Arc<Ports> {
        Arc::new(Ports::new(PortRange { first, last }, vec![control]))
    }

    #[test]
    fn each_port_is_leased_once_and_the_control_port_never() {
        let ports = ports(2000, 2003, 2002);
        let leases: Vec<_> = (0..3).map(|_| ports.lease(Ok).unwrap()).collect();
        let mut numbers: Vec<_> = leases.iter().map(|(port, _)| *port).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2000, 2001, 2003]);
        assert!(matches!(ports.lease(Ok), Err(DataError::NoPort)));
        drop(leases);
        assert!(ports.lease(Ok).is_ok());
    }

    #[test]
    fn a_port_that_another_program_uses_is_passed_over() {
        let ports = ports(2000, 2001, 0);
        let busy = |port| {
            if port == 2000 { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(port) }
        };
        for _ in 0..20 {
            assert_eq!(ports.lease(busy).unwrap().0, 2001);
        }
    }

    #[test]
    fn another_range_leaves_leases_as_they_are() {
        let ports = ports(2000, 2001, 0);
        let old: Vec<_> = (0..2).map(|_| ports.lease(Ok).unwrap()).collect();
        ports.renew(PortRange { first: 2001, last: 2002 });
        assert_eq!(ports.count(), (2, 2));
        let new = ports.lease(Ok).unwrap();
        assert_eq!(new.0, 2002, "2001 is taken");
        assert_eq!(ports.count(), (3, 2));
        drop(old);
        assert_eq!(ports.count(), (1, 2));
    }

    #[test]
    fn the_first_port_is_a_different_one_each_time() {
        let ports = ports(1, 65535, 0);
        let first = ports.lease(Ok).unwrap().0;
        assert!((0..10).any(|_| ports.lease(Ok).unwrap().0 != first));
    }
}
