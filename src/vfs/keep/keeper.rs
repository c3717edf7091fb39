//! Says when a pass is due, makes room for uploads, and answers administrators.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::clock::Clock;
use super::memory::Memory;
use super::pass::{End, Gone, Pass, Removed, RoomRule};
use super::plan::{Plan, Rule};
use super::removal::Uses;
use super::rules::{Limit, Queue};
use crate::config::Config;
use crate::log::Event;
use crate::vfs::error::{FsError, Heed};
use crate::vfs::files::room::Need;
use crate::vfs::parts::store::Parts;
use crate::vfs::parts::turns::Turns;
use crate::vfs::path::VirtualPath;

/// Retention for all homes of a server.
#[derive(Debug)]
pub struct Keeper {
    uses: Uses,
    state: Mutex<State>,
    /// Wakes the thread of the keeper.
    wake: Condvar,
    /// One pass runs at a time. Holds what the last one that made room has found.
    turn: Mutex<Option<Found>>,
    /// Number of files that were removed, and their bytes.
    removed: (AtomicU64, AtomicU64),
    /// Number of uploads that room was made for.
    made_room: AtomicU64,
}

#[derive(Debug)]
struct State {
    plan: Arc<Plan>,
    memory: Memory,
    /// Whether the thread runs.
    is_hired: bool,
    /// Whether there are new rules that the log says nothing about yet.
    announces: bool,
    /// Uploads that wait for room.
    asked: Vec<Arc<Ticket>>,
    clock: Clock,
    /// Until then no file goes by its age, because the clock was set forward.
    doubts: Option<SystemTime>,
    /// Troubles that the log tells of already.
    told: HashSet<PathBuf>,
}

/// An upload that waits for room.
#[derive(Debug)]
struct Ticket {
    need: Need,
    /// Whether any file was removed for it, once that is known.
    result: Mutex<Option<bool>>,
    done: Condvar,
}

/// The oldest files of a file system, for uploads that need room one after the other.
#[derive(Debug)]
struct Found {
    device: u64,
    plan: Arc<Plan>,
    queue: Queue,
    at: Instant,
    /// If the search has found nothing that may go: how long it is not repeated.
    pause: Option<Duration>,
}

/// A rule, as an administrator sees it.
#[derive(Debug)]
pub struct RuleReport {
    /// The folder that it applies to, on the server.
    pub folder: PathBuf,
    /// The rule as in the settings, such as `keep_for = 30d`.
    pub rule: String,
    /// From when on the rule removes files; `None`: now.
    pub begins: Option<SystemTime>,
    /// Number of files that go by it, and their bytes.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A file that was removed, or would be.
#[derive(Debug)]
pub struct FileReport {
    /// The file, on the server.
    pub path: PathBuf,
    /// How long ago it was stored.
    pub age: Duration,
    /// Its size in bytes.
    pub size: u64,
    /// The rule that it goes by.
    pub rule: String,
}

/// What a pass has removed, or would remove.
#[derive(Debug, Default)]
pub struct Report {
    /// All rules.
    pub rules: Vec<RuleReport>,
    /// The files, those of one home and one file system in the order in which they go.
    pub files: Vec<FileReport>,
    /// Whether more files go than `files` lists.
    pub is_cut: bool,
    /// What could not be looked at or removed, and why.
    pub troubles: Vec<(PathBuf, String)>,
    /// Whether the pass stopped because the removals made too little room.
    pub in_vain: bool,
}

/// The free space where a rule demands some, in bytes.
#[derive(Debug)]
pub struct RoomReport {
    /// The folder that the rule applies to, on the server.
    pub folder: PathBuf,
    /// The free space.
    pub free: u64,
    /// The free space that the rule demands.
    pub wanted: u64,
}

/// Maximum number of files that a report lists.
const MOST_LISTED: usize = 10_000;

/// Time between two passes.
const PASS: Duration = Duration::from_secs(600);

/// Time between two looks at the free space.
const LOOK: Duration = Duration::from_secs(60);

/// Maximum time that an upload waits for room.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two calls of `heed` by an upload that waits for room.
const HEEDED: Duration = Duration::from_millis(100);

/// How long the oldest files that were found are used again.
const FRESH: Duration = Duration::from_secs(600);

/// Minimum time between two searches that found nothing.
const PAUSE: Duration = Duration::from_secs(1);

impl Keeper {
    /// Makes the keeper of a server, which remembers new rules in `state_dir`.
    pub fn new(state_dir: Option<&Path>, parts: &Arc<Parts>, turns: &Arc<Turns>) -> Self {
        let state = State {
            plan: Arc::default(),
            memory: Memory::start(state_dir),
            is_hired: false,
            announces: false,
            asked: Vec::new(),
            clock: Clock::now(),
            doubts: None,
            told: HashSet::new(),
        };
        Self {
            uses: Uses { parts: Arc::clone(parts), turns: Arc::clone(turns) },
            state: Mutex::new(state),
            wake: Condvar::new(),
            turn: Mutex::new(None),
            removed: Default::default(),
            made_room: AtomicU64::new(0),
        }
    }

    /// Makes the keeper of a process that is not a server, and looks without changing anything.
    pub fn alone(
        config: &Config,
        state_dir: Option<&Path>,
        parts: &Arc<Parts>,
        turns: &Arc<Turns>,
    ) -> Self {
        let keeper = Self::new(state_dir, parts, turns);
        let plan = Arc::new(Plan::of(config));
        keeper.state().plan = plan;
        keeper
    }

    /// Applies these settings from now on.
    pub fn renew(&self, config: &Config) {
        let plan = Arc::new(Plan::of(config));
        let mut state = self.state();
        if plan.is_empty() && state.plan.is_empty() {
            return;
        }
        let marks = plan.rules.iter().map(|rule| &rule.mark);
        state.announces |= state.memory.note(marks, SystemTime::now());
        state.plan = plan;
        state.told.clear();
        drop(state);
        self.wake.notify_all();
    }

    /// Returns whether the caller must start a thread that calls [`Keeper::work`], because there
    /// are rules and there is no thread yet.
    pub fn hire(&self) -> bool {
        let mut state = self.state();
        let hires = !state.is_hired && !state.plan.is_empty();
        state.is_hired |= hires;
        hires
    }

    /// Tells that the thread could not be started.
    pub fn dismiss(&self) {
        self.state().is_hired = false;
    }

    /// Carries out passes, and makes room, until there are no rules or the server stops.
    pub fn work(&self, stops: &dyn Fn() -> bool) {
        let (mut pass, mut look) = (Instant::now(), Instant::now());
        while let Some(work) = self.wait(pass.min(look)) {
            if stops() {
                return;
            }
            match work {
                Work::Announce => self.announce(stops),
                Work::MakeRoom(tickets) => {
                    for ticket in tickets {
                        ticket.finish(self.make_room_now(Some(&ticket.need), stops));
                    }
                }
                Work::Look => {
                    if pass <= Instant::now() {
                        let plan = self.plan();
                        let in_vain = self.tidy(stops);
                        pass = Instant::now() + if in_vain { LOOK } else { PASS };
                        if !self.is_current(&plan) {
                            pass = Instant::now();
                            continue;
                        }
                    }
                    self.make_room_now(None, stops);
                    let any_room = self.plan().rules.iter().any(Rule::is_about_room);
                    look = Instant::now() + if any_room { LOOK } else { PASS };
                }
            }
        }
    }

    /// Waits for work, until the time of the next look. Returns `None` if there are no more rules.
    fn wait(&self, until: Instant) -> Option<Work> {
        let mut state = self.state();
        loop {
            if state.plan.is_empty() {
                state.is_hired = false;
                return None;
            }
            if std::mem::take(&mut state.announces) {
                return Some(Work::Announce);
            }
            if !state.asked.is_empty() {
                return Some(Work::MakeRoom(std::mem::take(&mut state.asked)));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Work::Look);
            }
            let waited = self.wake.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Logs what new rules would remove.
    fn announce(&self, stops: &dyn Fn() -> bool) {
        let report = self.preview(stops);
        for rule in report.rules {
            let Some(begins) = rule.begins else { continue };
            let (folder, text) = (crate::log::path(&rule.folder), rule.rule);
            let (files, bytes) = (rule.files, rule.bytes);
            let more = if report.is_cut { " or more" } else { "" };
            let begins = crate::log::stamp(begins);
            log::warn!(
                "{text} in {folder} is new: it would remove {files} files with {bytes} \
                 bytes{more}; nothing is removed until {begins}, unless 'ftpd keep --now' is run"
            );
        }
    }

    /// Carries out a pass over all homes. Returns whether it made too little room.
    fn tidy(&self, stops: &dyn Fn() -> bool) -> bool {
        let _turn = self.turn();
        let plan = self.plan();
        self.look_at_clock(&plan);
        let mut tell = |removed: &Removed<'_>| self.log(removed);
        let stops = || stops() || !self.is_current(&plan);
        let mut pass = self.pass(&plan, false, &stops, &mut tell);
        let mut in_vain = false;
        for home in 0..plan.homes.len() {
            match pass.tidy(home) {
                End::Done => {}
                End::Stopped => break,
                End::InVain => {
                    in_vain = true;
                    warn_in_vain(plan.homes.get(home).map(|home| home.path.as_path()));
                }
            }
        }
        self.complain(pass.troubles);
        in_vain
    }

    /// Lets no file go by its age for a while if the clock was set forward: what was stored before
    /// then seems to be older than it is.
    fn look_at_clock(&self, plan: &Plan) {
        let mut state = self.state();
        let Some(jump) = state.clock.look() else { return };
        if plan.rules.iter().any(Rule::is_about_age) {
            log::warn!(
                "the clock was set forward by {} s; keep_for removes nothing for keep_delay, \
                 unless 'ftpd keep --now' is run",
                jump.as_secs()
            );
            state.doubts = SystemTime::now().checked_add(plan.delay);
        }
    }

    /// Returns what would be removed, by the rules that are new as well.
    pub fn preview(&self, stops: &dyn Fn() -> bool) -> Report {
        let _turn = self.turn();
        self.report(true, stops)
    }

    /// Ends the delay of new rules, and carries out a pass at once. Returns what was removed.
    pub fn now(&self, stops: &dyn Fn() -> bool) -> Report {
        let mut turn = self.turn();
        let mut state = self.state();
        state.memory.end_delay();
        (state.announces, state.doubts) = (false, None);
        state.clock.look();
        drop(state);
        *turn = None;
        let report = self.report(false, stops);
        self.complain(report.troubles.clone());
        if report.in_vain {
            warn_in_vain(None);
        }
        report
    }

    /// Carries out all rules, or looks at what they would remove. The caller has the turn.
    fn report(&self, dry: bool, stops: &dyn Fn() -> bool) -> Report {
        let plan = self.plan();
        let mut report = Report::default();
        let mut counts: HashMap<usize, (u64, u64)> = HashMap::new();
        let mut tell = |removed: &Removed<'_>| {
            if !dry {
                self.log(removed);
            }
            let (files, bytes) = counts.entry(removed.at).or_default();
            (*files, *bytes) = (*files + 1, bytes.saturating_add(removed.size));
            if report.files.len() >= MOST_LISTED {
                report.is_cut = true;
                return;
            }
            report.files.push(FileReport {
                path: removed.path.clone(),
                age: removed.age,
                size: removed.size,
                rule: removed.rule.text.clone(),
            });
        };
        let over = || stops() || !self.is_current(&plan);
        let mut pass = self.pass(&plan, dry, &over, &mut tell);
        for home in 0..plan.homes.len() {
            report.in_vain |= pass.tidy(home) == End::InVain;
        }
        let rules = pass.room_rules();
        for device in devices(&rules) {
            let mut rules = of_device(&rules, device);
            if !dry {
                pass.make_room_in_trash(&mut rules);
            }
            report.in_vain |= make_room(&mut pass, &rules).1 == End::InVain;
        }
        let Pass { is_short, mut troubles, excess, .. } = pass;
        if !self.is_current(&plan) {
            let why = "the settings were read again meanwhile, which ended this pass";
            troubles.extend(plan.homes.first().map(|home| (home.path.clone(), why.to_owned())));
        }
        report.troubles = troubles;
        report.is_cut |= is_short;
        for (at, (files, bytes)) in excess.into_iter().filter(|_| is_short) {
            let counted = counts.entry(at).or_default();
            *counted = (counted.0.max(files), counted.1.max(bytes));
        }
        report.rules = self.rules(&plan, &counts);
        report
    }

    fn rules(&self, plan: &Plan, counts: &HashMap<usize, (u64, u64)>) -> Vec<RuleReport> {
        let (state, now) = (self.state(), SystemTime::now());
        let rule = |(at, rule): (usize, &Rule)| {
            let home = plan.homes.get(rule.home).map(|home| home.path.clone());
            let (files, bytes) = counts.get(&at).copied().unwrap_or_default();
            let begins = state.memory.begin(&rule.mark, plan.delay, now);
            let folder = VirtualPath::root().join(rule.folder.as_bytes());
            RuleReport {
                folder: folder.real(&home.unwrap_or_default()),
                rule: rule.text.clone(),
                begins: (begins > now).then_some(begins),
                files,
                bytes,
            }
        };
        plan.rules.iter().enumerate().map(rule).collect()
    }

    /// Waits until room was made for an upload, as far as possible. Calls `heed` meanwhile. Returns
    /// whether any file was removed.
    ///
    /// # Errors
    ///
    /// [`FsError::Interrupted`], if `heed` says so.
    pub fn make_room(&self, need: Need, heed: &mut Heed<'_>) -> Result<bool, FsError> {
        let ticket = Arc::new(Ticket { need, result: Mutex::new(None), done: Condvar::new() });
        let mut state = self.state();
        if !state.is_hired {
            return Ok(false);
        }
        state.asked.push(Arc::clone(&ticket));
        drop(state);
        self.wake.notify_all();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(result) = ticket.wait() {
                return Ok(result);
            }
            if !heed() {
                return Err(FsError::Interrupted);
            }
        }
        Ok(false)
    }

    /// Makes room where there is less than the rules demand: on the file system of a need, or on
    /// all. Begins again if the settings change meanwhile. Returns whether any file was removed.
    fn make_room_now(&self, need: Option<&Need>, stops: &dyn Fn() -> bool) -> bool {
        let mut is_any = false;
        loop {
            let plan = self.plan();
            is_any |= self.make_room_by(&plan, need, stops);
            if stops() || self.is_current(&plan) {
                break;
            }
        }
        if need.is_some() && is_any {
            self.made_room.fetch_add(1, Ordering::Relaxed);
        }
        is_any
    }

    /// Makes room by the rules of a plan, as long as it is the current one.
    fn make_room_by(
        &self,
        plan: &Arc<Plan>,
        need: Option<&Need>,
        stops: &dyn Fn() -> bool,
    ) -> bool {
        let mut found = self.turn();
        let mut count = 0_u64;
        let mut tell = |removed: &Removed<'_>| {
            count += 1;
            self.log(removed);
        };
        let stops = || stops() || !self.is_current(plan);
        let mut pass = self.pass(plan, false, &stops, &mut tell);
        let mut rules = pass.room_rules();
        if let Some(need) = need {
            rules.retain(|rule| rule.device == need.device);
            for rule in &mut rules {
                let home = plan.rules.get(rule.at).and_then(|rule| plan.homes.get(rule.home));
                if home.is_some_and(|home| home.has_path(&need.home)) {
                    rule.wanted = rule.wanted.saturating_add(need.bytes);
                }
            }
        }
        let mut from_trash = false;
        for device in devices(&rules) {
            let mut rules = of_device(&rules, device);
            from_trash |= pass.make_room_in_trash(&mut rules);
            if rules.iter().all(|rule| rule.space.free >= rule.wanted) {
                continue;
            }
            let end = self.make_room_on(device, &rules, &mut pass, &mut found, plan);
            if end == End::InVain {
                let home = rules.first().and_then(|rule| plan.rules.get(rule.at));
                let home = home.and_then(|rule| plan.homes.get(rule.home));
                warn_in_vain(home.map(|home| home.path.as_path()));
            }
        }
        let troubles = pass.troubles;
        self.complain(troubles);
        from_trash || count > 0
    }

    /// Makes room on one file system. What the last search has found is used first: nothing that
    /// is older can have come since.
    #[expect(clippy::unused_self, reason = "reads as the other steps do")]
    fn make_room_on(
        &self,
        device: u64,
        rules: &[RoomRule],
        pass: &mut Pass<'_>,
        found: &mut Option<Found>,
        plan: &Arc<Plan>,
    ) -> End {
        let known = found.take_if(|found| {
            let is_same = found.device == device && Arc::ptr_eq(&found.plan, plan);
            is_same && found.at.elapsed() < FRESH
        });
        let mut rules = rules.to_vec();
        if let Some(mut known) = known {
            let (_, end) = make_room_from(&mut known.queue, pass, &rules);
            // a search that has found nothing is not repeated at once, because it may take long
            let rests = known.pause.is_some_and(|pause| known.at.elapsed() < pause);
            if end != End::Done || !known.queue.lacks_room() || rests {
                *found = Some(known);
                return end;
            }
            set_free(&mut rules, &known.queue);
        }
        let at = Instant::now();
        let (queue, end, removed) = make_room(pass, &rules);
        if let Some(queue) = queue {
            let pause = (removed == 0).then(|| PAUSE.max(at.elapsed() * 10));
            let plan = Arc::clone(plan);
            *found = Some(Found { device, plan, queue, at: Instant::now(), pause });
        }
        end
    }

    fn pass<'p>(
        &'p self,
        plan: &'p Plan,
        dry: bool,
        stops: &'p dyn Fn() -> bool,
        tell: &'p mut dyn FnMut(&Removed<'_>),
    ) -> Pass<'p> {
        let (state, now) = (self.state(), SystemTime::now());
        let begun = |rule: &Rule| {
            let doubts = state.doubts.filter(|_| rule.is_about_age());
            state.memory.begin(&rule.mark, plan.delay, now) <= now
                && doubts.is_none_or(|until| until <= now)
        };
        let in_effect = plan.rules.iter().map(|rule| dry || begun(rule)).collect();
        drop(state);
        let uses = &self.uses;
        let (troubles, excess, is_short) = (Vec::new(), Vec::new(), false);
        let gone = Gone::default();
        Pass { plan, uses, in_effect, dry, stops, tell, troubles, is_short, excess, gone }
    }

    fn log(&self, removed: &Removed<'_>) {
        let Removed { path, age, size, rule, .. } = removed;
        crate::log::own(&Event::Removed(path, *age, *size, &rule.text));
        self.removed.0.fetch_add(1, Ordering::Relaxed);
        self.removed.1.fetch_add(*size, Ordering::Relaxed);
    }

    /// Logs troubles, each once until the settings are read again.
    fn complain(&self, troubles: Vec<(PathBuf, String)>) {
        let mut state = self.state();
        for (path, why) in troubles {
            if state.told.len() < MOST_LISTED && state.told.insert(path.clone()) {
                log::warn!("retention: {}: {why}", crate::log::path(&path));
            }
        }
    }

    /// Returns the free space where a rule demands some.
    pub fn room(&self) -> Vec<RoomReport> {
        let plan = self.plan();
        let mut tell = |_: &Removed<'_>| ();
        let mut pass = self.pass(&plan, true, &|| false, &mut tell);
        let report = |rule: RoomRule| {
            let known = plan.rules.get(rule.at)?;
            let home = plan.homes.get(known.home)?;
            let folder = VirtualPath::root().join(known.folder.as_bytes()).real(&home.path);
            let (free, wanted) = (rule.space.free, rule.wanted);
            Some(RoomReport { folder, free, wanted })
        };
        pass.room_rules().into_iter().filter_map(report).collect()
    }

    /// Returns the number of files that were removed, and their bytes.
    pub fn removed(&self) -> (u64, u64) {
        let (files, bytes) = &self.removed;
        (files.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    /// Returns the number of uploads that room was made for.
    pub fn made_room(&self) -> u64 {
        self.made_room.load(Ordering::Relaxed)
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.state().plan)
    }

    /// Whether the settings have not been read again since they led to this plan.
    fn is_current(&self, plan: &Arc<Plan>) -> bool {
        Arc::ptr_eq(plan, &self.state().plan)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, Option<Found>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread does next.
enum Work {
    Announce,
    MakeRoom(Vec<Arc<Ticket>>),
    Look,
}

impl Ticket {
    /// Waits for the result, for a moment.
    fn wait(&self) -> Option<bool> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.done.wait_timeout_while(result, HEEDED, |result| result.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn finish(&self, result: bool) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.done.notify_all();
    }
}

/// Returns the file systems of these rules.
fn devices(rules: &[RoomRule]) -> Vec<u64> {
    let mut devices: Vec<_> = rules.iter().map(|rule| rule.device).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

fn of_device(rules: &[RoomRule], device: u64) -> Vec<RoomRule> {
    rules.iter().filter(|rule| rule.device == device).copied().collect()
}

/// Makes room by the rules of one file system. Returns the rest of what was found, how it ended, and
/// the number of files that were removed.
fn make_room(pass: &mut Pass<'_>, rules: &[RoomRule]) -> (Option<Queue>, End, usize) {
    let (mut rules, mut all) = (rules.to_vec(), 0);
    if rules.iter().all(|rule| rule.space.free >= rule.wanted) {
        return (None, End::Done, all);
    }
    loop {
        let Some(mut queue) = pass.oldest(&rules) else { return (None, End::Stopped, all) };
        let (removed, end) = make_room_from(&mut queue, pass, &rules);
        all += removed;
        if pass.dry || end != End::Done || removed == 0 || !queue.lacks_room() {
            return (Some(queue), end, all);
        }
        set_free(&mut rules, &queue);
    }
}

/// Takes over the free space that was seen last.
fn set_free(rules: &mut [RoomRule], queue: &Queue) {
    for rule in rules {
        rule.space.free = queue.free();
    }
}

/// Makes room with the files of a queue. Returns the number of files that were removed.
fn make_room_from(queue: &mut Queue, pass: &mut Pass<'_>, rules: &[RoomRule]) -> (usize, End) {
    let Some(first) = rules.first() else { return (0, End::Done) };
    for rule in rules {
        queue.set_limit(rule.at, Limit::Free(rule.wanted));
    }
    queue.set_free(first.space.free);
    let (end, removed) = pass.clear(queue);
    (removed, end)
}

/// Warns that a pass over a home has stopped, or one over all homes.
fn warn_in_vain(home: Option<&Path>) {
    let home = home.map_or_else(String::new, |home| format!(" in {}", crate::log::path(home)));
    log::warn!(
        "retention{home} has stopped for now: less than half of what it removed became free \
         space (snapshots, hard links, or other programs that write)"
    );
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vfs::quota::quotas::Quotas;

    fn renew(keeper: &Keeper, home: &Path, rule: &str) {
        let server = "[server]\nstate_dir =\nadmin_socket =\nkeep_grace = 0\nkeep_delay = 0\n";
        let user = format!("[user:bob]\npassword = x\nperm = elr\nhome = {}\n", home.display());
        keeper.renew(&crate::config::of_text(&format!("{server}{user}{rule}")).unwrap());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn a_pass_removes_nothing_by_rules_that_a_reload_has_taken_back() {
        let home = tempfile::tempdir().unwrap();
        for number in 0..5 {
            fs::write(home.path().join(number.to_string()), "x").unwrap();
        }
        let count = || fs::read_dir(home.path()).unwrap().count();
        let parts = Parts::start(None, None, &[], Arc::new(Quotas::none()));
        let keeper = Keeper::new(None, &Arc::new(parts), &Arc::default());
        renew(&keeper, home.path(), "keep_files = 1");
        let reloads = || {
            if count() < 5 {
                renew(&keeper, home.path(), "");
            }
            false
        };
        let report = keeper.now(&reloads);
        assert_eq!((count(), report.files.len(), report.troubles.len()), (4, 1, 1));
    }
}
