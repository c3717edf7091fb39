//! Rules of retention: which files the server removes by itself, the oldest first.

use std::time::Duration;

use super::blank::settings;
use crate::config::value::Room;

/// What one section says about a rule that a folder takes from the folder around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice<T> {
    /// The section does not set the key.
    #[default]
    Unset,
    /// There is no such rule here, whatever the folder around it says.
    Off,
    /// The rule, with its limit.
    On(T),
}

settings! {
    /// What one section says about retention. A folder has only what its own section sets: its files
    /// do not count for the same rule of the folder around it.
    #[derive(PartialEq, Eq)]
    pub struct KeepRules {
        /// Age from which files are removed.
        pub keep_for: Choice<Duration> = Choice::Unset,
        /// Number of bytes beyond which the oldest files are removed.
        pub keep_bytes: Choice<u64> = Choice::Unset,
        /// Number of files beyond which the oldest are removed.
        pub keep_files: Choice<u64> = Choice::Unset,
        /// Free space below which the oldest files are removed.
        pub min_free: Choice<Room> = Choice::Unset,
    }
}

impl<T> Choice<T> {
    /// Makes the choice of a section that sets the key. `None` is off.
    pub(in crate::config) fn of(value: Option<T>) -> Self {
        value.map_or(Self::Off, Self::On)
    }

    /// Whether there is a rule.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// Whether the section sets the key.
    pub fn is_set(&self) -> bool {
        !matches!(self, Self::Unset)
    }
}

impl KeepRules {
    /// Whether there is any rule.
    pub fn any(&self) -> bool {
        self.by_key().into_iter().any(|(_, is_on)| is_on)
    }

    /// Returns for each key whether the section sets it, and whether that is a rule.
    pub fn by_key(&self) -> [(bool, bool); 4] {
        let Self { keep_for, keep_bytes, keep_files, min_free } = self;
        [
            (keep_for.is_set(), keep_for.is_on()),
            (keep_bytes.is_set(), keep_bytes.is_on()),
            (keep_files.is_set(), keep_files.is_on()),
            (min_free.is_set(), min_free.is_on()),
        ]
    }
}
