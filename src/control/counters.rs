//! What the server counts while it runs. Counting is one atomic addition and blocks nothing; a
//! reader may see one counter updated before another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::offence::Offence;
use super::since::Since;
use crate::auth::AuthError;
use crate::data::{DataError, Interrupt};
use crate::log::Way;

/// A set of things that are counted separately, each with the word that it is shown under.
pub trait Kind: Copy + PartialEq + 'static {
    /// All of them, in the order in which they are shown.
    const ALL: &'static [Self];

    /// The word, in lower case.
    fn word(self) -> &'static str;
}

/// Defines kinds with their words, one per row.
macro_rules! kinds {
    ($(#[$about:meta])* $name:ident: $($kind:ident = $word:literal,)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`.")] $kind,)*
        }

        impl Kind for $name {
            const ALL: &'static [Self] = &[$(Self::$kind,)*];

            fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }
        }
    };
}

kinds! {
    /// Why a client was turned away.
    Away:
    Server = "max_cons",
    Address = "max_per_ip",
    Banned = "banned",
    Evicted = "evicted",
    Worker = "no_worker",
    Files = "no_files",
}

kinds! {
    /// How a login ended.
    LoginResult:
    Good = "good",
    User = "no_such_user",
    Password = "wrong_password",
    Certificate = "wrong_certificate",
    Address = "not_from_there",
    Sessions = "max_per_user",
    Busy = "busy",
}

kinds! {
    /// Why a command was refused.
    Reason:
    Syntax = "syntax",
    Login = "not_logged_in",
    Permission = "permission",
    Missing = "not_found",
    Space = "no_space",
    Port = "no_passive_port",
    Data = "no_data_connection",
    Tls = "tls",
    Other = "other",
}

kinds! {
    /// What a command moves over a data connection.
    Traffic:
    Upload = "upload",
    Download = "download",
    Listing = "listing",
}

kinds! {
    /// How a transfer ended.
    Outcome:
    Complete = "complete",
    Aborted = "aborted",
    Lost = "lost",
    Stalled = "stalled",
    Disk = "disk",
    Stopped = "stopped",
    Ended = "ended_by_administrator",
}

impl Kind for Offence {
    const ALL: &'static [Self] =
        &[Self::Login, Self::Http, Self::Noise, Self::Tls, Self::Endless, Self::Refused];

    fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Http => "http",
            Self::Noise => "not_ftp",
            Self::Tls => "not_tls",
            Self::Endless => "endless_line",
            Self::Refused => "refused_commands",
        }
    }
}

impl Traffic {
    /// Returns the direction in which the bytes move.
    pub fn way(self) -> Way {
        match self {
            Self::Upload => Way::Up,
            Self::Download | Self::Listing => Way::Down,
        }
    }
}

impl From<AuthError> for LoginResult {
    fn from(why: AuthError) -> Self {
        match why {
            AuthError::UnknownUser | AuthError::Disabled | AuthError::Expired => Self::User,
            AuthError::WrongPassword => Self::Password,
            AuthError::NoCertificate => Self::Certificate,
            AuthError::NotFromHere => Self::Address,
            AuthError::TooManySessions => Self::Sessions,
            AuthError::Busy => Self::Busy,
        }
    }
}

impl From<Option<&DataError>> for Outcome {
    fn from(why: Option<&DataError>) -> Self {
        match why {
            None => Self::Complete,
            Some(why) => match why {
                DataError::Interrupted(Interrupt::Abort) => Self::Aborted,
                DataError::Interrupted(Interrupt::Stopped) => Self::Stopped,
                DataError::Interrupted(Interrupt::Ended(_)) => Self::Ended,
                DataError::Stalled => Self::Stalled,
                DataError::Read(_) | DataError::Write(_) | DataError::Shortened => Self::Disk,
                DataError::Interrupted(Interrupt::ControlLost)
                | DataError::Lost(_)
                | DataError::NoPort
                | DataError::NoAddress
                | DataError::CannotListen(_)
                | DataError::NeverCame(_)
                | DataError::NeverUsed(_)
                | DataError::CannotConnect(_)
                | DataError::NotClosed
                | DataError::Handshake(_)
                | DataError::LevelChanged
                | DataError::OtherCertificate
                | DataError::NotResumed => Self::Lost,
            },
        }
    }
}

/// Counts things by kind.
#[derive(Debug)]
pub struct Tally<K>(Vec<AtomicU64>, std::marker::PhantomData<K>);

impl<K: Kind> Default for Tally<K> {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        Self(K::ALL.iter().map(zero).collect(), std::marker::PhantomData)
    }
}

impl<K: Kind> Tally<K> {
    /// Counts one more.
    pub fn count(&self, kind: K) {
        self.add(kind, 1);
    }

    fn add(&self, kind: K, more: u64) {
        if let Some(number) = self.of(kind) {
            number.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Returns the count of one kind.
    pub fn get(&self, kind: K) -> u64 {
        self.of(kind).map_or(0, |number| number.load(Ordering::Relaxed))
    }

    fn of(&self, kind: K) -> Option<&AtomicU64> {
        let at = K::ALL.iter().position(|other| *other == kind)?;
        self.0.get(at)
    }
}

/// Upper bounds of the buckets for durations of transfers, in milliseconds. One more bucket
/// holds all longer ones.
pub const BOUNDS: [u64; 6] = [10, 100, 1000, 10_000, 60_000, 600_000];

/// The durations of transfers, in buckets.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Durations {
    fn record(&self, took: Duration) {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| milliseconds <= *bound);
        if let Some(count) = self.counts.get(at.unwrap_or(BOUNDS.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Returns the count of each bucket; the last is that of durations beyond all bounds.
    pub fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

/// All counters of the server.
#[derive(Debug)]
pub struct Counters {
    /// When counting began.
    pub since: Since,
    /// Number of sessions that have begun.
    pub sessions: AtomicU64,
    /// Number of sessions that have started TLS.
    pub tls: AtomicU64,
    /// Clients that were turned away, by reason.
    pub away: Tally<Away>,
    /// Logins, by result.
    pub logins: Tally<LoginResult>,
    /// Refused commands, by reason, without failed logins.
    pub refused: Tally<Reason>,
    /// Offences of clients, by kind.
    pub offences: Tally<Offence>,
    /// Bytes moved over data connections, including those of running transfers.
    pub bytes: Tally<Traffic>,
    /// Results of finished transfers, by what they moved.
    pub outcomes: [Tally<Outcome>; 3],
    /// Durations of finished transfers, by what they moved.
    pub durations: [Durations; 3],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            since: Since::now(),
            sessions: AtomicU64::default(),
            tls: AtomicU64::default(),
            away: Tally::default(),
            logins: Tally::default(),
            refused: Tally::default(),
            offences: Tally::default(),
            bytes: Tally::default(),
            outcomes: Default::default(),
            durations: Default::default(),
        }
    }
}

impl Counters {
    pub(super) fn transferred(
        &self,
        traffic: Traffic,
        took: Duration,
        why: Option<&DataError>,
    ) {
        let at = Traffic::ALL.iter().position(|other| *other == traffic).unwrap_or_default();
        if let (Some(outcomes), Some(durations)) =
            (self.outcomes.get(at), self.durations.get(at))
        {
            outcomes.count(Outcome::from(why));
            durations.record(took);
        }
    }

    pub(super) fn refused(&self, why: Option<Reason>) {
        if let Some(reason) = why {
            self.refused.count(reason);
        }
    }
}

/// Counts the bytes of one transfer while they move.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    counters: &'a Counters,
    traffic: Traffic,
    counted: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(counters: &'a Counters, traffic: Traffic) -> Self {
        Self { counters, traffic, counted: 0 }
    }

    /// Counts up to this total of the transfer.
    pub(super) fn moved(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.counted);
        if more > 0 {
            self.counters.bytes.add(self.traffic, more);
            self.counted = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it() {
        let durations = Durations::default();
        for milliseconds in [0, 10, 11, 999, 60_001, 700_000, u64::MAX / 4000] {
            durations.record(Duration::from_millis(milliseconds));
        }
        assert_eq!(durations.counts(), [2, 1, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn bytes_are_counted_once() {
        let counters = Counters::default();
        let mut meter = Meter::new(&counters, Traffic::Upload);
        for bytes in [0, 100, 100, 250] {
            meter.moved(bytes);
        }
        assert_eq!(counters.bytes.get(Traffic::Upload), 250);
        assert_eq!(counters.bytes.get(Traffic::Download), 0);
    }
}
