//! The state that a running session publishes, and the order to end it. The session writes it;
//! the admin socket, the status page and the registry read it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::kinds::Traffic;
use super::since::Since;
use crate::data::Speed;

/// The published state of one session.
#[derive(Debug)]
pub struct Live {
    /// The number of the session, unique since the server's start.
    pub id: u64,
    /// The client.
    pub peer: SocketAddr,
    /// How the client has come.
    pub way: CameBy,
    since: Since,
    /// Whether a command with a transfer is being carried out. Until it ends, the session must
    /// be able to read from its client.
    at_work: AtomicBool,
    /// Why the session must end, once it must.
    ended: OnceLock<&'static str>,
    /// Number of bytes of the running transfer so far.
    bytes: AtomicU64,
    shown: Mutex<Shown>,
    /// Wakes the session from a pause.
    woken: Condvar,
}

/// How a client has come to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameBy {
    /// It has connected itself.
    Itself,
    /// Through a balancer, which has named it.
    Balancer,
    /// It is the balancer, which checks whether the server serves. It makes no lines in the log before
    /// a login, and is not banned.
    Check,
}

/// The parts of the published state that change together.
#[derive(Debug)]
struct Shown {
    /// Since when nobody has been logged in.
    strange: Instant,
    /// The end of the pause after a wrong password that has begun or is about to begin.
    rests: Option<Instant>,
    /// Whether pauses end at once, because the session or the server ends.
    hurries: bool,
    user: Option<String>,
    tls: bool,
    transfer: Option<Running>,
    /// The path of the transfer; the memory is reused for the next one.
    path: Vec<u8>,
}

#[derive(Debug)]
struct Running {
    verb: &'static str,
    traffic: Option<Traffic>,
    size: Option<u64>,
    /// The speed limits; `None` for a listing.
    speed: Option<Arc<Speed>>,
    since: Instant,
}

/// A snapshot of a session.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The number of the session.
    pub id: u64,
    /// The client.
    pub peer: SocketAddr,
    /// When the session began.
    pub since: Since,
    /// The name of the user who is logged in.
    pub user: Option<String>,
    /// Whether TLS protects the control connection.
    pub tls: bool,
    /// The running transfer.
    pub transfer: Option<Underway>,
}

/// A session without a login.
#[derive(Debug, Clone, Copy)]
pub struct Stranger {
    /// Since when nobody has been logged in.
    pub since: Instant,
    /// When the pause after a wrong password ends, if there is one.
    pub rests: Option<Instant>,
}

/// A running transfer.
#[derive(Debug, Clone)]
pub struct Underway {
    /// The command, or `judging` while an upload is judged.
    pub verb: &'static str,
    /// What the transfer moves; `None` for work on a file that moves nothing.
    pub traffic: Option<Traffic>,
    /// The file or directory.
    pub path: PathBuf,
    /// Number of bytes so far.
    pub bytes: u64,
    /// Number of bytes in total, if that is known.
    pub size: Option<u64>,
    /// How long the transfer has been running.
    pub took: Duration,
    /// Bytes per second that the limits let the transfer move at present; `None`: no limit.
    pub share: Option<NonZeroU64>,
}

impl Live {
    /// Creates the state of a session that has just begun.
    pub fn new(id: u64, peer: SocketAddr, way: CameBy) -> Self {
        Self {
            id,
            peer,
            way,
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

    /// Takes a snapshot.
    pub fn sight(&self) -> Sight {
        let shown = self.shown();
        Sight {
            id: self.id,
            peer: self.peer,
            since: self.since,
            user: shown.user.clone(),
            tls: shown.tls,
            transfer: shown.transfer.as_ref().map(|running| Underway {
                verb: running.verb,
                traffic: running.traffic,
                path: PathBuf::from(OsStr::from_bytes(&shown.path)),
                bytes: self.bytes.load(Ordering::Relaxed),
                size: running.size,
                took: running.since.elapsed(),
                share: running.speed.as_ref().and_then(|speed| speed.share()),
            }),
        }
    }

    /// Returns whether this user is logged in.
    pub fn is_user(&self, name: &str) -> bool {
        self.shown().user.as_deref() == Some(name)
    }

    /// Returns the name of the user who is logged in.
    pub fn user(&self) -> Option<String> {
        self.shown().user.clone()
    }

    /// Returns whether anybody is logged in.
    pub fn has_user(&self) -> bool {
        self.shown().user.is_some()
    }

    /// Orders the session to end for this reason. After the first order, others are ignored.
    pub fn end(&self, why: &'static str) {
        let _ = self.ended.set(why);
        self.hurry();
    }

    /// Describes the session while nobody is logged in; `None` once somebody is.
    pub fn stranger(&self) -> Option<Stranger> {
        let shown = self.shown();
        let stranger = Stranger { since: shown.strange, rests: shown.rests };
        shown.user.is_none().then_some(stranger)
    }

    /// Orders the session to end for this reason, unless somebody is logged in. Returns
    /// `false` if somebody is.
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

    /// Ends the current pause of the session, and makes later ones end at once, because the
    /// session or the server ends.
    pub fn hurry(&self) {
        self.shown().hurries = true;
        self.woken.notify_all();
    }

    /// Announces a pause until `until`. The registry knows of it from now on, even if it
    /// evicts the session before the pause begins.
    pub(super) fn owe(&self, until: Instant) {
        self.shown().rests = Some(until);
    }

    /// Pauses until `until`, which delays the reply to a wrong password. The session keeps its
    /// place meanwhile. The client cannot shorten the pause; only an order to end the session,
    /// or the end of the server, does.
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

    /// Returns whether a command with a transfer is being carried out, so that the session
    /// must still be able to read from its client.
    pub fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::SeqCst)
    }

    /// Returns why the session must end, if it must.
    pub fn ended(&self) -> Option<&'static str> {
        self.ended.get().copied()
    }

    pub(super) fn set_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Ordering::SeqCst);
    }

    /// Records that a user logs in. Returns `false` if the session must end.
    pub(super) fn enter(&self, user: &str) -> bool {
        let mut shown = self.shown();
        let may = self.ended().is_none();
        if may {
            shown.user = Some(user.to_owned());
        }
        may
    }

    /// Records that the user has logged out.
    pub(super) fn leave(&self) {
        let mut shown = self.shown();
        shown.user = None;
        shown.strange = Instant::now();
    }

    pub(super) fn set_tls(&self) {
        self.shown().tls = true;
    }

    /// Records that a transfer of this file or directory begins.
    pub(super) fn show_transfer(
        &self,
        verb: &'static str,
        traffic: Traffic,
        path: &Path,
        size: Option<u64>,
        speed: Option<&Arc<Speed>>,
    ) {
        let (traffic, speed, since) = (Some(traffic), speed.cloned(), Instant::now());
        self.show(Running { verb, traffic, size, speed, since }, path);
    }

    /// Records that work on this file begins, which moves nothing over a data connection.
    pub(super) fn show_work(&self, verb: &'static str, path: &Path, size: u64) {
        let (size, since) = (Some(size), Instant::now());
        self.show(Running { verb, traffic: None, size, speed: None, since }, path);
    }

    fn show(&self, running: Running, path: &Path) {
        let mut shown = self.shown();
        shown.path.clear();
        shown.path.extend_from_slice(path.as_os_str().as_bytes());
        shown.transfer = Some(running);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Records that what the transfer has moved is judged.
    pub(super) fn judges(&self) {
        if let Some(running) = &mut self.shown().transfer {
            running.verb = "judging";
        }
    }

    /// Records how many bytes the transfer has moved so far.
    pub(super) fn moved(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Records that the transfer is over.
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
        let live = || Live::new(1, ([192, 0, 2, 1], 5000).into(), CameBy::Itself);
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
