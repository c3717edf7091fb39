//! Settings that are being read, with the faults found so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::error::{ConfigError, Fault, Location};
use super::explain::Explained;
use super::ini;
use super::keys::{KEYS, Key};
use super::origin::Origin;
use super::settings::{Rules, Server, User};

/// A configuration that is being read, with the faults found so far.
pub(super) struct Draft {
    /// `ftpd.ini` and the files of `users_file`, with their modes. The last one is being read.
    pub(super) files: Vec<(PathBuf, u32)>,
    /// Whether the first of `files` is a file, and not a word for the environment.
    pub(super) has_file: bool,
    pub(super) folder: PathBuf,
    /// The variables that override the lines of the files.
    pub(super) environment: Arc<Environment>,
    pub(super) server: Server,
    pub(super) rules: Rules,
    pub(super) users: Vec<Candidate>,
    /// The file and the line of each user's section.
    pub(super) places: HashMap<String, (usize, usize)>,
    /// The sections `[template:NAME]`, by name.
    pub(super) templates: HashMap<String, Arc<Template>>,
    /// The sections of folders.
    pub(super) folders: Vec<FolderSection>,
    /// The sections of folders for all users, once their names have been read.
    pub(super) for_all: Vec<Named>,
    /// The section `[anonymous]`.
    pub(super) anonymous: Option<ini::Section>,
    pub(super) lines: HashMap<&'static str, usize>,
    pub(super) texts: HashMap<&'static str, String>,
    pub(super) faults: Vec<(Location, Fault)>,
    /// The values that were read, if they are wanted.
    pub(super) explained: Option<Vec<Explained>>,
}

/// A user that has been read and not yet checked together with the other settings.
pub(super) struct Candidate {
    pub(super) name: String,
    /// Index of the file with the user's section.
    pub(super) file: usize,
    /// The line of the section; 0 if there is no section.
    pub(super) line: usize,
    /// The line of the password; that of the section if the section does not set a password.
    pub(super) password_line: usize,
    pub(super) user: User,
}

impl Candidate {
    /// Returns the name of the user's section.
    pub(super) fn section(&self) -> String {
        match self.user.password {
            Some(_) => format!("user:{}", self.name),
            None => ANONYMOUS_SECTION.to_owned(),
        }
    }

    /// Returns the location of a key of the user's section.
    pub(super) fn place(&self, line: usize, key: &str) -> Location {
        Location { file: self.file, ..Location::of(line, &self.section(), key) }
    }
}

/// A section `[template:NAME]`, whose keys apply to all users that name it in `like`.
pub(super) struct Template {
    pub(super) section: ini::Section,
    /// Keys whose values have been reported as faults.
    pub(super) faulty: Vec<&'static str>,
}

/// A section `[folder:/path]` or `[folder:USER:/path]`.
pub(super) struct FolderSection {
    /// Index of the file with the section.
    pub(super) file: usize,
    pub(super) section: ini::Section,
}

/// The section of a folder, once its name has been read.
#[derive(Debug)]
pub(super) struct Named {
    /// The path that clients see.
    pub(super) path: String,
    /// Index of the file with the section.
    pub(super) file: usize,
    pub(super) section: ini::Section,
}

/// Name of the section of the anonymous users.
pub(super) const ANONYMOUS_SECTION: &str = "anonymous";

impl Draft {
    pub(super) fn new(origin: &Origin, mode: u32) -> Self {
        Self {
            files: vec![(origin.shown().to_owned(), mode)],
            has_file: origin.file.is_some(),
            folder: origin.folder(),
            environment: Arc::clone(&origin.environment),
            server: Server::blank(),
            rules: Rules::blank(),
            users: Vec::new(),
            places: HashMap::new(),
            templates: HashMap::new(),
            folders: Vec::new(),
            for_all: Vec::new(),
            anonymous: None,
            lines: HashMap::new(),
            texts: HashMap::new(),
            faults: Vec::new(),
            explained: None,
        }
    }

    pub(super) fn fault(
        &mut self,
        section: &ini::Section,
        entry: Option<&ini::Assignment>,
        fault: Fault,
    ) {
        let place = Location {
            // the file that is being read
            file: self.files.len() - 1,
            line: entry.map_or(section.line, |entry| entry.line),
            section: Some(section.name.clone()),
            key: entry.map(|entry| entry.key.clone()),
        };
        self.faults.push((place, fault));
    }

    /// Adds a fault of a key that the section itself does not set.
    pub(super) fn fault_of_key(&mut self, section: &ini::Section, key: &str, fault: Fault) {
        let place = Location::of(section.line, &section.name, key);
        // the file that is being read
        self.faults.push((Location { file: self.files.len() - 1, ..place }, fault));
    }

    /// Returns a location as text, for messages that are needed after the files have been read.
    pub(super) fn spot(&self, file: usize, line: usize, section: &str, key: &str) -> String {
        let place = Location { file, ..Location::of(line, section, key) };
        if let Some(variable) = self.environment.variable(&place) {
            return variable;
        }
        format!("{}: [{section}] {key}", self.file_and_line(file, line))
    }

    /// Returns the settings file, unless all settings come from the environment.
    pub(super) fn settings_file(&self) -> Option<&Path> {
        self.files.first().map(|(file, _)| file.as_path()).filter(|_| self.has_file)
    }

    /// Returns a file and a line as text, in the form that an editor can jump to.
    pub(super) fn file_and_line(&self, file: usize, line: usize) -> String {
        let file = self.files.get(file).map(|(path, _)| path.display().to_string());
        format!("{}:{line}", file.unwrap_or_default())
    }

    /// Returns the line of a key of `[server]`; 0 if the file does not set it.
    pub(super) fn line(&self, key: &str) -> usize {
        self.lines.get(key).copied().unwrap_or_default()
    }

    /// Returns whether a fault of this line of `ftpd.ini` has been reported already.
    pub(super) fn is_faulty(&self, line: usize) -> bool {
        let here = |place: &Location| place.file == 0 && place.line == line;
        line > 0 && self.faults.iter().any(|(place, _)| here(place))
    }

    /// Notes a value that is in force in a section, if this is wanted. `entry` has set it, in the file with
    /// this index; `None`: the default of the key has.
    pub(super) fn explain(
        &mut self,
        section: &str,
        key: &Key,
        text: &str,
        entry: Option<(usize, &ini::Assignment)>,
    ) {
        if self.explained.is_none() {
            return;
        }
        // a line has no number if another key has set the value by its default
        let from = entry.filter(|(_, entry)| entry.line > 0).map(|(file, entry)| {
            let place = Location { file, ..Location::of(entry.line, section, &entry.key) };
            let variable = self.environment.variable(&place);
            variable.unwrap_or_else(|| self.file_and_line(file, entry.line))
        });
        let row = Explained {
            section: section.to_owned(),
            key: key.name,
            value: key.shown(text),
            from: from.unwrap_or_else(|| "default".to_owned()),
        };
        self.explained.get_or_insert_default().push(row);
    }

    /// Notes the values of the section of a folder.
    pub(super) fn explain_folder(&mut self, file: usize, section: &ini::Section) {
        for entry in &section.entries {
            if let Some(key) = KEYS.iter().find(|key| key.name == entry.key) {
                self.explain(&section.name, key, &entry.value, Some((file, entry)));
            }
        }
    }

    pub(super) fn printed(&self, fault: &(Location, Fault)) -> String {
        self.error(fault.clone()).to_string()
    }

    pub(super) fn error(&self, (place, fault): (Location, Fault)) -> ConfigError {
        let file = self.files.get(place.file).map(|(path, _)| path.clone());
        let variable = self.environment.variable(&place);
        let fault = self.environment.reworded(&place, fault);
        ConfigError { file: file.unwrap_or_default(), place, variable, fault }
    }
}
