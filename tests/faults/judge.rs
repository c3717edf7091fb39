//! What must hold after a call has failed.

use crate::link::End;
use crate::paths::Must;
use crate::state::{State, difference};
use crate::tracer::Fault;

/// An error that is injected, and what the system calls it.
pub struct Error {
    pub name: &'static str,
    /// The text that the log must hold.
    pub text: &'static str,
    /// The text by which the C library names it.
    pub message: &'static str,
    /// Whether the client may try again: a reply of 4yz.
    pub passes: bool,
}

const fn error(
    name: &'static str,
    text: &'static str,
    message: &'static str,
    passes: bool,
) -> Error {
    Error { name, text, message, passes }
}

/// All errors.
pub static ERRORS: &[Error] = &[
    error("EIO", "os error 5)", "Input/output error", true),
    error("ENOSPC", "os error 28)", "No space left on device", true),
    // RFC 959: 552, exceeded storage allocation
    error("EDQUOT", "os error 122)", "Disk quota exceeded", false),
    error("EMFILE", "os error 24)", "Too many open files", true),
    error("ENOMEM", "os error 12)", "Cannot allocate memory", true),
    error("EINTR", "os error 4)", "Interrupted system call", true),
    error("EACCES", "os error 13)", "Permission denied", false),
    error("ESTALE", "os error 116)", "Stale file handle", true),
];

/// What was on the disk and what the client received, without a fault.
pub struct Reference {
    pub before: State,
    pub after: State,
    pub received: Vec<u8>,
}

/// What came of a case.
pub struct Case<'a> {
    pub fault: &'a Fault,
    pub error: &'a Error,
    pub end: &'a End,
    pub found: &'a State,
    /// The lines of the log since the case began.
    pub log: &'a str,
    pub must: Must,
    /// The call as strace shows it.
    pub call: &'a str,
}

impl Case<'_> {
    /// Returns what is wrong.
    pub fn faults(&self, reference: &Reference) -> Vec<String> {
        let mut faults = Vec::new();
        let is_old = *self.found == reference.before;
        let is_new = *self.found == reference.after;
        match self.end {
            End::Done(received) => {
                if !is_new && !self.is_in_place() {
                    let what = difference(&reference.after, self.found);
                    faults.push(format!("success, but on the disk: {what}"));
                }
                let may_lack = self.must == Must::LeaveOut
                    && ["newfstatat", "fstat", "openat2"].contains(&self.fault.call.as_str())
                    && matches!(self.error.name, "EACCES" | "ESTALE");
                if *received != reference.received && !may_lack {
                    let (len, all) = (received.len(), reference.received.len());
                    faults.push(format!("success, but {len} bytes received of {all}"));
                }
            }
            End::Refused(code, reply) => {
                let may_stay = matches!(self.must, Must::Tear | Must::Report);
                if !is_old && !may_stay && !self.is_too_late() {
                    let what = difference(&reference.before, self.found);
                    faults.push(format!("{code}, but on the disk: {what}"));
                }
                // nobody is accepted while each call fails
                let is_shut = self.fault.call == "accept4" && self.fault.nth.is_none();
                let is_silent = *code == 0 && !is_shut;
                if is_silent || (self.error.passes && *code >= 500) {
                    faults.push(format!("not the right class: {reply}"));
                }
            }
            // the client was told nothing, so both are right
            End::Lost => {
                if !is_old && !is_new && self.must != Must::Tear {
                    let what = difference(&reference.before, self.found);
                    faults.push(format!("half done: {what}"));
                }
                if !self.is_of_the_control_connection() {
                    faults.push("the control connection was closed".to_owned());
                }
            }
        }
        if self.must == Must::Serve && !matches!(self.end, End::Done(_)) {
            faults.push("the client is not served".to_owned());
        }
        // the C library reports EAGAIN when the kernel has no memory for a thread
        let is_thread = ["mmap", "mprotect", "clone3"].contains(&self.fault.call.as_str());
        let is_told = self.must == Must::Report
            && matches!(self.end, End::Refused(_, reply) if reply.contains(self.error.text));
        let is_named = is_told
            || self.log.contains(self.error.text)
            || is_thread && self.log.contains("os error 11)");
        if !matches!(self.end, End::Done(_)) && !is_named {
            faults.push("the log does not name the cause".to_owned());
        }
        if self.log.contains("panicked") {
            faults.push("panic".to_owned());
        }
        faults
    }

    /// Whether the server writes to the file in place because it may not make a part beside it, as
    /// documented. An upload that breaks off then leaves what has arrived.
    fn is_in_place(&self) -> bool {
        self.error.name == "EACCES" && self.log.contains("is written to in place")
    }

    /// Whether the call syncs the directory after the rename, which cannot be taken back.
    fn is_too_late(&self) -> bool {
        self.fault.call == "fsync"
    }

    /// Whether a session cannot go on without this call.
    fn is_of_the_control_connection(&self) -> bool {
        self.call.contains("<socket:")
            || self.call.contains("<TCP:")
            || self.call.contains("poll")
    }
}
