//! Waits until something happens to the directories of the server's own files (inotify), so that
//! no thread has to look at them time and again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};

use super::bell::{Bell, poll};

/// Watches directories.
#[derive(Debug)]
pub(super) struct Sentry {
    /// `None`: the system has no more of them.
    inotify: Option<OwnedFd>,
    /// `/proc/self/mounts`, which tells when a file system is mounted over a directory.
    mounts: Option<OwnedFd>,
    bell: Bell,
}

impl Sentry {
    pub(super) fn new() -> io::Result<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let mode = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::open("/proc/self/mounts", mode, Mode::empty()).ok();
        Ok(Self { inotify: inotify::init(flags).ok(), mounts, bell: Bell::new()? })
    }

    /// Watches a directory, and whether it or one above it is moved or removed. Returns whether
    /// the system can watch it. It cannot if the path has links, which may be changed.
    pub(super) fn watch(&self, folder: &Path) -> bool {
        let (Some(inotify), Some(_)) = (&self.inotify, &self.mounts) else { return false };
        let Ok(folder) = std::path::absolute(folder) else { return false };
        if folder.canonicalize().ok().as_ref() != Some(&folder) {
            return false;
        }
        let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let entries = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        let watch = |folder: &Path, what| {
            let how = WatchFlags::ONLYDIR | WatchFlags::MASK_ADD;
            inotify::add_watch(inotify, folder, what | how).is_ok()
        };
        // those above need not be readable
        for above in folder.ancestors().skip(1) {
            watch(above, itself);
        }
        watch(&folder, entries | itself)
    }

    /// Waits until something has happened, or until [`Sentry::ring`] is called.
    pub(super) fn wait(&self) {
        self.wait_for(None);
    }

    fn wait_for(&self, time: Option<Duration>) {
        let events = self.inotify.iter().map(|events| PollFd::new(events, PollFlags::IN));
        let mounts = self.mounts.iter().map(|mounts| PollFd::new(mounts, PollFlags::PRI));
        let bell = PollFd::new(&self.bell, PollFlags::IN);
        let mut fds: Vec<_> = events.chain(mounts).chain([bell]).collect();
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        // the caller looks at everything, whatever it was woken by
        poll(&mut fds, time.as_ref());
    }

    /// Forgets what has happened so far.
    pub(super) fn forget(&self) {
        self.bell.hush();
        let mut events = [0; 4096];
        while self.inotify.as_ref().is_some_and(|from| {
            rustix::io::read(from, &mut events).is_ok_and(|length| length > 0)
        }) {}
    }

    /// Wakes the thread that waits.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::rename;

    use super::*;

    /// Returns whether something has happened.
    fn has_woken(sentry: &Sentry) -> bool {
        let begin = std::time::Instant::now();
        sentry.wait_for(Some(Duration::from_millis(20)));
        sentry.forget();
        begin.elapsed() < Duration::from_millis(20)
    }

    #[test]
    fn changes_of_a_directory_and_those_above_it_are_noticed() {
        let top = tempfile::tempdir().unwrap();
        let state = top.path().join("a/b");
        let make = |path: &Path| std::fs::create_dir_all(path).unwrap();
        make(&state);
        let sentry = Sentry::new().unwrap();
        assert!(sentry.watch(&state));
        assert!(!has_woken(&sentry));
        make(&state.join("file"));
        assert!(has_woken(&sentry));
        // beside it
        make(&top.path().join("a/c"));
        assert!(!has_woken(&sentry));
        rename(top.path().join("a"), top.path().join("z")).unwrap();
        assert!(has_woken(&sentry));
        assert!(!sentry.watch(&state));
        sentry.ring();
        assert!(has_woken(&sentry));
        assert!(!has_woken(&sentry));
    }

    #[test]
    fn a_directory_behind_a_link_cannot_be_watched() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", top.path().join("current")).unwrap();
        let sentry = Sentry::new().unwrap();
        assert!(sentry.watch(&top.path().join("a")));
        assert!(!sentry.watch(&top.path().join("current")));
    }
}
