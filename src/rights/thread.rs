//! Acting as another user on one thread, and raising a capability of one thread for a moment.
//!
//! For the kernel, each thread has user numbers, groups and capabilities of its own. A thread
//! that acts as a user has that user's groups and effective numbers, which decide about opening
//! and making files, and no effective capability. Its real numbers stay the server's, so that
//! it can change back, and so that the user's own programs cannot signal or trace it.

use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

use nix::unistd::getgroups;
use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::ids::Ids;

/// The capabilities that acting as another user requires.
pub(super) const SWITCH: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// The identity that all threads of the server have. Set by [`settle`].
static OWN: OnceLock<Identity> = OnceLock::new();

/// The user, groups and capabilities that a thread has when it opens files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    effective: CapabilitySet,
}

/// Makes the thread act as another user as long as this value lives. It cannot move to another
/// thread.
#[derive(Debug)]
#[must_use]
pub struct Acting {
    back: Identity,
    here: PhantomData<*const ()>,
}

/// Records the present identity of this thread as the one that all threads of the server have.
///
/// # Errors
///
/// When the system refuses.
pub fn settle() -> io::Result<()> {
    let _ = OWN.set(Identity::now()?);
    Ok(())
}

/// Gives up all capabilities of this thread and of the threads that it starts, for good. Those
/// of root stay: root needs them to read files of others.
///
/// # Errors
///
/// When the system refuses.
pub fn drop_capabilities() -> io::Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(set_capabilities(None, sets)?)
}

/// Whether this thread has the server's identity, and acts as no other user.
pub fn is_settled() -> bool {
    OWN.get().is_none_or(|own| Identity::now().is_ok_and(|now| now == *own))
}

/// Whether threads can act as other users.
pub fn can_act() -> bool {
    capabilities(None).is_ok_and(|sets| sets.permitted.contains(SWITCH))
}

/// Makes this thread act as a user until the returned value is dropped. With `None`, only
/// checks that the thread acts as no other user.
///
/// # Errors
///
/// When the system refuses. The thread then has its former identity, or [`is_settled`] returns
/// false.
pub fn act_as(ids: Option<&Ids>) -> io::Result<Option<Acting>> {
    let Some(ids) = ids else {
        let why = || io::Error::other("the thread still acts as another user");
        return if is_settled() { Ok(None) } else { Err(why()) };
    };
    let groups = ids.groups.iter().copied().map(Gid::from_raw);
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    let effective = CapabilitySet::empty();
    Identity { uid, gid, groups: groups.collect(), effective }.enter().map(Some)
}

/// Whether the system keeps the set-group-ID bit of a file of this group when this thread
/// changes the file's mode. It does if the thread is in the group or has the capability FSETID.
pub fn may_set_gid(gid: u32) -> bool {
    let able = |sets: CapabilitySets| sets.effective.contains(CapabilitySet::FSETID);
    has_group(gid) || capabilities(None).is_ok_and(able)
}

/// Returns whether this thread acts with a group.
pub fn has_group(gid: u32) -> bool {
    getegid().as_raw() == gid
        || getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
}

/// Calls `work` with the server's identity, even if this thread acts as another user.
///
/// # Errors
///
/// When the thread cannot get back the server's identity.
pub fn as_server<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let own = OWN.get().filter(|own| own.uid != geteuid() || own.gid != getegid());
    let _acting = own.map(|own| own.clone().enter()).transpose()?;
    Ok(work())
}

impl Identity {
    /// Returns the present identity of this thread.
    fn now() -> io::Result<Self> {
        let groups = getgroups()?.into_iter().map(|gid| Gid::from_raw(gid.as_raw()));
        Ok(Self {
            uid: geteuid(),
            gid: getegid(),
            groups: sorted(groups.collect()),
            effective: capabilities(None)?.effective,
        })
    }

    /// Gives this thread this identity until the returned value is dropped.
    fn enter(self) -> io::Result<Acting> {
        let back = Self::now()?;
        let acting = Acting { back, here: PhantomData };
        // if this fails halfway, dropping `acting` restores the former identity
        self.set()?;
        Ok(acting)
    }

    /// Gives this thread this identity: groups first, the user last. Fails if the thread does
    /// not have it afterwards.
    fn set(&self) -> io::Result<()> {
        let before = capabilities(None)?;
        let able = before.effective | (SWITCH & before.permitted);
        set_capabilities(None, CapabilitySets { effective: able, ..before })?;
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(None, self.gid, None)?;
        set_thread_res_uid(None, self.uid, None)?;
        let after = capabilities(None)?;
        set_capabilities(None, CapabilitySets { effective: self.effective, ..after })?;
        let wanted = Self { groups: sorted(self.groups.clone()), ..self.clone() };
        if Self::now()? == wanted {
            Ok(())
        } else {
            Err(io::Error::other("the thread does not have the identity that was set"))
        }
    }
}

/// Returns the groups as the kernel reports them: sorted.
fn sorted(groups: Vec<Gid>) -> Vec<Gid> {
    let mut sorted: Vec<Gid> = Vec::with_capacity(groups.len());
    for group in groups {
        let at = sorted.partition_point(|other| other.as_raw() < group.as_raw());
        if sorted.get(at) != Some(&group) {
            sorted.insert(at, group);
        }
    }
    sorted
}

impl Drop for Acting {
    fn drop(&mut self) {
        // `is_settled` now returns false, and the thread serves no other client
        if let Err(why) = self.back.set() {
            log::error!("a thread cannot change back from uid {}: {why}", geteuid().as_raw());
        }
    }
}

/// Makes a capability that the process has kept effective as long as this value lives.
#[derive(Debug)]
pub struct Raised(Option<CapabilitySets>);

/// Lets this thread bind ports below 1024, if the process has kept that capability.
pub fn raise_low_ports() -> Raised {
    raise(CapabilitySet::NET_BIND_SERVICE)
}

/// Lets this thread give files to other users, if the process has kept that capability.
pub fn raise_ownership() -> Raised {
    raise(CapabilitySet::CHOWN)
}

fn raise(wanted: CapabilitySet) -> Raised {
    let Ok(before) = capabilities(None) else { return Raised(None) };
    if before.effective.contains(wanted) || !before.permitted.contains(wanted) {
        return Raised(None);
    }
    let more = CapabilitySets { effective: before.effective | wanted, ..before };
    Raised(set_capabilities(None, more).is_ok().then_some(before))
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = self.0
            && let Err(why) = set_capabilities(None, before)
        {
            log::error!("cannot lower a capability again: {why}");
        }
    }
}

/// Lets programs that this thread starts become other users as long as this value lives.
#[derive(Debug)]
pub struct Lent(Option<CapabilitySets>);

/// Lends the capabilities for becoming another user to the programs that this thread starts.
/// Without that, a program that root does not start has no capabilities.
///
/// # Errors
///
/// When the system refuses.
pub fn lend_switch() -> io::Result<Lent> {
    if geteuid().is_root() {
        return Ok(Lent(None));
    }
    let before = capabilities(None)?;
    let inheritable = before.inheritable | (SWITCH & before.permitted);
    set_capabilities(None, CapabilitySets { inheritable, ..before })?;
    let lent = Lent(Some(before));
    for capability in SWITCH.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(lent)
}

/// Keeps what [`lend_switch`] has lent to this process, but without effect until it is lent on or
/// used, and gives up all other capabilities. Those of root stay.
///
/// # Errors
///
/// When the system refuses.
pub fn keep_lent() -> io::Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    // this fails on a kernel without ambient capabilities
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let before = capabilities(None)?;
    let permitted = before.permitted & SWITCH;
    let kept = CapabilitySets { effective: none, permitted, inheritable: none };
    // a filter of system calls may forbid even what changes nothing
    if before == kept {
        return Ok(());
    }
    Ok(set_capabilities(None, kept)?)
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(before) = self.0 else { return };
        let cleared = clear_ambient_capability_set();
        if let Err(why) = cleared.and_then(|()| set_capabilities(None, before)) {
            log::error!("cannot take back capabilities from started programs: {why}");
        }
    }
}
