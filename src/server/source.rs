//! How the server reads its settings.

use std::path::PathBuf;

use crate::config::Config;

/// How the settings are read, and how the log is started with them.
pub struct SettingsSource {
    /// Reads and checks the settings, or returns all faults.
    pub load: Box<Load>,
    /// Starts the log as the settings say.
    pub start_log: Box<StartLog>,
    /// The settings file.
    pub file: Option<PathBuf>,
    /// The parent of a temporary directory that is removed when the server ends. The sandbox
    /// must allow the removal.
    pub tidies: Option<PathBuf>,
}

type Load = dyn Fn() -> Result<Config, Vec<String>> + Send + Sync;
type StartLog = dyn Fn(&Config) -> Result<(), String> + Send + Sync;
