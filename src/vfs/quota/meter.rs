//! The meter of one upload: each buffer is reserved before it is written.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::fstat;

use super::accounts::{Accounts, Open};
use super::count::{Change, Count};
use super::quotas::Quotas;
use crate::vfs::error::FsError;
use crate::vfs::tree::entry::{FileId, len_of};

/// Reports what an upload writes. Without a quota it does nothing.
#[derive(Debug)]
pub(in crate::vfs) struct Meter {
    accounts: Accounts,
    /// The directory of the file.
    dir: FileId,
    kind: Kind,
    /// Number of the upload if it writes to a file in place.
    in_place: Option<u64>,
    /// Bytes that the upload may write and that do not count against the limits, because it will
    /// free them: the rest of the size of the file that it replaces.
    free: u64,
    /// What the ledgers know of that so far.
    credit: Count,
    /// Whether a write was refused.
    refused: bool,
    /// The quotas, and how many ledgers there had been when the upload began. It does not report to
    /// those that were made since.
    quotas: (Arc<Quotas>, u64),
}

/// Who may change the file, and how it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::vfs) enum Kind {
    /// Only this upload.
    #[default]
    Own,
    /// Others as well; bytes are written at an offset.
    Shared,
    /// Others as well; bytes are appended.
    Appended,
}

/// A write that is reserved.
pub(in crate::vfs) struct Reserved<'m> {
    open: Option<Open<'m>>,
    dir: FileId,
    kind: Kind,
    /// Size of the file before, and by how much it may grow.
    before: u64,
    growth: u64,
}

impl Meter {
    /// Makes the meter of an upload while there is no quota.
    pub(in crate::vfs) fn off(quotas: &Arc<Quotas>) -> Self {
        Self::new(quotas, Accounts::default(), FileId::default(), Kind::Own)
    }

    /// Makes the meter of an upload to a file in a directory.
    pub(in crate::vfs) fn new(
        quotas: &Arc<Quotas>,
        accounts: Accounts,
        dir: FileId,
        kind: Kind,
    ) -> Self {
        let shares = kind != Kind::Own && !accounts.is_off();
        let in_place = shares.then(|| quotas.bell.begin_in_place());
        if shares {
            accounts.share();
        }
        let (free, credit, refused) = (0, Count::default(), false);
        let quotas = (Arc::clone(quotas), quotas.made());
        Self { accounts, dir, kind, in_place, free, credit, refused, quotas }
    }

    /// Whether there is no quota.
    pub(in crate::vfs) fn is_off(&self) -> bool {
        self.accounts.is_off()
    }

    /// Says that the upload will replace a file that counts this much, or less by then.
    pub(in crate::vfs) fn replaces(&mut self, old: Count) {
        self.free = old.bytes;
    }

    /// Makes the file of an upload with `make`, which must be new. `replaces`: it will take the
    /// name of an existing file.
    pub(in crate::vfs) fn make<T, E: From<FsError>>(
        &mut self,
        replaces: bool,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.is_off() {
            return make();
        }
        if !replaces {
            // a client does not begin to send what cannot be stored
            self.accounts.check_room(Count { bytes: 1, files: 1 })?;
        }
        let one = Count { bytes: 0, files: 1 };
        let credit = if replaces { one } else { Count::default() };
        // no rename may give the name to another file meanwhile; that of a part is no other's
        let alone = self.kind != Kind::Own;
        let open = if alone { self.accounts.open_alone() } else { self.accounts.open() };
        open.reserve(self.dir, one, credit)?;
        let done = make();
        if done.is_err() {
            open.change(self.dir, Change::less(one));
            drop(open);
            self.accounts.settle(credit);
        } else {
            self.credit.add(credit);
        }
        done
    }

    /// Checks that there is room for at least one more byte.
    pub(in crate::vfs) fn check_room(&self) -> Result<(), FsError> {
        if self.is_off() || self.free > 0 {
            return Ok(());
        }
        self.accounts.check_room(Count::bytes(1))
    }

    /// Reserves `bytes` that are about to be written to `file`, which has this size if it belongs to
    /// the upload alone, or else are written there.
    pub(in crate::vfs) fn reserve(
        &mut self,
        file: impl AsFd,
        at: u64,
        bytes: u64,
    ) -> Result<Reserved<'_>, FsError> {
        let (dir, kind) = (self.dir, self.kind);
        if self.is_off() {
            return Ok(Reserved { open: None, dir, kind, before: at, growth: 0 });
        }
        if kind == Kind::Own {
            let credit = Count::bytes(self.free.min(bytes));
            let open = self.accounts.open();
            open.reserve(dir, Count::bytes(bytes), credit)
                .inspect_err(|_| self.refused = true)?;
            self.refused = false;
            self.free -= credit.bytes;
            self.credit.add(credit);
            return Ok(Reserved { open: Some(open), dir, kind, before: at, growth: bytes });
        }
        let open = self.accounts.open_alone();
        let stat = fstat(file)?;
        if stat.st_nlink == 0 {
            // it was removed meanwhile, and counts no more
            return Ok(Reserved { open: None, dir, kind, before: at, growth: 0 });
        }
        if stat.st_nlink > 1 {
            // nobody knows which of its names are in the tree
            self.accounts.want_scan();
        }
        let before = len_of(&stat);
        let end = if kind == Kind::Appended { before } else { at }.saturating_add(bytes);
        let growth = end.saturating_sub(before);
        open.reserve(dir, Count::bytes(growth), Count::default())
            .inspect_err(|_| self.refused = true)?;
        self.refused = false;
        Ok(Reserved { open: Some(open), dir, kind, before, growth })
    }

    /// Changes the size of the file with `cut`, and returns its result.
    pub(in crate::vfs) fn cut<T>(
        &self,
        file: &File,
        cut: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        if self.is_off() {
            return cut();
        }
        let alone = self.kind != Kind::Own;
        let open = if alone { self.accounts.open_alone() } else { self.accounts.open() };
        let before = fstat(file)?;
        let done = cut();
        let now = fstat(file)?;
        if before.st_nlink > 0 {
            open.change(self.dir, Change::of_size(len_of(&before), len_of(&now)));
        }
        done
    }

    /// Gives the file of the upload a name with `rename`, after which the file that has this name now
    /// is no longer there.
    ///
    /// # Errors
    ///
    /// [`FsError::QuotaUsed`], if that file frees less than it would have when the upload began, and
    /// the quota does not suffice now.
    pub(in crate::vfs) fn replacing<T>(
        &mut self,
        dir: impl AsFd,
        name: &[u8],
        rename: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let done = self.accounts.replacing((dir, self.dir), name, self.credit, rename)?;
        self.credit = Count::default();
        Ok(done)
    }

    /// Whether the quota did not suffice for a write.
    pub(in crate::vfs) fn has_refused(&self) -> bool {
        self.refused
    }

    /// Takes back the credit of the upload, which has ended. What it would have freed counts again.
    pub(in crate::vfs) fn settle(&mut self) {
        if !self.is_off() {
            self.accounts.settle(std::mem::take(&mut self.credit));
            self.free = 0;
        }
    }

    /// Whether the tree holds more than is allowed now. A part that is kept must not make it so.
    pub(in crate::vfs) fn is_exceeded(&self) -> bool {
        self.accounts.is_exceeded()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.settle();
        let (quotas, made) = &self.quotas;
        if let Some(number) = self.in_place {
            self.accounts.unshare();
            quotas.bell.end_in_place(number);
        }
        if quotas.made() != *made {
            quotas.want_scans();
        }
    }
}

impl Reserved<'_> {
    /// Reports how much was written of it.
    pub(in crate::vfs) fn written(self, file: impl AsFd, bytes: u64) {
        let Some(open) = &self.open else { return };
        let expected = self.before.saturating_add(self.growth);
        let now = match self.kind {
            Kind::Own => self.before.saturating_add(bytes),
            Kind::Shared | Kind::Appended => fstat(file).map_or(expected, |stat| len_of(&stat)),
        };
        if now != expected {
            open.change(self.dir, Change::of_size(expected, now));
        }
    }
}
