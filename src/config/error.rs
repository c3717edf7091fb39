//! What can be wrong with `ftpd.ini`, and where.

use std::fmt;
use std::path::PathBuf;

/// One fault of the file, printed in the form that an editor can jump to:
/// `etc/ftpd.ini:12: [server] max_cons: 'many' is not a whole number`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as the administrator named it.
    pub file: PathBuf,
    /// Where in the file.
    pub place: Location,
    /// What is wrong there.
    pub fault: Fault,
}

/// A place in the settings. Line 0 is the file as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// Which of the files: 0 is `ftpd.ini`, the others those of `users_file`.
    pub file: usize,
    /// Line number, from 1.
    pub line: usize,
    /// Section name, without brackets.
    pub section: Option<String>,
    /// Key, in lower case.
    pub key: Option<String>,
}

impl Location {
    /// A key of a section.
    pub(super) fn of(line: usize, section: &str, key: &str) -> Self {
        let (section, key) = (Some(section.to_owned()), Some(key.to_owned()));
        Self { file: 0, line, section, key }
    }
}

/// What is wrong. No variant carries a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The file cannot be read; the system's reason.
    Unreadable(String),
    /// A line that is neither comment, section nor `key = value`.
    NotAnEntry,
    /// A section line without its closing bracket, or with text behind it.
    BadSectionLine,
    /// A line that is not UTF-8.
    NotText,
    /// A key before the first section.
    OutsideSection,
    /// The section was there already, on this line.
    RepeatedSection(usize),
    /// The key was there already, on this line.
    RepeatedKey(usize),
    /// The user has a section in another file, at this place.
    RepeatedUser(String),
    /// A section that is not a user's, in a file of `users_file`.
    NotAUser,
    /// No such section.
    UnknownSection(Option<String>),
    /// No such key; the nearest one that exists.
    UnknownKey(Option<String>),
    /// A key of `[server]` in a user's section, or the other way round.
    Misplaced(&'static str),
    /// A key that a user must have.
    Missing,
    /// The value read, and what was expected instead: "is not a whole number".
    Value(String, String),
    /// A home that does not exist: the value read, the whole path, and the system's reason.
    Absent(String, PathBuf, String),
    /// A value that must not be shown, and what is wrong with it.
    Secret(&'static str),
    /// What an administrator should know, in full.
    Note(String),
    /// A template that names another one.
    TemplateOfTemplate,
    /// TLS is asked for, and there is no certificate.
    NeedsCertificate,
    /// Nobody could log in.
    NobodyCanLogIn,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.place.line > 0 {
            write!(f, "{}:", self.place.line)?;
        }
        if let Some(section) = &self.place.section {
            write!(f, " [{}]", section.escape_debug())?;
        }
        if let Some(key) = &self.place.key {
            write!(f, " {}:", key.escape_debug())?;
        }
        write!(f, " {}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::NotAnEntry => f.write_str("expected '[section]', 'key = value' or a comment"),
            Self::BadSectionLine => f.write_str("expected '[section]' and nothing behind it"),
            Self::NotText => f.write_str("expected UTF-8 text"),
            Self::OutsideSection => f.write_str("stands before the first '[section]'"),
            Self::RepeatedSection(line) | Self::RepeatedKey(line) => {
                write!(f, "stands already on line {line}")
            }
            Self::RepeatedUser(place) => write!(f, "stands already in {place}"),
            Self::NotAUser => {
                f.write_str("only '[user:NAME]' sections may stand in users_file")
            }
            Self::UnknownSection(near) => {
                f.write_str("unknown section; expected '[server]' or '[user:NAME]'")?;
                near.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean '[{near}]'?"))
            }
            Self::UnknownKey(near) => {
                f.write_str("unknown key")?;
                near.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean '{near}'?"))
            }
            Self::Misplaced(home) => write!(f, "belongs into {home}"),
            Self::Missing => f.write_str("is missing"),
            Self::Absent(read, _, why) => {
                write!(f, "'{}' is not a directory: {why}", read.escape_debug())
            }
            Self::Value(read, why) => write!(f, "'{}' {why}", read.escape_debug()),
            Self::Secret(why) => f.write_str(why),
            Self::Note(text) => f.write_str(text),
            Self::TemplateOfTemplate => f.write_str("a template cannot be like another one"),
            Self::NeedsCertificate => f.write_str("needs a tls_cert"),
            Self::NobodyCanLogIn => {
                f.write_str("no '[user:NAME]' section, and enable_anonymous is off")
            }
        }
    }
}
