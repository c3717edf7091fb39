//! Preparing an upload: examining the file in place, planning, and carrying out the plan.

use std::sync::Arc;

use super::body::Target;
use super::claims::NameClaim;
use super::copy::may_clone;
use super::destination::Destination;
use super::direct::Direct;
use super::existing::{Existing, find};
use super::folders::Made;
use super::in_place::InPlace;
use super::obstacle::{Hindrance, Obstacle};
use super::open::Upload;
use super::own::{Candidate, candidates};
use super::part::Part;
use super::plan::{Change, ChangeFacts, Facts, PartFacts, Plan, Resumption, Store};
use super::resume::Takeover;
use super::settled::Still;
use super::uploads::{Uploads, most_by};
use crate::config::{FolderRules, GateRules, Overwrite};
use crate::vfs::error::{FsError, Heed};
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::count::Count;
use crate::vfs::tree::check_name;
use crate::vfs::tree::entry::{Identity, Version, id_of, is_directory, len_of};
use crate::vfs::tree::place::{Place, found};

/// An upload that may begin. Clients see no change yet, except that in the classic way a STOU
/// has created an empty file, which is removed again if this value is dropped.
#[derive(Debug)]
pub struct Prepared {
    uploads: Arc<Uploads>,
    path: VirtualPath,
    opening: Opening,
    /// Maximum size of the file in bytes.
    most: u64,
    /// Why the upload does not replace the file as usual, for the log.
    remark: Option<String>,
    /// The file, if it is there already and the session may go on writing to it.
    file: Option<Identity>,
    /// What judges the file before it is put in place.
    gate: Option<Box<GateRules>>,
    /// The directories that were made for the file. This field is dropped after the file, so that
    /// they are empty if the upload fails.
    made: Option<Box<Made>>,
}

/// How the file of an upload is opened.
#[derive(Debug)]
enum Opening {
    /// The file is open already.
    Done(Box<dyn Target>),
    /// The classic way, while the client has not connected yet. The file is opened late, because
    /// an upload that never begins must not touch a file that another session stores in the
    /// meantime.
    Direct { store: Store, umask: u32, own: Option<Identity> },
    /// A part is taken over late, because another session may be writing to it.
    Takeover(Box<Takeover>),
}

impl Prepared {
    /// Prepares an upload. This may copy the existing file, or wait for another upload.
    /// `at_once` says that the upload begins as soon as it is prepared, and `umask` is that of the
    /// session. `own` is a file that the session has stored and may go on writing to.
    pub(in crate::vfs) fn new(
        uploads: &Arc<Uploads>,
        to: &Destination,
        store: Store,
        umask: u32,
        at_once: bool,
        own: Option<Identity>,
        heed: &mut Heed<'_>,
    ) -> Result<Self, FsError> {
        let path = to.path();
        let (mut prepared, made) = Made::above(uploads, to, umask, || {
            let mut attempt = || Self::attempt(uploads, path, store, umask, at_once, own, heed);
            uploads.with_room(1, &mut attempt)
        })?;
        prepared.made = made;
        Ok(prepared)
    }

    fn attempt(
        uploads: &Arc<Uploads>,
        path: &VirtualPath,
        store: Store,
        umask: u32,
        at_once: bool,
        own: Option<Identity>,
        heed: &mut Heed<'_>,
    ) -> Result<Self, FsError> {
        check_name(path)?;
        // a part is checked again when it is put in place
        let _still = if uploads.rules().atomic { Still::Free } else { uploads.still() };
        let rules = uploads.check_target(path)?;
        let (most, mode) = (most_by(rules), rules.mode_of_file(umask));
        let own = own.filter(|_| rules.overwrite == Overwrite::Rename);
        let overwrite = if own.is_some() { Overwrite::Yes } else { rules.overwrite };
        if matches!(store, Store::At(offset) if offset > most) {
            return Err(FsError::TooLarge(most));
        }
        uploads.tree.check_file_path(path)?;
        let goes_on = store != Store::Replace && !uploads.rules().atomic;
        if overwrite == Overwrite::No || overwrite == Overwrite::Rename && goes_on {
            uploads.tree.check_free(path)?;
        }
        let is_judged = rules.gate.is_on();
        if is_judged && !uploads.rules().atomic {
            return Err(FsError::Unjudgeable);
        }
        let preparation = Preparation { uploads, path, mode, most, overwrite, own, is_judged };
        let mut prepared = if uploads.rules().atomic {
            preparation.prepare(store, heed)?
        } else if overwrite == Overwrite::Rename && store == Store::Replace {
            preparation.create_directly()?
        } else if at_once {
            let target = Direct::open(uploads, path, store, mode, (overwrite, own))?;
            Self::open(uploads, path, most, target)
        } else {
            Direct::check(uploads, path, store)?;
            Self::by(uploads, path, most, Opening::Direct { store, umask, own })
        };
        prepared.file = prepared.file.or(own);
        prepared.gate = gate_of(rules);
        Ok(prepared)
    }

    /// Prepares an upload to a new file. If `wanted` exists, a number is added to the name.
    pub(in crate::vfs) fn under_new_name(
        uploads: &Arc<Uploads>,
        wanted: &Destination,
        umask: u32,
    ) -> Result<Self, FsError> {
        let (mut prepared, made) = Made::above(uploads, wanted, umask, || {
            uploads.with_room(1, || Self::attempt_new(uploads, wanted.path(), umask))
        })?;
        prepared.made = made;
        Ok(prepared)
    }

    fn attempt_new(
        uploads: &Arc<Uploads>,
        wanted: &VirtualPath,
        umask: u32,
    ) -> Result<Self, FsError> {
        check_name(wanted)?;
        let _still = if uploads.rules().atomic { Still::Free } else { uploads.still() };
        // a link of this name is not followed: the file gets a name beside it
        let rules = uploads.check_name(wanted)?;
        let (most, mode) = (most_by(rules), rules.mode_of_file(umask));
        uploads.tree.check_file_path(wanted)?;
        let names = std::iter::once(wanted.clone()).chain(uploads.numbered(wanted)?);
        if !uploads.rules().atomic {
            if rules.gate.is_on() {
                return Err(FsError::Unjudgeable);
            }
            for path in names {
                match Direct::create(uploads, &path, mode) {
                    Err(FsError::Exists) => {}
                    file => return Ok(Self::open(uploads, &path, most, file?)),
                }
            }
            return Err(FsError::Exists);
        }
        let mut place = uploads.tree.place(wanted)?;
        for path in names {
            place = place.named(path.name());
            if place.lstat().is_ok() {
                continue;
            }
            // an upload that had reserved the name may have stored its file meanwhile
            if let Some(promise) = uploads.promise(&place)?.filter(|_| place.lstat().is_err()) {
                let part = Part::create(uploads, place, mode, None, false)?;
                let prepared = Self::open(uploads, &path, most, part.promised(promise));
                return Ok(Self { gate: gate_of(rules), ..prepared });
            }
        }
        Err(FsError::Exists)
    }

    fn by(uploads: &Arc<Uploads>, path: &VirtualPath, most: u64, opening: Opening) -> Self {
        let (uploads, path) = (Arc::clone(uploads), path.clone());
        let (remark, file, gate, made) = (None, None, None, None);
        Self { uploads, path, opening, most, remark, file, gate, made }
    }

    fn open(
        uploads: &Arc<Uploads>,
        path: &VirtualPath,
        most: u64,
        target: impl Target + 'static,
    ) -> Self {
        Self::by(uploads, path, most, Opening::Done(Box::new(target)))
    }

    /// Returns the path of the file. For STOU, the server has chosen its name.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Returns the file that is there from the beginning on and that the session may go on writing to,
    /// even if the upload fails.
    pub fn file(&self) -> Option<Identity> {
        self.file
    }

    /// Whether the file is judged before it is put in place.
    pub fn is_judged(&self) -> bool {
        self.gate.is_some()
    }

    /// Returns why the upload writes to the file in place, if it would usually be replaced.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Opens the file, if it is not open yet. This is called when nothing else can keep the
    /// upload from beginning. It may take a part over from another session.
    ///
    /// # Errors
    ///
    /// When the system refuses; [`FsError::BadOffset`], if the upload cannot begin at its offset
    /// any more; or [`FsError::TooLarge`], if the bytes before the offset are too many already.
    pub fn ready(self) -> Result<Upload, FsError> {
        let (mut most, uploads, mut made) = (self.most, self.uploads, self.made);
        let gate = self.gate;
        let target: Box<dyn Target> = match self.opening {
            Opening::Done(target) => target,
            Opening::Direct { store, umask, own } => {
                let mut open = || {
                    let _still = uploads.still();
                    // by now another session may have renamed a link on the path
                    let rules = uploads.check_target(&self.path)?;
                    most = most_by(rules);
                    let way = (rules.overwrite, own);
                    Direct::open(&uploads, &self.path, store, rules.mode_of_file(umask), way)
                };
                let opened = match &mut made {
                    Some(made) => made.attempt(umask, open),
                    None => open(),
                };
                Box::new(opened?)
            }
            Opening::Takeover(takeover) => Box::new(takeover.take()?),
        };
        let mut upload = Upload::new(self.path, target, most, &uploads, gate, made);
        upload.check_room(0)?;
        Ok(upload)
    }
}

/// Returns what judges an upload to a folder with these rules.
fn gate_of(rules: &FolderRules) -> Option<Box<GateRules>> {
    rules.gate.is_on().then(|| Box::new(rules.gate.clone()))
}

/// An upload that is being prepared. If possible, it will stay invisible until it is complete.
struct Preparation<'u> {
    uploads: &'u Arc<Uploads>,
    path: &'u VirtualPath,
    mode: u32,
    /// Maximum size of the file in bytes.
    most: u64,
    /// What the upload does to a file that has the name already.
    overwrite: Overwrite,
    /// The only file that it may change in that case.
    own: Option<Identity>,
    /// Whether it is judged before it is put in place.
    is_judged: bool,
}

impl Preparation<'_> {
    fn prepare(&self, store: Store, heed: &mut Heed<'_>) -> Result<Prepared, FsError> {
        if self.overwrite == Overwrite::Rename {
            return self.prepare_beside(store);
        }
        let tree = &self.uploads.tree;
        let append = matches!(store, Store::Append(_));
        let (place, existing) = find(tree, tree.place(self.path)?, append)?;
        self.check_free(existing.as_ref())?;
        let mut facts = Facts::default();
        let mut own = Vec::new();
        facts.size = existing.as_ref().map(|existing| len_of(&existing.stat));
        if existing.is_some()
            && let Some(trash) = self.uploads.trash_for(&place.parent)?
        {
            trash.check(&place)?;
        }
        if store == Store::Replace {
            let existing = existing.as_ref();
            facts.obstacle = existing.and_then(|existing| Obstacle::find(&place, existing));
        } else {
            own = candidates(self.uploads, &place)?;
            // a part that did not begin with the session's own file must not replace it
            own.retain(|part| self.own.is_none() || part.base.is_some());
            facts.parts = self.facts_of(&own);
        }
        match (Plan::new(store, facts)?, existing) {
            (Plan::New | Plan::InPlace(_), None) => {
                self.write_to(Part::create(self.uploads, place, self.mode, None, false)?)
            }
            (Plan::New, Some(existing)) => self.replace(place, existing, heed),
            (Plan::InPlace(obstacle), Some(existing)) => {
                self.in_place((place, existing), store, None, Some(obstacle), heed)
            }
            (Plan::Resume(plan), existing) => {
                if existing.is_none() {
                    // a part that cannot grow any more stays as it is
                    self.uploads.accounts(&place.dir)?.check_room(Count::bytes(1))?;
                }
                self.take_over(place, existing, &own, &plan)
            }
            (Plan::Change(offset), _) => self.change(place, offset, heed),
        }
    }

    /// Prepares an upload that gets another name if its own is taken. What is complete is neither
    /// changed nor looked at, and a link is not followed.
    fn prepare_beside(&self, store: Store) -> Result<Prepared, FsError> {
        let place = self.uploads.tree.place(self.path)?;
        let there = found(place.lstat())?;
        if there.is_some_and(is_directory) {
            return Err(FsError::IsADirectory);
        }
        let mut own = Vec::new();
        if store != Store::Replace {
            own = candidates(self.uploads, &place)?;
            own.retain(|part| part.base.is_none());
        }
        let parts = self.facts_of(&own);
        match Plan::new(store, Facts { parts, ..Facts::default() })? {
            Plan::Resume(plan) => {
                self.uploads.accounts(&place.dir)?.check_room(Count::bytes(1))?;
                return self.take_over(place, None, &own, &plan);
            }
            Plan::Change(_) if there.is_some() => return Err(FsError::Taken),
            Plan::Change(offset) => Change::check_absent(offset)?,
            Plan::New | Plan::InPlace(_) if there.is_some() => {
                self.uploads.check_beside(&place)?;
            }
            Plan::New | Plan::InPlace(_) => {}
        }
        self.write_to(Part::create(self.uploads, place, self.mode, None, false)?)
    }

    /// Prepares an upload that gets another name if its own is taken, in the classic way.
    fn create_directly(&self) -> Result<Prepared, FsError> {
        let (uploads, mode) = (self.uploads, self.mode);
        let (path, target) = match Direct::create(uploads, self.path, mode) {
            Err(FsError::Exists) => {
                let place = uploads.tree.place(self.path)?;
                if found(place.lstat())?.is_some_and(is_directory) {
                    return Err(FsError::IsADirectory);
                }
                uploads.check_beside(&place)?;
                let make =
                    |name: &[u8]| Direct::create(uploads, &place.parent.join(name), mode);
                let (name, target) = uploads.beside(&place, make)?;
                (place.parent.join(&name), target)
            }
            created => (self.path.clone(), created?),
        };
        let file = target.identity();
        Ok(Prepared { file, ..Prepared::open(uploads, &path, self.most, target) })
    }

    fn take_over(
        &self,
        place: Place,
        existing: Option<Existing>,
        own: &[Candidate],
        plan: &Resumption,
    ) -> Result<Prepared, FsError> {
        let takeover = Takeover::new(self.uploads, place, existing, own, plan);
        let takeover = takeover.overwriting(self.overwrite, self.is_own());
        let opening = Opening::Takeover(Box::new(takeover));
        Ok(Prepared::by(self.uploads, self.path, self.most, opening))
    }

    /// Prepares a STOR from the beginning, if the file exists.
    fn replace(
        &self,
        place: Place,
        existing: Existing,
        heed: &mut Heed<'_>,
    ) -> Result<Prepared, FsError> {
        let created =
            Part::create(self.uploads, place.again()?, self.mode, Some(&existing), false);
        match created {
            Err(FsError::Denied(why)) => {
                let obstacle = Some(Obstacle::Directory(why));
                self.in_place((place, existing), Store::Replace, None, obstacle, heed)
            }
            part => self.write_to(part?),
        }
    }

    /// Prepares an APPE, or a STOR from an offset on, if there is no part to resume.
    fn change(
        &self,
        place: Place,
        offset: Option<u64>,
        heed: &mut Heed<'_>,
    ) -> Result<Prepared, FsError> {
        let claim = self.uploads.claim_name(&place, heed)?;
        // the upload that had the turn before this one may have replaced the file
        let (place, existing) = find(&self.uploads.tree, place, offset.is_none())?;
        self.check_free(existing.as_ref())?;
        let Some(existing) = existing else {
            Change::check_absent(offset)?;
            let part = Part::create(self.uploads, place, self.mode, None, true)?;
            return self.write_to(part.based_on(None, claim));
        };
        let facts = ChangeFacts {
            size: len_of(&existing.stat),
            obstacle: Obstacle::find(&place, &existing),
            may_clone: may_clone(id_of(&existing.stat).0),
            keeps: self.is_judged || self.uploads.trash_for(&place.parent)?.is_some(),
        };
        let remark = match Change::plan(offset, facts)? {
            Change::InPlace(remark) => remark,
            Change::Copy(copying) => {
                match Part::create_from(self.uploads, &place, &existing, copying, heed) {
                    Ok(part) => {
                        let version = Version::of(&existing.stat);
                        return self.write_to(part.based_on(Some(version), claim));
                    }
                    Err(Hindrance::Failed(why)) => return Err(why),
                    Err(Hindrance::Obstacle(obstacle)) => copying.instead(obstacle)?,
                }
            }
        };
        let store = offset.map_or(Store::Append(None), Store::At);
        self.in_place((place, existing), store, Some(claim), remark, heed)
    }

    /// Prepares to change the file in place.
    fn in_place(
        &self,
        (place, existing): (Place, Existing),
        store: Store,
        name: Option<NameClaim>,
        remark: Option<Obstacle>,
        heed: &mut Heed<'_>,
    ) -> Result<Prepared, FsError> {
        if self.is_judged {
            return Err(FsError::Unjudgeable);
        }
        let remark = remark.map(|obstacle| obstacle.to_string());
        let mut target = InPlace::open(self.uploads, place, existing, store, name, heed)?;
        target.keep_old().map_err(|why| match (why, &remark) {
            (FsError::NotKept(why), Some(remark)) => {
                FsError::NotKept(format!("{remark}, and {why}"))
            }
            (why, _) => why,
        })?;
        Ok(Prepared { remark, ..self.open(target)? })
    }

    /// Checks that a file that was found may be replaced or changed. Another session may have made
    /// it a moment ago.
    fn check_free(&self, existing: Option<&Existing>) -> Result<(), FsError> {
        match (existing, self.own) {
            (None, Some(_)) => Err(FsError::NotFound),
            (Some(there), own @ Some(_)) if Identity::of(&there.file) != own => {
                Err(FsError::Taken)
            }
            (Some(_), None) if self.overwrite != Overwrite::Yes => Err(FsError::Taken),
            _ => Ok(()),
        }
    }

    fn facts_of(&self, parts: &[Candidate]) -> Vec<PartFacts> {
        let sharing = self.uploads.parts.sharing();
        parts.iter().map(|part| part.facts(sharing)).collect()
    }

    /// Whether the session may go on writing to the file.
    fn is_own(&self) -> bool {
        self.overwrite == Overwrite::Rename || self.own.is_some()
    }

    /// Returns the upload that writes to a part.
    fn write_to(&self, part: Part) -> Result<Prepared, FsError> {
        self.open(part.overwriting(self.overwrite, self.is_own()))
    }

    fn open(&self, target: impl Target + 'static) -> Result<Prepared, FsError> {
        Ok(Prepared::open(self.uploads, self.path, self.most, target))
    }
}
