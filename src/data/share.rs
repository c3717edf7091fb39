//! A speed limit that several transfers share. It is given byte counts and times, and returns how
//! long to sleep.
//!
//! The bytes that the limit allows are handed out to the transfers in equal parts, as time passes. A
//! transfer is charged for what it has moved, and sleeps until its part has paid for it. One that takes
//! less than its part, because its client is slow or because another limit holds it back, keeps no more
//! than it has moved in the last tenth of a second. What it does not take goes to the others.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// An amount of bytes, in billionths: what one byte per second allows in a nanosecond.
type Amount = i128;

const BYTE: Amount = 1_000_000_000;

/// The state of a limit, and the accounts of the transfers that share it.
#[derive(Debug)]
pub(super) struct Share {
    /// Bytes per second, or billionths of a byte per nanosecond.
    rate: Amount,
    /// Up to when bytes were handed out.
    at: Instant,
    /// What nobody has taken yet, or, below zero, what all owe together.
    reserve: Amount,
    /// The accounts, ordered by number.
    accounts: Vec<Account>,
    next: u64,
    /// Number of accounts that take all they are given.
    open: usize,
    /// Bytes per second that such an account is given, averaged over [`SMOOTH`], in parts of [`FINE`].
    level: Amount,
}

/// The account of one transfer.
#[derive(Debug)]
struct Account {
    number: u64,
    /// What it may move at once, or, below zero, what it has moved too early.
    balance: Amount,
    /// What it has moved of late, fading within [`MEMORY`].
    used: Amount,
}

/// Time within which what a transfer has moved is forgotten. A transfer that wakes up too late by a
/// good part of it loses nothing.
const MEMORY: Duration = Duration::from_millis(100);

/// Number of bits behind the point, where whole numbers are too coarse.
const FINE: u32 = 16;

/// What the limit allows in this time can be saved up for transfers that begin.
const SAVED: Duration = Duration::from_millis(50);

/// The time for which a transfer may be made to wait by its own debt. A larger one, from before others
/// came or from before the limit was lowered, becomes a debt of all.
const PATIENCE: Duration = Duration::from_millis(100);

/// Time over which the level is averaged.
const SMOOTH: Duration = Duration::from_millis(250);

/// Time for each account between two rounds of handing out: a round takes as long as there are
/// accounts, so with many there are fewer rounds.
const ROUND: Duration = Duration::from_micros(4);

/// Number of passes of a round. More are needed only if many accounts become full at once; the rest is
/// then handed out in the next round.
const PASSES: usize = 4;

/// Shorter sleeps are not worth a system call.
const SHORTEST: Duration = Duration::from_micros(100);

impl Share {
    /// Creates a limit without transfers.
    pub(super) fn new(now: Instant) -> Self {
        let (rate, reserve, level) = (0, 0, 0);
        Self { rate, at: now, reserve, accounts: Vec::new(), next: 0, open: 0, level }
    }

    /// Changes the limit, which `expected` transfers will share. Debts and savings are cut down to what
    /// they may be under the new one.
    pub(super) fn set(&mut self, rate: NonZeroU64, expected: u64, now: Instant) {
        self.hand_out(now);
        self.at = now;
        self.rate = Amount::from(rate.get());
        let part = self.rate / Amount::from(expected.max(1));
        self.level = part << FINE;
        let (saved, debt) = (self.over(SAVED), part * nanos(PATIENCE));
        self.reserve = self.reserve.clamp(-saved, saved);
        for account in &mut self.accounts {
            account.balance = account.balance.max(-debt.max(BYTE));
            account.used = account.used.min(debt);
        }
    }

    /// Opens the account of a transfer, and returns its number.
    pub(super) fn enter(&mut self, now: Instant) -> u64 {
        self.hand_out(now);
        let number = self.next;
        self.next += 1;
        self.accounts.push(Account { number, balance: 0, used: 0 });
        self.open += 1;
        number
    }

    /// Closes an account. What it has saved, or owes, goes to the others.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        self.hand_out(now);
        if let Some(at) = self.place(number) {
            let account = self.accounts.remove(at);
            self.open = self.open.min(self.accounts.len());
            self.reserve = (self.reserve + account.balance).min(self.over(SAVED));
        }
    }

    /// Charges a transfer for bytes that it has moved.
    pub(super) fn spend(&mut self, number: u64, bytes: u64, now: Instant) {
        self.hand_out(now);
        if let Some(account) = self.account(number) {
            let bytes = Amount::from(bytes) * BYTE;
            account.balance -= bytes;
            account.used += bytes;
        }
    }

    /// Returns how long a transfer must sleep before it moves more, as far as is known now. It may turn
    /// out that it must sleep again.
    pub(super) fn left(&mut self, number: u64, now: Instant) -> Duration {
        self.hand_out(now);
        let owed = self.account(number).map_or(0, |account| -account.balance);
        if owed <= 0 {
            return Duration::ZERO;
        }
        let together = (-self.reserve).max(0) / self.rate.max(1);
        let until = owed / self.part().max(1) + together;
        let left = Duration::from_nanos(u64::try_from(until).unwrap_or(u64::MAX));
        let left = left.saturating_sub(now.saturating_duration_since(self.at));
        if left < SHORTEST { Duration::ZERO } else { left }
    }

    /// Returns how many bytes per second a transfer is given now that takes all it is given.
    pub(super) fn slope(&self) -> u64 {
        u64::try_from(self.part()).unwrap_or_default()
    }

    /// Returns how many bytes per second a transfer can move, on average.
    pub(super) fn level(&mut self, now: Instant) -> u64 {
        self.hand_out(now);
        u64::try_from((self.level >> FINE).min(self.rate)).unwrap_or_default()
    }

    fn part(&self) -> Amount {
        let open = Amount::try_from(self.open.max(1)).unwrap_or(Amount::MAX);
        (self.level >> FINE).min(self.rate / open)
    }

    /// Hands out what has become allowed since the last time.
    fn hand_out(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let accounts = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        if passed.is_zero() || passed < ROUND * accounts {
            return;
        }
        self.at = now;
        let passed = nanos(passed);
        let (fresh, before) = (self.rate * passed, self.reserve);
        let mut pool = before + fresh + self.reclaim(passed);
        let mut given = self.fill(&mut pool);
        if self.open == 0 {
            // one more transfer would be given this
            given += (pool - before).clamp(0, fresh);
        }
        self.reserve = pool.min(self.over(SAVED));
        self.level += ((given << FINE) - self.level * passed) / (nanos(SMOOTH) + passed);
    }

    /// Takes back what accounts have saved and may no longer keep, and takes over debts that are too
    /// large. Returns the sum.
    fn reclaim(&mut self, passed: Amount) -> Amount {
        // one division for all accounts
        let kept = (nanos(MEMORY) << FINE) / (nanos(MEMORY) + passed);
        let debt = (self.part() * nanos(PATIENCE)).max(BYTE);
        let mut sum = 0;
        for account in &mut self.accounts {
            account.used = (account.used * kept) >> FINE;
            let balance = account.balance.clamp(-debt, account.most());
            sum += account.balance - balance;
            account.balance = balance;
        }
        sum
    }

    /// Gives the accounts equal parts of the pool, as far as each may take them. Returns the part of one
    /// that takes all.
    fn fill(&mut self, pool: &mut Amount) -> Amount {
        self.open = self.accounts.iter().filter(|account| account.is_open()).count();
        let mut given = 0;
        for _ in 0..PASSES {
            let open = Amount::try_from(self.open).unwrap_or(Amount::MAX);
            let part = if open == 0 { 0 } else { *pool / open };
            if part <= 0 {
                break;
            }
            given += part;
            let (before, mut open) = (self.open, 0);
            for account in self.accounts.iter_mut().filter(|account| account.is_open()) {
                let part = part.min(account.most() - account.balance);
                account.balance += part;
                *pool -= part;
                open += usize::from(account.is_open());
            }
            self.open = open;
            if open == before {
                break;
            }
        }
        given
    }

    /// Returns what the limit allows in this time.
    fn over(&self, time: Duration) -> Amount {
        self.rate * nanos(time)
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.accounts.binary_search_by_key(&number, |account| account.number).ok()
    }

    fn account(&mut self, number: u64) -> Option<&mut Account> {
        self.place(number).and_then(|at| self.accounts.get_mut(at))
    }
}

impl Account {
    /// Returns how much it may save up.
    fn most(&self) -> Amount {
        self.used.max(BYTE)
    }

    fn is_open(&self) -> bool {
        self.balance < self.most()
    }
}

fn nanos(time: Duration) -> Amount {
    // a second says as much as longer times do: nobody waits longer without asking
    let time = time.min(Duration::from_secs(1));
    Amount::try_from(time.as_nanos()).unwrap_or(Amount::MAX)
}
