//! The programs that are started when something has happened.

use std::path::PathBuf;
use std::sync::Arc;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An upload is in place.
    Upload,
    /// A download has ended, well or not.
    Download,
    /// A file was deleted.
    Delete,
    /// A file or directory was renamed.
    Rename,
    /// A user has logged in.
    Login,
}

impl Occasion {
    /// Every one of them.
    const ALL: [Self; 5] =
        [Self::Upload, Self::Download, Self::Delete, Self::Rename, Self::Login];

    /// The key that names its program is this behind `on_`.
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

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What it is told.
    pub args: Vec<String>,
}

/// One for each occasion, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Programs([Option<Arc<Program>>; 5]);

impl Programs {
    /// The program for an occasion.
    pub fn of(&self, occasion: Occasion) -> Option<&Arc<Program>> {
        self.0.get(occasion as usize).and_then(Option::as_ref)
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &Program> {
        self.0.iter().flatten().map(Arc::as_ref)
    }

    /// Each of them, with what it is for.
    pub fn by_occasion(&self) -> impl Iterator<Item = (Occasion, &Program)> {
        let of = |occasion| Some((occasion, self.of(occasion)?.as_ref()));
        Occasion::ALL.into_iter().filter_map(of)
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    pub(super) fn set(&mut self, occasion: Occasion, program: Option<Arc<Program>>) {
        if let Some(place) = self.0.get_mut(occasion as usize) {
            *place = program;
        }
    }
}
