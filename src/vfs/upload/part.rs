//! Uploads to a part file, which one rename puts in place when it is complete.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, chmodat, fchmod, fstat, openat, renameat,
};

use super::attributes::carry_over;
use super::body::{Body, Placed, Target, Whole, Writing};
use super::claims::{NameClaim, NewName};
use super::copy::begin_with;
use super::existing::Existing;
use super::obstacle::{Hindrance, Obstacle};
use super::own::open_part;
use super::plan::Copying;
use super::settled::{Terms, is_refusal};
use super::uploads::Uploads;
use crate::config::{GateRules, Overwrite};
use crate::vfs::error::{FsError, Heed};
use crate::vfs::parts::known::{ActivePart, DeadPart, PartKey};
use crate::vfs::parts::name::{PartName, Tag};
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::count::Count;
use crate::vfs::quota::meter::{Kind, Meter};
use crate::vfs::quota::payer::Move;
use crate::vfs::trash::replace::Source;
use crate::vfs::tree::entry::{Identity, Version, id_of, len_of, modified, regular};
use crate::vfs::tree::lock::lock;
use crate::vfs::tree::place::{Place, as_path, found, is_named, lstat, rename_new};
use crate::vfs::tree::sync::Synced;

/// A part, and the place where it will be put.
#[derive(Debug)]
pub(super) struct Part {
    uploads: Arc<Uploads>,
    pub(super) place: Place,
    key: PartKey,
    pub(super) active: Arc<ActivePart>,
    pub(super) body: Body,
    /// Whether the upload resumes a part of another upload.
    resumed: bool,
    /// The mode that the part has taken over from the file that it replaces.
    mode: Option<u32>,
    /// What it does to a file that has the name at the end.
    overwrite: Overwrite,
    /// Whether its session may go on writing to the file.
    is_own: bool,
    /// For STOU: the reserved name, which must still be new at the end.
    promise: Option<NewName>,
    /// For a part that may replace only the file that it began with: the state of that file.
    base: Option<Base>,
    /// Whether a file was in place, and so the data of the part is on the disk, when it was complete.
    replaces: bool,
    /// The part as it was when it was given to be judged.
    judged: Option<Judged>,
}

/// A part that was given to be judged. Only this file may be put in place, without any change.
#[derive(Debug)]
struct Judged {
    stat: Stat,
    /// See [`Part::seal`].
    identity: Option<Identity>,
    /// The path without links of its directory, under which a program was told to find it.
    directory: VirtualPath,
    /// The file with the mode that it will have, if not even its owner could read it then.
    unreadable: Option<(File, Mode)>,
}

/// The state of the file in place when a part began.
#[derive(Debug)]
struct Base {
    /// The version; `None`: no file was in place.
    version: Option<Version>,
    /// The turn that keeps other uploads from beginning with this version meanwhile.
    _claim: Option<NameClaim>,
}

impl Judged {
    /// Gives the file its mode, if its owner could read it only to have it judged.
    fn hide(&self) -> Result<(), FsError> {
        match &self.unreadable {
            Some((file, mode)) => Ok(fchmod(file, *mode)?),
            None => Ok(()),
        }
    }
}

impl Part {
    /// Makes a new part with `mode`, or with the attributes of `old`, the file that it will
    /// replace. A `lone` part is never resumed.
    pub(super) fn create(
        uploads: &Arc<Uploads>,
        place: Place,
        mode: u32,
        old: Option<&Existing>,
        lone: bool,
    ) -> Result<Self, FsError> {
        let parts = &uploads.parts;
        let (key, folder) = (uploads.key(&place), uploads.folder(&place));
        let mode = old.map_or(mode, |old| old.stat.st_mode & 0o777);
        let mut meter = uploads.meter(&place, Kind::Own)?;
        // what goes to the trash is not freed
        let frees = old.is_some() && uploads.trash_for(&place.parent)?.is_none();
        if let Some(old) = old.filter(|_| frees) {
            meter.replaces(Count::of(&old.stat));
        }
        let enter =
            |name: &[u8]| parts.enter(key, folder.clone(), parts.name(key.mark, name, lone));
        // recorded before the file exists, so that other sessions do not take it for a dead
        // part
        let mut active = enter(&place.name);
        parts.note(&folder, uploads.rules().sync);
        let mut make = |name: &[u8]| meter.make(frees, || Ok(make(&place, name, mode)?));
        let mut opened = make(&active.file_name);
        if matches!(opened, Err(FsError::BadName(_))) {
            // the file system allows short names only
            parts.leave(key, &active);
            active = enter(b"");
            opened = make(&active.file_name);
        }
        let file = match opened {
            Ok(file) => file,
            Err(why) => {
                parts.leave(key, &active);
                return Err(why);
            }
        };
        if let Err(why) = hold(uploads, &active, &file) {
            parts.leave(key, &active);
            return Err(why);
        }
        if let Some(old) = old {
            carry_over(&old.file, &old.stat, &file, mode);
        }
        let mut part = Self::new(uploads, place, key, active, Body::new(file, 0, meter));
        part.mode = old.map(|_| mode);
        Ok(part)
    }

    /// Makes a part that begins with a copy of the file in place.
    pub(super) fn create_from(
        uploads: &Arc<Uploads>,
        place: &Place,
        old: &Existing,
        copying: Copying,
        heed: &mut Heed<'_>,
    ) -> Result<Self, Hindrance> {
        let source = match place.open(OFlags::RDONLY) {
            Ok(source) => source,
            Err(why) => return Err(Obstacle::Unreadable(why.into()).into()),
        };
        if id_of(&fstat(&source)?) != id_of(&old.stat) {
            // the file was replaced in the meantime
            return Err(FsError::Busy.into());
        }
        let created = Self::create(uploads, place.again()?, 0, Some(old), copying.lone);
        let mut part = match created {
            Err(FsError::Denied(why)) => return Err(Obstacle::Directory(why).into()),
            other => other?,
        };
        // if this fails, dropping the part removes it
        let Body { file, meter, .. } = &mut part.body;
        let file = file.as_mut().ok_or(FsError::NotFound)?;
        let reserved = meter.reserve(&*file, 0, copying.from)?;
        let begun = begin_with(&source, file, id_of(&old.stat).0, copying, heed);
        reserved.written(&*file, fstat(&*file).map_or(copying.from, |stat| len_of(&stat)));
        begun?;
        part.body.offset = copying.from;
        Ok(part)
    }

    /// Resumes a part that was taken over, from an offset on. The caller must then open its
    /// file.
    pub(super) fn resume(
        uploads: &Arc<Uploads>,
        place: Place,
        active: Arc<ActivePart>,
        offset: u64,
        base: Option<Version>,
        meter: Meter,
    ) -> Self {
        let body = Body { file: None, offset, written: 0, meter };
        let key = uploads.key(&place);
        let mut part = Self::new(uploads, place, key, active, body);
        part.resumed = true;
        part.base = base.map(|version| {
            let _ = part.active.base.set(version);
            Base { version: Some(version), _claim: None }
        });
        part
    }

    fn new(
        uploads: &Arc<Uploads>,
        place: Place,
        key: PartKey,
        active: Arc<ActivePart>,
        body: Body,
    ) -> Self {
        let uploads = Arc::clone(uploads);
        let (resumed, mode, base, replaces) = (false, None, None, false);
        // a name that is not known to be replaceable must be new
        let (overwrite, promise, judged) = (Overwrite::No, None, None);
        Self {
            uploads,
            place,
            key,
            active,
            body,
            resumed,
            mode,
            overwrite,
            is_own: false,
            promise,
            base,
            replaces,
            judged,
        }
    }

    /// Requires that the file in place still has this version at the end; `None`: that it does
    /// not exist.
    pub(super) fn based_on(mut self, version: Option<Version>, claim: NameClaim) -> Self {
        if let Some(version) = version {
            let _ = self.active.base.set(version);
        }
        self.base = Some(Base { version, _claim: Some(claim) });
        self
    }

    /// Requires that the name is still new at the end.
    pub(super) fn promised(mut self, promise: NewName) -> Self {
        self.promise = Some(promise);
        self
    }

    /// Sets what the upload does to a file that has the name at the end, and whether its session may go
    /// on writing to the file.
    pub(super) fn overwriting(mut self, overwrite: Overwrite, is_own: bool) -> Self {
        (self.overwrite, self.is_own) = (overwrite, is_own);
        self
    }

    /// Gives a resumed part the attributes of the file that it will replace.
    pub(super) fn carry_over(&mut self, old: &Existing) -> Result<(), FsError> {
        let mode = old.stat.st_mode & 0o777;
        if self.uploads.trash_for(&self.place.parent)?.is_none() {
            self.body.meter.replaces(Count::of(&old.stat));
        }
        carry_over(&old.file, &old.stat, self.body.file()?, mode);
        self.mode = Some(mode);
        Ok(())
    }

    /// Checks that all bytes are in the file, and closes it. Returns the file, if its session may go on
    /// writing to it.
    fn seal(&mut self) -> Result<Option<Identity>, FsError> {
        let identity = self.check_whole()?;
        self.body.close()?;
        Ok(identity)
    }

    /// Checks that all bytes are in the file.
    fn check_whole(&mut self) -> Result<Option<Identity>, FsError> {
        self.replaces = self.is_to_replace();
        if self.uploads.rules().sync || self.replaces {
            self.body.sync(self.uploads.rules().sync)?;
        }
        let writing = self.active.writing()?;
        let file = self.body.file()?;
        let identity = self.is_own.then(|| Identity::of(file)).flatten();
        if !is_named(&self.place.dir, &self.active.file_name, file)? {
            // another user who may write to the directory has replaced the part
            return Err(FsError::Replaced);
        }
        drop(writing);
        Ok(identity)
    }

    /// Checks that all bytes are in the file, closes it, and opens it for reading.
    fn give_to_judge(&mut self) -> Result<Whole, FsError> {
        let identity = self.check_whole()?;
        let writing = self.active.writing()?;
        let unreadable = make_readable(self.body.file()?)?;
        let (file, stat) = open_part(&self.place, &self.active.name, OFlags::RDONLY)?;
        if id_of(&fstat(self.body.file()?)?) != id_of(&stat) {
            return Err(FsError::Replaced);
        }
        drop(writing);
        self.body.close()?;
        let stat = fstat(&file)?;
        let directory = self.uploads.whereabouts(&self.place)?;
        let part = self.uploads.tree.real(&directory.join(&self.active.file_name));
        self.judged = Some(Judged { stat, identity, directory, unreadable });
        Ok(Whole { file, part, size: len_of(&stat) })
    }

    /// Checks that the part is still the file that was judged. Other users of the system may have changed
    /// it. If a program has judged it, it must have the same path, or that program may have found no file
    /// or another one.
    fn check_judged(&self, judged: &Judged, gate: Option<&GateRules>) -> Result<(), FsError> {
        let by_path = gate.is_some_and(|gate| gate.program.is_some());
        if by_path && self.uploads.whereabouts(&self.place)? != judged.directory {
            return Err(FsError::Relocated);
        }
        let _writing = self.active.writing()?;
        let now = lstat(&self.place.dir, &self.active.file_name)?;
        let told = |stat: &Stat| {
            (id_of(stat), len_of(stat), modified(stat), stat.st_ctime, stat.st_ctime_nsec)
        };
        if told(&now) == told(&judged.stat) { Ok(()) } else { Err(FsError::Replaced) }
    }

    /// Whether the part is about to replace a file. Its data must be on the disk then, or a loss of
    /// power could leave neither version.
    fn is_to_replace(&self) -> bool {
        self.may_replace() && self.place.lstat().is_ok()
    }

    fn may_replace(&self) -> bool {
        self.overwrite == Overwrite::Yes && self.promise.is_none()
    }

    /// Renames the part to the name of its file. If that name must be new but is taken, chooses
    /// another one and returns it. Also returns whether the old version was moved to the trash.
    fn put_in_place(
        &mut self,
        gate: Option<&GateRules>,
    ) -> Result<(Option<Vec<u8>>, bool), FsError> {
        let (uploads, active) = (Arc::clone(&self.uploads), Arc::clone(&self.active));
        let (parts, rules) = (&uploads.parts, uploads.rules());
        let synced = Synced::open(&self.place.dir, rules.sync)?;
        let mut gone = active.writing()?;
        let (name, kept) = self.rename(gate)?;
        // no session may take it over from now on
        *gone = true;
        drop(gone);
        parts.leave(self.key, &self.active);
        parts.forget_all(&self.place.dir, self.key, &self.place.name);
        synced.sync(|| {
            let path = self.place.parent.join(name.as_ref().unwrap_or(&self.place.name));
            self.uploads.tree.real(&path)
        })?;
        Ok((name, kept))
    }

    fn rename(&mut self, gate: Option<&GateRules>) -> Result<(Option<Vec<u8>>, bool), FsError> {
        self.check_version(&self.active.file_name)?;
        let may_replace = self.may_replace();
        let terms =
            Terms { size: self.body.size(), replaces: may_replace && !self.is_own, gate };
        if may_replace {
            return self.replace(terms).map(|kept| (None, kept));
        }
        let (uploads, place) = (&self.uploads, &self.place);
        let Place { dir, name, .. } = place;
        let part = &self.active.file_name;
        let meter = &mut self.body.meter;
        let lock = self.active.lock();
        let is_there = |name: &[u8]| is_at(dir, name, lock.as_deref());
        let mut rename_new = |name: &[u8]| {
            let rename = || {
                let renamed = rename_new(dir, as_path(part), dir, as_path(name));
                renamed.or_else(|why| unless(is_there(name), why))
            };
            uploads.appear(place, name, terms, || meter.replacing(dir, name, rename))
        };
        let renames = self.overwrite == Overwrite::Rename;
        match rename_new(name) {
            Err(FsError::Exists) => {}
            other => {
                if renames {
                    uploads.turns.numbers.forget(place.dir_id(), name);
                }
                return other.map(|()| (None, false));
            }
        }
        if renames {
            let (name, ()) = uploads.beside(place, rename_new)?;
            return Ok((Some(name), false));
        }
        for path in uploads.numbered(&place.path())? {
            match rename_new(path.name()) {
                Err(FsError::Exists) => {}
                other => {
                    return other.map(|()| (Some(path.name().to_owned()), false));
                }
            }
        }
        Err(FsError::Exists)
    }

    /// Renames the part to the name of its file, and replaces a file of that name. Returns whether that
    /// was moved to the trash.
    fn replace(&mut self, terms: Terms<'_>) -> Result<bool, FsError> {
        let (uploads, place) = (&self.uploads, &self.place);
        let Place { dir, name, .. } = place;
        let part = &self.active.file_name;
        if let Some(trash) = uploads.trash_for(&place.parent)? {
            let source = Source::Part { is_written: self.replaces };
            let replace = || trash.replace(dir, part, place, source);
            return uploads.appear(place, name, terms, replace);
        }
        let lock = self.active.lock();
        let rename = || {
            let renamed = renameat(dir, as_path(part), dir, as_path(name));
            let is_there = || is_at(dir, name, lock.as_deref());
            renamed.map_err(FsError::from).or_else(|why| unless(is_there(), why))
        };
        let meter = &mut self.body.meter;
        uploads.appear(place, name, terms, || meter.replacing(dir, name, rename))?;
        Ok(false)
    }

    /// Checks that the file in place still has the version that the part began with. If its
    /// mode was changed meanwhile, the part gets the new mode.
    fn check_version(&self, part: &[u8]) -> Result<(), FsError> {
        let looks = self.base.is_some() || self.mode.is_some();
        let now = if looks { found(self.place.lstat())? } else { None };
        // a new version must not be replaced by a part that was made from an older one
        if let Some(base) = &self.base
            && now.as_ref().map(Version::of) != base.version
        {
            return Err(FsError::Replaced);
        }
        if let (Some(mode), Some(now)) = (self.mode, now)
            && now.st_mode & 0o777 != mode
            && FileType::from_raw_mode(now.st_mode).is_file()
        {
            let now = Mode::from_raw_mode(now.st_mode & 0o777);
            let _ = chmodat(&self.place.dir, as_path(part), now, AtFlags::empty());
        }
        Ok(())
    }

    /// Ends a failed upload, unless it has ended already or another session has resumed the
    /// part.
    fn end(&mut self, keep: bool) {
        let mut gone = self.active.gone();
        if *gone {
            return;
        }
        if let Some(judged) = self.judged.as_ref().filter(|_| keep) {
            // if this fails, its owner may read the part
            let _ = judged.hide();
        }
        let parts = &self.uploads.parts;
        let dir = &self.place.dir;
        let name = &self.active.file_name;
        let dead = self.active.name.tagged(Tag::Dead);
        let kept = keep
            && (self.body.written > 0 || self.resumed)
            && lstat(dir, name).is_ok_and(|stat| regular(&stat).is_ok())
            && !self.active.name.is_lone()
            && parts.are_kept()
            && {
                // the old version stays, and counts again
                self.body.meter.settle();
                !self.body.meter.is_exceeded()
            }
            && parts.rename(dir, name, &dead.bytes()).is_ok();
        if kept {
            self.bury(dead);
        } else {
            parts.remove(dir, name);
        }
        *gone = true;
        drop(gone);
        parts.leave(self.key, &self.active);
    }

    fn bury(&self, name: PartName) {
        let since = lstat(&self.place.dir, &name.bytes());
        let since = since.map_or_else(|_| SystemTime::now(), |stat| modified(&stat));
        let (folder, upload) = (self.active.folder(), self.active.name.upload());
        let (base, share) = (self.active.base.get().copied(), self.uploads.share());
        let (uploader, shown) = (Some(self.uploads.uploader_name()), false);
        let dead = DeadPart { folder, name, share, uploader, upload, since, base, shown };
        self.uploads.parts.bury(self.key, dead);
    }
}

impl Target for Part {
    fn start(&mut self) -> Result<(), FsError> {
        if !self.resumed {
            return Ok(());
        }
        let _writing = self.active.writing()?;
        self.body.cut_to_offset()
    }

    fn write(&mut self) -> Result<Writing<'_>, FsError> {
        let guard = self.active.writing()?;
        Ok(Writing { body: &mut self.body, _guard: Some(guard) })
    }

    fn hold(&mut self) -> Result<Whole, FsError> {
        self.give_to_judge()
    }

    fn move_out(&self, to: BorrowedFd<'_>, name: &Path) -> Result<(), FsError> {
        let judged = self.judged.as_ref().ok_or(FsError::Unjudgeable)?;
        self.check_judged(judged, None)?;
        let _writing = self.active.writing()?;
        let (dir, part) = (&self.place.dir, &self.active.file_name);
        let gone = Move { from: dir.as_fd(), name: part, to: None };
        let rename = || rename_new(dir, as_path(part), to, name);
        self.uploads.payer().moving(&[gone], rename)
    }

    fn commit(mut self: Box<Self>, gate: Option<&GateRules>) -> Result<Placed, FsError> {
        let sealed = match self.judged.take() {
            None => self.seal(),
            Some(judged) => self.check_judged(&judged, gate).and_then(|()| {
                judged.hide()?;
                Ok(judged.identity)
            }),
        };
        let file = match sealed {
            Ok(file) => file,
            Err(why) => {
                // a part with missing bytes is of no use
                self.end(false);
                return Err(why);
            }
        };
        let (uploads, size) = (Arc::clone(&self.uploads), self.body.size());
        let (name, kept) =
            uploads.with_room(size, || self.put_in_place(gate)).inspect_err(|why| {
                if is_refusal(why) {
                    // the folder does not take the file, now or later
                    self.end(false);
                }
            })?;
        self.body.meter.settle();
        Ok(Placed { size: self.body.size(), name, kept, file })
    }

    fn abandon(mut self: Box<Self>, keep: bool) {
        self.end(keep);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.end(true);
    }
}

/// Locks the file of a part, so that other servers do not take it over. The lock lasts until the part is
/// put in place or given up.
fn hold(uploads: &Uploads, active: &ActivePart, file: &File) -> Result<(), FsError> {
    if !uploads.parts.sharing().is_shared() {
        return Ok(());
    }
    // a server that looks whether the file is locked has it locked for a moment
    lock(file, &mut || true)?;
    active.keep_lock(Some(Arc::new(file.try_clone()?.into())));
    Ok(())
}

/// Whether a name leads to the file of a part whose lock is held. NFS may report an error although it has
/// renamed the file, if its answer was lost.
fn is_at(dir: &OwnedFd, name: &[u8], lock: Option<&OwnedFd>) -> bool {
    lock.is_some_and(|file| is_named(dir, name, file).unwrap_or_default())
}

/// Returns the error, unless it was reported by mistake.
fn unless(is_done: bool, why: FsError) -> Result<(), FsError> {
    if is_done { Ok(()) } else { Err(why) }
}

/// Lets the owner of a part read it, so that it can be judged. If that changes its mode, returns the file
/// with the mode before. Only the owner may change it; others may be able to read it as it is.
fn make_readable(part: &File) -> Result<Option<(File, Mode)>, FsError> {
    let mode = Mode::from_raw_mode(fstat(part)?.st_mode);
    if mode.contains(Mode::RUSR) {
        return Ok(None);
    }
    if fchmod(part, mode | Mode::RUSR).is_err() {
        return Ok(None);
    }
    Ok(Some((part.try_clone()?, mode)))
}

/// Makes the file of a part.
fn make(place: &Place, name: &[u8], mode: u32) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(mode);
    openat(&place.dir, as_path(name), flags | OFlags::CLOEXEC, mode).map(File::from)
}
