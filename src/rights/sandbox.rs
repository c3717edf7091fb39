//! The sandbox: from a moment on the kernel (Landlock) lets the process reach some folders and
//! nothing else, whatever it is tricked into. It cannot be left again.

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
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};
use nix::errno::Errno;

/// What may be done below a folder, or with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Seeing the names in folders.
    List,
    /// Reading.
    Read,
    /// Anything but starting programs.
    Change,
    /// Removing empty folders.
    Tidy,
    /// Reading, and starting programs.
    Run,
}

/// A sandbox in the making.
pub struct Sandbox {
    rules: RulesetCreated,
    admitted: Admitted,
}

/// What was let in, to say so of others that they were not.
#[derive(Debug, Default)]
struct Admitted {
    changes: HashSet<FileId>,
    runs: HashSet<FileId>,
}

/// Device and inode.
type FileId = (u64, u64);

/// How much of it the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    /// All that was asked for.
    pub fully: bool,
    /// The version of Landlock.
    abi: ABI,
}

/// Once the process is in a sandbox.
static INSIDE: OnceLock<Admitted> = OnceLock::new();

/// Once a thread that does something else is in a sandbox of its own.
static ASIDE: OnceLock<()> = OnceLock::new();

/// Without it nothing could be moved from one folder to another.
const LEAST: ABI = ABI::V2;

/// From this one on nothing outside can be cut short either.
const FULL: ABI = ABI::V3;

impl Sandbox {
    /// Nothing may be reached yet.
    ///
    /// # Errors
    ///
    /// When the kernel has no Landlock that would do.
    pub fn new() -> Result<Self, String> {
        // the crate asks the kernel here, and does not pass on why it says no
        Errno::clear();
        let rules = Ruleset::default();
        let errno = Errno::last();
        let rules = rules
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))
            .map_err(|_| unavailable(errno))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(FULL))
            .and_then(Ruleset::create)
            .map_err(|why| explained(&why))?;
        Ok(Self { rules, admitted: Admitted::default() })
    }

    /// Lets something be reached: what is there now, and not what may come to be there.
    ///
    /// # Errors
    ///
    /// When it is not there.
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
            Reach::Run => drop(self.admitted.runs.insert(id)),
            Reach::List | Reach::Read | Reach::Tidy => {}
        });
        (self, added)
    }

    /// Goes in, with this thread and all that it starts.
    ///
    /// # Errors
    ///
    /// When the kernel does not let it.
    pub fn enter(self) -> Result<Enforced, String> {
        let (enforced, admitted) = self.restrict()?;
        let _ = INSIDE.set(admitted);
        Ok(enforced)
    }

    /// Goes in with a thread that does something else than the server, and all that it starts.
    ///
    /// # Errors
    ///
    /// When the kernel does not let it.
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
        let fully = status.ruleset == RulesetStatus::FullyEnforced;
        Ok((Enforced { fully, abi }, self.admitted))
    }
}

/// Whether the process, or a thread of it, is in a sandbox.
pub fn is_in_sandbox() -> bool {
    INSIDE.get().is_some() || ASIDE.get().is_some()
}

/// Whether files below a folder may change as far as the sandbox goes. Looks where the path leads
/// now: what was mounted or made there since the start is not what was let in then.
pub fn may_change_in_sandbox(folder: &Path) -> bool {
    INSIDE.get().is_none_or(|admitted| lies_in(folder, &admitted.changes))
}

/// The same for a folder that is open, by device and inode, if it is one that was let in by itself.
pub fn is_of_sandbox(id: FileId) -> bool {
    INSIDE.get().is_none_or(|admitted| admitted.changes.contains(&id))
}

/// The same for starting a program.
pub fn may_start_in_sandbox(program: &Path) -> bool {
    INSIDE.get().is_none_or(|admitted| lies_in(program, &admitted.runs))
}

fn lies_in(path: &Path, those: &HashSet<FileId>) -> bool {
    let is_it = |path: &Path| {
        metadata(path).is_ok_and(|meta| those.contains(&(meta.dev(), meta.ino())))
    };
    if is_it(path) {
        return true;
    }
    match std::fs::canonicalize(path) {
        Ok(real) => real.ancestors().any(is_it),
        // whoever uses it meets the reason
        Err(_) => true,
    }
}

/// Why the kernel has no Landlock for this process, in words that say what to do.
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
        // it answered with its version
        Errno::UnknownErrno => "the kernel's Landlock is too old: ABI 2 (Linux 5.19) is needed",
        other => return format!("the kernel refuses Landlock: {}", other.desc()),
    };
    why.to_owned()
}

/// A failure further on, by the system's reason where there is one.
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
            Self::Run => read | AccessFs::Execute,
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
