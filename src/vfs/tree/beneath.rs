//! Lookups that never lead out of a directory, not even by a link.
//!
//! The kernel confines them (`openat2` with `RESOLVE_BENEATH`). Where it cannot, on Linux
//! before 5.6 or in a container that does not know the call, a lookup walks down name by name.
//! Each step opens one name, without following links, in a directory that is held open; `..` in
//! the text of a link removes the last name from the path walked so far. Either way, a lookup
//! holds only a few descriptors, however long its path.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::{Errno, Result};

use super::fence::Fence;
use super::names::is_reserved;
use super::place::as_path;
use crate::vfs::error::FsError;

/// A directory that lookups do not leave.
#[derive(Debug)]
pub(in crate::vfs) struct Root {
    dir: OwnedFd,
    /// Whether links do not lead to reserved names, apart from those that the path itself contains.
    guards: bool,
    /// What is checked where links lead.
    fence: Option<Fence>,
}

/// The state of a walk down a path.
struct Walk<'r> {
    root: BorrowedFd<'r>,
    /// Whether it is refused to walk over a reserved name.
    guards: bool,
    /// The names from the root to the current directory. None was a link when the walk passed
    /// it.
    names: Vec<Vec<u8>>,
    /// Handles of the last few directories of the walk, the deepest at the back.
    held: VecDeque<OwnedFd>,
    /// The names that are still to be walked, the next one at the back.
    todo: Vec<Vec<u8>>,
    /// Number of links that were followed.
    links: u32,
}

/// The directory of the last name of a path.
#[derive(Debug)]
pub(in crate::vfs) enum Parent<'r> {
    Root(BorrowedFd<'r>),
    Below(OwnedFd),
}

/// Result of a walk.
pub(in crate::vfs) struct Walked {
    /// The path that was walked, without links.
    pub(in crate::vfs) path: Vec<u8>,
    /// What was opened at its end.
    pub(in crate::vfs) end: Result<OwnedFd>,
}

/// The kernel's own limit on the length of a path, including its NUL.
const PATH_MAX: usize = 4096;

/// The kernel's own limit on links in one lookup.
const MOST_LINKS: u32 = 40;

/// Number of directories that a walk holds open, so that a `..` rarely makes it start over.
const HELD: usize = 8;

/// Maximum number of times that a lookup is tried: the kernel gives up a lookup of a path with
/// `..` if something is renamed during it.
const TRIES: u32 = 16;

/// Flags that make the kernel confine a lookup.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Flags to open a directory only for lookups.
const HOLD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Root {
    pub(in crate::vfs) fn new(dir: OwnedFd) -> Self {
        Self { dir, guards: false, fence: None }
    }

    /// Like [`Root::new`]; with `guards`, links do not lead to reserved names, and with a fence not to
    /// where a letter is missing.
    pub(in crate::vfs) fn guarded(dir: OwnedFd, guards: bool, fence: Option<Fence>) -> Self {
        Self { dir, guards, fence }
    }

    /// Returns what is checked where links lead.
    pub(in crate::vfs) fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// Returns the directory.
    pub(in crate::vfs) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Opens the file or directory that a path leads to. With [`OFlags::NOFOLLOW`], a link at
    /// its end is not followed.
    pub(in crate::vfs) fn open(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
    ) -> std::result::Result<OwnedFd, FsError> {
        self.open_at(path, flags, mode).map(|(opened, _)| opened)
    }

    /// Like [`Root::open`]. If links may have been followed, returns the path without links as well.
    fn open_at(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
    ) -> std::result::Result<(OwnedFd, Option<Vec<u8>>), FsError> {
        let flags = flags | OFlags::CLOEXEC;
        let asked = if self.guards || self.fence.is_some() {
            // the walk sees where the links lead
            let asked = self.ask(path, flags, mode, BENEATH | ResolveFlags::NO_SYMLINKS);
            asked.filter(|asked| !matches!(asked, Err(Errno::LOOP)))
        } else {
            self.ask(path, flags, mode, BENEATH)
        };
        if let Some(asked) = asked {
            return asked.map(|opened| (opened, None)).map_err(refusal);
        }
        if self.fence.is_some() && flags.contains(OFlags::CREATE) {
            // nothing is created before the letters are known; a lookup that creates does not follow
            // a link at its end
            let (parent, name) = self.parent(path)?;
            return openat(parent, name, flags | OFlags::NOFOLLOW, mode)
                .map(|opened| (opened, None))
                .map_err(refusal);
        }
        let Walked { path, end } = self.walk(path, flags, mode);
        if let Some(fence) = &self.fence {
            let is_dir = flags.contains(OFlags::DIRECTORY);
            if is_dir { fence.check_in(&path) } else { fence.check_at(&path) }?;
        }
        end.map(|opened| (opened, Some(path))).map_err(refusal)
    }

    /// Opens the directory at a path, if no part of the path is a link.
    pub(in crate::vfs) fn open_plain(
        &self,
        path: &Path,
    ) -> std::result::Result<OwnedFd, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let asked = self.ask(path, flags, Mode::empty(), BENEATH | ResolveFlags::NO_SYMLINKS);
        let opened = asked.unwrap_or_else(|| {
            let walked = self.walk(path, flags, Mode::empty());
            let plain = path.strip_prefix(".").unwrap_or(path);
            let is_plain = walked.path == plain.as_os_str().as_bytes();
            if is_plain { walked.end } else { walked.end.and(Err(Errno::LOOP)) }
        });
        opened.map_err(refusal)
    }

    /// Returns a path without links that leads to the same file or directory as `path`.
    pub(in crate::vfs) fn resolve(&self, path: &Path) -> std::result::Result<Vec<u8>, FsError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let strict = BENEATH | ResolveFlags::NO_SYMLINKS;
        match self.ask(path, flags, Mode::empty(), strict) {
            Some(Ok(_)) => Ok(path.as_os_str().as_bytes().to_owned()),
            None | Some(Err(Errno::LOOP)) => {
                let Walked { path, end } = self.walk(path, flags, Mode::empty());
                if let Some(fence) = &self.fence {
                    fence.check_in(&path)?;
                }
                end.map(|_| path).map_err(refusal)
            }
            Some(Err(why)) => Err(refusal(why)),
        }
    }

    /// Returns the directory of a path's last name, and that name. The name keeps a slash at
    /// its end, which tells the system that it must name a directory.
    pub(in crate::vfs) fn parent<'p>(
        &self,
        path: &'p Path,
    ) -> std::result::Result<(Parent<'_>, &'p Path), FsError> {
        let bytes = path.as_os_str().as_bytes();
        let slashes = bytes.iter().rev().take_while(|&&byte| byte == b'/').count();
        let plain = bytes.get(..bytes.len() - slashes).unwrap_or_default();
        match plain.iter().rposition(|&byte| byte == b'/') {
            None => Ok((Parent::Root(self.dir.as_fd()), path)),
            Some(at) => {
                let (dir, name) = bytes.split_at_checked(at + 1).unwrap_or_default();
                let (dir, followed) = self.open_at(as_path(dir), HOLD, Mode::empty())?;
                if let (Some(fence), Some(mut path)) = (&self.fence, followed) {
                    let name = name.strip_suffix(b"/").unwrap_or(name);
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                    fence.check_at(&path)?;
                }
                Ok((Parent::Below(dir), as_path(name)))
            }
        }
    }

    /// Looks a path up with `openat2`. Returns `None` if the kernel cannot confine lookups.
    fn ask(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        resolve: ResolveFlags,
    ) -> Option<Result<OwnedFd>> {
        static CONFINES: OnceLock<bool> = OnceLock::new();
        let can = || {
            let here = openat2(&self.dir, ".", HOLD, Mode::empty(), BENEATH);
            // some sandboxes answer unknown calls with EPERM
            !matches!(here, Err(Errno::NOSYS | Errno::PERM))
        };
        if !CONFINES.get_or_init(can) {
            return None;
        }
        for _ in 0..TRIES {
            match openat2(&self.dir, path, flags, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Some(other),
            }
        }
        None
    }

    /// Looks a path up name by name.
    pub(in crate::vfs) fn walk(&self, path: &Path, flags: OFlags, mode: Mode) -> Walked {
        let bytes = path.as_os_str().as_bytes();
        let mut walk = Walk {
            root: self.dir.as_fd(),
            guards: self.guards,
            names: Vec::new(),
            held: VecDeque::new(),
            todo: Vec::new(),
            links: 0,
        };
        let end = match bytes.len() {
            0 => Err(Errno::NOENT),
            PATH_MAX.. => Err(Errno::NAMETOOLONG),
            _ => walk.plan(bytes).and_then(|()| walk.run(flags, mode)),
        };
        Walked { path: walk.names.join(&b'/'), end }
    }
}

impl Walk<'_> {
    /// Puts the names of a path in front of those that are still to be walked.
    fn plan(&mut self, path: &[u8]) -> Result<()> {
        if path.starts_with(b"/") {
            return Err(Errno::XDEV);
        }
        let is_last = self.todo.is_empty();
        if is_last && path.ends_with(b"/") {
            // a path that ends with a slash must lead to a directory
            self.todo.push(b".".to_vec());
        }
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        self.todo.extend(names.rev().map(<[u8]>::to_vec));
        Ok(())
    }

    fn run(&mut self, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        while let Some(name) = self.todo.pop() {
            let is_last = self.todo.is_empty();
            if self.guards && is_reserved(&name) {
                return Err(Errno::NOENT);
            }
            match name.as_slice() {
                b"." => {}
                b".." => {
                    self.names.pop().ok_or(Errno::XDEV)?;
                    self.held.pop_back();
                }
                _ if is_last => {
                    if let Some(end) = self.open_last(&name, flags, mode)? {
                        self.names.push(name);
                        return Ok(end);
                    }
                    continue;
                }
                _ => self.descend(name)?,
            }
            if is_last {
                break;
            }
        }
        openat(self.dir()?, ".", flags, mode)
    }

    /// Returns the current directory, and opens it again if the walk no longer holds it.
    fn dir(&mut self) -> Result<BorrowedFd<'_>> {
        if self.held.is_empty() {
            // a link has led to a directory above those that are held open
            for name in std::mem::take(&mut self.names) {
                let next = openat(
                    self.here(),
                    as_path(&name),
                    HOLD | OFlags::NOFOLLOW,
                    Mode::empty(),
                )?;
                self.enter(name, next);
            }
        }
        Ok(self.here())
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.held.back().map_or(self.root, AsFd::as_fd)
    }

    fn enter(&mut self, name: Vec<u8>, dir: OwnedFd) {
        self.names.push(name);
        self.held.push_back(dir);
        if self.held.len() > HELD {
            self.held.pop_front();
        }
    }

    /// Enters a directory, or follows a link, of this name.
    fn descend(&mut self, name: Vec<u8>) -> Result<()> {
        let opened =
            openat(self.dir()?, as_path(&name), HOLD | OFlags::NOFOLLOW, Mode::empty());
        match opened {
            Ok(dir) => self.enter(name, dir),
            Err(why @ (Errno::NOTDIR | Errno::LOOP)) => self.follow(&name, why)?,
            Err(why) => return Err(why),
        }
        Ok(())
    }

    /// Opens the last name of the path. If it is a link to be followed, follows it and returns
    /// `None`.
    fn open_last(&mut self, name: &[u8], flags: OFlags, mode: Mode) -> Result<Option<OwnedFd>> {
        let follows = !flags.contains(OFlags::NOFOLLOW) && !flags.contains(OFlags::EXCL);
        match openat(self.dir()?, as_path(name), flags | OFlags::NOFOLLOW, mode) {
            Ok(end) if follows && flags.contains(OFlags::PATH) && is_link(&end)? => {
                self.follow(name, Errno::LOOP)?;
                Ok(None)
            }
            Ok(end) => Ok(Some(end)),
            Err(why @ (Errno::NOTDIR | Errno::LOOP)) if follows => {
                self.follow(name, why)?;
                Ok(None)
            }
            Err(why) => Err(why),
        }
    }

    /// Puts the text of a link in front of the names that are still to be walked. Fails with
    /// `otherwise` if the name is not a link.
    fn follow(&mut self, name: &[u8], otherwise: Errno) -> Result<()> {
        let text = readlinkat(self.dir()?, as_path(name), Vec::new()).map_err(|_| otherwise)?;
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        self.plan(text.as_bytes())
    }
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(dir) => *dir,
            Self::Below(dir) => dir.as_fd(),
        }
    }
}

/// Turns the error of a lookup into an [`FsError`]. A lookup fails with `EXDEV` only if the
/// path leads out of the root.
fn refusal(why: Errno) -> FsError {
    if why == Errno::XDEV { FsError::Outside } else { why.into() }
}

fn is_link(file: &OwnedFd) -> Result<bool> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode).is_symlink())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;
    use rustix::fs::CWD;

    use super::*;

    /// Makes a home with links of all kinds, some of which lead out of it.
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn home() -> (tempfile::TempDir, Root) {
        let outer = tempfile::tempdir().unwrap();
        let home = outer.path().join("home");
        fs::create_dir_all(home.join("a/b/c")).unwrap();
        fs::create_dir_all(outer.path().join("out")).unwrap();
        fs::write(outer.path().join("out/f"), "outside").unwrap();
        for file in ["f", "a/f", "a/b/f", "a/b/c/f"] {
            fs::write(home.join(file), file).unwrap();
        }
        for (text, link) in [
            ("..", "a/up"),
            ("../..", "a/out"),
            ("../../../out", "a/b/out"),
            ("../../../out/f", "a/b/leak"),
            ("/etc", "abs"),
            ("b/../b/./c//", "a/far"),
            ("b/c/../../../a/b/f", "a/round"),
            ("nowhere", "dead"),
            ("loop", "loop"),
            ("f/", "a/slash"),
            ("a/b", "l"),
            ("../l", "a/l"),
            (".", "a/b/dot"),
        ] {
            symlink(text, home.join(link)).unwrap();
        }
        let root = Root::new(openat(CWD, &home, HOLD, Mode::empty()).unwrap());
        (outer, root)
    }

    fn id(end: Result<OwnedFd>) -> std::result::Result<(u64, u64), Errno> {
        end.and_then(|end| {
            let stat = fstat(&end)?;
            Ok((stat.st_dev, stat.st_ino))
        })
    }

    const NAMES: &[&str] = &[
        "a", "b", "c", "f", "up", "out", "leak", "abs", "far", "round", "dead", "loop",
        "slash", "l", "dot", ".", "..", "none", "",
    ];

    proptest! {
        #[test]
        fn a_walk_comes_to_where_the_kernel_comes(
            paths in prop::collection::vec(
                prop::collection::vec(prop::sample::select(NAMES), 1..7), 64),
        ) {
            let (_outer, root) = home();
            for path in paths {
                let path = path.join("/");
                let path = Path::new(path.trim_start_matches('/'));
                for flags in [
                    OFlags::PATH,
                    OFlags::PATH | OFlags::NOFOLLOW,
                    OFlags::RDONLY,
                    OFlags::WRONLY,
                    OFlags::RDONLY | OFlags::DIRECTORY,
                    OFlags::RDONLY | OFlags::NOFOLLOW,
                ] {
                    let flags = flags | OFlags::CLOEXEC;
                    let asked = root.ask(path, flags, Mode::empty(), BENEATH);
                    let Some(asked) = asked else { return Ok(()) };
                    let walked = root.walk(path, flags, Mode::empty());
                    prop_assert_eq!(id(asked), id(walked.end), "{:?} {:?}", path, flags);
                }
                let resolved = root.resolve(path);
                if let Ok(plain) = resolved {
                    let plain = if plain.is_empty() { b".".to_vec() } else { plain };
                    let of = |path| root.open(path, OFlags::PATH, Mode::empty()).unwrap();
                    prop_assert_eq!(id(Ok(of(path))), id(Ok(of(as_path(&plain)))));
                }
            }
        }
    }

    #[test]
    fn a_plain_path_leads_over_no_link() {
        let (_outer, root) = home();
        for path in [".", "a", "a/b/c"] {
            root.open_plain(Path::new(path)).unwrap();
        }
        for path in ["l", "l/c", "a/l", "a/up/b", "a/b/dot/c", "abs", "a/out", "dead", "f"] {
            assert!(root.open_plain(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn links_that_lead_out_are_refused_either_way() {
        let (_outer, root) = home();
        for path in ["a/out", "a/b/out/f", "a/b/leak", "abs/passwd", "..", "a/../..", "/etc"] {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let walked = root.walk(Path::new(path), flags, Mode::empty()).end;
            assert_eq!(walked.unwrap_err(), Errno::XDEV, "{path}");
            let asked = root.open(Path::new(path), flags, Mode::empty());
            assert!(matches!(asked, Err(FsError::Outside)), "{path}");
        }
    }

    #[test]
    fn a_walk_that_a_link_leads_far_up_goes_on_from_there() {
        let (outer, root) = home();
        let mut deep = outer.path().join("home");
        for _ in 0..20 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        symlink("../".repeat(18) + "d/../../../f", deep.join("up")).unwrap();
        let path = "d/".repeat(20) + "up";
        let walked = root.walk(Path::new(&path), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let asked = root.open(Path::new(&path), OFlags::PATH, Mode::empty()).unwrap();
        assert_eq!(id(walked.end), id(Ok(asked)));
    }

    #[test]
    fn a_new_file_is_made_below_and_never_through_a_link() {
        let (outer, root) = home();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let make = |path: &str| root.walk(Path::new(path), flags, Mode::RUSR).end.map(drop);
        assert_eq!(make("a/up/new"), Ok(()));
        assert!(outer.path().join("home/new").is_file());
        for taken in ["f", "dead", "a/b/leak", "a/out"] {
            assert_eq!(make(taken), Err(Errno::EXIST), "{taken}");
        }
        assert_eq!(make("a/b/out/new"), Err(Errno::XDEV));
    }
}
