//! A directory that is identified by paths, for work outside of a session.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat, fstat};

use super::beneath::Root;
use super::home::open_home;
use crate::rights::{self, Acting, Ids};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;

/// A directory in a home, and the system user who works there. It is identified by its path, so
/// it may have been moved or removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::vfs) struct Folder {
    pub(in crate::vfs) home: PathBuf,
    pub(in crate::vfs) path: VirtualPath,
    /// The system user; `None`: the server's own.
    pub(in crate::vfs) ids: Option<Arc<Ids>>,
}

impl Folder {
    /// Returns the path on the server.
    pub(in crate::vfs) fn real(&self) -> PathBuf {
        self.path.real(&self.home)
    }

    /// Lets this thread act as the system user until the result is dropped.
    pub(in crate::vfs) fn act(&self) -> io::Result<Option<Acting>> {
        rights::act_as(self.ids.as_deref())
    }

    /// Does some work as the system user, even if this thread acts as another user now.
    pub(in crate::vfs) fn on_behalf<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        let Some(ids) = &self.ids else { return rights::as_server(work) };
        let _acting = rights::act_as(Some(ids))?;
        Ok(work())
    }

    /// Opens the directory. This needs no session in its home.
    pub(in crate::vfs) fn open(&self) -> Result<(OwnedFd, Stat), FsError> {
        let root = Root::new(open_home(&self.home)?);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = root.open(self.path.below_root(), flags, Mode::empty())?;
        let stat = fstat(&dir)?;
        Ok((dir, stat))
    }
}
