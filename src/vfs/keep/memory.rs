//! Remembers when the server first saw each rule, in the file `keep` of `state_dir`. A rule removes
//! nothing until it has been there for `keep_delay`.
//!
//! A line of the file is `MARK SECONDS`. Without `state_dir`, all rules are new at each start.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

/// When each rule was seen for the first time.
#[derive(Debug)]
pub(super) struct Memory {
    dir: Option<PathBuf>,
    seen: HashMap<String, SystemTime>,
}

const NAME: &str = "keep";
const NEW: &str = "keep.new";

impl Memory {
    /// Reads what an earlier server has seen.
    pub(super) fn start(dir: Option<&Path>) -> Self {
        let seen = dir.map(read).transpose().unwrap_or_else(|why| {
            log::warn!("state_dir: cannot read the file {NAME}: {why}; keep_delay begins now");
            None
        });
        Self { dir: dir.map(Path::to_owned), seen: seen.unwrap_or_default() }
    }

    /// Notes the rules of the settings, by their marks, and forgets all others. Returns whether
    /// any is new.
    pub(super) fn note<'m>(
        &mut self,
        marks: impl Iterator<Item = &'m String>,
        now: SystemTime,
    ) -> bool {
        let mut is_new = false;
        let since = |mark: &String| {
            let known = self.seen.get(mark).copied();
            is_new |= known.is_none();
            (mark.clone(), known.unwrap_or(now))
        };
        let seen: HashMap<_, _> = marks.map(since).collect();
        if seen != self.seen {
            self.seen = seen;
            self.save();
        }
        is_new
    }

    /// Ends the delay of all rules.
    pub(super) fn end_delay(&mut self) {
        self.seen.values_mut().for_each(|since| *since = UNIX_EPOCH);
        self.save();
    }

    /// Returns from when on a rule removes files.
    pub(super) fn begin(&self, mark: &str, delay: Duration, now: SystemTime) -> SystemTime {
        let since = self.seen.get(mark).copied().unwrap_or(now);
        if since == UNIX_EPOCH { since } else { since.checked_add(delay).unwrap_or(since) }
    }

    fn save(&self) {
        let Some(dir) = &self.dir else { return };
        if let Err(why) = write(dir, &self.seen) {
            let dir = dir.display();
            log::warn!(
                "state_dir {dir}: cannot write the file {NAME}: {why}; keep_delay may begin again at the next start"
            );
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
fn read(dir: &Path) -> io::Result<HashMap<String, SystemTime>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(dir.join(NAME));
    let mut file = match file {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        file => file?,
    };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let line = |line: &str| {
        let (mark, seconds) = line.split_once(' ')?;
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?;
        Some((mark.to_owned(), since))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Writes a new file and renames it into place.
#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
fn write(dir: &Path, seen: &HashMap<String, SystemTime>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let seconds = |at: &SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let lines = seen.iter().map(|(mark, since)| format!("{mark} {}\n", seconds(since)));
    let new = dir.join(NEW);
    // a file left by a crash, or a link planted to make the server write elsewhere
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(lines.collect::<String>().as_bytes())?;
    // or a loss of power could leave an empty file in place of both versions
    file.sync_data()?;
    fs::rename(&new, dir.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_rule_waits_for_its_delay_across_restarts_and_a_changed_one_waits_again() {
        let state = tempfile::tempdir().unwrap();
        let state = Some(state.path());
        let (old, new) = ("old".to_owned(), "new".to_owned());
        let now = UNIX_EPOCH + 1_000_000 * HOUR;
        let mut memory = Memory::start(state);
        assert!(memory.note([&old].into_iter(), now));
        assert_eq!(memory.begin(&old, 24 * HOUR, now), now + 24 * HOUR);
        let mut memory = Memory::start(state);
        let later = now + HOUR;
        assert!(!memory.note([&old].into_iter(), later));
        assert!(memory.note([&old, &new].into_iter(), later));
        assert_eq!(memory.begin(&old, 24 * HOUR, later), now + 24 * HOUR);
        assert_eq!(memory.begin(&new, 24 * HOUR, later), later + 24 * HOUR);
        memory.end_delay();
        let mut memory = Memory::start(state);
        assert_eq!(memory.begin(&new, 24 * HOUR, later), UNIX_EPOCH);
        memory.note([&old].into_iter(), later);
        assert!(memory.note([&old, &new].into_iter(), later), "it was forgotten");
        let mut memory = Memory::start(None);
        assert!(memory.note([&old].into_iter(), now));
    }
}
