//! The names under which a client knows the files that it has stored, where they differ from the
//! names on the disk.

use std::collections::VecDeque;

use crate::vfs::{Identity, VirtualPath};

/// The aliases of one session, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Aliases(VecDeque<Alias>);

/// A file that the session has stored.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    /// The path by which the client has named the file.
    pub(super) name: VirtualPath,
    /// The path of the file.
    pub(super) stored: VirtualPath,
    /// The file itself: the alias does not mean another one that gets its path. `None` if the file is
    /// not complete, or others may replace it.
    pub(super) file: Option<Identity>,
    /// Whether the session may go on writing to the file.
    pub(super) may_write: bool,
}

/// Maximum number of aliases of a session. If there are more, the oldest are forgotten.
const MOST: usize = 256;

impl Aliases {
    /// Returns the file that the session has stored under a name. It may be gone by now.
    pub(super) fn of(&self, name: &VirtualPath) -> Option<&Alias> {
        self.0.iter().find(|alias| alias.name == *name)
    }

    /// Returns the file that the session has stored at a path. It may be gone by now.
    pub(super) fn at(&self, stored: &VirtualPath) -> Option<&Alias> {
        self.0.iter().rfind(|alias| alias.stored == *stored)
    }

    /// Notes that the file that the client calls `name` is at `stored`.
    pub(super) fn note(
        &mut self,
        name: &VirtualPath,
        stored: &VirtualPath,
        file: Option<Identity>,
        may_write: bool,
    ) {
        self.forget(name);
        let may_write = may_write && file.is_some();
        if name == stored && !may_write {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(Alias { name: name.clone(), stored: stored.clone(), file, may_write });
    }

    /// Forgets a name: what it means is now what a listing shows.
    pub(super) fn forget(&mut self, name: &VirtualPath) {
        self.0.retain(|alias| alias.name != *name);
    }

    /// Forgets a path, as a name and as that of a file that was stored, because it was deleted.
    pub(super) fn forget_at(&mut self, path: &VirtualPath) {
        self.0.retain(|alias| alias.name != *path && alias.stored != *path);
    }

    /// Forgets all names and files at a path and below it, because it was renamed.
    pub(super) fn forget_below(&mut self, path: &VirtualPath) {
        self.0.retain(|alias| !alias.name.is_in(path) && !alias.stored.is_in(path));
    }

    /// Forgets all names, because the client has seen a listing.
    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> VirtualPath {
        VirtualPath::root().join(text.as_bytes())
    }

    fn led(aliases: &Aliases, name: &str) -> Option<VirtualPath> {
        aliases.of(&path(name)).map(|alias| alias.stored.clone())
    }

    #[test]
    fn a_name_means_the_file_that_was_stored_last() {
        let mut aliases = Aliases::default();
        let file = Some(Identity::numbered(2));
        aliases.note(&path("a"), &path("a (1)"), None, true);
        aliases.note(&path("a"), &path("a (2)"), file, true);
        assert_eq!(led(&aliases, "/a"), Some(path("a (2)")));
        assert_eq!(led(&aliases, "a (2)"), None);
        // what is stored under its own name needs no alias, unless the session may go on with it
        for (file, may_write) in [(None, true), (file, false)] {
            aliases.note(&path("a"), &path("a"), file, may_write);
            assert_eq!(led(&aliases, "a"), None);
        }
        aliases.note(&path("a"), &path("a"), file, true);
        assert_eq!(led(&aliases, "a"), Some(path("a")));
        aliases.clear();
        assert_eq!(led(&aliases, "a"), None);
    }

    #[test]
    fn what_is_renamed_loses_its_aliases() {
        let mut aliases = Aliases::default();
        aliases.note(&path("d/a"), &path("d/a (1)"), None, true);
        aliases.note(&path("da"), &path("da (1)"), None, true);
        aliases.note(&path("x"), &path("d/2026/x"), None, true);
        aliases.forget_below(&path("d"));
        assert_eq!((led(&aliases, "d/a"), led(&aliases, "x")), (None, None));
        assert_eq!(led(&aliases, "da"), Some(path("da (1)")));
    }

    #[test]
    fn what_is_deleted_loses_its_aliases() {
        let mut aliases = Aliases::default();
        for name in ["a", "b", "c"] {
            aliases.note(&path(name), &path(&format!("{name} (1)")), None, true);
        }
        aliases.forget_at(&path("a"));
        aliases.forget_at(&path("b (1)"));
        assert_eq!((led(&aliases, "a"), led(&aliases, "b")), (None, None));
        assert_eq!(led(&aliases, "c"), Some(path("c (1)")));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut aliases = Aliases::default();
        for number in 0..=MOST {
            aliases.note(&path(&number.to_string()), &path("x"), None, true);
        }
        assert_eq!((led(&aliases, "0"), aliases.0.len()), (None, MOST));
        assert_eq!(led(&aliases, &MOST.to_string()), Some(path("x")));
    }
}
