//! Virtual paths: the paths that clients see. They are bytes, absolute, and normal by
//! construction.
//!
//! `..` never leads above the root, because it is resolved before anything is looked up. Where
//! a symbolic link may lead is checked when the path is used.
//!
//! A pathname that ends with `/`, `.` or `..` names a directory. The path then keeps a slash at
//! its end, which only lookups see, so that the system refuses `file/` in every action.

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path that starts at the user's root: `/`, or `/a/b` without empty parts, `.` or `..`.
#[derive(Clone)]
pub struct VirtualPath {
    /// The path, with a slash at its end if it must lead to a directory.
    bytes: Vec<u8>,
}

/// Maximum number of names that are tried for a new file.
const MOST_NUMBERED: u32 = 10_000;

impl VirtualPath {
    /// Returns `/`.
    pub fn root() -> Self {
        Self { bytes: vec![b'/'] }
    }

    /// Returns the path that a pathname stands for if this path is the working directory.
    #[must_use]
    pub fn join(&self, pathname: &[u8]) -> Self {
        let mut joined = Vec::new();
        if !pathname.starts_with(b"/") && !self.is_root() {
            joined.extend_from_slice(self.as_bytes());
        }
        for part in pathname.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    let parent = joined.iter().rposition(|&byte| byte == b'/');
                    joined.truncate(parent.unwrap_or(0));
                }
                name => {
                    joined.push(b'/');
                    joined.extend_from_slice(name);
                }
            }
        }
        let last = pathname.rsplit(|&byte| byte == b'/').next();
        if joined.is_empty() || matches!(last, Some(b"" | b"." | b"..")) {
            joined.push(b'/');
        }
        Self { bytes: joined }
    }

    /// Returns the path of the parent directory. The parent of the root is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let bytes = self.as_bytes();
        let end = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
        Self { bytes: bytes.get(..end.max(1)).unwrap_or_default().to_vec() }
    }

    /// Whether the path must lead to a directory, as the pathname `a/` does.
    pub fn is_directory_s(&self) -> bool {
        self.bytes.ends_with(b"/")
    }

    /// Returns the last part; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// Returns paths with a number in the name. Each number comes in two paths: after the name, as in
    /// `a.jpg.1`, and before its ending, as in `a.1.jpg`.
    pub(super) fn numbered(
        &self,
    ) -> impl Iterator<Item = impl Iterator<Item = Self> + '_> + '_ {
        let name = self.name();
        let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0);
        let ends = [name.len(), dot.unwrap_or(name.len())];
        (1..MOST_NUMBERED).map(move |number| {
            ends.into_iter().map(move |end| {
                let (stem, ending) = name.split_at_checked(end).unwrap_or_default();
                let number = format!(".{number}");
                self.parent().join(&[stem, number.as_bytes(), ending].concat())
            })
        })
    }

    /// Whether this is a path, or lies below it.
    pub fn is_in(&self, path: &Self) -> bool {
        let rest = self.as_bytes().strip_prefix(path.as_bytes());
        path.is_root() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Iterates over the parts of the path, from the root on.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.as_bytes().split(|&byte| byte == b'/').skip(1)
    }

    /// Whether the path is `/`.
    pub fn is_root(&self) -> bool {
        self.bytes == b"/"
    }

    /// Returns the path with its leading slash, but without a slash at its end.
    pub fn as_bytes(&self) -> &[u8] {
        match self.bytes.strip_suffix(b"/") {
            None | Some(b"") => &self.bytes,
            Some(plain) => plain,
        }
    }

    /// Returns the path relative to the root, for lookups from the root's directory handle.
    pub(super) fn below_root(&self) -> &Path {
        match self.bytes.strip_prefix(b"/") {
            None | Some(b"") => Path::new("."),
            Some(rest) => Path::new(OsStr::from_bytes(rest)),
        }
    }

    /// Returns the path relative to a directory that holds it, for lookups from its handle; `None`: the
    /// directory does not hold it. The case of ASCII letters in the path of the directory does not
    /// matter.
    pub(super) fn below(&self, directory: &Self) -> Option<&Path> {
        if directory.is_root() {
            return Some(self.below_root());
        }
        let (start, rest) = self.bytes.split_at_checked(directory.as_bytes().len())?;
        if !start.eq_ignore_ascii_case(directory.as_bytes()) {
            return None;
        }
        match rest {
            b"" | b"/" => Some(Path::new(".")),
            [b'/', rest @ ..] => Some(Path::new(OsStr::from_bytes(rest))),
            _ => None,
        }
    }

    /// Returns the path below a directory that holds it, in the same form; `None`: the directory does
    /// not hold it. The case of ASCII letters in the path of the directory does not matter.
    #[must_use]
    pub fn within(&self, directory: &Self) -> Option<Self> {
        if directory.is_root() {
            return Some(self.clone());
        }
        let (start, rest) = self.bytes.split_at_checked(directory.as_bytes().len())?;
        let is_in = start.eq_ignore_ascii_case(directory.as_bytes());
        match rest {
            b"" | b"/" if is_in => Some(Self::root()),
            [b'/', ..] if is_in => Some(Self { bytes: rest.to_vec() }),
            _ => None,
        }
    }

    /// Returns the path on the server, in this home.
    pub(super) fn real(&self, home: &Path) -> PathBuf {
        let below = self.as_bytes().strip_prefix(b"/").unwrap_or_default();
        if self.is_root() { home.to_owned() } else { home.join(OsStr::from_bytes(below)) }
    }
}

/// Paths are equal if their parts are equal. A slash at the end makes no difference.
impl PartialEq for VirtualPath {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for VirtualPath {}

impl Hash for VirtualPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl std::fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", OsStr::from_bytes(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(cwd: &str, pathname: &str) -> String {
        let path = VirtualPath::root().join(cwd.as_bytes()).join(pathname.as_bytes());
        String::from_utf8(path.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_ends_like_a_directory_is_looked_up_as_one() {
        let cwd = VirtualPath::root().join(b"cwd/");
        for (pathname, below) in [
            ("a", "cwd/a"),
            ("a/", "cwd/a/"),
            ("a//", "cwd/a/"),
            ("a/.", "cwd/a/"),
            ("a/./b", "cwd/a/b"),
            ("a/b/..", "cwd/a/"),
            ("a/b/../c", "cwd/a/c"),
            ("a/...", "cwd/a/..."),
            ("", "cwd/"),
            ("..", "."),
            ("/", "."),
        ] {
            let path = cwd.join(pathname.as_bytes());
            assert_eq!(path.below_root(), Path::new(below), "{pathname}");
            assert_eq!(path.is_directory_s(), below == "." || below.ends_with('/'));
            assert!(!path.parent().is_directory_s() || path.parent().is_root());
        }
        assert_eq!(cwd.join(b"a/"), cwd.join(b"a"));
    }

    #[test]
    fn pathnames_start_from_the_working_directory_or_the_root() {
        for (cwd, pathname, path) in [
            ("/", "", "/"),
            ("/", "a", "/a"),
            ("/a", "b/c", "/a/b/c"),
            ("/a", "/b//c/", "/b/c"),
            ("/a/b", "..", "/a"),
            ("/a/b", "../../../../x", "/x"),
            ("/a", "./.", "/a"),
            ("/a", "...", "/a/..."),
            ("/a", "..b/c..", "/a/..b/c.."),
        ] {
            assert_eq!(joined(cwd, pathname), path, "{cwd} {pathname}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_normal_path(cwd: Vec<u8>, pathname: Vec<u8>) {
            let path = VirtualPath::root().join(&cwd).join(&pathname);
            let bytes = path.as_bytes();
            prop_assert!(bytes.starts_with(b"/"));
            if !path.is_root() {
                for part in bytes[1..].split(|&byte| byte == b'/') {
                    prop_assert!(!matches!(part, b"" | b"." | b".."));
                }
            }
            prop_assert_eq!(VirtualPath::root().join(bytes), path.clone());
            prop_assert_eq!(path.parent().join(path.name()), path);
        }
    }
}
