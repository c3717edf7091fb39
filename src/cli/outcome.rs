//! How a subcommand ends, and its exit status.

use std::ffi::OsString;

/// Exit status: the subcommand has failed.
pub(super) const FAILED: u8 = 1;

/// Exit status: the command line is invalid.
pub(super) const USAGE: u8 = 2;

/// Exit status: a hook program cannot be started. Shells use this status for the same purpose.
pub(super) const CANNOT_START: u8 = 127;

/// Exit status: the settings have faults (`EX_CONFIG` of sysexits.h).
pub(super) const BAD_CONFIG: u8 = 78;

/// Why a subcommand has stopped before its end.
pub(super) enum Stop {
    /// The user asked for the help of this subcommand.
    Help,
    /// The user asked for the help of the named subcommand; `None`: for the list of all.
    HelpOn(Option<OsString>),
    /// The user asked for the completions of this shell.
    Completions(String),
    /// The user asked for the version.
    Version,
    /// The command line is invalid.
    Misuse(String),
    /// The subcommand does not have this option.
    BadFlag(String),
    /// The subcommand has failed.
    Failed(String),
    /// The running server has refused the request.
    Refused(String),
    /// The settings have faults, which have been printed already.
    BadConfig,
}

impl From<lexopt::Error> for Stop {
    fn from(why: lexopt::Error) -> Self {
        Self::Misuse(why.to_string())
    }
}
