//! The programs that the server runs after events.

use std::path::PathBuf;
use std::sync::Arc;

/// An event after which a program can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An upload is complete.
    Upload,
    /// A download has ended, successful or not.
    Download,
    /// A file was deleted.
    Delete,
    /// A file or directory was renamed.
    Rename,
    /// A user has logged in.
    Login,
}

impl Occasion {
    /// All occasions, in the order of the variants.
    const ALL: [Self; 5] =
        [Self::Upload, Self::Download, Self::Delete, Self::Rename, Self::Login];

    /// Returns the name of the occasion. The name of its key is `on_` followed by this name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Login => "login",
        }
    }
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file of the program.
    pub path: PathBuf,
    /// The arguments.
    pub args: Vec<String>,
}

/// The programs to run, at most one for each occasion.
#[derive(Debug, Clone, Default)]
pub struct Programs([Option<Arc<Program>>; 5]);

impl Programs {
    /// Returns the program for an occasion.
    pub fn of(&self, occasion: Occasion) -> Option<&Arc<Program>> {
        self.0.get(occasion as usize).and_then(Option::as_ref)
    }

    /// Returns all programs.
    pub fn all(&self) -> impl Iterator<Item = &Program> {
        self.0.iter().flatten().map(Arc::as_ref)
    }

    /// Returns all programs with their occasions.
    pub fn by_occasion(&self) -> impl Iterator<Item = (Occasion, &Program)> {
        let of = |occasion| Some((occasion, self.of(occasion)?.as_ref()));
        Occasion::ALL.into_iter().filter_map(of)
    }

    /// Returns whether a program is set for any occasion.
    pub fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    pub(super) fn set(&mut self, occasion: Occasion, program: Option<Arc<Program>>) {
        if let Some(place) = self.0.get_mut(occasion as usize) {
            *place = program;
        }
    }
}
