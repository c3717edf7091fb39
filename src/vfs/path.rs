//! Virtual paths: what the client sees. Bytes, absolute, and normal by construction.
//!
//! `..` never goes above the root, because the parts are joined before anything is looked up;
//! what a symlink may do is decided by the kernel when the path is used.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path from the user's root: `/`, or `/a/b` without empty parts, `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VirtualPath(Vec<u8>);

impl VirtualPath {
    /// `/`.
    pub fn root() -> Self {
        Self(vec![b'/'])
    }

    /// What a pathname means to a client whose working directory this is.
    #[must_use]
    pub fn join(&self, pathname: &[u8]) -> Self {
        let mut joined = if pathname.starts_with(b"/") { Vec::new() } else { self.0.clone() };
        if joined == b"/" {
            joined.clear();
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
        if joined.is_empty() {
            joined.push(b'/');
        }
        Self(joined)
    }

    /// The directory it lies in; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        self.join(b"..")
    }

    /// The last part; nothing for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// Its parts, from the root on.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').skip(1)
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == b"/"
    }

    /// From the leading slash on.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path below the directory handle of the root.
    pub(super) fn below_root(&self) -> &Path {
        match self.0.strip_prefix(b"/") {
            None | Some(b"") => Path::new("."),
            Some(rest) => Path::new(OsStr::from_bytes(rest)),
        }
    }

    /// Where it lies on the server, in this home.
    pub(super) fn real(&self, home: &Path) -> PathBuf {
        if self.is_root() { home.to_owned() } else { home.join(self.below_root()) }
    }
}

impl std::fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", OsStr::from_bytes(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(cwd: &str, pathname: &str) -> String {
        let path = VirtualPath::root().join(cwd.as_bytes()).join(pathname.as_bytes());
        String::from_utf8(path.0).unwrap()
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
