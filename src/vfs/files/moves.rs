//! Renames, reported to the quotas.

use std::os::fd::AsFd;

use rustix::fs::Stat;

use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::accounts::dir_id;
use crate::vfs::quota::count::{Change, Count};
use crate::vfs::quota::payer::Move;
use crate::vfs::quota::survey::Counting;
use crate::vfs::tree::entry::FileKind;
use crate::vfs::tree::place::{found, lstat};
use crate::vfs::upload::uploads::Uploads;

/// Renames a file or directory with `rename`, if `check` allows it at that moment. If a file has the new
/// name, it is gone afterwards.
pub(super) fn rename<T>(
    uploads: &Uploads,
    from: &VirtualPath,
    to: &VirtualPath,
    check: &dyn Fn() -> Result<(), FsError>,
    rename: impl FnOnce() -> Result<T, FsError>,
) -> Result<T, FsError> {
    let payer = uploads.payer();
    if !payer.any() {
        let _still = uploads.still_but_for(from);
        check()?;
        return rename();
    }
    let (old, _) = uploads.tree.hold(&from.parent())?;
    let (new, _) = uploads.tree.hold(&to.parent())?;
    // no directory on the paths may be replaced meanwhile
    let rename = || {
        uploads.check_still(&from.parent(), &old)?;
        uploads.check_still(&to.parent(), &new)?;
        rename()
    };
    let is_dir = |there: Stat| FileKind::of_mode(there.st_mode) == FileKind::Directory;
    if !found(lstat(&old, from.name()))?.is_some_and(is_dir) {
        let moved = Move { from: old.as_fd(), name: from.name(), to: Some(new.as_fd()) };
        let _still = uploads.still_but_for(from);
        check()?;
        let lost = Move { from: new.as_fd(), name: to.name(), to: None };
        return payer.moving(&[lost, moved], rename);
    }
    let (left, entered) = (payer.at(&old)?, payer.at(&new)?);
    let (gone, come) = (left.without(&entered), entered.without(&left));
    let mut count = Count::default();
    if !(gone.is_off() && come.is_off()) {
        // what lies in the directory is counted before the locks are taken
        let mut counting = Counting::default();
        uploads.tree.walk(from, &mut counting)?;
        count = counting.count;
    }
    let _still = uploads.still_but_for(from);
    check()?;
    let (both, id) = (left.with(&entered), dir_id(&new)?);
    let open = both.open_alone();
    come.reserve(&open, id, (count, Count::default()))?;
    let done = rename();
    open.moved();
    if done.is_ok() {
        gone.change(&open, id, Change::less(count));
    } else {
        come.change(&open, id, Change::less(count));
    }
    left.file_moved(&entered);
    drop(open);
    // something may have changed in it while it was counted
    gone.want_scan();
    come.want_scan();
    done
}
