//! What of root's power the server keeps, and giving up the rest.

use std::io;

use nix::unistd::{
    Gid, Uid, getgroups, getresgid, getresuid, setgid, setgroups, setresgid, setresuid, setuid,
};
use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
    set_no_new_privs,
};

use super::ids::Ids;
use super::thread::{SWITCH, can_act};

/// What a server keeps when it gives up root.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Ports below 1024, for data connections.
    pub low_ports: bool,
    /// Acting as users of the settings who have one of the system's.
    pub acting: bool,
    /// Giving files away, for homes that are made for those.
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

/// Whether this process could become that user, or is it already.
///
/// # Errors
///
/// In words that follow the name of the user.
pub fn may_become(ids: &Ids) -> Result<(), String> {
    if is(ids) || can_act() {
        return Ok(());
    }
    let me = geteuid().as_raw();
    Err(format!("takes a start as root, and this is uid {me}"))
}

/// Whether the server that becomes `user` will have been started as root, as far as that can be told
/// from who this process is.
pub fn starts_as_root(user: Option<&Ids>) -> bool {
    is_root() || user.is_some_and(|ids| !is(ids))
}

/// Whether this process is root, or could be again.
pub fn is_root() -> bool {
    getresuid()
        .is_ok_and(|now| [now.real, now.effective, now.saved].iter().any(|id| id.is_root()))
}

/// Becomes that user for good: all threads, supplementary groups first and the user last, with no
/// more capabilities than those to keep, which are raised where they are needed. Must come before
/// other threads start, for capabilities are each thread's own.
///
/// # Errors
///
/// When it is not possible, or could be taken back. The process must end then.
pub fn give_up(ids: &Ids, keep: Keep) -> io::Result<()> {
    let keep = keep.capabilities();
    // what programs of hooks could get by their files' bits is as lost
    set_no_new_privs(true)?;
    for capability in CapabilitySet::all().difference(keep).iter() {
        // neither known to each kernel, nor allowed in each container; what is started gains
        // nothing all the same
        let _ = remove_capability_from_bounding_set(capability);
    }
    let changes = !is(ids);
    if changes {
        set_keep_capabilities(true)?;
        let groups: Vec<_> = ids.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        // by way of the C library, which sees to it that each thread does so
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        set_keep_capabilities(false)?;
    }
    // a kernel without them has none to clear
    let _ = clear_ambient_capability_set();
    let permitted = capabilities(None)?.permitted & keep;
    let (effective, inheritable) = (CapabilitySet::empty(), CapabilitySet::empty());
    let left = CapabilitySets { effective, permitted, inheritable };
    set_capabilities(None, left)?;
    if capabilities(None)? != left {
        return Err(io::Error::other("capabilities are left"));
    }
    prove(ids, changes)
}

/// What root needs to serve whoever's files they are; a new version keeps the owner of the old one.
const FILES: CapabilitySet =
    CapabilitySet::CHOWN.union(CapabilitySet::DAC_OVERRIDE).union(CapabilitySet::FOWNER);

/// Gives up what a server that stays root does not need, for good, and returns the names of what is
/// left. Programs of hooks that run as root get what they had before, if there are any. Must come
/// before other threads start, for capabilities are each thread's own.
///
/// # Errors
///
/// The system's.
pub fn shed(keep: Keep, programs: bool) -> io::Result<Vec<String>> {
    let keep = FILES | keep.capabilities();
    if !programs {
        for capability in CapabilitySet::all().difference(keep).iter() {
            // neither known to each kernel, nor allowed in each container
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    // a kernel without them has none to clear
    let _ = clear_ambient_capability_set();
    let left = capabilities(None)?.permitted & keep;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable })?;
    Ok(left.iter_names().map(|(name, _)| format!("CAP_{name}")).collect())
}

/// Whether the process is that user already, in each way.
fn is(ids: &Ids) -> bool {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    getresuid().is_ok_and(|now| [now.real, now.effective, now.saved] == [uid; 3])
        && getresgid().is_ok_and(|now| [now.real, now.effective, now.saved] == [gid; 3])
}

/// Tries to get back what was given up. Who was that user from the start has the groups that it
/// was started with.
fn prove(ids: &Ids, changed: bool) -> io::Result<()> {
    let got_back = setuid(Uid::from_raw(0)).is_ok()
        || setresuid(Uid::from_raw(ids.uid), Uid::from_raw(0), Uid::from_raw(0)).is_ok()
        || (ids.gid != 0 && setgid(Gid::from_raw(0)).is_ok())
        || setgroups(&[Gid::from_raw(0)]).is_ok();
    if got_back || !is(ids) {
        return Err(io::Error::other("it could be had back"));
    }
    let known = |gid: &Gid| ids.groups.contains(&gid.as_raw()) || gid.as_raw() == ids.gid;
    if changed && !getgroups()?.iter().all(known) {
        return Err(io::Error::other("groups are left"));
    }
    Ok(())
}
