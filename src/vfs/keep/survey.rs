//! Walks through a home, and counts the files that rules apply to.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FileType, Stat};

use super::plan::Home;
use super::rules::{Candidate, Governing, Round};
use crate::config::KEEP_KEYS;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::beneath::Root;
use crate::vfs::tree::entry::{blocks_of, changed, id_of, len_of};
use crate::vfs::tree::names::{is_part, is_reserved};
use crate::vfs::tree::place::is_mount_point;
use crate::vfs::tree::walk::{Found, Next, Visitor, walk};

/// What a walk could not look at: the directory, and why.
pub(super) type Overlooked = Vec<(PathBuf, String)>;

/// Counts the files of a home in `round`. `index` is the index of the home. Returns what could not
/// be looked at, or `None` if the walk was ended by `stops`.
pub(super) fn survey(
    (index, home): (usize, &Home),
    root: &Root,
    round: &mut Round,
    stops: &dyn Fn() -> bool,
) -> Result<Option<Overlooked>, FsError> {
    let mut visitor = Survey {
        index,
        home,
        round,
        stops,
        folder: Arc::new(VirtualPath::root()),
        rules: [None; KEEP_KEYS],
        devices: HashMap::new(),
        in_trash: false,
        overlooked: Vec::new(),
    };
    let is_over = walk(root, &VirtualPath::root(), &mut visitor)?;
    Ok(is_over.then_some(visitor.overlooked))
}

struct Survey<'s> {
    index: usize,
    home: &'s Home,
    round: &'s mut Round,
    stops: &'s dyn Fn() -> bool,
    /// The directory that is being read.
    folder: Arc<VirtualPath>,
    /// The rules that apply in it.
    rules: Governing,
    /// The file system of each section that the walk has come to. The rules of a section apply on
    /// this file system alone.
    devices: HashMap<usize, u64>,
    /// Whether the directory is in a trash, whose files only count.
    in_trash: bool,
    overlooked: Overlooked,
}

impl Survey<'_> {
    fn note(&mut self, folder: &VirtualPath, why: &str) {
        self.overlooked.push((folder.real(&self.home.path), why.to_owned()));
    }

    /// Whether the walk enters a directory. It leaves the file system only for a folder that has
    /// rules of its own.
    fn enters(&mut self, found: &Found<'_>) -> bool {
        let path = found.path();
        if !self.home.kept.reaches(path.as_bytes()) {
            return false;
        }
        let is_mounted = found.stat.st_dev != found.dir_stat.st_dev
            || is_mount_point(found.dir, found.name).unwrap_or_default();
        if is_mounted && !self.home.kept.is_section(path.as_bytes()) {
            self.note(&path, "something is mounted there; its files stay, unless a section of its own says otherwise");
            return false;
        }
        true
    }
}

impl Visitor for Survey<'_> {
    fn begin(&mut self, folder: &VirtualPath, stat: &Stat) {
        let device = id_of(stat).0;
        let owner = owner_of_trash(folder);
        self.in_trash = owner.is_some();
        let governing = self.home.governing(owner.as_ref().unwrap_or(folder).as_bytes());
        for (to, found) in self.rules.iter_mut().zip(governing) {
            // a section comes first in the walk with the folder that it names
            let own = found.map(|(section, _)| *self.devices.entry(section).or_insert(device));
            *to = found.filter(|_| own == Some(device)).map(|(_, rule)| rule);
        }
        self.folder = Arc::new(folder.clone());
    }

    fn entry(&mut self, found: &Found<'_>) -> Next {
        if self.in_trash {
            if !found.is_directory() {
                let (size, device) = (len_of(&found.stat), id_of(found.dir_stat).0);
                self.round.add_trash(&self.rules, size, device);
            }
            return Next::Enter;
        }
        if is_reserved(found.name) {
            let counts = found.is_directory() && !is_part(found.name);
            return if counts && self.round.has(&self.rules) {
                Next::Enter
            } else {
                Next::Skip
            };
        }
        if found.is_directory() {
            return if self.enters(found) { Next::Enter } else { Next::Skip };
        }
        let stat = &found.stat;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !(kind.is_file() || kind.is_symlink()) || !self.round.has(&self.rules) {
            return Next::Skip;
        }
        let (rules, stored, size) = (self.rules, changed(stat), len_of(stat));
        let make = || Candidate {
            stored,
            size,
            blocks: blocks_of(stat),
            #[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
            links: stat.st_nlink as u64,
            id: id_of(stat),
            home: self.index,
            folder: Arc::clone(&self.folder),
            name: found.name.to_owned(),
            rules,
        };
        self.round.add(&rules, stored, size, make);
        Next::Skip
    }

    fn read(&mut self, _: &VirtualPath) -> bool {
        !(self.stops)()
    }

    fn failed(&mut self, folder: &VirtualPath, why: FsError) {
        self.note(folder, &why.to_string());
    }
}

/// Returns the directory that a trash belongs to, if a directory is that trash or lies in it.
fn owner_of_trash(folder: &VirtualPath) -> Option<VirtualPath> {
    let parts: Vec<_> = folder.parts().collect();
    let at = parts.iter().position(|part| is_reserved(part))?;
    let above = parts.get(..at).unwrap_or_default().join(&b'/');
    Some(VirtualPath::root().join(&above))
}
