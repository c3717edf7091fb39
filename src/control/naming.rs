//! Names on their way between a client and the files: what a pathname means, and how paths are sent.
//!
//! Every pathname of a client comes through here, and every name that it is sent, so that
//! [`Speech`] is asked in these places only. A pathname is split at slashes first: no charset has
//! another character with the byte of a slash.

use std::borrow::Cow;
use std::cell::Cell;

use super::charset::Speech;
use crate::vfs::{Files, FsError, VirtualPath};

/// The names of one session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming<'a> {
    pub(super) speech: Speech,
    pub(super) tree: &'a Files,
}

impl Naming<'_> {
    /// Returns a pathname of the client, relative to `from`, with the names on the disk that it means.
    pub(super) fn meant<'t>(self, from: &VirtualPath, typed: &'t [u8]) -> Cow<'t, [u8]> {
        if self.speech.is_plain() || typed.is_ascii() && !typed.contains(&b'\\') {
            return Cow::Borrowed(typed);
        }
        // below what is missing there is nothing, however long the pathname is
        let (mut meant, mut is_missing) = (Vec::new(), false);
        for (at, part) in typed.split(|&byte| byte == b'/').enumerate() {
            if at > 0 {
                meant.push(b'/');
            }
            let (asked, found) = (Cell::new(false), Cell::new(false));
            let is_there = |name: &[u8]| {
                let is_there = !is_missing && self.is_there(from, &meant, name);
                asked.set(true);
                found.set(found.get() || is_there);
                is_there
            };
            let name = self.speech.name(part, is_there).into_owned();
            is_missing |= asked.get() && !found.get();
            meant.extend_from_slice(&name);
        }
        Cow::Owned(meant)
    }

    /// Returns a pathname of the disk, relative to `from`, as it is sent to the client.
    pub(super) fn said<'n>(self, from: &VirtualPath, pathname: &'n [u8]) -> Cow<'n, [u8]> {
        if self.speech.is_plain() || pathname.is_ascii() {
            return Cow::Borrowed(pathname);
        }
        let (mut said, mut before) = (Vec::new(), 0);
        for part in pathname.split(|&byte| byte == b'/') {
            if before > 0 {
                said.push(b'/');
            }
            let above = pathname.get(..before).unwrap_or_default();
            let is_there = |name: &[u8]| self.is_there(from, above, name);
            said.extend_from_slice(&self.speech.said(part, is_there));
            before += part.len() + 1;
        }
        Cow::Owned(said)
    }

    /// Returns the target of a link as it is sent. Nobody asks for a file by it.
    pub(super) fn target(self, target: &[u8]) -> Vec<u8> {
        let parts = target.split(|&byte| byte == b'/');
        let said: Vec<_> = parts.map(|part| self.speech.said(part, |_| false)).collect();
        said.join(&b'/')
    }

    /// Returns whether something has a name in the directory that `above` leads to from `from`.
    fn is_there(self, from: &VirtualPath, above: &[u8], name: &[u8]) -> bool {
        is_there(self.tree, &from.join(above).join(name))
    }
}

/// Returns whether something has a path, as far as the system tells.
pub(super) fn is_there(tree: &Files, path: &VirtualPath) -> bool {
    !matches!(
        tree.shown_entry(path),
        Err(FsError::NotFound | FsError::NotADirectory | FsError::BadName(_))
    )
}
