//! The system user that the process runs as, and the rights of root that it keeps.
//!
//! Only this room changes user and group numbers and capabilities, puts the process into a
//! sandbox, looks up users of the system, and decides which links root follows to the server's
//! own files. It uses no other room, since the settings and the log use it.

mod aside;
mod folders;
mod held;
mod ids;
mod root;
mod sandbox;
mod thread;
mod walk;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::fchown;

use rustix::process::geteuid;

pub use aside::{Lookup, look_up, look_up_until, take_lookups};
pub use folders::make_folder;
pub use held::{Held, may_follow, open, read};
pub use ids::{Ids, group, home_of};
pub use root::{Keep, give_up, hide_memory, is_root, may_become, shed, starts_as_root};
pub use sandbox::{
    Enforced, Reach, Sandbox, is_in_sandbox, is_of_sandbox, may_change_in_sandbox,
};
pub use thread::{
    Acting, Lent, Raised, act_as, as_server, can_act, drop_capabilities, has_group, is_settled,
    keep_lent, lend_switch, may_set_gid, raise_low_ports, raise_ownership, settle,
};

/// Gives a file that root has just made to the user `to`. Does nothing if this process is not
/// root, since the file belongs to its user already.
///
/// # Errors
///
/// When the system refuses.
pub fn hand_over(file: impl AsFd, to: Option<&Ids>) -> io::Result<()> {
    match to.filter(|_| geteuid().is_root()) {
        Some(ids) => fchown(file, Some(ids.uid), Some(ids.gid)),
        None => Ok(()),
    }
}

/// Returns a message that says why a thread cannot be started.
pub fn thread_fault(why: &io::Error) -> String {
    if why.kind() != io::ErrorKind::PermissionDenied {
        return why.to_string();
    }
    format!(
        "{why}: the system call clone3 is refused, as old container runtimes do (Docker before \
         20.10.10, libseccomp before 2.5); update the runtime, or run the container with \
         --security-opt seccomp=unconfined"
    )
}
