//! Where the settings come from.

use std::path::PathBuf;

use crate::config::Config;

/// Where the settings come from, and what is started with them outside of the server.
pub struct SettingsSource {
    /// Reads and checks them; or says every fault.
    pub load: Box<Load>,
    /// Lets the log go where they say.
    pub start_log: Box<StartLog>,
    /// The file that they stand in.
    pub file: Option<PathBuf>,
    /// A folder in which one is removed at the end.
    pub tidies: Option<PathBuf>,
}

type Load = dyn Fn() -> Result<Config, Vec<String>> + Send + Sync;
type StartLog = dyn Fn(&Config) -> Result<(), String> + Send + Sync;
