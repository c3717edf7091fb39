//! Directories, and those that are missing above a new file or directory and are made with it
//! (`make_parents`, `store_as`).

use std::sync::Arc;

use super::destination::Destination;
use super::uploads::Uploads;
use crate::config::Perm;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::FileId;

/// Number of times that missing directories are made for one action. Another session that is
/// refused may remove what it has made before the action is done.
const TRIES: u32 = 16;

/// Directories that were made for a file or directory. Dropping this value removes those that are
/// still empty, because the action has failed.
#[derive(Debug)]
pub(in crate::vfs) struct Made {
    uploads: Arc<Uploads>,
    to: Destination,
    /// The directories, the outermost first.
    dirs: Vec<(VirtualPath, FileId)>,
}

impl Made {
    /// Does `work`, which makes something at a destination. If directories above it are missing and may
    /// be made, makes them and does `work` again. Returns them as well; `None` if the settings never
    /// make any.
    ///
    /// # Errors
    ///
    /// The error of `work`; or why a directory cannot be made.
    pub(in crate::vfs) fn above<T>(
        uploads: &Arc<Uploads>,
        to: &Destination,
        umask: u32,
        mut work: impl FnMut() -> Result<T, FsError>,
    ) -> Result<(T, Option<Box<Self>>), FsError> {
        if !uploads.user.makes_folders() {
            return Ok((work()?, None));
        }
        let (uploads, to) = (Arc::clone(uploads), to.clone());
        let mut made = Box::new(Self { uploads, to, dirs: Vec::new() });
        Ok((made.attempt(umask, work)?, Some(made)))
    }

    /// Does `work` like [`Made::above`], perhaps not for the first time.
    pub(in crate::vfs) fn attempt<T>(
        &mut self,
        umask: u32,
        mut work: impl FnMut() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        for _ in 0..TRIES {
            match work() {
                // the other error: one was removed and made again meanwhile
                Err(FsError::NotFound | FsError::Replaced) => self.make_above(umask)?,
                done => return done,
            }
        }
        work()
    }

    /// Lets the directories stay.
    pub(in crate::vfs) fn stay(mut self) {
        self.dirs.clear();
    }

    fn make_above(&mut self, umask: u32) -> Result<(), FsError> {
        for dir in missing_above(&self.uploads, self.to.path())?.0 {
            let make = || {
                let _still = self.uploads.still();
                let mode = check_make(&self.uploads, &self.to, &dir, umask)?;
                make_dir(&self.uploads, &dir, mode)
            };
            match make() {
                Ok(()) => self.dirs.push((dir.clone(), self.uploads.tree.entry(&dir)?.id)),
                // another session has made it meanwhile
                Err(FsError::Exists) => {}
                // another session has removed the one around it, and the next try begins there
                Err(FsError::NotFound | FsError::Replaced) => return Ok(()),
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let uploads = &self.uploads;
        for (dir, id) in self.dirs.drain(..).rev() {
            let is_ours = uploads.tree.entry(&dir).is_ok_and(|now| now.id == id);
            if !is_ours || remove_dir(uploads, &dir).is_err() {
                // those around it are not empty either
                return;
            }
        }
    }
}

/// Returns the directories that are missing above a path, the outermost first, and the innermost
/// one that exists.
pub(in crate::vfs) fn missing_above(
    uploads: &Uploads,
    path: &VirtualPath,
) -> Result<(Vec<VirtualPath>, VirtualPath), FsError> {
    let (mut missing, mut dir) = (Vec::new(), path.parent());
    loop {
        match uploads.tree.hold(&dir) {
            Err(FsError::NotFound) if !dir.is_root() => {
                let above = dir.parent();
                missing.push(std::mem::replace(&mut dir, above));
            }
            held => {
                held?;
                missing.reverse();
                return Ok((missing, dir));
            }
        }
    }
}

/// Checks that a missing directory above a destination may be made, and returns its mode.
///
/// # Errors
///
/// [`FsError::NotFound`], if missing directories are not made there.
pub(in crate::vfs) fn check_make(
    uploads: &Uploads,
    to: &Destination,
    dir: &VirtualPath,
    umask: u32,
) -> Result<u32, FsError> {
    let parent = uploads.followed(dir.parent())?;
    let rules = uploads.rules_in(&parent);
    if to.demands(dir) {
        return Ok(rules.mode_of_dir(umask));
    }
    if !rules.make_parents {
        return Err(FsError::NotFound);
    }
    // the command has asked for its own letter
    let real = parent.join(dir.name());
    if !uploads.user.perm_at(real.as_bytes()).has(Perm::MakeDir) {
        return Err(FsError::Lacks(Perm::MakeDir));
    }
    uploads.check_name(dir)?;
    Ok(rules.mode_of_dir(umask))
}

/// Makes a directory with `mode`, and reports it to the quotas.
pub(in crate::vfs) fn make_dir(
    uploads: &Uploads,
    path: &VirtualPath,
    mode: u32,
) -> Result<(), FsError> {
    let make = || uploads.tree.make_dir(path, mode);
    let payer = uploads.payer();
    if !payer.any() {
        return make();
    }
    let (dir, _) = uploads.tree.hold(&path.parent())?;
    payer.making(&dir, path.name(), || {
        uploads.check_still(&path.parent(), &dir)?;
        make()
    })
}

/// Removes an empty directory, and reports it to the quotas.
pub(in crate::vfs) fn remove_dir(uploads: &Uploads, path: &VirtualPath) -> Result<(), FsError> {
    let remove = || uploads.tree.remove_dir(path);
    let payer = uploads.payer();
    if !payer.any() {
        return remove();
    }
    let (dir, _) = uploads.tree.hold(&path.parent())?;
    payer.removing_dir(&dir, path.name(), || {
        uploads.check_still(&path.parent(), &dir)?;
        remove()
    })
}
