//! A model of the passive ports.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use shuttle::rand::{Rng, thread_rng};

use super::error::DataError;
use super::ports::Ports;
use crate::config::PortRange;

const SESSIONS: usize = 3;
const CONTROL: u16 = 2001;
const OLD: PortRange = PortRange { first: 2000, last: 2002 };
const NEW: PortRange = PortRange { first: 2002, last: 2003 };

/// Sessions lease ports that other programs may hold as well, while the range changes.
pub(super) fn no_port_is_given_twice() {
    let ports = Arc::new(Ports::new(OLD, vec![CONTROL]));
    let open = Arc::new(Mutex::new(HashSet::new()));
    let session = |_| {
        let (ports, open) = (Arc::clone(&ports), Arc::clone(&open));
        thread::spawn(move || {
            for _ in 0..2 {
                hold_one(&ports, &open);
            }
        })
    };
    let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
    ports.renew(NEW);
    sessions.into_iter().for_each(|session| session.join().expect("leases ports"));
    assert_eq!(ports.count(), (0, 2), "a port was not given back");
}

/// Leases a port and gives it back.
fn hold_one(ports: &Arc<Ports>, open: &Mutex<HashSet<u16>>) {
    let open = |port: u16, opens: bool| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if opens {
            assert!(open.insert(port), "{port} is given twice");
        } else {
            open.remove(&port);
        }
    };
    let leased = ports.lease(|port| {
        assert_ne!(port, CONTROL);
        match thread_rng().gen_range(0..6) {
            0 => Err(io::ErrorKind::AddrInUse.into()),
            1 => Err(io::ErrorKind::PermissionDenied.into()),
            _ => {
                open(port, true);
                Ok(port)
            }
        }
    });
    match leased {
        Ok((port, lease)) => {
            open(port, false);
            drop(lease);
        }
        Err(why) => assert!(matches!(why, DataError::NoPort | DataError::CannotListen(_))),
    }
}
