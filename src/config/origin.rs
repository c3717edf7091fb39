//! Where settings come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;

/// Where settings come from: a file, and the environment, which overrides the file.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The settings file; `None`: all settings come from the environment.
    pub file: Option<PathBuf>,
    /// The variables of the environment that set keys.
    pub environment: Arc<Environment>,
}

impl Origin {
    /// Makes the origin of settings that come from a file alone.
    pub fn file(file: &Path) -> Self {
        Self { file: Some(file.to_owned()), environment: Arc::default() }
    }

    /// Returns the name of the file for messages, or a word for the environment.
    pub fn shown(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("environment"))
    }

    /// Returns the directory that relative paths start from: that of the file, or the working
    /// directory.
    pub(super) fn folder(&self) -> PathBuf {
        let folder = self.file.as_deref().and_then(Path::parent);
        let folder = folder.filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }
}
