//! The names of a listing, as they are sent.

use std::borrow::Cow;
use std::sync::Arc;

use super::walk::Walk;
use crate::control::charset::Speech;
use crate::control::naming::Naming;
use crate::control::state::User;
use crate::vfs::{Entry, FileKind, Files, VirtualPath};

/// Says the names of one listing.
pub(super) struct Voice {
    speech: Speech,
    tree: Arc<Files>,
    /// The directory of the path that is listed; `None` if it does not matter.
    around: Option<VirtualPath>,
    /// The first entry whose name was sent with escapes.
    escaped: Option<VirtualPath>,
}

impl Voice {
    /// Returns a voice for the listing of a path that speaks as the session of a user does now.
    pub(super) fn of(user: &User, path: &VirtualPath) -> Self {
        let around = (!user.speech.is_plain()).then(|| path.parent());
        Self { speech: user.speech, tree: Arc::clone(&user.tree), around, escaped: None }
    }

    /// Returns the path from the first directory of a walk to the current one, as it is sent.
    pub(super) fn below<'w>(&self, walk: &'w Walk) -> Cow<'w, [u8]> {
        let below = walk.below();
        match walk.root() {
            Some(root) => self.naming().said(root, below),
            None => Cow::Borrowed(below),
        }
    }

    /// Returns the current entry of a walk with the name and the target that are sent.
    pub(super) fn entry<'e>(&mut self, entry: &'e Entry, walk: &Walk) -> Cow<'e, Entry> {
        let is_link = entry.kind == FileKind::Link;
        let Some(around) = self.around.as_ref().filter(|_| is_link || !entry.name.is_ascii())
        else {
            return Cow::Borrowed(entry);
        };
        let directory = walk.directory().unwrap_or(around);
        let name = self.naming().said(directory, &entry.name).into_owned();
        if name.is_ascii() && name != entry.name {
            let escaped = directory.join(&entry.name);
            self.escaped.get_or_insert(escaped);
        }
        let mut said = Entry { name, ..entry.clone() };
        if let Some((target, _)) = &mut said.target {
            *target = self.naming().target(target);
        }
        said.dangling = said.dangling.map(|target| self.naming().target(&target));
        Cow::Owned(said)
    }

    /// Returns the remark for the log if a name was sent with escapes, with the entry that has it.
    pub(super) fn remark(&self) -> Option<(VirtualPath, String)> {
        let escaped = self.escaped.clone()?;
        let text = "its name goes out in ASCII, because in a charset of the client it is like another \
                    one; rename one of the two, or see 'ftpd convert-names'";
        Some((escaped, text.to_owned()))
    }

    fn naming(&self) -> Naming<'_> {
        Naming { speech: self.speech, tree: &self.tree }
    }
}
