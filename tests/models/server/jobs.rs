//! Models of the pool of workers.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};

use super::pool::Pool;

const WORKERS: usize = 2;
const LISTENERS: u32 = 2;
const CLIENTS: u32 = 3;
const LONG: Duration = Duration::from_secs(3600);

/// What has become of the clients.
#[derive(Default)]
struct Fate {
    served: Vec<u32>,
    dropped: Vec<u32>,
    serving: usize,
}

type Fates = Arc<Mutex<Fate>>;

/// A client that notes if nobody has served it.
struct Client {
    number: u32,
    fates: Fates,
}

impl Client {
    fn serve(self) {
        fate(&self.fates, |fate| {
            fate.serving += 1;
            assert!(fate.serving <= WORKERS, "more workers than max_cons");
            fate.served.push(self.number);
        });
        fate(&self.fates, |fate| fate.serving -= 1);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        fate(&self.fates, |fate| {
            if !fate.served.contains(&self.number) {
                fate.dropped.push(self.number);
            }
        });
    }
}

fn fate<T>(fates: &Fates, change: impl FnOnce(&mut Fate) -> T) -> T {
    change(&mut fates.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Lets listeners submit clients at once. Returns those that the pool has accepted.
fn submit(pool: &Arc<Pool<Client>>, fates: &Fates) -> Vec<u32> {
    let listener = |listener: u32| {
        let (pool, fates) = (Arc::clone(pool), Arc::clone(fates));
        thread::spawn(move || {
            let mut accepted = Vec::new();
            for number in listener * CLIENTS..(listener + 1) * CLIENTS {
                match pool.submit(Client { number, fates: Arc::clone(&fates) }) {
                    Ok(()) => accepted.push(number),
                    Err(client) => assert_eq!(client.number, number, "another one is refused"),
                }
                if thread_rng().gen_bool(0.3) {
                    thread::sleep(Duration::from_secs(10));
                }
            }
            accepted
        })
    };
    let listeners: Vec<_> = (0..LISTENERS).map(listener).collect();
    listeners.into_iter().flat_map(|listener| listener.join().expect("submits")).collect()
}

/// All accepted clients are served, each once, whoever is refused in between.
pub(super) fn each_is_served_once() {
    thread::refuse(100);
    let fates = Fates::default();
    let pool = Arc::new(Pool::new(WORKERS, Client::serve, || true));
    let accepted = submit(&pool, &fates);
    // the clock may end this wait early
    while !pool.wait_idle(LONG) {}
    fate(&fates, |fate| {
        fate.served.sort_unstable();
        assert_eq!(fate.served, accepted, "accepted, and not served once");
        let all = LISTENERS * CLIENTS;
        assert_eq!(fate.served.len() + fate.dropped.len(), all as usize, "some are held");
    });
    assert!(pool.workers() <= WORKERS);
    // the workers end with the pool
    drop(pool);
}

/// A worker that cannot serve another client ends, and no client waits for it.
pub(super) fn none_waits_for_a_worker_that_is_not_fit() {
    thread::refuse(0);
    let fates = Fates::default();
    let pool = Arc::new(Pool::new(WORKERS, Client::serve, || thread_rng().gen_bool(0.5)));
    let mut accepted = submit(&pool, &fates);
    assert!(pool.wait_idle(LONG));
    fate(&fates, |fate| {
        fate.served.sort_unstable();
        let all = LISTENERS * CLIENTS;
        assert_eq!(fate.served.len() + fate.dropped.len(), all as usize, "some are held");
        accepted.retain(|number| !fate.dropped.contains(number));
        assert_eq!(fate.served, accepted, "accepted, and neither served once nor dropped");
    });
    // the next client gets a worker
    let last = Client { number: LISTENERS * CLIENTS, fates: Arc::clone(&fates) };
    assert!(pool.submit(last).is_ok());
    assert!(pool.wait_idle(LONG));
    drop(pool);
}
