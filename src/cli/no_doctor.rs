//! Takes the place of `ftpd doctor` in a build without the feature `client`.

use std::process::ExitCode;

use super::arguments::Arguments;
use super::outcome::Stop;
use crate::config::Config;

/// Says why the subcommand is missing.
pub(super) fn run(_: Arguments) -> Result<ExitCode, Stop> {
    let why = "this build has no 'ftpd doctor'; build it with the cargo feature 'client'";
    Err(Stop::Failed(why.to_owned()))
}

/// Suspects nothing.
pub(super) fn suspicion(_: &Config) -> Option<String> {
    None
}
