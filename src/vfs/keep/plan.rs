//! The homes and the rules of the settings, in the form in which the passes need them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::rules::{Governing, Limit};
use crate::config::{Choice, Config, KEEP_KEYS, KeepRules, KeptHome, Room, User};
use crate::rights::Ids;
use crate::vfs::quota::quotas::Quotas;
use crate::vfs::trash::heap::HomeTrash;

/// Everything that the settings say about retention.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) homes: Vec<Home>,
    pub(super) rules: Vec<Rule>,
    /// Files are not removed for this long after they were stored.
    pub(super) grace: Duration,
    /// Nothing is removed for this long after a rule is new.
    pub(super) delay: Duration,
}

/// A home with rules.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    /// The users who live there.
    pub(super) users: Vec<Arc<User>>,
    /// The system user who works there; `None`: the server's own.
    pub(super) ids: Option<Arc<Ids>>,
    pub(super) kept: KeptHome,
    /// The rules of each section, as indexes of [`Plan::rules`].
    sections: Vec<Governing>,
}

/// One rule of one section.
#[derive(Debug)]
pub(super) struct Rule {
    /// Index of the home.
    pub(super) home: usize,
    /// The folder of the section, as clients see it; empty for the home itself.
    pub(super) folder: String,
    /// The rule as in the settings, such as `keep_for = 30d`.
    pub(super) text: String,
    pub(super) demand: Demand,
    /// Tells the rule from all others, and a changed rule from what it was before.
    pub(super) mark: String,
}

/// What a rule demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Within(Limit),
    Room(Room),
}

impl Plan {
    /// Makes the plan of some settings. Users who share a home share its rules.
    pub(super) fn of(config: &Config) -> Self {
        let retention = &config.server.retention;
        let mut plan =
            Self { grace: retention.grace, delay: retention.delay, ..Self::default() };
        let mut known: HashMap<PathBuf, usize> = HashMap::new();
        for (_, user) in config.users_by_name() {
            let Some(kept) = KeptHome::of(user) else { continue };
            let real = std::fs::canonicalize(&user.home).unwrap_or_else(|_| user.home.clone());
            if let Some(home) = known.get(&real).and_then(|at| plan.homes.get_mut(*at)) {
                home.users.push(Arc::clone(user));
                continue;
            }
            known.insert(real, plan.homes.len());
            plan.add(user, kept);
        }
        plan
    }

    fn add(&mut self, user: &Arc<User>, kept: KeptHome) {
        let (path, ids) = (user.home.clone(), user.run_as.clone());
        let home = self.homes.len();
        let mut sections = Vec::new();
        for (folder, keep) in kept.sections() {
            let mut governing = [None; KEEP_KEYS];
            for (to, rule) in governing.iter_mut().zip(rules(keep)) {
                let Some((text, demand)) = rule else { continue };
                *to = Some(self.rules.len());
                let real = [path.as_os_str().as_encoded_bytes(), folder.as_bytes()].concat();
                let whole = [real.as_slice(), b"\n", text.as_bytes()].concat();
                let mark = digest(&SHA256, &whole);
                let mark = mark.as_ref().iter().take(16).map(|byte| format!("{byte:02x}"));
                let (folder, mark) = (folder.to_owned(), mark.collect());
                self.rules.push(Rule { home, folder, text, demand, mark });
            }
            sections.push(governing);
        }
        let users = vec![Arc::clone(user)];
        self.homes.push(Home { path, users, ids, kept, sections });
    }

    /// Whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Home {
    /// Returns the sections whose rules apply to what lies directly in a directory, by key, and
    /// the rules.
    pub(super) fn governing(&self, directory: &[u8]) -> [Option<(usize, usize)>; KEEP_KEYS] {
        let mut found = [None; KEEP_KEYS];
        let sections = self.kept.rules_in(directory);
        for (key, (to, section)) in found.iter_mut().zip(sections).enumerate() {
            let rules = section.and_then(|at| self.sections.get(at));
            let rule = rules.and_then(|rules| rules.get(key).copied().flatten());
            *to = section.zip(rule);
        }
        found
    }
}

impl Home {
    /// Whether a user names the home by this path.
    pub(super) fn has_path(&self, path: &Path) -> bool {
        self.users.iter().any(|user| user.home == path)
    }

    /// Returns the trashes in the home: one for each system user.
    pub(super) fn trashes(&self, quotas: &Arc<Quotas>) -> impl Iterator<Item = HomeTrash<'_>> {
        let mut seen = HashSet::new();
        let uid = |user: &User| user.run_as.as_ref().map(|ids| ids.uid);
        let users = self.users.iter().filter(move |user| seen.insert(uid(user)));
        // a trash that was turned off may still hold something
        users.map(move |user| HomeTrash::new(user, quotas))
    }
}

impl Rule {
    /// Whether the rule is about free space.
    pub(super) fn is_about_room(&self) -> bool {
        matches!(self.demand, Demand::Room(_))
    }

    /// Whether the rule is about the age of files.
    pub(super) fn is_about_age(&self) -> bool {
        matches!(self.demand, Demand::Within(Limit::Age(_)))
    }

    /// Returns the limit, if it does not depend on the file system.
    pub(super) fn limit(&self) -> Option<Limit> {
        match self.demand {
            Demand::Within(limit) => Some(limit),
            Demand::Room(_) => None,
        }
    }
}

/// Returns the rules of a section, by key.
fn rules(keep: &KeepRules) -> [Option<(String, Demand)>; KEEP_KEYS] {
    let on = |choice: Choice<u64>| match choice {
        Choice::On(value) => Some(value),
        Choice::Off | Choice::Unset => None,
    };
    let age = match keep.keep_for {
        Choice::On(age) => Some(age),
        Choice::Off | Choice::Unset => None,
    };
    let room = match keep.min_free {
        Choice::On(room) => Some(room),
        Choice::Off | Choice::Unset => None,
    };
    let within = |text: String, limit| (text, Demand::Within(limit));
    [
        age.map(|age| within(format!("keep_for = {}", time(age)), Limit::Age(age))),
        on(keep.keep_bytes)
            .map(|most| within(format!("keep_bytes = {}", size(most)), Limit::Bytes(most))),
        on(keep.keep_files)
            .map(|most| within(format!("keep_files = {most}"), Limit::Files(most))),
        room.map(|room| (format!("min_free = {}", self::room(room)), Demand::Room(room))),
    ]
}

/// Writes a duration with the largest unit that fits.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{seconds}s"),
        |(unit, name)| format!("{}{name}", seconds / unit),
    )
}

/// Writes a size with the largest unit that fits.
fn size(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let unit = units.into_iter().find(|(bits, _)| bytes.is_multiple_of(1 << bits));
    unit.map_or_else(|| bytes.to_string(), |(bits, name)| format!("{}{name}", bytes >> bits))
}

fn room(room: Room) -> String {
    match room {
        Room::Percent(percent) => format!("{percent}%"),
        Room::Bytes(bytes) => size(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(settings: &str) -> Plan {
        let text = format!("[user:bob]\npassword = x\nhome = /\nperm = elr\n{settings}");
        Plan::of(&crate::config::of_text(&format!("{SERVER}{text}")).unwrap())
    }

    const SERVER: &str = "[server]\nstate_dir =\nadmin_socket =\nkeep_files = 5\n";

    /// Returns the rules in a directory of the only home.
    fn texts(plan: &Plan, directory: &str) -> Vec<String> {
        let governing = plan.homes[0].governing(directory.as_bytes());
        governing.iter().flatten().map(|(_, rule)| plan.rules[*rule].text.clone()).collect()
    }

    #[test]
    fn the_innermost_section_that_sets_a_key_governs() {
        let plan = plan(
            "keep_for = 48h\n[folder:/in]\nkeep_bytes = 1536M\nmax_file_size = 1\n\
             [folder:/in/archive]\nkeep_for = 0\n[folder:/odd]\nmax_file_size = 1\n\
             [folder:/room]\nmin_free = 5%",
        );
        for (directory, rules) in [
            ("/", &["keep_for = 2d", "keep_files = 5"][..]),
            ("/odd", &["keep_for = 2d", "keep_files = 5"]),
            ("/IN/x", &["keep_for = 2d", "keep_bytes = 1536M", "keep_files = 5"]),
            ("/inn", &["keep_for = 2d", "keep_files = 5"]),
            ("/in/archive/x", &["keep_bytes = 1536M", "keep_files = 5"]),
            ("/room", &["keep_for = 2d", "keep_files = 5", "min_free = 5%"]),
        ] {
            assert_eq!(texts(&plan, directory), rules, "{directory}");
        }
        let outer = plan.rules.iter().filter(|rule| rule.text == "keep_files = 5");
        assert_eq!(outer.count(), 1, "a folder that says nothing is no subtree of its own");
    }

    #[test]
    fn a_changed_rule_has_another_mark() {
        let mark = |settings: &str| {
            plan(settings).rules.iter().map(|rule| rule.mark.clone()).collect::<Vec<_>>()
        };
        assert_eq!(mark("keep_for = 2d"), mark("keep_for = 48h"));
        let (one, other) = (mark("keep_for = 2d"), mark("keep_for = 3d"));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1], other[1]);
    }
}
