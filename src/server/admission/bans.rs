//! Bans turn away addresses with too many failures for a while.
//!
//! There are two bounded tables: addresses with failures, and addresses that are banned. If one
//! is full, the addresses with the fewest failures are forgotten first, or the bans that end
//! first. A flood of addresses with one failure each therefore takes little memory, and cannot
//! make the server forget an address with more failures.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ban::{Ban, Struck};
use super::origin::Origin;
use super::suspect::{REFUSED, Suspect};
use super::tables::{MOST, Tables, thin};
use crate::config::BanRules;
use crate::control::{Guess, Offence};

/// Maximum number of bans made by hand. These are never lifted to make room; a firewall is
/// better suited to more of them.
const BY_HAND: usize = MOST / 2;

/// The addresses with failures, and the addresses that are banned.
#[derive(Debug, Default)]
pub(in crate::server) struct Bans {
    tables: Mutex<Tables>,
    /// Number of bans. It is usually 0, and then the lock is not taken.
    count: AtomicUsize,
    /// Number of bans since the start of the server.
    total: AtomicU64,
}

impl Bans {
    /// Returns whether a client must be turned away because its address is banned, and counts
    /// the clients that are.
    pub(in crate::server) fn refuses(
        &self,
        address: IpAddr,
        rules: &BanRules,
        now: Instant,
    ) -> bool {
        if self.count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let origin = Origin::of(address);
        let mut tables = self.tables();
        let Some(ban) = tables.banned.get_mut(&origin) else { return false };
        // a reload may have exempted the address
        if ban.is_over(now) || origin.is_exempt(rules) {
            tables.banned.remove(&origin);
            self.count(&tables);
            return false;
        }
        if is_exempt(address, rules) {
            return false;
        }
        ban.closed += 1;
        true
    }

    /// Counts a failure, and bans the address if it has reached the limit. A login with the
    /// user and password of an earlier failure does not count: a device that keeps sending an
    /// old password is not guessing.
    pub(in crate::server) fn strike(
        &self,
        address: IpAddr,
        how: Offence,
        guess: Option<Guess>,
        rules: &BanRules,
        now: Instant,
    ) -> Option<Struck> {
        self.judge(address, how, rules, now, |suspect| {
            if !guess.is_some_and(|guess| suspect.knows(guess)) {
                suspect.failures += 1;
            }
        })
    }

    /// Counts the refused commands of a session that has ended without a login, and bans the
    /// address if there are too many.
    pub(in crate::server) fn refused(
        &self,
        address: IpAddr,
        commands: usize,
        rules: &BanRules,
        now: Instant,
    ) -> Option<Struck> {
        self.judge(address, Offence::Refused, rules, now, |suspect| {
            suspect.refused += commands;
            suspect.failures += suspect.refused / REFUSED;
            suspect.refused %= REFUSED;
        })
    }

    fn judge(
        &self,
        address: IpAddr,
        how: Offence,
        rules: &BanRules,
        now: Instant,
        hold: impl FnOnce(&mut Suspect),
    ) -> Option<Struck> {
        let most = rules.after?;
        if is_exempt(address, rules) {
            return None;
        }
        let origin = Origin::of(address);
        let mut tables = self.tables();
        if tables.is_banned(origin, now) {
            return None;
        }
        let suspect = tables.suspect(origin, rules, now);
        hold(suspect);
        let failures = suspect.failures;
        if failures < most {
            return None;
        }
        tables.suspects.remove(&origin);
        let until = rules.time.map(|time| now + time);
        let ban = Ban { until, failures, last: Some(how), closed: 0 };
        let lifted = self.enter(&mut tables, origin, ban, now);
        Some(Struck { origin, ban, lifted })
    }

    /// Bans an address by hand; `time` is `None` for a ban that lasts until it is lifted.
    pub(in crate::server) fn ban(
        &self,
        origin: Origin,
        time: Option<Duration>,
        now: Instant,
    ) -> Result<(), String> {
        let mut tables = self.tables();
        let by_hand = tables.banned.values().filter(|ban| ban.last.is_none()).count();
        if by_hand >= BY_HAND {
            return Err(format!("{by_hand} addresses are banned by hand; use a firewall"));
        }
        let until = time.map(|time| now + time);
        let ban = Ban { until, failures: 0, last: None, closed: 0 };
        tables.suspects.remove(&origin);
        self.enter(&mut tables, origin, ban, now);
        Ok(())
    }

    fn enter(&self, tables: &mut Tables, origin: Origin, ban: Ban, now: Instant) -> usize {
        // bans made by hand are kept, and then the bans that end last
        let by_hand = |ban: &Ban| usize::from(ban.last.is_none());
        let rank = |ban: &Ban| (by_hand(ban), usize::from(ban.until.is_none()), ban.until);
        let lifted = thin(&mut tables.banned, |ban| ban.is_over(now), rank);
        tables.banned.insert(origin, ban);
        self.total.fetch_add(1, Ordering::Relaxed);
        self.count(tables);
        lifted
    }

    /// Lifts one ban, or all of them, and forgets the failures. Returns the number of bans
    /// lifted.
    pub(in crate::server) fn lift(&self, origin: Option<Origin>, now: Instant) -> usize {
        let mut tables = self.sweep(now);
        let before = tables.banned.len();
        match origin {
            Some(origin) => {
                tables.banned.remove(&origin);
                tables.suspects.remove(&origin);
            }
            None => *tables = Tables::default(),
        }
        self.count(&tables);
        before - tables.banned.len()
    }

    /// Returns all bans, in the order in which they end.
    pub(in crate::server) fn list(&self, now: Instant) -> Vec<(Origin, Ban)> {
        let tables = self.sweep(now);
        let mut all: Vec<_> =
            tables.banned.iter().map(|(origin, ban)| (*origin, *ban)).collect();
        all.sort_by_key(|(origin, ban)| (ban.until.is_none(), ban.until, *origin));
        all
    }

    /// Returns the current number of bans.
    pub(in crate::server) fn active(&self, now: Instant) -> usize {
        if self.count.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        self.sweep(now).banned.len()
    }

    /// Removes the bans that are over.
    fn sweep(&self, now: Instant) -> MutexGuard<'_, Tables> {
        let mut tables = self.tables();
        tables.banned.retain(|_, ban| !ban.is_over(now));
        self.count(&tables);
        tables
    }

    /// Number of bans since the start of the server.
    pub(in crate::server) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn count(&self, tables: &Tables) {
        self.count.store(tables.banned.len(), Ordering::SeqCst);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an address is exempt from bans. A prefix longer than a /64 exempts only some
/// addresses of an [`Origin`].
fn is_exempt(address: IpAddr, rules: &BanRules) -> bool {
    rules.exempt.iter().any(|peers| peers.contain(address))
        || Origin::of(address).is_exempt(rules)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::config;

    fn rules(lines: &str) -> BanRules {
        let text = format!("[server]\nenable_anonymous = on\nanonymous_path = /\n{lines}\n");
        config::of_text(&text).unwrap().server.bans
    }

    fn numbered(number: u32) -> IpAddr {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64 | 7).into()
    }

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn so_many_failures_within_the_window_are_a_ban_for_its_time() {
        let rules = rules("ban_after = 3\nban_window = 60\nban_time = 100");
        let (bans, mut now) = (Bans::default(), Instant::now());
        for seconds in [30, 31, 0, 0] {
            // the third is outside of the first one's window
            assert!(bans.strike(V4, Offence::Login, None, &rules, now).is_none());
            now += Duration::from_secs(seconds);
        }
        assert!(!bans.refuses(V4, &rules, now));
        let struck = bans.strike(V4, Offence::Http, None, &rules, now).unwrap();
        assert_eq!((struck.ban.failures, struck.ban.last), (3, Some(Offence::Http)));
        assert!(bans.refuses(V4, &rules, now));
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert!(bans.refuses(mapped, &rules, now));
        assert!(!bans.refuses("192.0.2.8".parse().unwrap(), &rules, now));
        assert!(
            bans.strike(V4, Offence::Login, None, &rules, now).is_none(),
            "one ban, one line"
        );
        assert_eq!(bans.list(now)[0].1.closed, 2);
        assert_eq!((bans.active(now), bans.total()), (1, 1));
        assert_eq!(bans.active(now + Duration::from_secs(100)), 0);
        assert!(!bans.refuses(V4, &rules, now + Duration::from_secs(100)));
        assert!(bans.list(now + Duration::from_secs(100)).is_empty());
    }

    #[test]
    fn a_login_that_is_tried_again_is_one_failure_however_many_come_between() {
        let rules = rules("ban_after = 3\nban_window = 60");
        let (bans, now) = (Bans::default(), Instant::now());
        let key = std::hash::RandomState::new();
        let login = |name: &[u8], password: &[u8], now| {
            let guess = Guess::of(&key, name, password);
            bans.strike(V4, Offence::Login, Some(guess), &rules, now)
        };
        for _ in 0..100 {
            assert!(login(b"bob", b"old", now).is_none());
            assert!(login(b"bob", b"", now).is_none());
        }
        // known guesses are forgotten when the window ends
        let later = now + Duration::from_secs(60);
        assert!(login(b"bob", b"old", later).is_none());
        assert!(login(b"bobo", b"ld", later).is_none());
        assert!(login(b"bob", b"new", later).is_some());
    }

    #[test]
    fn refused_commands_of_many_sessions_add_up() {
        let rules = rules("ban_after = 2");
        let (bans, now) = (Bans::default(), Instant::now());
        for _ in 0..3 {
            assert!(bans.refused(V4, 13, &rules, now).is_none());
        }
        let struck = bans.refused(V4, 1, &rules, now).unwrap();
        assert_eq!((struck.ban.failures, struck.ban.last), (2, Some(Offence::Refused)));
        assert!(bans.refused([10, 0, 0, 1].into(), 1000, &rules, now).is_none(), "exempt");
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let rules = rules("ban_after = 2");
        let (bans, now) = (Bans::default(), Instant::now());
        let (one, other) = ("2001:db8::1".parse().unwrap(), "2001:db8::f:2".parse().unwrap());
        assert!(bans.strike(one, Offence::Login, None, &rules, now).is_none());
        let struck = bans.strike(other, Offence::Login, None, &rules, now).unwrap();
        assert_eq!(struck.origin.to_string(), "2001:db8::/64");
        assert!(bans.refuses(one, &rules, now));
        assert!(!bans.refuses("2001:db8:0:1::1".parse().unwrap(), &rules, now));
    }

    #[test]
    fn an_exception_is_never_banned_and_a_new_one_lifts_its_ban() {
        let strict = rules("ban_after = 1\nban_exempt =");
        let kind = rules("ban_after = 1\nban_exempt = local, 192.0.2.0/24");
        let (bans, now) = (Bans::default(), Instant::now());
        for exempt in [V4, [127, 0, 0, 1].into(), [10, 0, 0, 1].into()] {
            assert!(
                bans.strike(exempt, Offence::Login, None, &kind, now).is_none(),
                "{exempt}"
            );
        }
        assert!(bans.strike(V4, Offence::Login, None, &strict, now).is_some());
        assert!(bans.refuses(V4, &strict, now));
        assert!(!bans.refuses(V4, &kind, now));
        assert!(!bans.refuses(V4, &strict, now));
    }

    #[test]
    fn a_flood_of_addresses_costs_neither_memory_nor_the_failures_of_others() {
        let rules = rules("ban_after = 3\nban_exempt =\nban_window = 0");
        let (bans, now) = (Bans::default(), Instant::now());
        bans.strike(V4, Offence::Login, None, &rules, now);
        bans.strike(V4, Offence::Login, None, &rules, now);
        for number in 0..60_000 {
            bans.strike(numbered(number), Offence::Noise, None, &rules, now);
        }
        assert!(bans.tables().suspects.len() <= MOST);
        assert!(bans.strike(V4, Offence::Login, None, &rules, now).is_some());
    }

    #[test]
    fn bans_are_bounded_and_those_by_hand_stay() {
        let rules = rules("ban_after = 1\nban_exempt =");
        let (bans, now) = (Bans::default(), Instant::now());
        bans.ban(Origin::of(V4), Some(Duration::from_secs(1)), now).unwrap();
        let mut lifted = 0;
        for number in 0..30_000 {
            let later = now + Duration::from_micros(number.into());
            let struck = bans.strike(numbered(number), Offence::Noise, None, &rules, later);
            lifted += struck.unwrap().lifted;
        }
        assert!(bans.tables().banned.len() <= MOST && lifted >= 20_000, "{lifted}");
        assert!(bans.refuses(V4, &rules, now));
        assert!(bans.refuses(numbered(29_999), &rules, now));
        assert!(!bans.refuses(numbered(0), &rules, now));
        for number in 0..BY_HAND - 1 {
            let origin = Origin::of(numbered(u32::try_from(number).unwrap()));
            bans.ban(origin, None, now).unwrap();
        }
        assert!(bans.ban(Origin::of([10, 0, 0, 1].into()), None, now).is_err());
        assert!(bans.lift(None, now) > 0);
        assert!(!bans.refuses(V4, &rules, now));
    }

    #[test]
    fn without_ban_after_nobody_is_banned_but_by_hand() {
        let rules = rules("ban_after = 0");
        let (bans, now) = (Bans::default(), Instant::now());
        for _ in 0..1000 {
            assert!(bans.strike(V4, Offence::Login, None, &rules, now).is_none());
        }
        assert!(bans.tables().suspects.is_empty());
        bans.ban(Origin::of(V4), None, now).unwrap();
        assert!(bans.refuses(V4, &rules, now + Duration::from_secs(1 << 30)));
        assert_eq!(bans.lift(Some(Origin::of(V4)), now), 1);
        assert_eq!(bans.lift(Some(Origin::of(V4)), now), 0);
    }
}
