//! Where refused uploads may be kept: where no client sees them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::whole::Config;

/// The kernel's own limit on links in one lookup.
const MOST_LINKS: u32 = 40;

impl Config {
    /// Returns why refused uploads may not be kept in a directory with this path, which leads through no
    /// link; `None`: they may.
    pub fn why_no_quarantine(&self, real: &Path) -> Option<String> {
        let of_users = self.users.values().flat_map(|user| {
            let mounts = user.mounts().map(|(_, from)| from.as_path());
            std::iter::once(user.home.as_path()).chain(mounts)
        });
        let homes = of_users.chain(self.server.elsewhere.homes.as_deref());
        why_not(real, homes, self.server.storage.state_dir.as_deref())
    }
}

/// Returns why refused uploads may not be kept in a directory, if clients see these homes. A path and
/// whatever was mounted elsewhere both count.
pub(super) fn why_not<'p>(
    real: &Path,
    homes: impl IntoIterator<Item = &'p Path>,
    state_dir: Option<&Path>,
) -> Option<String> {
    if real.parent().is_none() {
        return Some("is the root of the file system".to_owned());
    }
    let id = |path: &Path| metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let is_it =
        |dir: &Path| resolved(dir) == real || id(dir).is_some_and(|of| id(real) == Some(of));
    if state_dir.is_some_and(is_it) {
        return Some("is state_dir, where the server keeps its own files".to_owned());
    }
    let above: HashSet<_> = real.ancestors().filter_map(id).collect();
    let holds = |home: &Path| match id(home) {
        Some(id) => above.contains(&id),
        // it may be made later
        None => real.starts_with(resolved(home)),
    };
    // one that is empty is a fault of its own
    let home = homes.into_iter().find(|home| home.is_absolute() && holds(home))?;
    Some(format!("lies in {}, where clients can see it", home.display()))
}

/// Returns a path without links and `..`. What does not exist on it is taken for directories that will be
/// made.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let parts = |path: &Path| {
        let parts = path.components().rev().map(|part| part.as_os_str().to_owned());
        parts.collect::<Vec<OsString>>()
    };
    let (mut real, mut todo, mut links) = (PathBuf::from("/"), parts(path), 0);
    while let Some(part) = todo.pop() {
        match Path::new(&part).components().next() {
            Some(Component::RootDir) => real = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(real.pop()),
            Some(Component::Normal(name)) => {
                let next = real.join(name);
                match std::fs::read_link(&next) {
                    Ok(to) if links < MOST_LINKS => {
                        links += 1;
                        todo.extend(parts(&to));
                    }
                    _ => real = next,
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_followed_through_links_that_lead_to_nothing_and_back_up() {
        let dir = tempfile::tempdir().unwrap();
        let dir = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir_all(dir.join("home")).unwrap();
        symlink("home/new", dir.join("link")).unwrap();
        symlink(dir.join("link/more"), dir.join("again")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        for (path, wanted) in [
            ("a/b", "a/b"),
            ("a/../home/q", "home/q"),
            ("link", "home/new"),
            ("link/q", "home/new/q"),
            ("again/../q", "home/new/q"),
            ("home/./q", "home/q"),
            ("loop/q", "loop/q"),
        ] {
            assert_eq!(resolved(&dir.join(path)), dir.join(wanted), "{path}");
        }
        assert_eq!(resolved(Path::new("/../..")), Path::new("/"));
    }
}
