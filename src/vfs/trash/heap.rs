//! All that the trash of a user holds, on every file system inside the home.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, readlinkat, unlinkat};
use rustix::process::geteuid;

use super::stamp::name_of_trash;
use super::subvolumes::noted;
use super::top::{HOLD, is_other_realm};
use crate::config::User;
use crate::rights::{self, Ids};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::count::Count;
use crate::vfs::quota::payer::Payer;
use crate::vfs::quota::quotas::Quotas;
use crate::vfs::quota::survey::Counting;
use crate::vfs::tree::beneath::Root;
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::home::open_home;
use crate::vfs::tree::walk::walk;

/// The trash on one file system.
#[derive(Debug)]
pub(super) struct Heap {
    /// The path, from the root of the home, of the directory that has the trash.
    pub(super) top: VirtualPath,
    /// That directory.
    pub(super) dir: OwnedFd,
    /// The trash. Paths below it are paths below `top`.
    pub(super) trash: Root,
    quotas: Arc<Quotas>,
}

/// The trash of a user, as the upkeep and the administrator use it.
#[derive(Debug)]
pub struct HomeTrash<'u> {
    pub(super) user: &'u User,
    folder: Folder,
    quotas: Arc<Quotas>,
}

impl<'u> HomeTrash<'u> {
    /// Returns the trash of a user. It may be empty, or not exist yet. What changes is reported to the
    /// quotas.
    pub fn new(user: &'u User, quotas: &Arc<Quotas>) -> Self {
        let (home, ids) = (user.home.clone(), user.run_as.clone());
        let folder = Folder { home, path: VirtualPath::root(), ids };
        Self { user, folder, quotas: Arc::clone(quotas) }
    }

    /// Returns the path on the server that a path in the home stands for.
    pub(super) fn real(&self, path: &VirtualPath) -> PathBuf {
        path.real(&self.folder.home)
    }

    /// Returns what all files in the trash count.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub(in crate::vfs) fn count(&self) -> Result<Count, FsError> {
        self.with_heaps(|heaps| {
            let mut counting = Counting::default();
            for heap in &heaps {
                walk(&heap.trash, &VirtualPath::root(), &mut counting)?;
            }
            Ok(counting.count)
        })
    }

    /// Does something with the trash of each file system, with the rights that a session of the user
    /// has.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the system user.
    pub(super) fn with_heaps<T>(
        &self,
        work: impl FnOnce(Vec<Heap>) -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let ids = self.folder.ids.as_deref();
        let is_user = ids.is_some_and(|ids| geteuid().as_raw() == ids.uid);
        if is_user && !rights::can_act() {
            // a subcommand that the system user runs
            return work(self.heaps()?);
        }
        self.folder.on_behalf(|| work(self.heaps()?))?
    }

    /// Returns a path that leads through no link to the same name, as far as the directories on it
    /// exist. Paths in the trash are of this kind.
    pub(super) fn without_links(&self, path: &VirtualPath) -> VirtualPath {
        let Ok(home) = open_home(&self.folder.home).map(Root::new) else { return path.clone() };
        let (mut above, mut names) = (path.clone(), Vec::new());
        while !above.is_root() {
            names.push(above.name().to_owned());
            above = above.parent();
            if let Ok(there) = home.resolve(above.below_root()) {
                let there = VirtualPath::root().join(&there);
                return names.iter().rev().fold(there, |path, name| path.join(name));
            }
        }
        path.clone()
    }

    fn heaps(&self) -> Result<Vec<Heap>, FsError> {
        let home = Root::new(open_home(&self.folder.home)?);
        let ids = self.folder.ids.as_deref();
        let mut heaps = Vec::new();
        heaps.extend(Heap::open(&home, VirtualPath::root(), ids, &self.quotas)?);
        let subvolumes = heaps.first().map(|heap| noted(heap.trash.dir())).unwrap_or_default();
        let mut tops: Vec<_> = mount_points(&home).into_iter().chain(subvolumes).collect();
        tops.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        tops.dedup();
        // what was a subvolume may be a plain directory by now
        for top in tops.into_iter().filter(|top| is_mounted(&home, top)) {
            // others may not be reached
            heaps.extend(Heap::open(&home, top, ids, &self.quotas).unwrap_or_default());
        }
        Ok(heaps)
    }
}

impl Heap {
    /// Opens the trash in the topmost directory of a file system. Returns `None` if there is none.
    fn open(
        home: &Root,
        top: VirtualPath,
        ids: Option<&Ids>,
        quotas: &Arc<Quotas>,
    ) -> Result<Option<Self>, FsError> {
        let dir = home.open(top.below_root(), HOLD, Mode::empty())?;
        let name = name_of_trash(ids);
        let name = Path::new(std::ffi::OsStr::from_bytes(&name));
        match rustix::fs::openat(&dir, name, HOLD, Mode::empty()) {
            Ok(trash) => {
                let (trash, quotas) = (Root::new(trash), Arc::clone(quotas));
                Ok(Some(Self { top, dir, trash, quotas }))
            }
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Returns the path in the home that a path below the trash stands for.
    pub(super) fn path(&self, below: &VirtualPath) -> VirtualPath {
        joined(&self.top, below)
    }

    /// Returns the path below the trash that stands for a path in the home; `None` if that path is on
    /// another file system.
    pub(super) fn below(&self, path: &VirtualPath) -> Option<VirtualPath> {
        if self.top.is_root() {
            return Some(VirtualPath::root().join(path.as_bytes()));
        }
        let rest = path.as_bytes().strip_prefix(self.top.as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then(|| VirtualPath::root().join(rest))
    }

    /// Opens the directory with the versions of a path.
    pub(super) fn folder(&self, below: &VirtualPath) -> Result<OwnedFd, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        self.trash.open(below.below_root(), flags, Mode::empty())
    }

    /// Removes the directory with the versions of a path if it is empty.
    pub(super) fn prune(&self, below: &VirtualPath) {
        if below.is_root() {
            return;
        }
        if let Ok((dir, name)) = self.trash.parent(below.below_root()) {
            // fails if something is in it
            let remove = || Ok::<_, FsError>(unlinkat(&dir, name, AtFlags::REMOVEDIR)?);
            let _ = self.payer().removing_dir(&dir, below.name(), remove);
        }
    }

    /// Returns who pays for what is moved out of the trash.
    pub(super) fn payer(&self) -> Payer<'_> {
        Payer { quotas: &self.quotas, own: None }
    }

    /// Removes the empty directories on the way to the versions of a path.
    pub(super) fn prune_up(&self, below: &VirtualPath) {
        let mut path = below.clone();
        while !path.is_root() {
            self.prune(&path);
            path = path.parent();
        }
    }
}

/// Returns the path that a path below `top` stands for.
pub(super) fn joined(top: &VirtualPath, below: &VirtualPath) -> VirtualPath {
    let below = below.as_bytes();
    top.join(below.strip_prefix(b"/").unwrap_or(below))
}

/// Returns the paths of all mount points inside a home.
fn mount_points(home: &Root) -> Vec<VirtualPath> {
    let mut table = Vec::new();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open("/proc/self/mountinfo", flags, Mode::empty());
    let count = opened.map(|file| std::fs::File::from(file).read_to_end(&mut table));
    let link = format!("/proc/self/fd/{}", home.dir().as_raw_fd());
    let Ok(real) = readlinkat(rustix::fs::CWD, link, Vec::new()) else { return Vec::new() };
    if !matches!(count, Ok(Ok(_))) {
        return Vec::new();
    }
    let mut found: Vec<_> =
        points_below(&table, real.to_bytes()).filter(|path| is_mounted(home, path)).collect();
    found.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    found.dedup();
    found
}

/// Reads the table of mounts (`mountinfo` of proc(5)), and returns the mount points below a directory
/// by their paths from there.
fn points_below<'t>(table: &'t [u8], home: &'t [u8]) -> impl Iterator<Item = VirtualPath> + 't {
    let point = |line: &[u8]| line.split(|&byte| byte == b' ').nth(4).map(unescaped);
    table.split(|&byte| byte == b'\n').filter_map(point).filter_map(move |point| {
        let home = home.strip_suffix(b"/").unwrap_or(home);
        let rest = point.as_bytes().strip_prefix(home)?.strip_prefix(b"/")?;
        (!rest.is_empty()).then(|| VirtualPath::root().join(rest))
    })
}

/// Replaces `\040` and the like by the bytes that they stand for.
fn unescaped(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let number = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(number) = number.filter(|_| byte == b'\\') {
            bytes.push(number);
            rest = behind.get(3..).unwrap_or_default();
        } else {
            bytes.push(byte);
            rest = behind;
        }
    }
    OsString::from_vec(bytes)
}

/// Whether a directory of the home is the root of a mount or a subvolume that can be reached.
fn is_mounted(home: &Root, path: &VirtualPath) -> bool {
    let open = |path: &VirtualPath| home.open(path.below_root(), HOLD, Mode::empty());
    let (Ok(dir), Ok(above)) = (open(path), open(&path.parent())) else { return false };
    is_other_realm(dir.as_fd(), above.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_below_a_home_are_found_by_their_whole_names() {
        let table = b"22 1 0:20 / / rw shared:1 - ext4 /dev/vda rw\n\
            30 22 0:30 / /home/bob rw - tmpfs t rw\n\
            31 30 0:31 / /home/bob/a\\040b rw - tmpfs t rw\n\
            32 22 0:32 / /home/bobby rw - tmpfs t rw\n\
            33 31 0:33 / /home/bob/a\\040b/c\\134d rw - tmpfs t rw\n";
        let found: Vec<_> = points_below(table, b"/home/bob").collect();
        let wanted =
            ["/a b", "/a b/c\\d"].map(|path| VirtualPath::root().join(path.as_bytes()));
        assert_eq!(found, wanted);
        assert_eq!(points_below(table, b"/").count(), 4);
        assert_eq!(points_below(b"", b"/").count(), 0);
    }
}
