//! What a session shows of itself while it runs, and the order to end it. Written by the
//! session, read by whoever looks at the server from outside.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::counters::Traffic;
use super::since::Since;

/// One session, as others may see it.
#[derive(Debug)]
pub struct Live {
    /// Unlike that of any other session since the server's start.
    pub id: u64,
    /// The client.
    pub peer: SocketAddr,
    since: Since,
    /// A transfer runs, which wants to hear its client to the end.
    at_work: AtomicBool,
    /// Why it must end.
    ended: OnceLock<&'static str>,
    /// Bytes of the transfer that runs.
    bytes: AtomicU64,
    shown: Mutex<Shown>,
    /// Ends a pause that the session has to serve.
    woken: Condvar,
}

#[derive(Debug)]
struct Shown {
    /// Since when nobody has been logged in.
    strange: Instant,
    /// Until when the session serves a pause.
    rests: Option<Instant>,
    /// Pauses are over: the session or the server ends.
    hurries: bool,
    user: Option<String>,
    tls: bool,
    transfer: Option<Running>,
    /// Kept for the next transfer.
    path: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    verb: &'static str,
    traffic: Traffic,
    size: Option<u64>,
    since: Instant,
}

/// What a session was like at one moment.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Its number.
    pub id: u64,
    /// The client.
    pub peer: SocketAddr,
    /// When it began.
    pub since: Since,
    /// Who has logged in.
    pub user: Option<String>,
    /// Whether TLS protects the control connection.
    pub tls: bool,
    /// The transfer that runs.
    pub transfer: Option<Underway>,
}

/// A session that nobody has logged in to.
#[derive(Debug, Clone, Copy)]
pub struct Stranger {
    /// Since when that has been so.
    pub since: Instant,
    /// When the pause will be over that it serves.
    pub rests: Option<Instant>,
}

/// A transfer that runs.
#[derive(Debug, Clone)]
pub struct Underway {
    /// Its command.
    pub verb: &'static str,
    /// What it moves.
    pub traffic: Traffic,
    /// The file or directory.
    pub path: PathBuf,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes that there will be, if that is known.
    pub size: Option<u64>,
    /// How long it has been running.
    pub took: Duration,
}

impl Live {
    /// A session that has just begun.
    pub fn new(id: u64, peer: SocketAddr) -> Self {
        Self {
            id,
            peer,
            since: Since::now(),
            at_work: AtomicBool::new(false),
            ended: OnceLock::new(),
            bytes: AtomicU64::new(0),
            shown: Mutex::new(Shown {
                strange: Instant::now(),
                rests: None,
                hurries: false,
                user: None,
                tls: false,
                transfer: None,
                path: Vec::new(),
            }),
            woken: Condvar::new(),
        }
    }

    /// What it is like now.
    pub fn sight(&self) -> Sight {
        let shown = self.shown();
        Sight {
            id: self.id,
            peer: self.peer,
            since: self.since,
            user: shown.user.clone(),
            tls: shown.tls,
            transfer: shown.transfer.map(|Running { verb, traffic, size, since }| Underway {
                verb,
                traffic,
                path: PathBuf::from(OsStr::from_bytes(&shown.path)),
                bytes: self.bytes.load(Ordering::Relaxed),
                size,
                took: since.elapsed(),
            }),
        }
    }

    /// Whether this user has logged in there.
    pub fn is_user(&self, name: &str) -> bool {
        self.shown().user.as_deref() == Some(name)
    }

    /// Whether anybody has logged in there.
    pub fn has_user(&self) -> bool {
        self.shown().user.is_some()
    }

    /// It is to end for this reason; the first one counts.
    pub fn end(&self, why: &'static str) {
        let _ = self.ended.set(why);
        self.hurry();
    }

    /// What it is as long as nobody has logged in.
    pub fn stranger(&self) -> Option<Stranger> {
        let shown = self.shown();
        let stranger = Stranger { since: shown.strange, rests: shown.rests };
        shown.user.is_none().then_some(stranger)
    }

    /// It is to end for this reason, unless somebody has logged in; says whether it is.
    pub fn evict(&self, why: &'static str) -> bool {
        let mut shown = self.shown();
        if shown.user.is_some() {
            return false;
        }
        let _ = self.ended.set(why);
        shown.hurries = true;
        self.woken.notify_all();
        true
    }

    /// Ends the pause that the session serves, and all later ones: the server stops.
    pub fn hurry(&self) {
        self.shown().hurries = true;
        self.woken.notify_all();
    }

    /// The session is going to serve a pause until then; it counts from now on, so that nobody is
    /// spared who is evicted before it begins.
    pub(super) fn owe(&self, until: Instant) {
        self.shown().rests = Some(until);
    }

    /// Sleeps for as long as a wrong password costs. Nothing that the client does ends it, and the
    /// session keeps its place meanwhile; the end of the session or of the server does.
    pub(super) fn rest(&self, until: Instant) {
        self.owe(until);
        let mut shown = self.shown();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || shown.hurries {
                shown.rests = None;
                return;
            }
            let waited = self.woken.wait_timeout(shown, left);
            shown = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether a transfer runs, which wants to hear its client to the end.
    pub fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::SeqCst)
    }

    /// Why it must end, if it must.
    pub(super) fn ended(&self) -> Option<&'static str> {
        self.ended.get().copied()
    }

    pub(super) fn set_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Ordering::SeqCst);
    }

    /// A user logs in; `false` if the session must end.
    pub(super) fn enter(&self, user: &str) -> bool {
        let mut shown = self.shown();
        let may = self.ended().is_none();
        if may {
            shown.user = Some(user.to_owned());
        }
        may
    }

    /// The user has logged out.
    pub(super) fn leave(&self) {
        let mut shown = self.shown();
        shown.user = None;
        shown.strange = Instant::now();
    }

    pub(super) fn set_tls(&self) {
        self.shown().tls = true;
    }

    /// A transfer of this file or directory begins.
    pub(super) fn show_transfer(
        &self,
        verb: &'static str,
        traffic: Traffic,
        path: &Path,
        size: Option<u64>,
    ) {
        let mut shown = self.shown();
        shown.path.clear();
        shown.path.extend_from_slice(path.as_os_str().as_bytes());
        shown.transfer = Some(Running { verb, traffic, size, since: Instant::now() });
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// It has come so far.
    pub(super) fn moved(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// It is over.
    pub(super) fn over(&self) {
        self.shown().transfer = None;
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_pause_takes_its_time_and_ends_early_only_with_the_session_or_the_server() {
        const LONG: Duration = Duration::from_secs(60);
        let live = || Live::new(1, ([192, 0, 2, 1], 5000).into());
        let began = Instant::now();
        live().rest(began + Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50));
        let orders: [fn(&Live); 2] = [|live| live.end("kicked"), Live::hurry];
        for order in orders {
            let live = live();
            thread::scope(|scope| {
                scope.spawn(|| live.rest(began + LONG));
                while live.shown().rests.is_none() {
                    thread::yield_now();
                }
                order(&live);
            });
            assert!(live.shown().rests.is_none());
            live.rest(began + LONG);
        }
        assert!(began.elapsed() < LONG / 2);
    }
}
