//! Permission letters, used by the settings of users and by the command table.
//!
//! The letters are those of pyftpdlib, so that an administrator who knows that library can reuse
//! them.

use std::fmt;

/// Something that a user may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perm {
    /// `e`: change the working directory.
    Enter,
    /// `l`: list directories and ask for sizes and times.
    List,
    /// `r`: retrieve files.
    Retrieve,
    /// `a`: append to files.
    Append,
    /// `d`: delete files and directories.
    Delete,
    /// `f`: rename files and directories.
    Rename,
    /// `m`: make directories.
    MakeDir,
    /// `w`: store files.
    Store,
    /// `M`: change modes.
    Chmod,
    /// `T`: set modification times.
    SetTime,
}

impl Perm {
    /// Every permission, in the order in which the letters are usually written.
    pub const ALL: [Self; 10] = [
        Self::Enter,
        Self::List,
        Self::Retrieve,
        Self::Append,
        Self::Delete,
        Self::Rename,
        Self::MakeDir,
        Self::Store,
        Self::Chmod,
        Self::SetTime,
    ];

    /// Returns the letter of the permission.
    pub const fn letter(self) -> char {
        match self {
            Self::Enter => 'e',
            Self::List => 'l',
            Self::Retrieve => 'r',
            Self::Append => 'a',
            Self::Delete => 'd',
            Self::Rename => 'f',
            Self::MakeDir => 'm',
            Self::Store => 'w',
            Self::Chmod => 'M',
            Self::SetTime => 'T',
        }
    }

    /// Returns the text for the log when a user does not have the permission.
    pub fn lacking(self) -> String {
        format!("the user lacks the permission letter '{}'", self.letter())
    }

    /// Whether the permission is for making, changing, removing or renaming an entry of a directory.
    const fn changes_entries(self) -> bool {
        match self {
            Self::Append | Self::Delete | Self::Rename | Self::MakeDir | Self::Store => true,
            Self::Enter | Self::List | Self::Retrieve | Self::Chmod | Self::SetTime => false,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The permissions of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermSet(u16);

impl PermSet {
    /// Reads letters such as `elr`.
    ///
    /// # Errors
    ///
    /// Returns the first character that is not a permission letter.
    pub fn parse(letters: &str) -> Result<Self, char> {
        letters.chars().try_fold(Self::default(), |set, letter| {
            let perm = Perm::ALL.into_iter().find(|perm| perm.letter() == letter);
            perm.map(|perm| Self(set.0 | perm.bit())).ok_or(letter)
        })
    }

    /// Returns whether the set allows any change to files or directories.
    pub fn writes(self) -> bool {
        let reads = [Perm::Enter, Perm::List, Perm::Retrieve];
        Perm::ALL.into_iter().any(|perm| self.has(perm) && !reads.contains(&perm))
    }

    /// Returns the permissions that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the permissions that are in one of the sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the set without a permission.
    #[must_use]
    pub const fn without(self, perm: Perm) -> Self {
        Self(self.0 & !perm.bit())
    }

    /// Returns the set without permissions to change entries that the directory of the entries does not
    /// give.
    pub(super) fn limited_to(self, directory: Self) -> Self {
        let changes = Perm::ALL.into_iter().filter(|perm| perm.changes_entries());
        changes.filter(|perm| !directory.has(*perm)).fold(self, Self::without)
    }

    /// Returns whether the set contains nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the set as a number.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Returns whether the set contains a permission.
    pub const fn has(self, perm: Perm) -> bool {
        self.0 & perm.bit() != 0
    }
}

impl fmt::Display for PermSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Perm::ALL
            .into_iter()
            .filter(|&perm| self.has(perm))
            .try_for_each(|perm| write!(f, "{}", perm.letter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_stands_for_one_permission() {
        for perm in Perm::ALL {
            let set = PermSet::parse(&perm.letter().to_string()).unwrap();
            for other in Perm::ALL {
                assert_eq!(set.has(other), other == perm);
            }
        }
    }

    #[test]
    fn an_unknown_letter_is_given_back() {
        assert_eq!(PermSet::parse("elx"), Err('x'));
    }

    #[test]
    fn letters_are_printed_in_the_usual_order() {
        assert_eq!(PermSet::parse("TMwmfdarle").unwrap().to_string(), "elradfmwMT");
    }
}
