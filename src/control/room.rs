//! Makes room for an upload before it begins, and when the disk is full in the middle of it, where
//! the settings demand free space (`min_free`).

use std::io;
use std::sync::Arc;

use super::command::Verb;
use super::refusal::Refusal;
use super::session::Session;
use crate::vfs::{Files, FsError, Need, VirtualPath};

impl Session {
    /// Makes room for an upload to a file.
    pub(super) fn make_room_for(
        &mut self,
        verb: &Verb,
        path: &VirtualPath,
    ) -> Result<(), Refusal> {
        let bytes = self.state.parameters.announced.unwrap_or_default();
        self.make_room_of(verb, path, bytes)
    }

    /// Makes room for this number of bytes in a file.
    pub(super) fn make_room_of(
        &mut self,
        verb: &Verb,
        path: &VirtualPath,
        bytes: u64,
    ) -> Result<(), Refusal> {
        self.make_room(verb, |tree| tree.room_for(path, bytes))
    }

    /// Makes room for this number of bytes in the working directory.
    pub(super) fn make_room_here(&mut self, verb: &Verb, bytes: u64) -> Result<(), Refusal> {
        let cwd = self.user()?.cwd.clone();
        self.make_room(verb, |tree| tree.room_in(&cwd, bytes))
    }

    /// Makes the room that `need` returns. Refuses the command if that is not possible, so that no
    /// client takes an upload for one that has begun.
    fn make_room(
        &mut self,
        verb: &Verb,
        need: impl Fn(&Files) -> Option<Need>,
    ) -> Result<(), Refusal> {
        let user = self.user()?;
        if !user.account.user.demands_room() {
            return Ok(());
        }
        let tree = Arc::clone(&user.tree);
        let need = || need(&tree);
        let Some(lack) = need().filter(Need::is_lacking) else { return Ok(()) };
        if !lack.is_possible() {
            let why = "more than the file system has, less min_free";
            return Err(FsError::NoSpace(io::Error::other(why)).into());
        }
        let shared = Arc::clone(&self.shared);
        self.attend(verb, |heed| shared.keeper.make_room(lack, heed))?;
        if need().is_some_and(|need| need.is_lacking()) {
            let why = "less free space than min_free, and no file may be removed now";
            return Err(FsError::NoSpace(io::Error::other(why)).into());
        }
        Ok(())
    }

    /// Returns a function that makes room when the disk is full in the middle of an upload to this
    /// file. It returns whether there is any hope. Returns `None` if no rule demands free space.
    pub(super) fn relief(
        &self,
        path: &VirtualPath,
    ) -> Result<Option<impl FnMut() -> bool + Send + use<>>, Refusal> {
        let user = self.user()?;
        if !user.account.user.demands_room() {
            return Ok(None);
        }
        let (shared, tree) = (Arc::clone(&self.shared), Arc::clone(&user.tree));
        let path = path.clone();
        Ok(Some(move || {
            let goes_on = || !shared.stop.is_soon();
            tree.room_for(&path, 0).is_some_and(|need| {
                shared.keeper.make_room(need, &mut { goes_on }).unwrap_or_default()
            })
        }))
    }
}
