//! A home with real files, and the sessions of one user in it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::store::Parts;
use super::turns::Turns;
use crate::config::{self, User};
use crate::vfs::files::Files;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::quotas::Quotas;
use crate::vfs::tree::home::Home;
use crate::vfs::upload::uploads::Uploader;

/// The file that all sessions change.
pub(super) const NAME: &[u8] = b"file";

/// A home, and what its sessions share.
pub(super) struct World {
    dir: TempDir,
    pub(super) parts: Arc<Parts>,
    turns: Arc<Turns>,
    user: Arc<User>,
}

impl World {
    /// Makes a home. Parts of failed uploads are kept for this long.
    pub(super) fn new(keep: Duration) -> Self {
        // in memory, where there is such a directory
        let memory = PathBuf::from("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let dir = dir.expect("a directory for a home");
        fs::create_dir(dir.path().join("home")).expect("a new directory");
        let (state, quotas) = (dir.path().join("state"), Arc::new(Quotas::none()));
        let parts = Arc::new(Parts::start(Some(&state), Some(keep), &[], quotas));
        let world = Self { dir, parts, turns: Arc::default(), user: user() };
        // What is found out once for all, such as whether the kernel has openat2, is found out
        // here: shuttle cannot switch threads while one of them holds a `OnceLock`.
        let _ = world.session().shown(&path());
        world
    }

    /// Begins a session.
    pub(super) fn session(&self) -> Arc<Files> {
        let home = Home::open(&self.dir.path().join("home")).expect("the home is there");
        let (parts, turns) = (Arc::clone(&self.parts), Arc::clone(&self.turns));
        let uploader = Uploader::new(b"bob".to_vec(), b"bob", None);
        Files::new(home, parts, turns, uploader, &self.user)
    }

    /// Reads the file; `None` if it is not there.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join("home/file")).ok()
    }

    /// The names of all parts on the disk.
    pub(super) fn parts_on_disk(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("home")).expect("the home is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".ftpd-part-")).collect()
    }

    /// Sets the time at which the parts were last written to.
    pub(super) fn age_parts(&self, age: Duration) {
        for name in self.parts_on_disk() {
            let part =
                File::options().append(true).open(self.dir.path().join("home").join(name));
            let aged = part.and_then(|part| part.set_modified(SystemTime::now() - age));
            aged.expect("the part is there");
        }
    }

    /// The text of the journal.
    pub(super) fn journal(&self) -> String {
        fs::read_to_string(self.dir.path().join("state/parts")).unwrap_or_default()
    }
}

/// A user with the default settings.
fn user() -> Arc<User> {
    let text = "[user:bob]\npassword = bob\nhome = /\n";
    let config = config::of_text(text).expect("settings without faults");
    Arc::clone(&config.users["bob"])
}

/// The path of the file.
pub(super) fn path() -> VirtualPath {
    VirtualPath::root().join(NAME)
}
