//! Uploads: into place whole, or not at all.
//!
//! An upload writes to a part file in the directory of its target, and one rename puts it in
//! place: readers, a crash and other uploads find the old version or the new one. Only where
//! that cannot be done is the file in place changed, by one upload at a time. A user can also
//! have the classic way, in which every upload writes to the file in place.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, MutexGuard, PoisonError};

use rustix::fs::{
    Mode, OFlags, Stat, copy_file_range, fcntl_setfl, fstat, fstatvfs, fsync, ioctl_ficlone,
    openat, renameat,
};
use rustix::io::Errno;

use super::attributes::carry_over;
use super::journal::Folder;
use super::part_name::{Mark, PartName, Tag};
use super::parts::{
    Active, Claim, Parts, Promise, Spot, Turn, id_of, lstat, modified, os, remove, rename_new,
};
use super::tree::regular;
use super::{FsError, Tree, VirtualPath};

/// How an upload meets what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Begin at 0; what was there goes.
    Replace,
    /// Begin at this offset, which must not lie beyond the end.
    At(u64),
    /// Begin at the end. If the user's session was told a size before, it is meant to begin
    /// there.
    Append(Option<u64>),
}

/// Whose uploads, and how they are made.
#[derive(Debug, Clone)]
pub struct Uploads {
    /// The server's parts.
    pub parts: Arc<Parts>,
    /// Whose parts are one's own.
    pub owner: Vec<u8>,
    /// Whether an upload stays out of sight until it is whole.
    pub atomic: bool,
    /// Whether it is on the disk before it is called whole.
    pub sync: bool,
}

/// An upload that may begin. Nothing that clients see has changed yet.
#[derive(Debug)]
pub struct Upload {
    tree: Arc<Tree>,
    path: VirtualPath,
    /// Nothing before [`Upload::ready`] and after the end.
    file: Option<File>,
    way: Way,
    /// Where it begins.
    offset: u64,
    written: u64,
    /// Why it does not go the usual way, for the log.
    remark: Option<String>,
}

#[derive(Debug)]
enum Way {
    /// The classic one: opened late, and written to as it comes.
    Classic { store: Store, mode: u32, made: bool },
    /// The file in place is changed, by this upload alone.
    InPlace { former: u64, append: bool, _claims: (Claim, Option<Claim>) },
    /// A part, which is put in place at the end.
    Part(Box<Part>),
    /// It has ended, well or not.
    Over,
}

#[derive(Debug)]
struct Part {
    place: Place,
    spot: Spot,
    active: Arc<Active>,
    /// Whether it may be resumed when it fails.
    resumable: bool,
    /// Whether it goes on with a part that was left of another one.
    resumed: bool,
    /// STOU: the name must still be new at the end.
    promise: Option<Promise>,
    /// For one that began with what is in place: nobody else changes that meanwhile.
    claim: Option<Claim>,
}

/// A name in a directory that is held open.
#[derive(Debug)]
struct Place {
    dir: OwnedFd,
    dir_stat: Stat,
    folder: Folder,
    name: Vec<u8>,
}

/// The file that is in place.
struct There {
    file: File,
    stat: Stat,
}

/// Why a file cannot be replaced, for the log.
enum Obstacle {
    HardLinks(u64),
    Sticky,
    NoRoom,
    Directory(io::Error),
    TooLong,
}

/// Files from this size on are not replaced where the file system has no room for a second one
/// of the same size.
const LARGE: u64 = 1 << 20;

/// An upload into the middle of a file begins with a copy of what stands before, up to this
/// size; beyond it the file is changed in place.
const MOST_COPIED: u64 = 64 << 20;

/// STOU tries so many names: `upload`, `upload.1`, ...
const NAMES: u32 = 10_000;

/// A link leads to a link so many times.
const LINKS: u32 = 16;

impl Tree {
    /// Prepares an upload.
    ///
    /// # Errors
    ///
    /// The system's; [`FsError::BadOffset`] when it cannot begin where it should;
    /// [`FsError::Busy`] when another upload changes the file in place.
    pub fn upload(
        self: &Arc<Self>,
        path: &VirtualPath,
        store: Store,
        mode: u32,
    ) -> Result<Upload, FsError> {
        self.may_make(path)?;
        if !self.uploads.atomic {
            let size = self.check_write(path)?;
            let offset = match store {
                Store::Replace => 0,
                Store::At(offset) if offset > size => return Err(FsError::BadOffset(size)),
                Store::At(offset) => offset,
                Store::Append(_) => size,
            };
            let way = Way::Classic { store, mode, made: false };
            return Ok(self.begun(path, None, way, offset));
        }
        let place = self.place(path)?;
        let (place, there) = self.existing(place, path)?;
        match store {
            Store::Replace => self.replace(path, place, there, mode),
            Store::At(offset) => match self.resume(path, &place, store)? {
                Some(upload) => Ok(upload),
                None => self.change(path, place, Some(offset), mode),
            },
            Store::Append(_) => match self.resume(path, &place, store)? {
                Some(upload) => Ok(upload),
                None => self.change(path, place, None, mode),
            },
        }
    }

    /// Prepares an upload under a name that is new: the one that is wanted, or one made of it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn upload_new(
        self: &Arc<Self>,
        wanted: &VirtualPath,
        mode: u32,
    ) -> Result<Upload, FsError> {
        self.may_make(wanted)?;
        if !self.uploads.atomic {
            for path in new_names(wanted) {
                match self.create(&path, mode) {
                    Err(FsError::Exists) => {}
                    other => {
                        let way = Way::Classic { store: Store::Replace, mode, made: true };
                        return Ok(self.begun(&path, Some(other?), way, 0));
                    }
                }
            }
            return Err(FsError::Exists);
        }
        let place = self.place(wanted)?;
        for path in new_names(wanted) {
            if lstat(&place.dir, path.name()).is_ok() {
                continue;
            }
            let dir = id_of(&place.dir_stat);
            if let Some(promise) = self.uploads.parts.promise(dir, path.name()) {
                let place = Place { name: path.name().to_owned(), ..place };
                let mut upload = self.part(&path, place, mode, None)?;
                if let Way::Part(part) = &mut upload.way {
                    part.promise = Some(promise);
                }
                return Ok(upload);
            }
        }
        Err(FsError::Exists)
    }

    fn begun(
        self: &Arc<Self>,
        path: &VirtualPath,
        file: Option<File>,
        way: Way,
        offset: u64,
    ) -> Upload {
        let (tree, path) = (Arc::clone(self), path.clone());
        Upload { tree, path, file, way, offset, written: 0, remark: None }
    }

    /// The directory of a path, held open.
    fn place(&self, path: &VirtualPath) -> Result<Place, FsError> {
        if path.is_root() {
            return Err(FsError::IsADirectory);
        }
        let parent = path.parent();
        let (dir, dir_stat) = self.hold(&parent)?;
        let folder = Folder { home: self.home.clone(), path: parent };
        Ok(Place { dir, dir_stat, folder, name: path.name().to_owned() })
    }

    /// The directory of a path, and what has its name there; links are followed.
    fn existing(
        &self,
        mut place: Place,
        path: &VirtualPath,
    ) -> Result<(Place, Option<There>), FsError> {
        let mut path = path.clone();
        for _ in 0..LINKS {
            // FIFOs must not hold the session
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
            let opened =
                openat(&place.dir, os(&place.name), flags | OFlags::CLOEXEC, Mode::empty());
            match opened {
                Ok(file) => {
                    let file = File::from(file);
                    let stat = fstat(&file)?;
                    regular(&stat)?;
                    return Ok((place, Some(There { file, stat })));
                }
                Err(Errno::NOENT) => return Ok((place, None)),
                Err(Errno::LOOP) => {
                    // one that leads to nothing is not followed to make something
                    path = self.followed(&path)?;
                    self.may_make(&path)?;
                    place = self.place(&path)?;
                }
                Err(why) => return Err(why.into()),
            }
        }
        Err(FsError::NotFound)
    }

    fn spot(&self, place: &Place) -> Spot {
        let mark = Mark::new(&self.uploads.owner, &place.name);
        Spot { dir: id_of(&place.dir_stat), mark }
    }

    /// STOR from the beginning.
    fn replace(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        there: Option<There>,
        mode: u32,
    ) -> Result<Upload, FsError> {
        let Some(there) = there else { return self.part(path, place, mode, None) };
        if let Some(obstacle) = Self::obstacle(&place, &there) {
            return self.in_place(path, there, None, Some(obstacle), None);
        }
        match self.part(path, place, mode, Some(&there)) {
            Err(FsError::Denied(why)) => {
                self.in_place(path, there, None, Some(Obstacle::Directory(why)), None)
            }
            other => other,
        }
    }

    /// What keeps a file from being replaced by a rename.
    fn obstacle(place: &Place, there: &There) -> Option<Obstacle> {
        let (dir, file) = (&place.dir_stat, &there.stat);
        if file.st_nlink > 1 {
            #[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
            return Some(Obstacle::HardLinks(file.st_nlink as u64));
        }
        let own = rustix::process::geteuid();
        let is_sticky = Mode::from_raw_mode(dir.st_mode).contains(Mode::SVTX);
        let strange = file.st_uid != own.as_raw() && dir.st_uid != own.as_raw();
        if is_sticky && strange && !own.is_root() {
            return Some(Obstacle::Sticky);
        }
        let size = u64::try_from(file.st_size).unwrap_or_default();
        if size >= LARGE
            && let Ok(room) = fstatvfs(&there.file)
            && room.f_bavail.saturating_mul(room.f_frsize) < size
        {
            return Some(Obstacle::NoRoom);
        }
        None
    }

    /// A new part, with the attributes of what it will replace.
    fn part(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        mode: u32,
        there: Option<&There>,
    ) -> Result<Upload, FsError> {
        let spot = self.spot(&place);
        let parts = &self.uploads.parts;
        let mode = there.map_or(mode, |there| there.stat.st_mode & 0o777);
        parts.note(&place.folder);
        let make = |name: &PartName| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(mode);
            openat(&place.dir, os(&name.bytes()), flags | OFlags::CLOEXEC, mode)
        };
        // known before it is there, so that nobody takes it for a dead one
        let mut active =
            parts.enter(spot, place.folder.clone(), parts.name(spot.mark, &place.name));
        let mut opened = make(&active.name);
        if matches!(opened, Err(Errno::NAMETOOLONG)) {
            // a file system with short names
            parts.leave(spot, &active);
            active = parts.enter(spot, place.folder.clone(), parts.name(spot.mark, b""));
            opened = make(&active.name);
        }
        let file = match opened {
            Ok(file) => File::from(file),
            Err(why) => {
                parts.leave(spot, &active);
                return Err(why.into());
            }
        };
        if let Some(there) = there {
            carry_over(&there.file, &there.stat, &file, mode);
        }
        let part = Part::new(place, spot, active);
        Ok(self.begun(path, Some(file), Way::Part(Box::new(part)), 0))
    }

    /// Goes on with a part of the user's own, if there is one.
    fn resume(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: &Place,
        store: Store,
    ) -> Result<Option<Upload>, FsError> {
        let spot = self.spot(place);
        let parts = &self.uploads.parts;
        let mut found = self.candidates(&place.dir, spot);
        let Some(shown) = found.first().map(|found| found.size) else { return Ok(None) };
        let wanted = match store {
            Store::At(offset) => offset,
            Store::Append(Some(told)) => told,
            // it cannot be told where the client believes the end to be
            Store::Append(None) if found.iter().any(|found| found.active.is_some()) => {
                return Err(FsError::Busy);
            }
            Store::Append(None) | Store::Replace => shown,
        };
        // the one that ends there, or else the one that the user is shown
        found.sort_by_key(|found| found.size != wanted);
        for found in found.into_iter().filter(|found| found.size >= wanted) {
            let Some(name) = self.take(&place.dir, spot, &found, wanted) else { continue };
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&place.dir, os(&name.bytes()), flags, Mode::empty());
            let place = place.again()?;
            let active = parts.enter(spot, place.folder.clone(), name);
            let part = Part { resumed: true, ..Part::new(place, spot, active) };
            let mut upload = self.begun(path, None, Way::Part(Box::new(part)), wanted);
            let mut file = File::from(file?);
            file.set_len(wanted)?;
            file.seek(SeekFrom::Start(wanted))?;
            upload.file = Some(file);
            return Ok(Some(upload));
        }
        Err(FsError::BadOffset(shown))
    }

    /// The user's own parts for one name, the youngest first.
    fn candidates(&self, dir: &OwnedFd, spot: Spot) -> Vec<Candidate> {
        let parts = &self.uploads.parts;
        let candidate = |name: &PartName, active: Option<Arc<Active>>| {
            let stat = lstat(dir, &name.bytes()).ok()?;
            let size = u64::try_from(stat.st_size).ok()?;
            Some(Candidate { name: name.clone(), active, size, stat })
        };
        let active = parts.active(spot).into_iter();
        let active = active.filter_map(|active| candidate(&active.name, Some(active.clone())));
        let dead = parts.dead(spot).and_then(|name| candidate(&name, None));
        let mut all: Vec<_> = active.chain(dead).collect();
        all.sort_by_key(|found| std::cmp::Reverse(modified(&found.stat)));
        all
    }

    /// Makes a part one's own, under a name that nobody else writes to.
    fn take(
        &self,
        dir: &OwnedFd,
        spot: Spot,
        found: &Candidate,
        wanted: u64,
    ) -> Option<PartName> {
        let parts = &self.uploads.parts;
        let own = parts.name(spot.mark, &found.name.name);
        if let Some(active) = &found.active {
            let mut taken = active.taken();
            let stat = lstat(dir, &found.name.bytes()).ok()?;
            if *taken || u64::try_from(stat.st_size).ok()? < wanted {
                return None;
            }
            *taken = true;
            drop(taken);
            parts.leave(spot, active);
        } else if !parts.unbury(spot) {
            return None;
        }
        renameat(dir, os(&found.name.bytes()), dir, os(&own.bytes())).ok()?;
        Some(own)
    }

    /// APPE, and STOR from an offset on, of a file that has no part.
    fn change(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        offset: Option<u64>,
        mode: u32,
    ) -> Result<Upload, FsError> {
        let turn = Turn::Name(id_of(&place.dir_stat), place.name.clone());
        let claim = self.uploads.parts.claim(turn)?;
        // who had the claim before may have put another file in its place
        let (place, there) = self.existing(place, path)?;
        let Some(there) = there else {
            if offset.is_some() {
                return Err(FsError::BadOffset(0));
            }
            let mut upload = self.part(path, place, mode, None)?;
            if let Way::Part(part) = &mut upload.way {
                part.claim = Some(claim);
                part.resumable = false;
            }
            return Ok(upload);
        };
        let size = u64::try_from(there.stat.st_size).unwrap_or_default();
        let from = offset.unwrap_or(size);
        if from > size {
            return Err(FsError::BadOffset(size));
        }
        let mut obstacle = Self::obstacle(&place, &there);
        if obstacle.is_none()
            && let Some(mut upload) = self.part_from(path, place, &there, from, from < size)?
        {
            if let Way::Part(part) = &mut upload.way {
                part.claim = Some(claim);
                part.resumable = offset.is_some();
            }
            return Ok(upload);
        }
        if from == size {
            // what is there stays as it is, and the rest is cut off when the upload fails
            obstacle = None;
        } else if obstacle.is_none() {
            obstacle = Some(Obstacle::TooLong);
        }
        self.in_place(path, there, Some(from), obstacle, Some(claim))
    }

    /// A part that begins with what is in place: by a clone, which costs nothing, or for what
    /// would be overwritten by a copy.
    fn part_from(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        there: &There,
        from: u64,
        may_copy: bool,
    ) -> Result<Option<Upload>, FsError> {
        let parts = &self.uploads.parts;
        let device = id_of(&there.stat).0;
        let may_copy = may_copy && from <= MOST_COPIED;
        if !may_copy && !parts.may_clone(device) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = openat(&place.dir, os(&place.name), flags, Mode::empty());
        let Ok(source) = source else { return Ok(None) };
        let mut upload = match self.part(path, place, 0, Some(there)) {
            Err(FsError::Denied(_)) => return Ok(None),
            other => other?,
        };
        let Some(file) = &mut upload.file else { return Ok(None) };
        let cloned = parts.may_clone(device) && {
            let result = ioctl_ficlone(&*file, &source);
            if result.is_err() {
                parts.cannot_clone(device);
            }
            result.is_ok()
        };
        if cloned {
            file.set_len(from)?;
        } else if may_copy {
            copy(&source, file, from)?;
        } else {
            // dropping the upload removes its part
            return Ok(None);
        }
        file.seek(SeekFrom::Start(from))?;
        upload.offset = from;
        Ok(Some(upload))
    }

    /// Changes the file in place, from an offset on or from the beginning.
    fn in_place(
        self: &Arc<Self>,
        path: &VirtualPath,
        there: There,
        from: Option<u64>,
        obstacle: Option<Obstacle>,
        name: Option<Claim>,
    ) -> Result<Upload, FsError> {
        let claim = self.uploads.parts.claim(Turn::File(id_of(&there.stat)))?;
        let former = there.file.metadata()?.len();
        let offset = from.unwrap_or(0);
        let append = from == Some(former);
        if append {
            // with what others than this server may append meanwhile nothing is lost
            fcntl_setfl(&there.file, OFlags::APPEND | OFlags::NONBLOCK)?;
        }
        let way = Way::InPlace { former, append, _claims: (claim, name) };
        let mut upload = self.begun(path, Some(there.file), way, offset);
        upload.remark = obstacle.map(|obstacle| obstacle.to_string());
        Ok(upload)
    }

    /// The youngest part of the user's own for a name.
    pub(super) fn own_part(&self, path: &VirtualPath) -> Option<Stat> {
        self.find_own_part(path).map(|(_, found)| found.stat)
    }

    /// The same, opened for reading.
    pub(super) fn read_own_part(&self, path: &VirtualPath) -> Option<File> {
        let (place, found) = self.find_own_part(path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&place.dir, os(&found.name.bytes()), flags, Mode::empty());
        file.ok().map(File::from)
    }

    fn find_own_part(&self, path: &VirtualPath) -> Option<(Place, Candidate)> {
        if !self.uploads.atomic || !self.uploads.parts.are_there() {
            return None;
        }
        // where the name is a link, the part is its target's
        let place = self.place(&self.followed(path).unwrap_or_else(|_| path.clone())).ok()?;
        let found = self.candidates(&place.dir, self.spot(&place)).into_iter().next()?;
        Some((place, found))
    }

    /// Ends the dead part of the user's own for a name; says whether there was one, or
    /// [`FsError::Busy`] if one is being written.
    pub(super) fn forget_part(&self, path: &VirtualPath) -> Result<bool, FsError> {
        let parts = &self.uploads.parts;
        if !parts.are_there() || path.is_root() {
            return Ok(false);
        }
        let Ok(place) = self.place(path) else { return Ok(false) };
        let spot = self.spot(&place);
        if let Some(name) = parts.dead(spot)
            && parts.unbury(spot)
        {
            remove(&place.dir, &name.bytes());
            return Ok(true);
        }
        if parts.active(spot).is_empty() { Ok(false) } else { Err(FsError::Busy) }
    }
}

/// A part that an upload could go on with.
struct Candidate {
    name: PartName,
    active: Option<Arc<Active>>,
    size: u64,
    stat: Stat,
}

impl Place {
    fn again(&self) -> Result<Self, FsError> {
        let dir = self.dir.try_clone()?;
        let (folder, name) = (self.folder.clone(), self.name.clone());
        Ok(Self { dir, dir_stat: self.dir_stat, folder, name })
    }
}

impl Active {
    fn taken(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    /// The file's path, which STOU has made up.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Why the file in place is written to, if that is not the usual way.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Opens the file, where that was put off until nothing more can keep the upload from
    /// beginning. In the classic way the file may be somebody else's by now.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ready(&mut self) -> Result<(), FsError> {
        if let Way::Classic { store, mode, made } = &mut self.way
            && self.file.is_none()
        {
            let (file, size, new) = self.tree.write(&self.path, *store, *mode)?;
            if let Store::At(offset) = *store
                && offset > size
            {
                return Err(FsError::BadOffset(size));
            }
            *made = new;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Makes the file ready for the first byte: cut back to where the upload begins.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn begin(&mut self) -> Result<(), FsError> {
        self.ready()?;
        let offset = match &mut self.way {
            Way::Classic { store: Store::Append(_), made, .. } => {
                *made = false;
                return Ok(());
            }
            Way::Classic { made, .. } => {
                // from here on the file is what the client sends
                *made = false;
                self.offset
            }
            Way::InPlace { append: false, .. } => self.offset,
            Way::InPlace { append: true, .. } | Way::Part(_) | Way::Over => return Ok(()),
        };
        if let Some(file) = &mut self.file {
            if file.metadata()?.len() > offset {
                file.set_len(offset)?;
            }
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(())
    }

    /// Writes what has arrived.
    ///
    /// # Errors
    ///
    /// The system's; and [`FsError::TakenOver`] when another session goes on with the upload.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        let Some(file) = &mut self.file else { return Err(FsError::NotFound) };
        let _writing = match &self.way {
            Way::Part(part) => Some(part.active.writing()?),
            Way::Classic { .. } | Way::InPlace { .. } | Way::Over => None,
        };
        file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Puts the file in place. Only then is the upload whole. Gives its size, and its path,
    /// which is another than STOU has promised if somebody has made such a file meanwhile.
    ///
    /// # Errors
    ///
    /// The system's, and what the file system had not said before: quotas and networks may
    /// refuse this late.
    pub fn finish(mut self) -> Result<(u64, VirtualPath), FsError> {
        let result = self.put_in_place();
        match result {
            Ok(()) => {
                self.way = Way::Over;
                Ok((self.offset + self.written, self.path.clone()))
            }
            Err(why) => {
                self.end(!matches!(why, FsError::NoSpace(_)));
                Err(why)
            }
        }
    }

    fn put_in_place(&mut self) -> Result<(), FsError> {
        let Some(file) = self.file.take() else { return Err(FsError::NotFound) };
        let sync = self.tree.uploads.sync;
        match &mut self.way {
            Way::Classic { .. } => {
                if sync {
                    fsync(&file)?;
                }
                close(file)?;
            }
            Way::InPlace { .. } => {
                if sync {
                    fsync(&file)?;
                }
                if fstat(&file)?.st_nlink == 0 {
                    return Err(FsError::Replaced);
                }
                close(file)?;
            }
            Way::Part(part) => {
                if sync {
                    fsync(&file)?;
                }
                close(file)?;
                let active = Arc::clone(&part.active);
                let mut taken = active.writing()?;
                if let Some(name) = part.rename()? {
                    self.path = self.path.parent().join(&name);
                }
                // it is no part any more that could be taken over
                *taken = true;
                drop(taken);
                let parts = &self.tree.uploads.parts;
                parts.leave(part.spot, &active);
                if let Some(dead) = parts.dead(part.spot)
                    && parts.unbury(part.spot)
                {
                    remove(&part.place.dir, &dead.bytes());
                }
                if sync {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    fsync(openat(&part.place.dir, ".", flags, Mode::empty())?)?;
                }
            }
            Way::Over => {}
        }
        Ok(())
    }

    /// The upload has failed: the file in place is as it was, as far as it can be. With `keep`
    /// what has arrived is left for the client to go on with.
    pub fn fail(mut self, keep: bool) {
        self.end(keep);
    }

    fn end(&mut self, keep: bool) {
        match std::mem::replace(&mut self.way, Way::Over) {
            Way::Over => {}
            Way::Classic { made, .. } => {
                if made && let Some(file) = &self.file {
                    self.tree.remove_untouched(&self.path, file);
                }
            }
            Way::InPlace { former, append, .. } => {
                if append && self.written > 0 {
                    self.cut_back(former);
                }
            }
            Way::Part(part) => {
                let worth = self.written > 0 || part.resumed;
                part.end(&self.tree.uploads.parts, keep && worth);
            }
        }
        self.file = None;
    }

    /// Takes away what a failed upload has appended, unless others have appended as well.
    fn cut_back(&self, former: u64) {
        let Some(file) = &self.file else { return };
        let cut = file.metadata().and_then(|meta| {
            if meta.len() != former + self.written {
                return Err(io::Error::other("others have appended to it as well"));
            }
            file.set_len(former)
        });
        if let Err(why) = cut {
            let real = self.tree.real(&self.path);
            let file = crate::log::path(&real);
            log::warn!("what a failed upload has appended to {file} stays: {why}");
        }
    }
}

/// An upload that is dropped has failed before it began, or its session has: what has arrived
/// is kept.
impl Drop for Upload {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl Active {
    /// Nobody may take the part over while this is held.
    fn writing(&self) -> Result<MutexGuard<'_, bool>, FsError> {
        let taken = self.taken();
        if *taken { Err(FsError::TakenOver) } else { Ok(taken) }
    }
}

impl Part {
    fn new(place: Place, spot: Spot, active: Arc<Active>) -> Self {
        let (promise, claim) = (None, None);
        let (resumable, resumed) = (true, false);
        Self { place, spot, active, resumable, resumed, promise, claim }
    }

    /// One rename puts the part in place. Gives the name if it is not the one that was wanted.
    fn rename(&self) -> Result<Option<Vec<u8>>, FsError> {
        let Place { dir, name, folder, .. } = &self.place;
        let part = self.active.name.bytes();
        if self.promise.is_none() {
            renameat(dir, os(&part), dir, os(name))?;
            return Ok(None);
        }
        for path in new_names(&folder.path.join(name)) {
            match rename_new(dir.as_fd(), &part, path.name()) {
                Err(FsError::Exists) => {}
                other => {
                    let other = other.map(|()| path.name());
                    return other.map(|made| (made != name).then(|| made.to_owned()));
                }
            }
        }
        Err(FsError::Exists)
    }

    /// The upload has failed.
    fn end(self, parts: &Parts, keep: bool) {
        let taken = self.active.taken();
        if *taken {
            // whoever has taken it sees to it
            return;
        }
        let dir = &self.place.dir;
        let name = self.active.name.bytes();
        let dead = self.active.name.tagged(Tag::Dead);
        let kept = keep
            && self.resumable
            && parts.are_kept()
            && renameat(dir, os(&name), dir, os(&dead.bytes())).is_ok();
        if kept {
            let since = lstat(dir, &dead.bytes());
            let since = since.map_or_else(|_| std::time::SystemTime::now(), |s| modified(&s));
            parts.bury(self.spot, &self.place.folder, &dead, since);
        } else {
            remove(dir, &name);
        }
        drop(taken);
        parts.leave(self.spot, &self.active);
    }
}

/// Closes a file, and says whether all of it got there.
fn close(file: File) -> Result<(), FsError> {
    nix::unistd::close(file).map_err(|errno| io::Error::from(errno).into())
}

/// The first bytes of one file into another, within the kernel.
fn copy(from: &OwnedFd, to: &mut File, len: u64) -> Result<(), FsError> {
    let mut left = len;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        match copy_file_range(from, None, &*to, None, most) {
            Ok(0) => return Err(FsError::Replaced),
            Ok(copied) => left -= copied as u64,
            Err(Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

fn new_names(wanted: &VirtualPath) -> impl Iterator<Item = VirtualPath> + '_ {
    (0..NAMES).map(|attempt| {
        let suffix = if attempt == 0 { String::new() } else { format!(".{attempt}") };
        wanted.parent().join(&[wanted.name(), suffix.as_bytes()].concat())
    })
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HardLinks(links) => write!(f, "it has {links} hard links"),
            Self::Sticky => {
                f.write_str("it belongs to somebody else and its directory is sticky")
            }
            Self::NoRoom => f.write_str("there is no room for a second copy"),
            Self::Directory(why) => write!(f, "no file can be made in its directory: {why}"),
            Self::TooLong => f.write_str("it is too long to be copied"),
        }
    }
}
