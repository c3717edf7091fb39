//! Many simulated transfers that share limits, on a simulated clock.

#![expect(clippy::cast_precision_loss, reason = "rates are compared to a part in a hundred")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::speed::{SharedRate, Speed};
use super::throttle::Throttle;

const MIB: u64 = 1 << 20;

/// The most that a transfer moves at once.
const MOST: usize = 256 << 10;

/// A transfer that is to be simulated.
#[derive(Debug, Clone)]
struct Plan {
    begins: u64,
    ends: u64,
    /// Bytes per second that its client can take; 0: any number.
    pace: u64,
    /// Its own limit; 0: none.
    own: u64,
    /// From when until when its client takes nothing.
    stall: (u64, u64),
    /// The user; transfers with the same number share a limit.
    user: usize,
}

/// A transfer that takes all it gets. Times are in milliseconds.
const GREEDY: Plan = Plan { begins: 0, ends: 600_000, pace: 0, own: 0, stall: (0, 0), user: 0 };

/// A simulated transfer.
struct Run {
    plan: Plan,
    speed: Arc<Speed>,
    throttle: Option<Throttle>,
    /// Up to when the client has been able to take bytes, in nanoseconds.
    took: u64,
    /// When it has moved how many bytes.
    moved: Vec<(u64, u64)>,
}

/// The transfers, their server, and a clock.
struct Crowd {
    begin: Instant,
    users: Vec<Speed>,
    runs: Vec<Run>,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    /// Maximum time in microseconds by which a transfer wakes up too late.
    late: u64,
    dice: u64,
}

/// When a transfer acts again, in nanoseconds.
enum Next {
    Busy(u64),
    /// It sleeps, and may wake up too late.
    Asleep(u64),
    Over,
}

fn limit(rate: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(rate)
}

impl Crowd {
    fn new(plans: &[Plan], user: u64, server: u64, late: u64) -> Self {
        let begin = Instant::now();
        let all = Arc::new(SharedRate::new());
        all.set(limit(server), begin);
        let users: Vec<_> = (0..8).map(|_| Speed::new(&all)).collect();
        let run = |plan: &Plan| {
            let speed = Arc::new(users[plan.user].with_own(limit(plan.own)));
            Run { plan: plan.clone(), speed, throttle: None, took: 0, moved: Vec::new() }
        };
        let runs: Vec<_> = plans.iter().map(run).collect();
        let queue = plans.iter().enumerate();
        let queue = queue.map(|(at, plan)| Reverse((plan.begins * 1_000_000, at))).collect();
        let crowd = Self { begin, users, runs, queue, late, dice: 1 };
        crowd.set_users(user, 0);
        crowd
    }

    fn at(&self, nanos: u64) -> Instant {
        self.begin + Duration::from_nanos(nanos)
    }

    fn set_users(&self, rate: u64, milliseconds: u64) {
        for user in &self.users {
            user.set(None, limit(rate), self.at(milliseconds * 1_000_000));
        }
    }

    /// Runs the clock up to this time.
    fn run(&mut self, until: u64) {
        while let Some(&Reverse((now, which))) = self.queue.peek()
            && now < until * 1_000_000
        {
            self.queue.pop();
            match self.step(now, which) {
                Next::Over => {}
                Next::Busy(until) => self.queue.push(Reverse((until, which))),
                Next::Asleep(until) => {
                    let late = self.toss() % (self.late * 1000 + 1);
                    self.queue.push(Reverse((until + late, which)));
                }
            }
        }
    }

    fn toss(&mut self) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.dice >> 33
    }

    /// Lets a transfer act.
    fn step(&mut self, nanos: u64, which: usize) -> Next {
        let now = self.at(nanos);
        let run = &mut self.runs[which];
        if nanos >= run.plan.ends * 1_000_000 {
            run.throttle = None;
            return Next::Over;
        }
        let throttle =
            run.throttle.get_or_insert_with(|| Throttle::new(Arc::clone(&run.speed)));
        let left = throttle.left(now);
        assert!(left <= Duration::from_millis(100), "{left:?}");
        if !left.is_zero() {
            return Next::Asleep(nanos + u64::try_from(left.as_nanos()).unwrap());
        }
        let (from, to) = run.plan.stall;
        if (from * 1_000_000..to * 1_000_000).contains(&nanos) {
            return Next::Asleep(to * 1_000_000);
        }
        let mut bytes = throttle.chunk(MOST) as u64;
        if run.plan.pace > 0 {
            // the client and the buffers of the system take 64 KiB at most at once
            let room = u128::from(run.plan.pace) * u128::from(nanos - run.took) / 1_000_000_000;
            bytes = bytes.min(u64::try_from(room).unwrap()).min(64 << 10);
            if bytes == 0 {
                return Next::Asleep(nanos + 1_000_000_000 / run.plan.pace.min(1000));
            }
        }
        run.took = nanos;
        run.moved.push((nanos, bytes));
        let left = u64::try_from(throttle.spend(bytes, now).as_nanos()).unwrap();
        // 4 GiB/s are as fast as it gets
        if left > 0 { Next::Asleep(nanos + left) } else { Next::Busy(nanos + bytes / 4 + 1) }
    }

    /// Returns the bytes per second that a transfer has moved in a time.
    fn rate(&self, which: usize, (from, to): (u64, u64)) -> f64 {
        let is_in = |nanos: u64| (from * 1_000_000..to * 1_000_000).contains(&nanos);
        let moved = self.runs[which].moved.iter();
        let sum: u64 = moved.filter(|(at, _)| is_in(*at)).map(|(_, bytes)| bytes).sum();
        sum as f64 * 1000.0 / (to - from) as f64
    }

    /// Returns the bytes per second of all in a time.
    fn sum(&self, time: (u64, u64)) -> f64 {
        (0..self.runs.len()).map(|which| self.rate(which, time)).sum()
    }

    #[track_caller]
    fn is_fair(&self, who: impl IntoIterator<Item = usize>, part: f64, time: (u64, u64)) {
        for which in who {
            let rate = self.rate(which, time);
            assert!((0.95..1.05).contains(&(rate / part)), "{which}: {rate} for {part}");
        }
    }

    #[track_caller]
    fn is_whole(&self, rate: u64, time: (u64, u64)) {
        let share = self.sum(time) / rate as f64;
        assert!((0.99..1.01).contains(&share), "{share} of {rate} in {time:?}, {}", self.late);
    }
}

/// Transfers that wake up as a quiet machine wakes them, and as a busy one does.
const LATE: [u64; 3] = [100, 5000, 40_000];

#[test]
fn eight_get_an_eighth_each_at_every_rate() {
    for late in LATE {
        for rate in [8 << 10, 8 * MIB, 800 * MIB] {
            let mut crowd = Crowd::new(&vec![GREEDY; 8], rate, 0, late);
            crowd.run(21_000);
            for time in [(0, 10_000), (1000, 11_000), (10_500, 20_500)] {
                crowd.is_whole(rate, time);
                crowd.is_fair(0..8, rate as f64 / 8.0, time);
            }
        }
    }
}

#[test]
fn one_gets_all_and_a_second_gets_half_at_once() {
    for late in LATE {
        let second = Plan { begins: 10_000, ends: 20_000, ..GREEDY };
        let mut crowd = Crowd::new(&[GREEDY, second], MIB, 0, late);
        crowd.run(31_000);
        for (time, who) in
            [((0, 10_000), 0..1), ((10_000, 20_000), 0..2), ((20_000, 30_000), 0..1)]
        {
            crowd.is_whole(MIB, time);
            let part = MIB as f64 / who.len() as f64;
            crowd.is_fair(who, part, time);
        }
    }
}

#[test]
fn what_slow_clients_and_own_limits_leave_goes_to_the_others() {
    for late in LATE {
        let slow = Plan { pace: 100 << 10, ..GREEDY };
        let own = Plan { own: 200 << 10, ..GREEDY };
        let plans = [slow.clone(), slow, own.clone(), own, GREEDY, GREEDY];
        let mut crowd = Crowd::new(&plans, 8 * MIB, 0, late);
        crowd.run(15_000);
        let time = (1000, 11_000);
        crowd.is_whole(8 * MIB, time);
        crowd.is_fair(0..2, 102_400.0, time);
        crowd.is_fair(2..4, 204_800.0, time);
        crowd.is_fair(4..6, (8.0 * MIB as f64 - 614_400.0) / 2.0, time);
    }
}

#[test]
fn a_thousand_that_stand_still_hold_nothing() {
    let stuck = Plan { stall: (2000, 600_000), ..GREEDY };
    let mut plans = vec![stuck; 1000];
    plans.extend([GREEDY, GREEDY]);
    let mut crowd = Crowd::new(&plans, 10 * MIB, 0, 3000);
    crowd.run(23_000);
    for time in [(2200, 12_200), (12_500, 22_500)] {
        crowd.is_whole(10 * MIB, time);
        crowd.is_fair([1000, 1001], 5.0 * MIB as f64, time);
    }
}

#[test]
fn who_stood_still_catches_nothing_up() {
    let mut plans = vec![Plan { stall: (5000, 15_000), ..GREEDY }; 4];
    plans.push(GREEDY);
    let mut crowd = Crowd::new(&plans, 0, MIB, 1000);
    crowd.run(27_000);
    for time in [(5000, 15_000), (10_000, 20_000), (15_000, 25_000)] {
        crowd.is_whole(MIB, time);
    }
    crowd.is_fair(0..5, MIB as f64 / 5.0, (15_000, 25_000));
    // nor do all who stand still together save up for a burst
    let mut crowd = Crowd::new(&plans[..4], 0, MIB, 1000);
    crowd.run(26_000);
    assert!(crowd.sum((15_000, 16_000)) < 1.16 * MIB as f64);
}

#[test]
fn the_tightest_of_the_limits_wins() {
    let other = |user| Plan { user, ..GREEDY };
    let own = Plan { own: 100 << 10, ..GREEDY };
    // the user of the first five may have 4 MiB/s, and the server has 10 MiB/s for all
    let plans = [GREEDY, GREEDY, GREEDY, GREEDY, own, other(1), other(2), other(3), other(4)];
    let mut crowd = Crowd::new(&plans, 4 * MIB, 10 * MIB, 1000);
    crowd.run(12_000);
    let time = (1000, 11_000);
    crowd.is_whole(10 * MIB, time);
    crowd.is_fair([4], 102_400.0, time);
    let four = (4.0 * MIB as f64 - 102_400.0) / 4.0;
    crowd.is_fair(0..4, four, time);
    crowd.is_fair(5..9, 1.5 * MIB as f64, time);
}

#[test]
fn limits_change_while_transfers_run() {
    for late in LATE {
        let mut crowd = Crowd::new(&vec![GREEDY; 8], 100 * MIB, 0, late);
        let mut from = 0;
        for rate in [100 * MIB, 64 << 10, 8 * MIB, 0, MIB, 2 * MIB] {
            crowd.set_users(rate, from);
            crowd.run(from + if rate == 0 { 100 } else { 12_000 });
            if rate > 0 {
                let time = (from + 2000, from + 12_000);
                crowd.is_whole(rate, time);
                crowd.is_fair(0..8, rate as f64 / 8.0, time);
            }
            from += if rate == 0 { 100 } else { 12_000 };
        }
    }
}

#[test]
fn a_limit_that_falls_far_stops_nobody_for_long() {
    let mut crowd = Crowd::new(&vec![GREEDY; 4], 1000 * MIB, 0, 1000);
    crowd.run(1000);
    crowd.set_users(4096, 1000);
    crowd.run(12_000);
    for which in 0..4 {
        assert!(crowd.rate(which, (1000, 2000)) > 500.0);
    }
    crowd.is_whole(4096, (1500, 11_500));
}

#[test]
fn the_level_is_what_a_transfer_can_move() {
    let slow = Plan { pace: 100 << 10, ..GREEDY };
    let mut crowd = Crowd::new(&[slow, GREEDY, GREEDY], MIB, 0, 1000);
    crowd.run(5000);
    let part = (MIB as f64 - 102_400.0) / 2.0;
    let share = crowd.users[0].share_at(crowd.at(5_000_000_000)).unwrap().get() as f64;
    assert!((0.9..1.1).contains(&(share / part)), "{share} for {part}");
    assert_eq!(Crowd::new(&[GREEDY], 0, 0, 0).users[0].share_at(Instant::now()), None);
}

fn plan() -> impl Strategy<Value = Plan> {
    let pace = prop_oneof![2 => Just(0_u64), 1 => 1000..2_000_000_u64];
    let own = prop_oneof![3 => Just(0_u64), 1 => 1000..2_000_000_u64];
    (0..8000_u64, 1..30_000_u64, pace, own, 0..20_000_u64, 0..3000_u64, 0..2_usize).prop_map(
        |(begins, takes, pace, own, stalls, long, user)| Plan {
            begins,
            ends: begins + takes,
            pace,
            own,
            stall: (stalls, stalls + long),
            user,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whoever comes, goes, stalls or is slow: two that take all they get, and use the same limits,
    /// get the same, and the sum is what the limit allows.
    #[test]
    fn a_crowd_of_all_kinds_shares(
        plans in proptest::collection::vec(plan(), 0..40),
        kib in 10..200_000_u64,
        late in 10..10_000_u64,
    ) {
        let mut plans = plans;
        let first = plans.len();
        plans.extend([GREEDY, GREEDY]);
        let rate = kib << 10;
        let mut crowd = Crowd::new(&plans, 0, rate, late);
        crowd.run(21_000);
        for time in [(500, 10_500), (3000, 13_000), (10_500, 20_500)] {
            let share = crowd.sum(time) / rate as f64;
            prop_assert!((0.99..1.01).contains(&share), "{share} in {time:?}");
            let (one, other) = (crowd.rate(first, time), crowd.rate(first + 1, time));
            prop_assert!((0.93..1.07).contains(&(one / other)), "{one} and {other}");
            // nobody gets more than those two
            for which in 0..first {
                let rate = crowd.rate(which, time);
                prop_assert!(rate < one.max(other) * 1.07 + 2000.0, "{which}: {rate} and {one}");
            }
        }
    }
}
