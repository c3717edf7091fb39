//! The sandbox: the kernel (Landlock) lets the process reach some files and directories and no
//! others, even if a client gains control of it. A process cannot leave its sandbox.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::fs::metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::errno::Errno;

/// What the sandbox allows below a directory, or with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Listing directories.
    List,
    /// Reading.
    Read,
    /// Everything but starting programs.
    Change,
    /// Removing directories that are empty.
    Tidy,
}

/// A sandbox that is being prepared, and that no thread is in yet.
pub struct Sandbox {
    rules: RulesetCreated,
    admitted: Admitted,
}

/// The files and directories that a sandbox allows. They show later whether it allows a path.
#[derive(Debug, Default)]
struct Admitted {
    changes: HashSet<FileId>,
}

/// The device and the inode of a file.
type FileId = (u64, u64);

/// How much of a sandbox the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    /// Whether the kernel enforces all that concerns files.
    pub fully: bool,
    /// The version of Landlock.
    abi: ABI,
}

/// What the sandbox of the process allows. Set when the process enters its sandbox.
static INSIDE: OnceLock<Admitted> = OnceLock::new();

/// Set when a single thread has entered a sandbox of its own.
static ASIDE: OnceLock<()> = OnceLock::new();

/// The oldest version of Landlock that is sufficient. Earlier ones allow no rename between
/// directories.
const LEAST: ABI = ABI::V2;

/// The version of Landlock that is asked for: it also forbids truncating files outside the
/// sandbox.
const FULL: ABI = ABI::V3;

/// The version of Landlock that also forbids signals to processes outside the sandbox, and
/// connections to their abstract Unix sockets. Older versions are sufficient.
const SCOPED: ABI = ABI::V6;

impl Sandbox {
    /// Returns a sandbox that allows nothing yet. No program can be started in it.
    ///
    /// # Errors
    ///
    /// When the kernel has no Landlock, or one that is too old.
    pub fn new() -> Result<Self, String> {
        // the crate asks the kernel here, and hides why the kernel refuses
        Errno::clear();
        let rules = Ruleset::default();
        let errno = Errno::last();
        let rules = rules
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))
            .map_err(|_| unavailable(errno))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(FULL))
            .and_then(|rules| rules.scope(Scope::from_all(SCOPED)))
            .and_then(Ruleset::create)
            .map_err(|why| explained(&why))?;
        Ok(Self { rules, admitted: Admitted::default() })
    }

    /// Allows the file or directory that is at `path` now. A file that replaces it later is not
    /// allowed.
    ///
    /// # Errors
    ///
    /// When it does not exist.
    pub fn allow(mut self, path: &Path, reach: Reach) -> (Self, io::Result<()>) {
        let added = PathFd::new(path).map_err(io::Error::other).and_then(|there| {
            let meta = metadata(path)?;
            let access = reach.access();
            let access =
                if meta.is_dir() { access } else { access & AccessFs::from_file(FULL) };
            (&mut self.rules)
                .add_rule(PathBeneath::new(there, access))
                .map_err(io::Error::other)?;
            Ok((meta.dev(), meta.ino()))
        });
        let added = added.map(|id| match reach {
            Reach::Change => drop(self.admitted.changes.insert(id)),
            Reach::List | Reach::Read | Reach::Tidy => {}
        });
        (self, added)
    }

    /// Puts this thread, and all threads that it starts, into the sandbox.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn enter(self) -> Result<Enforced, String> {
        let (enforced, admitted) = self.restrict()?;
        let _ = INSIDE.set(admitted);
        Ok(enforced)
    }

    /// Puts this thread into the sandbox, for a thread whose sandbox is not that of the server.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn enter_aside(self) -> Result<(), String> {
        self.restrict()?;
        let _ = ASIDE.set(());
        Ok(())
    }

    fn restrict(self) -> Result<(Enforced, Admitted), String> {
        let status = self.rules.restrict_self().map_err(|why| explained(&why))?;
        let LandlockStatus::Available { effective_abi: abi, .. } = status.landlock else {
            return Err("the kernel has no Landlock".to_owned());
        };
        if status.ruleset == RulesetStatus::NotEnforced {
            return Err("the kernel does not enforce it".to_owned());
        }
        let fully = abi >= FULL;
        Ok((Enforced { fully, abi }, self.admitted))
    }
}

/// Whether the process, or one of its threads, is in a sandbox.
pub fn is_in_sandbox() -> bool {
    INSIDE.get().is_some() || ASIDE.get().is_some()
}

/// Whether the sandbox allows changing files below a directory. This depends on where the path
/// leads now: a directory that was mounted or made there after the server started is not
/// allowed.
pub fn may_change_in_sandbox(folder: &Path) -> bool {
    INSIDE.get().is_none_or(|admitted| lies_in(folder, &admitted.changes))
}

/// Whether the sandbox allows changing files in a directory of this device and inode, by a rule
/// for this directory itself rather than for one above it.
pub fn is_of_sandbox(id: FileId) -> bool {
    INSIDE.get().is_none_or(|admitted| admitted.changes.contains(&id))
}

/// Whether a path leads to one of these files and directories, or to something below one.
fn lies_in(path: &Path, those: &HashSet<FileId>) -> bool {
    let is_it = |path: &Path| {
        metadata(path).is_ok_and(|meta| those.contains(&(meta.dev(), meta.ino())))
    };
    if is_it(path) {
        return true;
    }
    match std::fs::canonicalize(path) {
        Ok(real) => real.ancestors().any(is_it),
        // the caller gets the reason when it uses the path
        Err(_) => true,
    }
}

/// Returns why the kernel has no Landlock for this process, and what to do about it.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever a system call may answer")]
fn unavailable(errno: Errno) -> String {
    let why = match errno {
        Errno::EPERM | Errno::EACCES => {
            "a seccomp filter forbids the landlock_* system calls (EPERM); allow them in the \
             unit (SystemCallFilter) or in the container's profile"
        }
        Errno::ENOSYS => {
            "the kernel has no Landlock (ENOSYS): it is older than Linux 5.13 or built without, \
             or a container hides it"
        }
        Errno::EOPNOTSUPP => {
            "Landlock was disabled when the system started (EOPNOTSUPP); name landlock in \
             lsm= on the kernel's command line"
        }
        // no error: the kernel answered with a version that is too old
        Errno::UnknownErrno => "the kernel's Landlock is too old: ABI 2 (Linux 5.19) is needed",
        other => return format!("the kernel refuses Landlock: {}", other.desc()),
    };
    why.to_owned()
}

/// Returns why the crate failed: the error of the system if there is one, or else the crate's
/// own message.
fn explained(why: &(dyn Error + 'static)) -> String {
    let mut cause = Some(why);
    while let Some(one) = cause {
        let errno = one.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let known = [Errno::EPERM, Errno::EACCES, Errno::ENOSYS, Errno::EOPNOTSUPP];
        if let Some(errno) = errno.map(Errno::from_raw).filter(|errno| known.contains(errno)) {
            return unavailable(errno);
        }
        cause = one.source();
    }
    why.to_string()
}

impl Reach {
    fn access(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Self::List => AccessFs::ReadDir.into(),
            Self::Read => read,
            Self::Change => AccessFs::from_all(FULL) & !AccessFs::Execute,
            Self::Tidy => AccessFs::RemoveDir.into(),
        }
    }
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.fully { "enforced" } else { "partly enforced" };
        write!(f, "{how}, Landlock ABI {}", self.abi as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_why_there_is_no_landlock_has_its_own_words() {
        for (errno, word) in [
            (Errno::EPERM, "seccomp filter"),
            (Errno::ENOSYS, "older than Linux 5.13"),
            (Errno::EOPNOTSUPP, "lsm="),
            (Errno::UnknownErrno, "too old"),
            (Errno::ENOMEM, "Out of memory"),
        ] {
            assert!(unavailable(errno).contains(word), "{}", unavailable(errno));
        }
        let later = io::Error::from_raw_os_error(Errno::EPERM as i32);
        assert!(explained(&later).contains("seccomp filter"));
    }
}
