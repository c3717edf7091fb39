//! What one thread may do for a moment.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A capability that the process has kept is of effect as long as this is there.
#[derive(Debug)]
pub struct Raised(Option<CapabilitySets>);

/// Ports below 1024 may be bound, if the process has kept the right to.
pub fn raise_low_ports() -> Raised {
    let wanted = CapabilitySet::NET_BIND_SERVICE;
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
