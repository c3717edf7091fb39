//! The faults of the settings, and their locations.

use std::fmt;
use std::path::PathBuf;

/// One fault of the settings, printed in a form that an editor can jump to:
/// `etc/ftpd.ini:12: [server] max_cons: 'many' is not a whole number`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the administrator named it.
    pub file: PathBuf,
    /// The location in the file.
    pub place: Location,
    /// The variable of the environment that is at fault; `None`: a line of the file is.
    pub variable: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// A location in the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// Index of the file: 0 is `ftpd.ini`, the others are those of `users_file`.
    pub file: usize,
    /// Line number from 1; 0 means the file as a whole. The numbers of variables of the environment
    /// come after those of all lines.
    pub line: usize,
    /// Name of the section, without brackets.
    pub section: Option<String>,
    /// Name of the key, in lower case.
    pub key: Option<String>,
}

impl Location {
    /// Makes the location of a key in `ftpd.ini`.
    pub(super) fn of(line: usize, section: &str, key: &str) -> Self {
        let (section, key) = (Some(section.to_owned()), Some(key.to_owned()));
        Self { file: 0, line, section, key }
    }
}

/// A fault in the settings. No variant contains a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The file cannot be read, for this reason.
    Unreadable(String),
    /// A line is not a comment, a section header or `key = value`.
    NotAnEntry,
    /// A section header has no closing bracket, or has text after it.
    BadSectionLine,
    /// A line is not UTF-8.
    NotText,
    /// A key comes before the first section.
    OutsideSection,
    /// The section appears a second time; the first is on this line.
    RepeatedSection(usize),
    /// The key appears a second time in its section; the first is on this line.
    RepeatedKey(usize),
    /// The variable sets the same as this other one.
    RepeatedVariable(String),
    /// The variable is about the same user as this other one, under another name.
    SameUser(String),
    /// The variable may set this key of one user, or that key of another user.
    Ambiguous([(String, String); 2]),
    /// The name of the variable contains no name of a user.
    NobodyNamed,
    /// The key cannot be set together with this one.
    Rival(&'static str),
    /// The user has another section, at this location.
    RepeatedUser(String),
    /// A file of `users_file` has a section that is not the section of a user.
    NotAUser,
    /// The section is unknown. Contains the name of the most similar section, if there is one.
    UnknownSection(Option<String>),
    /// The key is unknown. Contains the name of the most similar key, if there is one.
    UnknownKey(Option<String>),
    /// The key belongs in this other section.
    Misplaced(&'static str),
    /// A required key is missing.
    Missing,
    /// The value, and what is wrong with it: "is not a whole number".
    Value(String, String),
    /// A home does not exist: the value, the whole path, and the reason from the system.
    Absent(String, PathBuf, String),
    /// The value is invalid and must not be shown. Contains what is wrong with it.
    Secret(&'static str),
    /// A remark for the administrator.
    Note(String),
    /// A template names another template.
    TemplateOfTemplate,
    /// The key needs a certificate, and there is none.
    NeedsCertificate,
    /// No user could log in.
    NobodyCanLogIn,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variable) = &self.variable {
            return write!(f, "{}: {}", variable.escape_debug(), self.fault);
        }
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
            Self::BadSectionLine => f.write_str("expected '[section]' and nothing after it"),
            Self::NotText => f.write_str("expected UTF-8 text"),
            Self::OutsideSection => f.write_str("comes before the first '[section]'"),
            Self::RepeatedSection(line) | Self::RepeatedKey(line) => {
                write!(f, "is already on line {line}")
            }
            Self::RepeatedVariable(other) => {
                write!(f, "sets the same as {}", other.escape_debug())
            }
            Self::SameUser(other) => {
                write!(f, "is about the same user as {}", other.escape_debug())
            }
            Self::Ambiguous(ways) => f.write_str(&ambiguous(ways)),
            Self::NobodyNamed => f.write_str("names no user; expected FTPD_USER_NAME_KEY"),
            Self::Rival(other) => write!(f, "cannot be set together with '{other}'"),
            Self::RepeatedUser(place) => write!(f, "is already in {place}"),
            Self::NotAUser => f.write_str(
                "users_file may contain only '[user:NAME]' and '[folder:USER:/path]' sections",
            ),
            Self::UnknownSection(near) => {
                f.write_str("unknown section; expected '[server]' or '[user:NAME]'")?;
                near.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean '[{near}]'?"))
            }
            Self::UnknownKey(near) => {
                f.write_str("unknown key")?;
                near.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean '{near}'?"))
            }
            Self::Misplaced(home) => write!(f, "belongs in {home}"),
            Self::Missing => f.write_str("is missing"),
            Self::Absent(read, _, why) => {
                write!(f, "'{}' is not a directory: {why}", read.escape_debug())
            }
            Self::Value(read, why) => write!(f, "'{}' {why}", read.escape_debug()),
            Self::Secret(why) => f.write_str(why),
            Self::Note(text) => f.write_str(text),
            Self::TemplateOfTemplate => {
                f.write_str("a template cannot be based on another template")
            }
            Self::NeedsCertificate => f.write_str("needs a tls_cert"),
            Self::NobodyCanLogIn => f.write_str(
                "no user can log in: no '[user:NAME]' section, and enable_anonymous is off",
            ),
        }
    }
}

fn ambiguous([(key, user), (other, another)]: &[(String, String); 2]) -> String {
    format!(
        "sets either {key} of the user '{}' or {other} of the user '{}'; give one of them another \
         name with FTPD_USER_X_NAME",
        user.escape_debug(),
        another.escape_debug()
    )
}
