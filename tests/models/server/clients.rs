//! A model of the limits on the number of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::admission::origin::Origin;
use super::admission::{Admission, Full};

const MOST: usize = 2;
const CLIENTS: u8 = 4;

/// Clients of two addresses come and go.
pub(super) fn places_are_given_back() {
    let admission = Arc::new(Admission::new(MOST));
    let inside = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let client = |client: u8| {
        let (admission, inside) = (Arc::clone(&admission), Arc::clone(&inside));
        thread::spawn(move || {
            let address = usize::from(client % 2);
            let origin = Origin::of([192, 0, 2, client % 2].into());
            for _ in 0..3 {
                match admission.admit(origin, Some(1), Instant::now()) {
                    Ok(ticket) => {
                        let here = inside[address].fetch_add(1, Ordering::SeqCst);
                        assert_eq!(here, 0, "more than max_per_ip");
                        inside[address].fetch_sub(1, Ordering::SeqCst);
                        drop(ticket);
                    }
                    // one client of each address fits
                    Err(full) => assert_eq!(full, Full::Address),
                }
            }
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    clients.into_iter().for_each(|client| client.join().expect("comes and goes"));
    let now = Instant::now();
    let tickets: Vec<_> = (0..2)
        .map(|last| admission.admit(Origin::of([192, 0, 2, last].into()), Some(1), now))
        .collect();
    assert!(tickets.iter().all(Result::is_ok), "a place was not given back");
    let third = admission.admit(Origin::of([192, 0, 2, 2].into()), Some(1), now);
    assert_eq!(third.err(), Some(Full::Server));
}
