//! What one thread does as somebody else, or may do for a moment.
//!
//! For the kernel user numbers, groups and capabilities are each thread's own. A thread that acts
//! as a user has that user's effective numbers (those that files are opened and made with) and
//! groups, and no capability is of effect; the real numbers stay the server's, so that it finds
//! the way back, and so that the user's own programs cannot get at it.

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

/// What it takes to act as somebody else.
pub(super) const SWITCH: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// What each thread of the server is from [`settle`] on.
static OWN: OnceLock<Identity> = OnceLock::new();

/// Who a thread is when it opens files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    effective: CapabilitySet,
}

/// The thread acts as somebody else as long as this is there. It stays on that thread.
#[derive(Debug)]
#[must_use]
pub struct Acting {
    back: Identity,
    here: PhantomData<*const ()>,
}

/// From now on what this thread is holds as what each thread of the server should be.
///
/// # Errors
///
/// The system's.
pub fn settle() -> io::Result<()> {
    let _ = OWN.set(Identity::now()?);
    Ok(())
}

/// Whether this thread is what it should be while it acts as nobody else.
pub fn is_settled() -> bool {
    OWN.get().is_none_or(|own| Identity::now().is_ok_and(|now| now == *own))
}

/// Whether threads can act as somebody else.
pub fn can_act() -> bool {
    capabilities(None).is_ok_and(|sets| sets.permitted.contains(SWITCH))
}

/// Acts as that user, files and directories alike; without one, sees to it that this thread acts
/// as nobody.
///
/// # Errors
///
/// When it cannot be. The thread is what it was then, or not settled.
pub fn act_as(ids: Option<&Ids>) -> io::Result<Option<Acting>> {
    let Some(ids) = ids else {
        let why = || io::Error::other("the thread still acts as somebody else");
        return if is_settled() { Ok(None) } else { Err(why()) };
    };
    let groups = ids.groups.iter().copied().map(Gid::from_raw);
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    let effective = CapabilitySet::empty();
    Identity { uid, gid, groups: groups.collect(), effective }.enter().map(Some)
}

/// Whether the system leaves the set-group-ID bit to a file of this group whose mode this thread
/// changes: it does for those in the group, and for who has a capability.
pub fn may_set_gid(gid: u32) -> bool {
    let able = |sets: CapabilitySets| sets.effective.contains(CapabilitySet::FSETID);
    getegid().as_raw() == gid
        || getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
        || capabilities(None).is_ok_and(able)
}

/// Does something with the server's own files, whoever this thread acts as.
///
/// # Errors
///
/// When the thread cannot act as the server.
pub fn as_server<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let own = OWN.get().filter(|own| own.uid != geteuid() || own.gid != getegid());
    let _acting = own.map(|own| own.clone().enter()).transpose()?;
    Ok(work())
}

impl Identity {
    fn now() -> io::Result<Self> {
        let groups = getgroups()?.into_iter().map(|gid| Gid::from_raw(gid.as_raw()));
        Ok(Self {
            uid: geteuid(),
            gid: getegid(),
            groups: sorted(groups.collect()),
            effective: capabilities(None)?.effective,
        })
    }

    fn enter(self) -> io::Result<Acting> {
        let back = Self::now()?;
        let acting = Acting { back, here: PhantomData };
        // when it goes wrong on the way, the way back is gone by the drop
        self.set()?;
        Ok(acting)
    }

    /// Groups first and the user last; and then it must be so.
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
            Err(io::Error::other("the thread is not what it should be"))
        }
    }
}

/// The kernel sorts them.
fn sorted(mut groups: Vec<Gid>) -> Vec<Gid> {
    groups.sort_unstable_by_key(|gid| gid.as_raw());
    groups.dedup();
    groups
}

impl Drop for Acting {
    fn drop(&mut self) {
        // a thread that is not settled takes no other client
        if let Err(why) = self.back.set() {
            log::error!("a thread stays uid {}: {why}", geteuid().as_raw());
        }
    }
}

/// A capability that the process has kept is of effect as long as this is there.
#[derive(Debug)]
pub struct Raised(Option<CapabilitySets>);

/// Ports below 1024 may be bound, if the process has kept the right to.
pub fn raise_low_ports() -> Raised {
    raise(CapabilitySet::NET_BIND_SERVICE)
}

/// Files may be given to others, if the process has kept the right to.
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
            log::error!("a capability stays: {why}");
        }
    }
}

/// Programs that this thread starts can become another user as long as this is there.
#[derive(Debug)]
pub struct Lent(Option<CapabilitySets>);

/// Lends what it takes to become somebody else to the programs that this thread starts: one that is
/// not root's would have none of it otherwise.
///
/// # Errors
///
/// The system's.
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

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(before) = self.0 else { return };
        let cleared = clear_ambient_capability_set();
        if let Err(why) = cleared.and_then(|()| set_capabilities(None, before)) {
            log::error!("capabilities stay lent: {why}");
        }
    }
}
