//! What happens on the server that others can be told of, and the programs that it runs after that.

use std::path::PathBuf;
use std::sync::Arc;

/// A kind of event.
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
    /// A client has made a directory.
    Mkdir,
    /// A user has logged in; also a login that failed, except for programs.
    Login,
    /// A command of a user was refused.
    Refused,
    /// A user from whom uploads are expected has become silent, or has uploaded again.
    Silence,
}

impl Occasion {
    /// All occasions, in the order of the variants.
    pub const ALL: [Self; 8] = [
        Self::Upload,
        Self::Download,
        Self::Delete,
        Self::Rename,
        Self::Mkdir,
        Self::Login,
        Self::Refused,
        Self::Silence,
    ];

    /// Returns the name of the occasion. If a program can be run after it, the name of the key for that is
    /// `on_` followed by this name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Mkdir => "mkdir",
            Self::Login => "login",
            Self::Refused => "refused",
            Self::Silence => "silence",
        }
    }
}

/// A set of occasions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Occasions(u8);

impl Occasions {
    /// Returns whether an occasion belongs to the set.
    pub fn has(self, occasion: Occasion) -> bool {
        self.0 & 1 << occasion as u8 != 0
    }

    /// Adds an occasion.
    pub(super) fn add(&mut self, occasion: Occasion) {
        self.0 |= 1 << occasion as u8;
    }

    /// Returns the set as a number, which is 0 if it is empty.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Returns the set that has this number.
    pub fn of_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file of the program.
    pub path: PathBuf,
    /// The arguments.
    pub args: Vec<String>,
    /// Whether it judges uploads: the file to judge is one more argument.
    pub judges: bool,
}

/// The programs to run, at most one for each occasion.
#[derive(Debug, Clone, Default)]
pub struct Programs([Option<Arc<Program>>; Occasion::ALL.len()]);

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
