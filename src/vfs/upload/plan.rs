//! Decides how an upload is made, from the client's request and the state of the files in
//! place. This file works on values only, and makes no system call.

use super::obstacle::Obstacle;
use crate::vfs::error::FsError;

/// Where an upload begins, as the client requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// At 0; the file in place is replaced.
    Replace,
    /// At this offset, which must not lie beyond the end.
    At(u64),
    /// At the end. If the client was told a size, it expects the end there.
    Append(Option<Told>),
}

/// The size of a file, as a client was told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Size in bytes.
    pub size: u64,
    /// If it was the size of a part, the number of the part's upload.
    pub part: Option<u64>,
}

/// The state of the files under the name of an upload.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Size of the file in place, if there is one.
    pub(super) size: Option<u64>,
    /// What keeps the file from being replaced. Matters only to [`Store::Replace`].
    pub(super) obstacle: Option<Obstacle>,
    /// The user's own parts for the name, the youngest first. [`Store::Replace`] ignores them.
    pub(super) parts: Vec<PartFacts>,
}

/// Facts about a part that could be resumed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartFacts {
    pub(super) size: u64,
    /// The number of the part's upload.
    pub(super) upload: u64,
    pub(super) shown: Shown,
}

/// Whether the upload of a part has failed, and the part has been shown to the user since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It has.
    Yes,
    /// It has failed, and another server may have shown the part.
    Perhaps,
    /// It has not.
    No,
}

/// How an upload is made.
#[derive(Debug)]
pub(super) enum Plan {
    /// With a new part, which replaces the file in place, if there is one.
    New,
    /// By changing the file in place.
    InPlace(Obstacle),
    /// By resuming a part.
    Resume(Resumption),
    /// By adding to the file in place, or by changing it from this offset on. This requires a
    /// turn; once the upload has it, [`Change::plan`] plans the rest.
    Change(Option<u64>),
}

/// How a part is resumed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resumption {
    /// Indexes of the suitable parts, the best first.
    pub(super) order: Vec<usize>,
    /// Offset at which the upload continues.
    pub(super) offset: u64,
    /// Size of the part that the user is shown.
    pub(super) shown: u64,
}

impl Plan {
    /// Decides how an upload is made.
    pub(super) fn new(store: Store, facts: Facts) -> Result<Self, FsError> {
        let those = |wanted: fn(&PartFacts, u64) -> bool, upload: u64| {
            let all = facts.parts.iter().enumerate();
            all.filter(|(_, part)| wanted(part, upload)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let (order, offset) = match store {
            Store::Replace => {
                return Ok(facts.obstacle.map_or(Self::New, Self::InPlace));
            }
            Store::At(offset) => (those(|_, _| true, 0), Some(offset)),
            Store::Append(Some(Told { size, part: Some(upload) })) => {
                let order = those(|part, upload| part.upload == upload, upload);
                if order.is_empty() {
                    // the upload has ended in the meantime
                    return Err(FsError::BadOffset(facts.size.unwrap_or_default()));
                }
                (order, Some(size))
            }
            // the client means the file in place, even if there are parts by now
            Store::Append(Some(Told { part: None, .. })) => (Vec::new(), None),
            // it is not known where another session's upload will end, and the client does not
            // know of a part that it was not shown
            Store::Append(None) => {
                let shown = those(|part, _| part.shown == Shown::Yes, 0);
                let perhaps = those(|part, _| part.shown == Shown::Perhaps, 0);
                let is_either = shown.is_empty() && !perhaps.is_empty();
                if is_either && let Some(size) = facts.size {
                    // the client may mean the file in place or the part
                    return Err(FsError::BadOffset(size));
                }
                (if is_either { perhaps } else { shown }, None)
            }
        };
        if order.is_empty() {
            return Ok(Self::Change(offset));
        }
        Resumption::new(&facts.parts, order, offset).map(Self::Resume)
    }
}

impl Resumption {
    /// Sorts the parts: first those that end where the upload continues, then the others,
    /// beginning with the one that the user is shown.
    fn new(
        parts: &[PartFacts],
        order: Vec<usize>,
        offset: Option<u64>,
    ) -> Result<Self, FsError> {
        let size = |at: &usize| parts.get(*at).map_or(0, |part| part.size);
        let shown = order.first().map_or(0, size);
        let offset = offset.unwrap_or(shown);
        let (mut order, others): (Vec<_>, Vec<_>) =
            order.into_iter().partition(|at| size(at) == offset);
        order.extend(others.into_iter().filter(|at| size(at) > offset));
        if order.is_empty() {
            return Err(FsError::BadOffset(shown));
        }
        Ok(Self { order, offset, shown })
    }
}

/// Facts about the file in place, for an upload that changes it.
#[derive(Debug)]
pub(super) struct ChangeFacts {
    /// Size of the file in place.
    pub(super) size: u64,
    /// What keeps the file from being replaced.
    pub(super) obstacle: Option<Obstacle>,
    /// Whether the file system can clone files, as far as is known.
    pub(super) may_clone: bool,
    /// Whether the old version must be kept, or the new one is judged, so that the file is better copied than
    /// changed in place.
    pub(super) keeps: bool,
}

/// How an upload changes a file.
#[derive(Debug)]
pub(super) enum Change {
    /// With a part that begins with a copy of the file.
    Copy(Copying),
    /// In place. The obstacle is for the log.
    InPlace(Option<Obstacle>),
}

/// The copy that a part begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copying {
    /// Number of bytes that are copied. The upload begins after them.
    pub(super) from: u64,
    /// Size of the file.
    pub(super) size: u64,
    /// Whether the bytes may be copied one by one where the file cannot be cloned.
    pub(super) may_copy: bool,
    /// Whether the part is never resumed. This is so for an append, because the data of two
    /// appends must not be mixed.
    pub(super) lone: bool,
}

/// Maximum number of bytes that are copied for an upload into the middle of a file. If there
/// are more, and the file cannot be cloned, the upload is refused.
const MOST_COPIED: u64 = 64 << 20;

impl Change {
    /// Decides how an upload changes a file, from this offset on or, for `None`, from its end.
    pub(super) fn plan(offset: Option<u64>, facts: ChangeFacts) -> Result<Self, FsError> {
        let size = facts.size;
        let from = offset.unwrap_or(size);
        if from > size {
            return Err(FsError::BadOffset(size));
        }
        // a file that is only appended to is cheaper to change in place than to copy
        let may_copy = (from < size || facts.keeps) && from <= MOST_COPIED;
        let copying = Copying { from, size, may_copy, lone: offset.is_none() };
        match facts.obstacle {
            Some(obstacle) => copying.instead(obstacle).map(Self::InPlace),
            None if !may_copy && !facts.may_clone => {
                copying.instead(Obstacle::TooLong).map(Self::InPlace)
            }
            None => Ok(Self::Copy(copying)),
        }
    }

    /// Checks that an upload to a file that does not exist may begin at this offset; `None`: at
    /// the end.
    pub(super) fn check_absent(offset: Option<u64>) -> Result<(), FsError> {
        if offset.is_some() { Err(FsError::BadOffset(0)) } else { Ok(()) }
    }
}

impl Copying {
    /// Decides whether the file is changed in place if it cannot be copied. Returns the
    /// obstacle to log, if any.
    pub(super) fn instead(self, obstacle: Obstacle) -> Result<Option<Obstacle>, FsError> {
        let overwrites = self.from < self.size;
        if overwrites && matches!(obstacle, Obstacle::TooLong) {
            // the rest of the file would be lost if the transfer failed
            return Err(FsError::BadOffset(self.size));
        }
        // an upload that only appends needs no entry in the log: if it fails, the appended
        // bytes are removed again
        Ok(overwrites.then_some(obstacle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(size: u64, upload: u64, shown: bool) -> PartFacts {
        let shown = if shown { Shown::Yes } else { Shown::No };
        PartFacts { size, upload, shown }
    }

    fn plan(store: Store, size: Option<u64>, parts: &[PartFacts]) -> Result<Plan, FsError> {
        Plan::new(store, Facts { size, obstacle: None, parts: parts.to_vec() })
    }

    fn resumed(plan: Result<Plan, FsError>) -> (Vec<usize>, u64) {
        match plan {
            Ok(Plan::Resume(Resumption { order, offset, .. })) => (order, offset),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_store_from_the_beginning_makes_a_new_part_unless_something_is_in_the_way() {
        let parts = [part(5, 1, true)];
        assert!(matches!(plan(Store::Replace, Some(9), &parts), Ok(Plan::New)));
        let facts = Facts { obstacle: Some(Obstacle::MountPoint), ..Facts::default() };
        let plan = Plan::new(Store::Replace, facts);
        assert!(matches!(plan, Ok(Plan::InPlace(Obstacle::MountPoint))));
    }

    #[test]
    fn a_restart_resumes_the_part_that_ends_there_or_else_a_longer_one() {
        let parts = [part(7, 1, true), part(3, 2, true), part(5, 3, false)];
        assert_eq!(resumed(plan(Store::At(5), None, &parts)), (vec![2, 0], 5));
        assert_eq!(resumed(plan(Store::At(4), None, &parts)), (vec![0, 2], 4));
        // the refusal names the size of the part that the client is shown
        let beyond = plan(Store::At(8), Some(100), &parts);
        assert!(matches!(beyond, Err(FsError::BadOffset(7))));
        assert!(matches!(plan(Store::At(5), Some(9), &[]), Ok(Plan::Change(Some(5)))));
    }

    #[test]
    fn an_append_resumes_only_what_its_client_has_seen() {
        let parts = [part(7, 1, false), part(3, 2, true)];
        let append = |told| plan(Store::Append(told), Some(9), &parts);
        assert_eq!(resumed(append(None)), (vec![1], 3));
        assert_eq!(resumed(append(Some(Told { size: 6, part: Some(1) }))), (vec![0], 6));
        let file = append(Some(Told { size: 9, part: None }));
        assert!(matches!(file, Ok(Plan::Change(None))));
        let ended = append(Some(Told { size: 6, part: Some(5) }));
        assert!(matches!(ended, Err(FsError::BadOffset(9))));
        assert!(matches!(plan(Store::Append(None), None, &parts[..1]), Ok(Plan::Change(None))));
    }

    #[test]
    fn an_append_resumes_what_its_client_may_have_seen_at_another_server() {
        let perhaps = PartFacts { shown: Shown::Perhaps, ..part(7, 1, false) };
        let append = |size, parts: &[PartFacts]| plan(Store::Append(None), size, parts);
        assert_eq!(resumed(append(None, &[perhaps])), (vec![0], 7));
        assert_eq!(resumed(append(Some(9), &[perhaps, part(3, 2, true)])), (vec![1], 3));
        // it may mean the file in place
        assert!(matches!(append(Some(9), &[perhaps]), Err(FsError::BadOffset(9))));
    }

    fn change(
        offset: Option<u64>,
        obstacle: Option<Obstacle>,
        may_clone: bool,
    ) -> Result<Change, FsError> {
        let size = 1 << 30;
        Change::plan(offset, ChangeFacts { size, obstacle, may_clone, keeps: false })
    }

    #[test]
    fn an_append_copies_a_short_file_whose_old_version_is_kept() {
        let append = |size| {
            let keeps = true;
            Change::plan(None, ChangeFacts { size, obstacle: None, may_clone: false, keeps })
        };
        let short = append(MOST_COPIED);
        assert!(matches!(short, Ok(Change::Copy(Copying { may_copy: true, lone: true, .. }))));
        assert!(matches!(append(MOST_COPIED + 1), Ok(Change::InPlace(None))));
    }

    #[test]
    fn a_change_copies_what_is_short_or_can_be_cloned() {
        let copied = |change| match change {
            Ok(Change::Copy(Copying { from, may_copy, lone, .. })) => (from, may_copy, lone),
            other => panic!("{other:?}"),
        };
        assert_eq!(copied(change(Some(5), None, false)), (5, true, false));
        assert_eq!(copied(change(Some(1 << 29), None, true)), (1 << 29, false, false));
        assert_eq!(copied(change(None, None, true)), (1 << 30, false, true));
        let beyond = change(Some((1 << 30) + 1), None, true);
        assert!(matches!(beyond, Err(FsError::BadOffset(n)) if n == 1 << 30));
    }

    #[test]
    fn a_change_in_place_never_risks_the_rest_of_a_long_file() {
        let long = Some(MOST_COPIED + 1);
        assert!(matches!(change(long, None, false), Err(FsError::BadOffset(_))));
        // an append loses no data, and needs no entry in the log
        assert!(matches!(change(None, None, false), Ok(Change::InPlace(None))));
        let links = change(None, Some(Obstacle::HardLinks(2)), true);
        assert!(matches!(links, Ok(Change::InPlace(None))));
        let links = change(Some(5), Some(Obstacle::HardLinks(2)), true);
        assert!(matches!(links, Ok(Change::InPlace(Some(Obstacle::HardLinks(2))))));
    }

    #[test]
    fn where_no_file_is_in_place_an_upload_can_only_begin_at_the_end() {
        assert!(matches!(Change::check_absent(Some(0)), Err(FsError::BadOffset(0))));
        assert!(Change::check_absent(None).is_ok());
    }
}
