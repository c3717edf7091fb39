//! How a subcommand ends, and the exit status that says so.

use std::ffi::OsString;

/// Something failed while running.
pub(super) const FAILED: u8 = 1;

/// The command line is not understood.
pub(super) const USAGE: u8 = 2;

/// What shells say of a program that cannot be started.
pub(super) const CANNOT_START: u8 = 127;

/// The configuration is at fault (`EX_CONFIG` of sysexits.h).
pub(super) const BAD_CONFIG: u8 = 78;

/// Why a command line is not carried out.
pub(super) enum Stop {
    /// The help of this subcommand is asked for.
    Help,
    /// The help of that subcommand is asked for, or the list of all.
    HelpOn(Option<OsString>),
    /// The version is asked for.
    Version,
    /// It is not understood.
    Misuse(String),
    /// An option that the subcommand does not have.
    BadFlag(String),
    /// It was tried, and this went wrong.
    Failed(String),
    /// The running server has refused it.
    Refused(String),
    /// The settings have faults, which have been reported.
    BadConfig,
}

impl From<lexopt::Error> for Stop {
    fn from(why: lexopt::Error) -> Self {
        Self::Misuse(why.to_string())
    }
}
