//! The topmost directory of a file system inside a home, which has the trash.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, fstat, openat, statx};
use rustix::io::Errno;

use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::Tree;
use crate::vfs::tree::place::{Place, as_path};

/// Flags to open a directory only for lookups.
pub(super) const HOLD: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The topmost directory of a file system inside a home.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) dir: OwnedFd,
    /// The names that lead from it to the directory of a place.
    pub(super) below: Vec<Vec<u8>>,
    /// Its path in the home, if no table of mounts shows it: it is a subvolume.
    pub(super) subvolume: Option<VirtualPath>,
}

/// What a rename does not lead out of: a device, as one mount shows it. The number of the mount is 0 if
/// the kernel does not tell (before Linux 5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Realm {
    device: (u32, u32),
    mount: u64,
}

impl Top {
    /// Finds the topmost directory above a place. The way down from the home to the place passes each
    /// mount once, so that the first directory on it with the realm of the place is the topmost one.
    pub(super) fn of(tree: &Tree, place: &Place) -> Result<Self, FsError> {
        let wanted = Realm::of(&place.dir)?;
        let mut dir = openat(tree.root(), ".", HOLD, Mode::empty())?;
        let home = Realm::of(&dir)?;
        let path = tree.followed(&place.parent)?;
        let names: Vec<_> = path.parts().filter(|name| !name.is_empty()).collect();
        for passed in 0..=names.len() {
            let (above, below) = names.split_at_checked(passed).unwrap_or_default();
            if let Some(name) = above.last() {
                dir = openat(&dir, as_path(name), HOLD, Mode::empty())?;
            }
            if Realm::of(&dir)? == wanted {
                let path = || VirtualPath::root().join(&above.join(&b'/'));
                let subvolume = (wanted != home && wanted.mount == home.mount).then(path);
                let below = below.iter().map(|name| name.to_vec()).collect();
                return Ok(Self { dir, below, subvolume });
            }
        }
        // the directory was moved meanwhile
        Err(FsError::Replaced)
    }
}

/// Whether a rename does not lead from one directory to the other.
pub(super) fn is_other_realm(one: impl AsFd, other: impl AsFd) -> bool {
    match (Realm::of(one), Realm::of(other)) {
        (Ok(one), Ok(other)) => one != other,
        (Ok(_) | Err(_), _) => false,
    }
}

impl Realm {
    fn of(dir: impl AsFd) -> Result<Self, FsError> {
        let asked = StatxFlags::MNT_ID | StatxFlags::TYPE;
        match statx(&dir, "", AtFlags::EMPTY_PATH, asked) {
            Ok(stat) => {
                let is_told = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
                let mount = if is_told { stat.stx_mnt_id } else { 0 };
                return Ok(Self { device: (stat.stx_dev_major, stat.stx_dev_minor), mount });
            }
            // the kernel is older than 4.11, or the call is forbidden
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
            Err(why) => return Err(why.into()),
        }
        let device = fstat(&dir)?.st_dev;
        let device = (rustix::fs::major(device), rustix::fs::minor(device));
        Ok(Self { device, mount: 0 })
    }
}
