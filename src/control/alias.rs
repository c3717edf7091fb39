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
    name: VirtualPath,
    /// The path of the file.
    pub(super) stored: VirtualPath,
    /// The file itself. The session may go on writing to it, and to no other file that gets its path.
    pub(super) file: Option<Identity>,
}

/// Maximum number of aliases of a session. If there are more, the oldest are forgotten.
const MOST: usize = 256;

impl Aliases {
    /// Returns the file that the session has stored under a name.
    pub(super) fn of(&self, name: &VirtualPath) -> Option<&Alias> {
        self.0.iter().find(|alias| alias.name == *name)
    }

    /// Returns the name under which the session has stored the file at a path.
    pub(super) fn name_of(&self, stored: &VirtualPath) -> Option<&VirtualPath> {
        self.0.iter().rfind(|alias| alias.stored == *stored).map(|alias| &alias.name)
    }

    /// Notes that the file that the client calls `name` is at `stored`. `file` is needed only if the
    /// session may go on writing to it.
    pub(super) fn note(
        &mut self,
        name: &VirtualPath,
        stored: &VirtualPath,
        file: Option<Identity>,
    ) {
        self.forget(name);
        if name == stored && file.is_none() {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(Alias { name: name.clone(), stored: stored.clone(), file });
    }

    /// Forgets a name: what it means is now what a listing shows.
    pub(super) fn forget(&mut self, name: &VirtualPath) {
        self.0.retain(|alias| alias.name != *name);
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
        aliases.note(&path("a"), &path("a (1)"), None);
        aliases.note(&path("a"), &path("a (2)"), Some(Identity::numbered(2)));
        assert_eq!(led(&aliases, "/a"), Some(path("a (2)")));
        assert_eq!(led(&aliases, "a (2)"), None);
        // what is stored under its own name needs no alias, unless the session may go on with it
        aliases.note(&path("a"), &path("a"), None);
        assert_eq!(led(&aliases, "a"), None);
        aliases.note(&path("a"), &path("a"), Some(Identity::numbered(2)));
        assert_eq!(led(&aliases, "a"), Some(path("a")));
        aliases.clear();
        assert_eq!(led(&aliases, "a"), None);
    }

    #[test]
    fn what_is_renamed_loses_its_aliases() {
        let mut aliases = Aliases::default();
        aliases.note(&path("d/a"), &path("d/a (1)"), None);
        aliases.note(&path("da"), &path("da (1)"), None);
        aliases.note(&path("x"), &path("d/2026/x"), None);
        aliases.forget_below(&path("d"));
        assert_eq!((led(&aliases, "d/a"), led(&aliases, "x")), (None, None));
        assert_eq!(led(&aliases, "da"), Some(path("da (1)")));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut aliases = Aliases::default();
        for number in 0..=MOST {
            aliases.note(&path(&number.to_string()), &path("x"), None);
        }
        assert_eq!((led(&aliases, "0"), aliases.0.len()), (None, MOST));
        assert_eq!(led(&aliases, &MOST.to_string()), Some(path("x")));
    }
}
