//! What an upload begins with: a new part, a clone of what is in place, or the file in place
//! itself where that is all there is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat, fcntl_setfl, fstat, fstatvfs, ioctl_ficlone, openat};
use rustix::io::Errno;

use super::attributes::carry_over;
use super::part::Part;
use super::{InPlace, Store, Told, Upload, Way};
use crate::vfs::error::{FsError, Heed};
use crate::vfs::parts::journal::Folder;
use crate::vfs::parts::name::{Mark, PartName};
use crate::vfs::parts::shares::Share;
use crate::vfs::parts::store::{Claim, FileId, Spot, Turn, Version, id_of, len_of, lstat, os};
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::{Tree, regular};

/// A name in a directory that is held open.
#[derive(Debug)]
pub(in crate::vfs) struct Place {
    pub(in crate::vfs) dir: OwnedFd,
    dir_stat: Stat,
    pub(in crate::vfs) folder: Folder,
    pub(in crate::vfs) name: Vec<u8>,
    /// Whose part would be left there.
    pub(in crate::vfs) share: Share,
}

/// The file that is in place.
#[derive(Debug)]
pub(in crate::vfs) struct There {
    pub(in crate::vfs) file: File,
    pub(in crate::vfs) stat: Stat,
}

/// Why a file cannot be replaced, for the log.
enum Obstacle {
    MountPoint,
    HardLinks(u64),
    Sticky,
    NoRoom,
    Directory(io::Error),
    TooLong,
    Unreadable(io::Error),
}

/// Files from this size on are not replaced where the file system has no room for a second one
/// of the same size.
const LARGE: u64 = 1 << 20;

/// An upload into the middle of a file begins with a copy of what stands before, up to this
/// size; beyond it the file is changed in place.
const MOST_COPIED: u64 = 64 << 20;

/// Between pieces of this size whoever waits for a copy is heard.
const COPIED_AT_ONCE: u64 = 1 << 20;

/// STOU tries so many names: `upload`, `upload.1`, ...
const NAMES: u32 = 10_000;

/// A link leads to a link so many times.
const LINKS: u32 = 16;

impl Tree {
    /// Prepares an upload, which may mean to copy what is there, or to wait for another upload.
    ///
    /// # Errors
    ///
    /// The system's; [`FsError::Interrupted`]; [`FsError::BadOffset`] when it cannot begin where it should;
    /// [`FsError::Busy`] when another upload changes the file in place.
    pub fn upload(
        self: &Arc<Self>,
        path: &VirtualPath,
        store: Store,
        mode: u32,
        heed: &mut Heed<'_>,
    ) -> Result<Upload, FsError> {
        self.may_make(path)?;
        self.as_file(path)?;
        if !self.uploads.replace {
            self.is_free(path)?;
        }
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
        let append = matches!(store, Store::Append(_));
        let (place, there) = self.existing(place, path, append)?;
        if store == Store::Replace {
            return self.replace(path, place, there, mode, heed);
        }
        let mut parts = self.candidates(&place);
        let wanted = match store {
            Store::At(offset) => Some(offset),
            Store::Append(Some(Told { size, part: Some(upload) })) => {
                parts.retain(|part| part.upload == upload);
                if parts.is_empty() {
                    // its upload has ended meanwhile
                    let size = there.map_or(0, |there| len_of(&there.stat));
                    return Err(FsError::BadOffset(size));
                }
                Some(size)
            }
            // the client means the file in place, whatever parts there are by now
            Store::Append(Some(Told { part: None, .. })) => {
                parts.clear();
                None
            }
            Store::Append(None) | Store::Replace => {
                // where another session's upload will end is anybody's guess, and of a part that
                // the user was not shown the client knows nothing
                parts.retain(|part| part.shown);
                None
            }
        };
        if parts.is_empty() {
            self.change(path, place, wanted, mode, heed)
        } else {
            self.resume(path, place, there, parts, wanted)
        }
    }

    /// Whether nothing has this name yet.
    fn is_free(&self, path: &VirtualPath) -> Result<(), FsError> {
        match self.entry(path) {
            Err(FsError::NotFound) => Ok(()),
            Err(why) => Err(why),
            Ok(_) if path.is_root() => Err(FsError::IsADirectory),
            Ok(_) => Err(FsError::Exists),
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
        self.as_file(wanted)?;
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
            let dir = place.dir_id();
            if let Some(promise) = self.uploads.parts.promise(dir, path.name()) {
                let place = Place { name: path.name().to_owned(), ..place };
                let mut upload = self.part(&path, place, mode, None, false)?;
                if let Way::Part(part) = &mut upload.way {
                    part.promise = Some(promise);
                }
                return Ok(upload);
            }
        }
        Err(FsError::Exists)
    }

    pub(in crate::vfs) fn begun(
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
    pub(in crate::vfs) fn place(&self, path: &VirtualPath) -> Result<Place, FsError> {
        if path.is_directory_s() {
            return Err(FsError::IsADirectory);
        }
        let parent = path.parent();
        let (dir, dir_stat) = self.hold(&parent)?;
        let (home, ids) = (self.home.clone(), self.uploads.ids.clone());
        let folder = Folder { home, path: parent, ids };
        let share = Share::of(&self.uploads.share);
        Ok(Place { dir, dir_stat, folder, name: path.name().to_owned(), share })
    }

    /// The directory of a path, and what has its name there, opened for writing or for
    /// appending alone; links are followed.
    fn existing(
        &self,
        mut place: Place,
        path: &VirtualPath,
        append: bool,
    ) -> Result<(Place, Option<There>), FsError> {
        let mut path = path.clone();
        for _ in 0..LINKS {
            // FIFOs must not hold the session
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
            // all that a file with the attribute +a lets anybody do
            let flags = if append { flags | OFlags::APPEND } else { flags };
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

    pub(in crate::vfs) fn spot(&self, place: &Place) -> Spot {
        Spot { dir: place.dir_id(), mark: Mark::new(&self.uploads.owner, &place.name) }
    }

    /// STOR from the beginning.
    fn replace(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        there: Option<There>,
        mode: u32,
        heed: &mut Heed<'_>,
    ) -> Result<Upload, FsError> {
        let Some(there) = there else { return self.part(path, place, mode, None, false) };
        if let Some(obstacle) = Self::obstacle(&place, &there) {
            let (store, why) = (Store::Replace, Some(obstacle));
            return self.in_place(path, place, there, store, why, None, heed);
        }
        match self.part(path, place.again()?, mode, Some(&there), false) {
            Err(FsError::Denied(why)) => {
                let obstacle = Some(Obstacle::Directory(why));
                self.in_place(path, place, there, Store::Replace, obstacle, None, heed)
            }
            other => other,
        }
    }

    /// What keeps a file from being replaced by a rename.
    fn obstacle(place: &Place, there: &There) -> Option<Obstacle> {
        let (dir, file) = (&place.dir_stat, &there.stat);
        if file.st_dev != dir.st_dev {
            return Some(Obstacle::MountPoint);
        }
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
        let size = len_of(file);
        if size >= LARGE
            && let Ok(room) = fstatvfs(&there.file)
            // some file systems do not know how large they are
            && room.f_blocks > 0
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
        lone: bool,
    ) -> Result<Upload, FsError> {
        let spot = self.spot(&place);
        let parts = &self.uploads.parts;
        let mode = there.map_or(mode, |there| there.stat.st_mode & 0o777);
        let make = |name: &PartName| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(mode);
            openat(&place.dir, os(&name.bytes()), flags | OFlags::CLOEXEC, mode)
        };
        // known before it is there, so that nobody takes it for a dead one
        let mut active =
            parts.enter(spot, place.folder.clone(), parts.name(spot.mark, &place.name, lone));
        parts.note(&place.folder);
        let mut opened = make(&active.name);
        if matches!(opened, Err(Errno::NAMETOOLONG)) {
            // a file system with short names
            parts.leave(spot, &active);
            active = parts.enter(spot, place.folder.clone(), parts.name(spot.mark, b"", lone));
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
        let carried = there.map(|_| mode);
        let part = Part { mode: carried, ..Part::new(place, spot, active) };
        Ok(self.begun(path, Some(file), Way::Part(Box::new(part)), 0))
    }

    /// APPE, and STOR from an offset on, of a file that has no part.
    fn change(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        offset: Option<u64>,
        mode: u32,
        heed: &mut Heed<'_>,
    ) -> Result<Upload, FsError> {
        let turn = Turn::Name(place.dir_id(), place.name.clone());
        let claim = self.uploads.parts.claim(turn, heed)?;
        // who had the claim before may have put another file in its place
        let (place, there) = self.existing(place, path, offset.is_none())?;
        let Some(there) = there else {
            if offset.is_some() {
                return Err(FsError::BadOffset(0));
            }
            let upload = self.part(path, place, mode, None, true)?;
            return Ok(upload.based_on(None, claim));
        };
        let size = len_of(&there.stat);
        let from = offset.unwrap_or(size);
        if from > size {
            return Err(FsError::BadOffset(size));
        }
        let store = offset.map_or(Store::Append(None), Store::At);
        let begun = match Self::obstacle(&place, &there) {
            Some(obstacle) => Err(obstacle),
            None => self.part_from(path, &place, &there, store, heed)?,
        };
        match begun {
            Ok(upload) => Ok(upload.based_on(Some(Version::of(&there.stat)), claim)),
            // the rest of the file would be lost if the transfer failed
            Err(Obstacle::TooLong) if from < size => Err(FsError::BadOffset(size)),
            Err(obstacle) => {
                // what is only added to stays as it is: the rest is cut off if the upload fails
                let obstacle = (from < size).then_some(obstacle);
                self.in_place(path, place, there, store, obstacle, Some(claim), heed)
            }
        }
    }

    /// A part that begins with what is in place: by a clone, which costs nothing, or for what
    /// would be overwritten by a copy.
    fn part_from(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: &Place,
        there: &There,
        store: Store,
        heed: &mut Heed<'_>,
    ) -> Result<Result<Upload, Obstacle>, FsError> {
        let parts = &self.uploads.parts;
        let device = id_of(&there.stat).0;
        let size = len_of(&there.stat);
        let (from, lone) = match store {
            Store::At(offset) => (offset, false),
            Store::Append(_) | Store::Replace => (size, true),
        };
        let may_copy = from < size && from <= MOST_COPIED;
        if !may_copy && !parts.may_clone(device) {
            return Ok(Err(Obstacle::TooLong));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let source =
            openat(&place.dir, os(&place.name), flags | OFlags::CLOEXEC, Mode::empty());
        let source = match source {
            Ok(source) => File::from(source),
            Err(why) => return Ok(Err(Obstacle::Unreadable(why.into()))),
        };
        if id_of(&fstat(&source)?) != id_of(&there.stat) {
            // somebody has put something else in its place meanwhile
            return Err(FsError::Busy);
        }
        let mut upload = match self.part(path, place.again()?, 0, Some(there), lone) {
            Err(FsError::Denied(why)) => return Ok(Err(Obstacle::Directory(why))),
            other => other?,
        };
        let Some(file) = &mut upload.file else { return Err(FsError::NotFound) };
        let cloned = parts.may_clone(device) && {
            let result = ioctl_ficlone(&*file, &source);
            if let Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) = result {
                parts.cannot_clone(device);
            }
            result.is_ok()
        };
        // whoever drops the upload removes its part
        if cloned {
            file.set_len(from)?;
        } else if !may_copy {
            return Ok(Err(Obstacle::TooLong));
        } else {
            copy(&source, file, from, heed)?;
        }
        file.seek(SeekFrom::Start(from))?;
        upload.offset = from;
        Ok(Ok(upload))
    }

    /// Changes the file in place, from an offset on or from the beginning.
    #[expect(clippy::too_many_arguments, reason = "all that is known of the upload by then")]
    fn in_place(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        there: There,
        store: Store,
        obstacle: Option<Obstacle>,
        name: Option<Claim>,
        heed: &mut Heed<'_>,
    ) -> Result<Upload, FsError> {
        let claim = self.uploads.parts.claim(Turn::File(id_of(&there.stat)), heed)?;
        // another upload may have replaced it meanwhile
        if !place.holds(&there.file) {
            return Err(FsError::Busy);
        }
        let former = there.file.metadata()?.len();
        let offset = match store {
            Store::Replace => 0,
            Store::Append(_) => former,
            // another upload has added to it meanwhile, or cut it short
            Store::At(_) if len_of(&there.stat) != former => return Err(FsError::Busy),
            Store::At(offset) => offset,
        };
        let append = store != Store::Replace && offset == former;
        if append {
            // with what others than this server may append meanwhile nothing is lost
            fcntl_setfl(&there.file, OFlags::APPEND | OFlags::NONBLOCK)?;
        }
        let way = InPlace { place, former, append, _claims: (claim, name) };
        let way = Way::InPlace(Box::new(way));
        let mut upload = self.begun(path, Some(there.file), way, offset);
        upload.remark = obstacle.map(|obstacle| obstacle.to_string());
        Ok(upload)
    }
}

impl Place {
    /// The same, to be held once more.
    fn again(&self) -> Result<Self, FsError> {
        let dir = self.dir.try_clone()?;
        let (folder, name) = (self.folder.clone(), self.name.clone());
        Ok(Self { dir, dir_stat: self.dir_stat, folder, name, share: self.share })
    }

    fn dir_id(&self) -> FileId {
        id_of(&self.dir_stat)
    }

    /// Whether the name is this file's.
    pub(in crate::vfs) fn holds(&self, file: &File) -> bool {
        let ours = fstat(file).map(|stat| id_of(&stat));
        let there = lstat(&self.dir, &self.name).map(|stat| id_of(&stat));
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
}

/// Copies the beginning of a file.
fn copy(from: &File, to: &mut File, bytes: u64, heed: &mut Heed<'_>) -> Result<(), FsError> {
    let mut left = bytes;
    while left > 0 {
        let step = left.min(COPIED_AT_ONCE);
        if io::copy(&mut Read::take(from, step), to)? < step {
            // somebody has cut it short meanwhile
            return Err(FsError::Busy);
        }
        left -= step;
        if !heed() {
            return Err(FsError::Interrupted);
        }
    }
    Ok(())
}

/// The names that STOU tries, the wanted one first.
pub(in crate::vfs) fn new_names(
    wanted: &VirtualPath,
) -> impl Iterator<Item = VirtualPath> + '_ {
    (0..NAMES).map(|attempt| {
        let suffix = if attempt == 0 { String::new() } else { format!(".{attempt}") };
        wanted.parent().join(&[wanted.name(), suffix.as_bytes()].concat())
    })
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MountPoint => f.write_str("it is a mount point"),
            Self::HardLinks(links) => write!(f, "it has {links} hard links"),
            Self::Sticky => {
                f.write_str("it belongs to somebody else and its directory is sticky")
            }
            Self::NoRoom => f.write_str("there is no room for a second copy"),
            Self::Directory(why) => write!(f, "no file can be made in its directory: {why}"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::TooLong => f.write_str("it is too long to be copied"),
        }
    }
}
