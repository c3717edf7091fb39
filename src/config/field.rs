//! The field that a key sets, and the sections in which the key may appear.

use super::error::Fault;
use super::kind::{Given, ValueKind};
use super::settings::{FolderRules, Rules, Server, User};

/// The sections in which a key may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only `[server]`.
    Server,
    /// `[user:NAME]`, `[template:NAME]` and `[anonymous]`.
    User,
    /// Only `[folder:/path]` and `[folder:USER:/path]`.
    Folder,
    /// `[server]` and the sections of users. `[server]` sets the value for users that do not set their own.
    Both,
}

impl Scope {
    /// Returns whether the sections of users may contain the key.
    pub fn has_users(self) -> bool {
        matches!(self, Self::User | Self::Both)
    }

    /// Returns whether `[server]` may contain the key.
    pub fn has_server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }
}

/// The structs that the values of a section are written to.
pub(super) enum Target<'a> {
    Server(&'a mut Server, &'a mut Rules),
    User(&'a mut User),
    Folder(&'a mut FolderRules),
}

/// A field of the settings, with the kind of its values.
pub(super) trait Field: Sync {
    /// Returns the sections that may set the field.
    fn scope(&self) -> Scope;

    /// Returns whether the section of a folder may set the field as well.
    fn is_for_folders(&self) -> bool {
        false
    }

    /// Returns a description of the valid values.
    fn describe(&self) -> String;

    /// Reads a value and writes it to `target`, if the target has the field.
    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault>;
}

/// A field that `[server]` sets.
pub(super) struct InServer<V: 'static>(pub(super) ValueKind<V>, pub(super) fn(&mut Server, V));

/// A field that the section of a user sets.
pub(super) struct InUser<V: 'static>(pub(super) ValueKind<V>, pub(super) fn(&mut User, V));

/// A field that `[server]` sets for every user, and the section of a user only for that user.
pub(super) struct AlsoPerUser<V: 'static>(
    pub(super) ValueKind<V>,
    pub(super) fn(&mut Rules, V),
);

/// A field that `[server]` sets for every user, the section of a user for that user, and the section of
/// a folder only for that folder.
pub(super) struct AlsoPerFolder<V: 'static>(
    pub(super) ValueKind<V>,
    pub(super) fn(&mut FolderRules, V),
);

/// A field that the section of a user sets, and the section of a folder only for that folder.
pub(super) struct InUserAndFolder<V: 'static>(
    pub(super) ValueKind<V>,
    pub(super) fn(&mut FolderRules, V),
);

/// A field that only the section of a folder sets.
pub(super) struct InFolder<V: 'static>(
    pub(super) ValueKind<V>,
    pub(super) fn(&mut FolderRules, V),
);

impl<V: Clone + Sync> Field for InServer<V> {
    fn scope(&self) -> Scope {
        Scope::Server
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        let value = self.0.read(given)?;
        if let Target::Server(server, _) = target {
            (self.1)(server, value);
        }
        Ok(())
    }
}

impl<V: Clone + Sync> Field for InUser<V> {
    fn scope(&self) -> Scope {
        Scope::User
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        let value = self.0.read(given)?;
        if let Target::User(user) = target {
            (self.1)(user, value);
        }
        Ok(())
    }
}

impl<V: Clone + Sync> Field for AlsoPerUser<V> {
    fn scope(&self) -> Scope {
        Scope::Both
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        let value = self.0.read(given)?;
        let rules = match target {
            Target::Server(_, rules) => rules,
            Target::User(user) => &mut user.rules,
            Target::Folder(_) => return Ok(()),
        };
        (self.1)(rules, value);
        Ok(())
    }
}

impl<V: Clone + Sync> Field for AlsoPerFolder<V> {
    fn scope(&self) -> Scope {
        Scope::Both
    }

    fn is_for_folders(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        let value = self.0.read(given)?;
        let rules = match target {
            Target::Server(_, rules) => &mut rules.folder,
            Target::User(user) => &mut user.rules.folder,
            Target::Folder(rules) => rules,
        };
        (self.1)(rules, value);
        Ok(())
    }
}

impl<V: Clone + Sync> Field for InUserAndFolder<V> {
    fn scope(&self) -> Scope {
        Scope::User
    }

    fn is_for_folders(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        let value = self.0.read(given)?;
        let rules = match target {
            Target::Server(..) => return Ok(()),
            Target::User(user) => &mut user.rules.folder,
            Target::Folder(rules) => rules,
        };
        (self.1)(rules, value);
        Ok(())
    }
}

impl<V: Clone + Sync> Field for InFolder<V> {
    fn scope(&self) -> Scope {
        Scope::Folder
    }

    fn is_for_folders(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        let value = self.0.read(given)?;
        if let Target::Folder(rules) = target {
            (self.1)(rules, value);
        }
        Ok(())
    }
}
