//! Removing files from the trash for good: what has been there for long enough, the oldest to make
//! room, or all of it.

use std::collections::BinaryHeap;
use std::os::fd::AsFd;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Stat, fstat, unlinkat};

use super::half::all_done;
use super::heap::{Heap, HomeTrash};
use super::owners::Owners;
use super::stamp::Stamp;
use super::tally::count_removed;
use crate::log::Event;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::payer::Move;
use crate::vfs::tree::entry::{changed, id_of, len_of};
use crate::vfs::tree::place::{as_path, lstat};
use crate::vfs::tree::walk::{Found, Next, Visitor, walk};

/// What was removed from a trash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Emptied {
    /// Number of files, links and other things that are not directories.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Number of directories.
    pub folders: u64,
    /// Number of files and directories that could not be removed or read. The log names them.
    pub failed: u64,
}

/// Number of versions that are remembered at once to remove the oldest of them.
const AT_ONCE: usize = 4096;

impl HomeTrash<'_> {
    /// Removes what has been in the trash for longer than `trash_for`, by the settings of all users whose
    /// trash it is. What another user's call has looked through is left out. Stops early if `goes_on`
    /// returns `false`.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub fn age(
        &self,
        owners: &mut Owners<'_>,
        now: SystemTime,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Emptied, FsError> {
        self.with_heaps(|heaps| {
            let mut emptied = Emptied::default();
            for heap in &heaps {
                let Some(owners) = owners.take(heap) else { continue };
                let is_due = |below: &VirtualPath, stamp: Stamp, stat: &Stat| {
                    // the later of the two times, in case the clock was wrong at one of them
                    let since = stamp.time().max(changed(stat));
                    let age = now.duration_since(since).unwrap_or_default();
                    owners
                        .iter()
                        .all(|owner| owner.trash_for(below).is_some_and(|time| age > time))
                };
                let mut visitor =
                    Emptying { trash: self, heap, is_due: &is_due, goes_on, emptied };
                walk(&heap.trash, &VirtualPath::root(), &mut visitor)?;
                emptied = visitor.emptied;
            }
            Ok(emptied)
        })
    }

    /// Removes all versions of a path, and of what was below it. The path `/` stands for everything.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub fn empty(&self, path: &VirtualPath) -> Result<Emptied, FsError> {
        self.with_heaps(|heaps| {
            let path = &self.without_links(path);
            let mut emptied = Emptied::default();
            for heap in &heaps {
                let is_below = heap.path(&VirtualPath::root());
                let start = match heap.below(path) {
                    Some(below) => below,
                    None if is_in(&is_below, path) => VirtualPath::root(),
                    None => continue,
                };
                let is_due = |_: &VirtualPath, _: Stamp, _: &Stat| true;
                let mut visitor =
                    Emptying { trash: self, heap, is_due: &is_due, goes_on: &|| true, emptied };
                match walk(&heap.trash, &start, &mut visitor) {
                    Ok(_) | Err(FsError::NotFound) => {}
                    Err(why) => return Err(why),
                }
                emptied = visitor.emptied;
                heap.prune_up(&start);
            }
            Ok(emptied)
        })
    }

    /// Removes the oldest files until at least this many bytes and this many files are gone, or
    /// nothing is left.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub fn make_room(&self, bytes: u64, files: u64) -> Result<Emptied, FsError> {
        self.make_room_where(bytes, files, |_| true)
    }

    /// Like [`HomeTrash::make_room`], on this file system alone.
    ///
    /// # Errors
    ///
    /// As for [`HomeTrash::make_room`].
    pub(in crate::vfs) fn make_room_on(
        &self,
        device: u64,
        bytes: u64,
        files: u64,
    ) -> Result<Emptied, FsError> {
        let is_there =
            |heap: &Heap| fstat(&heap.dir).is_ok_and(|stat| id_of(&stat).0 == device);
        self.make_room_where(bytes, files, is_there)
    }

    fn make_room_where(
        &self,
        bytes: u64,
        files: u64,
        is_there: impl Fn(&Heap) -> bool,
    ) -> Result<Emptied, FsError> {
        let is_enough = |emptied: &Emptied| emptied.bytes >= bytes && emptied.files >= files;
        self.with_heaps(|mut heaps| {
            heaps.retain(is_there);
            let mut emptied = Emptied::default();
            while !is_enough(&emptied) {
                let oldest = oldest(&heaps)?;
                let before = emptied.files;
                for (stamp, at, path) in oldest {
                    if is_enough(&emptied) {
                        break;
                    }
                    let Some(heap) = heaps.get(at) else { continue };
                    let Ok(folder) = heap.folder(&path) else { continue };
                    self.remove(heap, &folder, &path, stamp, &mut emptied);
                    heap.prune_up(&path);
                }
                if emptied.files == before {
                    break;
                }
            }
            Ok(emptied)
        })
    }

    /// Removes a version, unless it is a directory in which something was made after all.
    fn remove(
        &self,
        heap: &Heap,
        folder: impl AsFd,
        below: &VirtualPath,
        stamp: Stamp,
        emptied: &mut Emptied,
    ) {
        let name = stamp.name();
        let moved = Move { from: folder.as_fd(), name: &name, to: None };
        let mut seen = None;
        let removed = heap.payer().moving(&[moved], || {
            let _done = all_done();
            let stat = lstat(&folder, &name)?;
            let is_dir = FileType::from_raw_mode(stat.st_mode).is_dir();
            let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            seen = Some((is_dir, stat));
            Ok(unlinkat(&folder, as_path(&name), flags)?)
        });
        let Some((is_dir, stat)) = seen else {
            return match removed {
                // somebody else has removed it
                Ok(()) | Err(FsError::NotFound) => {}
                Err(why) => self.not_removed(heap, below, &why, emptied),
            };
        };
        if let Err(why) = removed {
            return self.not_removed(heap, below, &why, emptied);
        }
        let real = self.real(&heap.path(below));
        let size = if is_dir { 0 } else { len_of(&stat) };
        if !is_dir {
            count_removed(size);
        }
        emptied.files += u64::from(!is_dir);
        emptied.folders += u64::from(is_dir);
        emptied.bytes += size;
        let age = stamp.time().elapsed().unwrap_or_default();
        crate::log::own(&Event::Expunged(&real, age, size));
    }
}

impl HomeTrash<'_> {
    fn not_removed(
        &self,
        heap: &Heap,
        below: &VirtualPath,
        why: &dyn std::fmt::Display,
        emptied: &mut Emptied,
    ) {
        let real = self.real(&heap.path(below));
        log::warn!("cannot remove {} from the trash: {why}", crate::log::path(&real));
        emptied.failed += 1;
    }
}

/// Whether a path is another one or lies below it.
fn is_in(path: &VirtualPath, above: &VirtualPath) -> bool {
    let rest = path.as_bytes().strip_prefix(above.as_bytes());
    above.is_root() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Removes the versions that are due, and then the directories that are empty.
struct Emptying<'e> {
    trash: &'e HomeTrash<'e>,
    heap: &'e Heap,
    /// Whether a version is due: the path below the trash, when it came, and its attributes.
    is_due: &'e dyn Fn(&VirtualPath, Stamp, &Stat) -> bool,
    goes_on: &'e dyn Fn() -> bool,
    emptied: Emptied,
}

impl Visitor for Emptying<'_> {
    fn entry(&mut self, found: &Found<'_>) -> Next {
        let Some(stamp) = Stamp::parse(found.name) else { return Next::Enter };
        if (self.is_due)(found.folder, stamp, &found.stat) {
            self.trash.remove(self.heap, found.dir, found.folder, stamp, &mut self.emptied);
        }
        if (self.goes_on)() { Next::Skip } else { Next::Stop }
    }

    fn end(&mut self, folder: &VirtualPath) {
        self.heap.prune(folder);
    }

    fn failed(&mut self, folder: &VirtualPath, why: FsError) {
        failed(self.trash, self.heap, folder, &why);
        self.emptied.failed += 1;
    }
}

/// Writes to the log that a directory of the trash cannot be read.
pub(super) fn failed(trash: &HomeTrash<'_>, heap: &Heap, folder: &VirtualPath, why: &FsError) {
    let real = trash.real(&heap.path(folder));
    log::warn!("cannot read what the trash has of {}: {why}", crate::log::path(&real));
}

/// A version that is a candidate for being removed: when it came, the index of its heap, and its path.
type Old = (Stamp, usize, VirtualPath);

/// Returns the oldest files of all heaps, the oldest first.
fn oldest(heaps: &[Heap]) -> Result<Vec<Old>, FsError> {
    let mut found = Oldest { at: 0, stamps: BinaryHeap::new() };
    for (at, heap) in heaps.iter().enumerate() {
        found.at = at;
        walk(&heap.trash, &VirtualPath::root(), &mut found)?;
    }
    let sorted = found.stamps.into_sorted_vec();
    Ok(sorted.into_iter().map(|Ordered(old)| old).collect())
}

/// Finds the oldest files. The youngest of them is at the top.
struct Oldest {
    at: usize,
    stamps: BinaryHeap<Ordered>,
}

/// An [`Old`] in the order of coming.
struct Ordered(Old);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.0.cmp(&other.0.0)
    }
}

impl Visitor for Oldest {
    fn entry(&mut self, found: &Found<'_>) -> Next {
        let Some(stamp) = Stamp::parse(found.name) else { return Next::Enter };
        let is_old = self.stamps.len() < AT_ONCE
            || self.stamps.peek().is_some_and(|youngest| stamp < youngest.0.0);
        if is_old && !found.is_directory() {
            self.stamps.push(Ordered((stamp, self.at, found.folder.clone())));
            if self.stamps.len() > AT_ONCE {
                self.stamps.pop();
            }
        }
        Next::Skip
    }

    fn failed(&mut self, _: &VirtualPath, why: FsError) {
        log::warn!("cannot read a directory of the trash: {why}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::User;
    use crate::vfs::quota::payer::Payer;
    use crate::vfs::quota::quotas::Quotas;

    fn none() -> std::sync::Arc<Quotas> {
        std::sync::Arc::new(Quotas::none())
    }
    use crate::vfs::trash::discard::Trash;
    use crate::vfs::tree::Tree;
    use crate::vfs::tree::home::Home;

    /// Makes a home whose user has deleted these files and the directory `dir`, in this order.
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn home(files: &[&str]) -> (tempfile::TempDir, Arc<User>) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path();
        let text = format!(
            "[server]\n[user:bob]\npassword = x\nhome = {}\ntrash = on\ntrash_for = 2h\n\
             [folder:/long]\ntrash_for = 30d\n[folder:/ever]\ntrash_for = 0\n",
            path.display()
        );
        let config = crate::config::of_text(&text).unwrap();
        let tree = Tree::new(Home::open(path).unwrap(), false, true, None);
        let quotas = none();
        let payer = Payer { quotas: &quotas, own: None };
        let trash = Trash { tree: &tree, ids: None, payer };
        let place =
            |name: &str| tree.place(&VirtualPath::root().join(name.as_bytes())).unwrap();
        for dir in ["long", "ever", "dir"] {
            fs::create_dir(path.join(dir)).unwrap();
        }
        for file in files {
            fs::write(path.join(file), file).unwrap();
            trash.discard(&place(file)).unwrap();
        }
        trash.discard_dir(&place("dir")).unwrap();
        (home, Arc::clone(config.user(b"bob").unwrap().1))
    }

    /// Lets what lies in the trash of the first of these users age by the settings of all.
    fn aged(users: &[&User], now: SystemTime) -> Emptied {
        let mut owners = Owners::default();
        for user in users {
            owners.add(&HomeTrash::new(user, &none())).unwrap();
        }
        HomeTrash::new(users[0], &none()).age(&mut owners, now, &|| true).unwrap()
    }

    fn listed(user: &User) -> Vec<String> {
        let (list, is_whole) = HomeTrash::new(user, &none()).list(100).unwrap();
        assert!(is_whole);
        let text = |path: &VirtualPath| String::from_utf8(path.as_bytes().to_vec()).unwrap();
        list.iter().map(|deleted| text(&deleted.path)).collect()
    }

    #[test]
    fn what_is_older_than_its_folder_says_is_removed() {
        let (home, user) = home(&["a", "long/b", "ever/c", "x"]);
        let hours = |hours: u64| SystemTime::now() + Duration::from_secs(3600 * hours);
        // a clock that was set back makes nothing old
        for now in [SystemTime::UNIX_EPOCH, hours(0), hours(1)] {
            assert_eq!(aged(&[&user], now), Emptied::default());
        }
        assert_eq!(listed(&user), ["/a", "/dir", "/ever/c", "/long/b", "/x"]);
        // another user of the same home keeps it longer
        let text = format!(
            "[server]\n[user:ann]\npassword = x\nhome = {}\ntrash_for = 4h\n",
            home.path().display()
        );
        let config = crate::config::of_text(&text).unwrap();
        let ann = config.user(b"ann").unwrap().1;
        assert_eq!(aged(&[&user, ann], hours(3)), Emptied::default());
        let emptied = aged(&[&user], hours(3));
        assert_eq!(emptied, Emptied { files: 2, bytes: 2, folders: 1, failed: 0 });
        assert_eq!(listed(&user), ["/ever/c", "/long/b"]);
        let emptied = aged(&[&user], hours(24 * 31));
        assert_eq!((emptied.files, emptied.bytes), (1, 6));
        aged(&[&user], hours(24 * 3000));
        assert_eq!(listed(&user), ["/ever/c"]);
        // directories without versions are gone
        let names = |path: &str| home.path().join(".ftpd-trash").join(path).exists();
        assert!(names("ever/c") && !names("a") && !names("long") && !names("dir"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn a_trash_on_a_mount_that_is_the_home_of_another_user_keeps_the_longer_time() {
        let (home, user) = home(&[]);
        let inner = home.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let mount = |words: &[&str]| {
            let done =
                std::process::Command::new(words[0]).args(&words[1..]).arg(&inner).output();
            done.is_ok_and(|output| output.status.success())
        };
        if !mount(&["mount", "-t", "tmpfs", "test"]) {
            return;
        }
        let text = format!(
            "[server]\n[user:ann]\npassword = x\nhome = {}\ntrash = on\ntrash_for = 2h\n\
             [folder:/long]\ntrash_for = 4h\n",
            inner.display()
        );
        let config = crate::config::of_text(&text).unwrap();
        let ann = config.user(b"ann").unwrap().1;
        let tree = Tree::new(Home::open(&inner).unwrap(), false, true, None);
        let quotas = none();
        let trash =
            Trash { tree: &tree, ids: None, payer: Payer { quotas: &quotas, own: None } };
        fs::create_dir(inner.join("long")).unwrap();
        for file in ["a", "long/b"] {
            fs::write(inner.join(file), file).unwrap();
            let place = tree.place(&VirtualPath::root().join(file.as_bytes())).unwrap();
            trash.discard(&place).unwrap();
        }
        assert_eq!(listed(&user), ["/dir", "/inner/a", "/inner/long/b"]);
        aged(&[&user, ann], SystemTime::now() + Duration::from_secs(3 * 3600));
        let left = listed(ann);
        drop(tree);
        assert!(mount(&["umount", "-l"]));
        assert_eq!(left, ["/long/b"]);
    }

    #[test]
    fn room_is_made_by_the_oldest_files_and_not_by_more_than_needed() {
        let (_home, user) = home(&["four", "a", "bb", "ccc"]);
        let trash = HomeTrash::new(&user, &none());
        assert_eq!(trash.make_room(0, 0).unwrap(), Emptied::default());
        let emptied = trash.make_room(3, 0).unwrap();
        assert_eq!(emptied, Emptied { files: 1, bytes: 4, folders: 0, failed: 0 });
        let emptied = trash.make_room(1, 2).unwrap();
        assert_eq!(emptied, Emptied { files: 2, bytes: 3, folders: 0, failed: 0 });
        assert_eq!(listed(&user), ["/ccc", "/dir"]);
        assert_eq!(trash.make_room(1 << 40, 0).unwrap().bytes, 3);
        assert_eq!(trash.make_room(1 << 40, 0).unwrap(), Emptied::default());
        assert_eq!(listed(&user), ["/dir"]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn a_removed_directory_with_something_in_it_stays() {
        let (home, user) = home(&["a"]);
        let versions = home.path().join(".ftpd-trash/dir");
        let version = fs::read_dir(versions).unwrap().next().unwrap().unwrap().path();
        fs::write(version.join("late"), "late").unwrap();
        let emptied = HomeTrash::new(&user, &none()).empty(&VirtualPath::root()).unwrap();
        assert_eq!(emptied, Emptied { files: 1, bytes: 1, folders: 0, failed: 1 });
        let back =
            HomeTrash::new(&user, &none()).restore(&VirtualPath::root().join(b"dir")).unwrap();
        assert_eq!((back.count, back.refused.len()), (1, 0));
        assert!(home.path().join("dir/late").exists());
    }
}
