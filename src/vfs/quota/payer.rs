//! Who pays for a change: the ledgers above a directory, with the limits of the user who makes it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use super::accounts::{Accounts, Open, dir_id};
use super::count::{Change, Count, Limits};
use super::quotas::Quotas;
use crate::vfs::error::FsError;
use crate::vfs::tree::entry::{FileId, id_of};
use crate::vfs::tree::place::{found, lstat};

/// The quotas, and the user who makes a change; `None`: the server or its administrator.
#[derive(Debug, Clone, Copy)]
pub(in crate::vfs) struct Payer<'q> {
    pub(in crate::vfs) quotas: &'q Arc<Quotas>,
    /// The home of the user, and the limits there.
    pub(in crate::vfs) own: Option<(&'q Path, Limits)>,
}

/// A name whose file is somewhere else after a change.
#[derive(Debug, Clone, Copy)]
pub(in crate::vfs) struct Move<'m> {
    pub(in crate::vfs) from: BorrowedFd<'m>,
    pub(in crate::vfs) name: &'m [u8],
    /// The directory where it is then; `None`: nowhere.
    pub(in crate::vfs) to: Option<BorrowedFd<'m>>,
}

/// Who pays for a file that is moved.
struct Parcel {
    from: (Accounts, FileId),
    to: Option<(Accounts, FileId)>,
    /// Those who pay for it only where it comes to.
    come: Accounts,
}

/// What has a name before a change.
struct Seen {
    file: Option<FileId>,
    count: Count,
}

impl Payer<'_> {
    /// Whether there is a quota at all.
    pub(in crate::vfs) fn any(&self) -> bool {
        self.quotas.any()
    }

    /// Returns the accounts that an open directory counts for.
    pub(in crate::vfs) fn at(&self, dir: impl AsFd) -> Result<Accounts, FsError> {
        self.quotas.at(dir, self.own)
    }

    /// Does `work`, which adds this much to a directory. Fails before it if that does not fit.
    pub(in crate::vfs) fn filling<T>(
        &self,
        dir: impl AsFd,
        more: Count,
        work: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let accounts = self.at(&dir)?;
        if accounts.is_off() {
            return work();
        }
        let (open, id) = (accounts.open(), dir_id(&dir)?);
        open.reserve(id, more, Count::default())?;
        work().inspect_err(|_| open.change(id, Change::less(more)))
    }

    /// Makes a directory with `make`, after which it has a name in another one.
    pub(in crate::vfs) fn making<T, E: From<FsError>>(
        &self,
        dir: impl AsFd,
        name: &[u8],
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.any() {
            return make();
        }
        let accounts = self.at(&dir)?;
        let open = accounts.open();
        let done = make()?;
        open.made(dir_id(&dir)?, id_of(&lstat(&dir, name)?));
        Ok(done)
    }

    /// Removes a directory with `remove`, which has a name in another one.
    pub(in crate::vfs) fn removing_dir<T, E: From<FsError>>(
        &self,
        dir: impl AsFd,
        name: &[u8],
        remove: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.any() {
            return remove();
        }
        let accounts = self.at(&dir)?;
        let open = accounts.open_alone();
        let there = found(lstat(&dir, name))?;
        let done = remove()?;
        if let Some(there) = there {
            open.removed(id_of(&there));
        }
        Ok(done)
    }

    /// Does `work`, which moves files or removes them. Fails before it if they do not fit where they
    /// come to.
    pub(in crate::vfs) fn moving<T>(
        &self,
        moves: &[Move<'_>],
        work: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        if !self.any() {
            return work();
        }
        let parcels =
            moves.iter().map(|one| self.parcel(one)).collect::<Result<Vec<_>, _>>()?;
        let all = parcels.iter().fold(Accounts::default(), |all, one| {
            one.to.iter().fold(all.with(&one.from.0), |all, (to, _)| all.with(to))
        });
        let open = all.open_alone();
        let seen = moves.iter().map(Seen::of).collect::<Result<Vec<_>, _>>()?;
        let both = || parcels.iter().zip(&seen);
        for (at, (parcel, seen)) in both().enumerate() {
            if let Err(why) = parcel.reserve(&open, seen.count) {
                both().take(at).for_each(|(parcel, seen)| parcel.give_back(&open, seen.count));
                return Err(why);
            }
        }
        let done = work();
        // two names of one file stay as they are
        let stays = moves.iter().zip(&seen).any(|(one, seen)| seen.is_still_there(one));
        if done.is_err() || stays {
            both().for_each(|(parcel, seen)| parcel.give_back(&open, seen.count));
        } else {
            both().for_each(|(parcel, seen)| parcel.deliver(&open, seen.count));
        }
        done
    }

    fn parcel(&self, one: &Move<'_>) -> Result<Parcel, FsError> {
        let end = |dir: BorrowedFd<'_>| Ok::<_, FsError>((self.at(dir)?, dir_id(dir)?));
        let (from, to) = (end(one.from)?, one.to.map(end).transpose()?);
        let come = to.as_ref().map(|(to, _)| to.without(&from.0)).unwrap_or_default();
        Ok(Parcel { from, to, come })
    }
}

impl Seen {
    fn of(one: &Move<'_>) -> Result<Self, FsError> {
        let there = found(lstat(one.from, one.name))?;
        let count = there.as_ref().map(Count::of).unwrap_or_default();
        Ok(Self { file: there.as_ref().map(id_of), count })
    }

    fn is_still_there(&self, one: &Move<'_>) -> bool {
        let now = || lstat(one.from, one.name).ok().as_ref().map(id_of);
        self.file.is_some() && self.file == now()
    }
}

impl Parcel {
    /// Reports the file to those who pay for it only where it comes to.
    fn reserve(&self, open: &Open<'_>, count: Count) -> Result<(), FsError> {
        let Some((_, id)) = &self.to else { return Ok(()) };
        self.come.reserve(open, *id, (count, Count::default()))
    }

    fn give_back(&self, open: &Open<'_>, count: Count) {
        if let Some((_, id)) = &self.to {
            self.come.change(open, *id, Change::less(count));
        }
    }

    /// Reports that the file is where it comes to. What was reserved is reported already.
    fn deliver(&self, open: &Open<'_>, count: Count) {
        let (from, id) = &self.from;
        from.change(open, *id, Change::less(count));
        if let Some((to, id)) = &self.to {
            to.without(&self.come).change(open, *id, Change::more(count));
            from.file_moved(to);
        }
    }
}
