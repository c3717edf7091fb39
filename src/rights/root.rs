//! Giving up the rights of root, except for the capabilities that the server needs.

use std::io;

use nix::unistd::{
    Gid, Uid, getgroups, getresgid, getresuid, setgid, setgroups, setresgid, setresuid, setuid,
};
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
    set_no_new_privs,
};

use super::ids::Ids;
use super::thread::{SWITCH, can_act};

/// The capabilities that a server keeps when it gives up root.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Using ports below 1024, for data connections.
    pub low_ports: bool,
    /// Acting as other users of the system, for users with `run_as`.
    pub acting: bool,
    /// Giving away files, for homes that are made for users with `run_as`.
    pub ownership: bool,
}

impl Keep {
    fn capabilities(self) -> CapabilitySet {
        let none = CapabilitySet::empty();
        let ports = if self.low_ports { CapabilitySet::NET_BIND_SERVICE } else { none };
        let ownership = if self.ownership { CapabilitySet::CHOWN } else { none };
        ports | ownership | if self.acting { SWITCH } else { none }
    }
}

/// Checks whether this process could become a user, or is that user already.
///
/// # Errors
///
/// A message that continues a sentence which begins with the name of the user.
pub fn may_become(ids: &Ids) -> Result<(), String> {
    if is(ids) || can_act() {
        return Ok(());
    }
    let me = geteuid().as_raw();
    Err(format!("requires a start as root, but this process has uid {me}"))
}

/// Whether the server that becomes `user` is started as root, as far as this process can tell:
/// it is root itself, or is not `user`.
pub fn starts_as_root(user: Option<&Ids>) -> bool {
    is_root() || user.is_some_and(|ids| !is(ids))
}

/// Whether this process is root, or could be again.
pub fn is_root() -> bool {
    getresuid()
        .is_ok_and(|now| [now.real, now.effective, now.saved].iter().any(|id| id.is_root()))
}

/// Makes the process become a user for good. Only the capabilities in `keep` remain; they have
/// no effect until they are raised. This must be called before other threads start, because
/// each thread has capabilities of its own.
///
/// # Errors
///
/// When the system refuses, or when the change could be undone. The process must end then.
pub fn give_up(ids: &Ids, keep: Keep) -> io::Result<()> {
    let keep = keep.capabilities();
    // programs of hooks cannot get capabilities by set-user-ID bits either
    set_no_new_privs(true)?;
    for capability in CapabilitySet::all().difference(keep).iter() {
        // some kernels do not know a capability, and some containers forbid this; programs that
        // are started gain nothing anyway
        let _ = remove_capability_from_bounding_set(capability);
    }
    let changes = !is(ids);
    if changes {
        set_keep_capabilities(true)?;
        let groups: Vec<_> = ids.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        // these functions of the C library change all threads
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        set_keep_capabilities(false)?;
    }
    // this fails on a kernel without ambient capabilities
    let _ = clear_ambient_capability_set();
    let permitted = capabilities(None)?.permitted & keep;
    let (effective, inheritable) = (CapabilitySet::empty(), CapabilitySet::empty());
    let left = CapabilitySets { effective, permitted, inheritable };
    set_capabilities(None, left)?;
    if capabilities(None)? != left {
        return Err(io::Error::other("some capabilities remain"));
    }
    prove(ids, changes)
}

/// The capabilities that root needs to serve files of any user. CHOWN gives a new version of a
/// file to the owner of the old one.
const FILES: CapabilitySet =
    CapabilitySet::CHOWN.union(CapabilitySet::DAC_OVERRIDE).union(CapabilitySet::FOWNER);

/// Gives up, for good, the capabilities that a server which stays root does not need. Returns
/// the names of those that remain. With `programs`, hook programs still run with all
/// capabilities. This must be called before other threads start, because each thread has
/// capabilities of its own.
///
/// # Errors
///
/// When the system refuses.
pub fn shed(keep: Keep, programs: bool) -> io::Result<Vec<String>> {
    let keep = FILES | keep.capabilities();
    if !programs {
        for capability in CapabilitySet::all().difference(keep).iter() {
            // some kernels do not know a capability, and some containers forbid this
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    // this fails on a kernel without ambient capabilities
    let _ = clear_ambient_capability_set();
    let left = capabilities(None)?.permitted & keep;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable })?;
    Ok(left.iter_names().map(|(name, _)| format!("CAP_{name}")).collect())
}

/// Keeps processes of the same user from reading and changing the memory of this process, and
/// the kernel from writing it to a core file: it holds passwords and keys. Root still can.
///
/// This must be called after root was given up, because the kernel sets this anew then.
///
/// # Errors
///
/// When the system refuses.
pub fn hide_memory() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Whether the real, effective and saved ids of the process are those of the user.
fn is(ids: &Ids) -> bool {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    getresuid().is_ok_and(|now| [now.real, now.effective, now.saved] == [uid; 3])
        && getresgid().is_ok_and(|now| [now.real, now.effective, now.saved] == [gid; 3])
}

/// Proves that the process cannot become root again, by trying. The groups are checked only if
/// they were changed: a process that was the user from the start keeps the groups it was
/// started with.
fn prove(ids: &Ids, changed: bool) -> io::Result<()> {
    let got_back = setuid(Uid::from_raw(0)).is_ok()
        || setresuid(Uid::from_raw(ids.uid), Uid::from_raw(0), Uid::from_raw(0)).is_ok()
        || (ids.gid != 0 && setgid(Gid::from_raw(0)).is_ok())
        || setgroups(&[Gid::from_raw(0)]).is_ok();
    if got_back || !is(ids) {
        return Err(io::Error::other("the process could become root again"));
    }
    let known = |gid: &Gid| ids.groups.contains(&gid.as_raw()) || gid.as_raw() == ids.gid;
    if changed && !getgroups()?.iter().all(known) {
        return Err(io::Error::other("some groups remain"));
    }
    Ok(())
}
