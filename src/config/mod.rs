//! The typed settings: what `ftpd.ini` says, checked as a whole before anything is started.
//!
//! Uses `rights` alone, for users of the system. [`load`] reports every fault of a file in one run.

pub mod edit;

mod confine;
mod day;
mod error;
mod hash;
mod hook;
mod ini;
mod keys;
mod perm;
mod rate;
mod settings;
mod source;
mod tls;
mod value;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use confine::Confine;
pub use day::Day;
pub use error::{ConfigError, Fault, Place};
pub use hash::{Hash, Scheme, may_be_clear_text};
pub use hook::{Occasion, Program, Programs};
#[doc(hidden)]
pub use ini::rows;
pub use keys::{KEYS, Key, Kind, Section};
pub use perm::{Perm, PermSet};
pub use rate::Rate;
pub use settings::{
    Admin, Anonymous, BanRules, Clients, DataRules, FileRules, HookRules, Limits, Listening,
    LogRules, LoginRules, Messages, Passive, Process, Rules, Server, Storage, TlsKeys,
    TlsRules, UploadRules, User,
};
pub use tls::{
    CertificateSource, ClientCertificate, Resume, TlsRequired, TlsSettings, TlsVersion,
};
pub use value::{Listen, LogForm, LogTo, Password, Peers, PortRange};

use ini::Document;
use keys::Target;
use source::Source;

use crate::rights::{self, Ids};

/// All that the file says.
#[derive(Debug)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// What holds before a login, and for users who do not have their own.
    pub rules: Rules,
    /// `[user:NAME]` by name, and the anonymous ones if they may log in.
    pub users: HashMap<String, Arc<User>>,
    /// What it says of TLS, if there is a certificate.
    pub tls: Option<TlsSettings>,
    /// Whether a login under a name that nobody has is refused without TLS: as soon as it is for
    /// any user.
    pub strangers_need_tls: bool,
    /// What is allowed but hardly meant, in the form of a fault.
    pub warnings: Vec<String>,
    /// Homes that do not exist, for who serves all the same ([`load_to_serve`]).
    pub absent: Vec<ConfigError>,
    /// What `[server]` says of each key, to see what has changed.
    texts: HashMap<&'static str, String>,
    /// Where relative paths start from.
    folder: PathBuf,
}

impl Config {
    /// Where to write down what must be known after a crash, if there is anything to.
    pub fn state_dir(&self) -> Option<&Path> {
        let uploads = |user: &User| {
            user.rules.uploads.atomic
                && [Perm::Store, Perm::Append].into_iter().any(|perm| user.perm.has(perm))
        };
        let needed = self.users.values().any(|user| uploads(user));
        self.server.storage.state_dir.as_deref().filter(|_| needed)
    }

    /// Users of the system as whom sessions act.
    pub fn acting(&self) -> impl Iterator<Item = &Arc<Ids>> {
        self.users.values().filter_map(|user| user.run_as.as_ref())
    }

    /// How many threads must run programs of hooks.
    pub fn hook_workers(&self) -> usize {
        let any = self.users.values().any(|user| user.rules.hooks.any());
        if any { self.server.hooks.workers } else { 0 }
    }

    /// How many threads must check hashed passwords.
    pub fn password_workers(&self) -> usize {
        if self.hashes().next().is_some() { self.server.login.password_workers } else { 0 }
    }

    /// The hashes of all users.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.users.values().filter_map(|user| match &user.password {
            Some(Password::Hash(hash)) => Some(hash),
            Some(Password::Clear(_)) | None => None,
        })
    }

    /// Keys that say something else than in another version of the file, and that a server looks
    /// at only when it starts.
    pub fn restart_keys<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let said = |config: &Self, key: &Key| {
            let (mut server, mut rules) = (Server::blank(), Rules::blank());
            let text = config.texts.get(key.name).map_or("", String::as_str);
            // it was read before
            let _ = key.set(text, &config.folder, &mut Target::Server(&mut server, &mut rules));
            // one minute is sixty seconds
            format!("{server:?}{rules:?}")
        };
        let changed = move |key: &&Key| said(self, key) != said(other, key);
        KEYS.iter().filter(|key| key.restarts).filter(changed).map(|key| key.name)
    }

    /// Returns the user that a client means by this name, and what the user is called here.
    /// Names are compared to the byte, but those of anonymous users in any case: clients send
    /// `FTP` and `Anonymous` too.
    pub fn user(&self, name: &[u8]) -> Option<(&str, &Arc<User>)> {
        let name = std::str::from_utf8(name).ok()?;
        let known = self.users.get_key_value(name).or_else(|| {
            let anonymous = anonymous_name(name).filter(|_| self.server.anonymous.enabled)?;
            self.users.get_key_value(anonymous)
        });
        known.map(|(name, user)| (name.as_str(), user))
    }

    /// Returns that user if the user may log in today. Others are nobody.
    pub fn active(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.user(name).map(|(_, user)| user).filter(|user| user.is_active())
    }

    /// Whether a user of other settings is none of these any more; one that needed no password and
    /// one that does are not the same.
    pub fn removes(&self, other: &Self, name: &str) -> bool {
        let is_anonymous = |config: &Self| {
            let user = config.users.get(name).filter(|user| user.is_active());
            user.map(|user| user.password.is_none())
        };
        is_anonymous(self) != is_anonymous(other)
    }

    /// How many users have a section of their own.
    pub fn named_users(&self) -> usize {
        self.users.values().filter(|user| user.password.is_some()).count()
    }
}

/// Names under which anonymous users log in.
pub const ANONYMOUS: [&str; 2] = ["anonymous", "ftp"];

/// Returns which of the anonymous names this one is, in whatever case it is spelled.
pub fn anonymous_name(name: &str) -> Option<&'static str> {
    ANONYMOUS.into_iter().find(|anonymous| anonymous.eq_ignore_ascii_case(name))
}

/// Reads and checks a file, and those that it names for users.
///
/// # Errors
///
/// Every fault that was found, in the order of the lines.
pub fn load(file: &Path) -> Result<Config, Vec<ConfigError>> {
    load_from(file, &Source::default(), Homes::Exist)
}

/// Reads and checks the files for a server: a home that does not exist is no fault, for the disk
/// that it lies on may come later. It is in [`Config::absent`].
///
/// # Errors
///
/// Every other fault that was found, in the order of the lines.
pub fn load_to_serve(file: &Path) -> Result<Config, Vec<ConfigError>> {
    load_from(file, &Source::default(), Homes::MayCome)
}

/// What is expected of homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Homes {
    /// Each exists.
    Exist,
    /// Those that do not exist may do so later.
    MayCome,
}

/// The same as if one of the files held other bytes.
///
/// # Errors
///
/// Every fault that there would be.
pub fn load_edited(
    file: &Path,
    edited: &Path,
    bytes: &[u8],
) -> Result<Config, Vec<ConfigError>> {
    load_from(file, &Source::edited(edited, bytes), Homes::Exist)
}

fn load_from(
    file: &Path,
    source: &Source<'_>,
    homes: Homes,
) -> Result<Config, Vec<ConfigError>> {
    let (bytes, mode) = source.read(file).map_err(|why| {
        let fault = Fault::Unreadable(why.to_string());
        vec![ConfigError { file: file.to_owned(), place: Place::default(), fault }]
    })?;
    let mut draft = Draft::new(file, mode);
    let document = ini::read(&bytes);
    // of a file with many users that is much
    drop(bytes);
    draft.take(document);
    draft.take_users(source);
    draft.finish(homes)
}

/// Reads and checks settings that stand in no file.
///
/// # Errors
///
/// Every fault that was found.
pub fn of_text(text: &str) -> Result<Config, Vec<ConfigError>> {
    let mut draft = Draft::new(Path::new("settings"), 0o600);
    draft.take(ini::read(text.as_bytes()));
    draft.finish(Homes::Exist)
}

/// Where a user has a section, or would get one. The files may have faults.
///
/// # Errors
///
/// When one of them cannot be read.
pub fn place_of_user(file: &Path, name: &str) -> std::io::Result<UserPlace> {
    let source = Source::default();
    let wanted = format!("user:{name}");
    let read = |file: &Path| {
        let bytes = source.read(file).map_err(|why| {
            std::io::Error::new(why.kind(), format!("{}: {why}", file.display()))
        })?;
        Ok::<_, std::io::Error>(bytes.0)
    };
    let main = read(file)?;
    let users = server_path(file, &ini::read(&main), "users_file");
    let mut texts = vec![(file.to_owned(), main)];
    // the first user makes it
    if let Some(users) = users.as_ref().filter(|users| users.try_exists().unwrap_or(true)) {
        for file in source.files(users)? {
            let text = read(&file)?;
            texts.push((file, text));
        }
    }
    let mut places = Vec::new();
    for (file, text) in texts {
        let lines = edit::places(&text, &wanted);
        places.extend(lines.into_iter().map(|line| (file.clone(), line)));
    }
    if let Some((file, _)) = places.first() {
        return Ok(UserPlace { file: file.clone(), lines: places });
    }
    let new = match users {
        Some(users) if users.is_dir() => users.join(format!("{name}.ini")),
        Some(users) => users,
        None => file.to_owned(),
    };
    Ok(UserPlace { file: new, lines: places })
}

/// Where a user stands in the settings.
#[derive(Debug)]
pub struct UserPlace {
    /// The file in which the user stands or would stand.
    pub file: PathBuf,
    /// Each section of the user: more than one is a fault, and none is a user who is still to come.
    pub lines: Vec<(PathBuf, usize)>,
}

/// A duration as a key takes it; `None` is 0.
///
/// # Errors
///
/// What is wrong with it, in words that follow the quoted text.
pub fn duration(text: &str) -> Result<Option<Duration>, String> {
    value::time(text)
}

/// Whether a text is an IPv4 address that clients can connect to, or may be the name of a host.
pub fn is_host(text: &str) -> bool {
    matches!(value::reachable_host(text), Ok(Some(_)))
}

/// What is wrong with a value of a key of `[server]`, if something is; in words that follow the key.
pub fn value_fault(name: &str, text: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    let (mut server, mut rules) = (Server::blank(), Rules::blank());
    let mut target = Target::Server(&mut server, &mut rules);
    key.set(text, Path::new("/"), &mut target).err().map(|fault| fault.to_string())
}

/// The admin socket of a file that may have faults elsewhere.
///
/// # Errors
///
/// When the file cannot be read.
pub fn admin_socket(file: &Path) -> std::io::Result<Option<PathBuf>> {
    let document = ini::read(&Source::default().read(file)?.0);
    Ok(server_path(file, &document, "admin_socket"))
}

/// The text of a key of `[server]` in a file that may have faults elsewhere.
///
/// # Errors
///
/// When the file cannot be read.
pub fn server_text(file: &Path, name: &str) -> std::io::Result<Option<String>> {
    let document = ini::read(&Source::default().read(file)?.0);
    Ok(text_of(&document, name).map(str::to_owned))
}

/// A path of `[server]`, where the rest may have faults.
fn server_path(file: &Path, document: &Document, name: &str) -> Option<PathBuf> {
    text_of(document, name).map(|text| Draft::new(file, 0).folder.join(text))
}

fn text_of<'d>(document: &'d Document, name: &str) -> Option<&'d str> {
    let entries = document.sections.iter().filter(|section| section.name == "server");
    let mut entries = entries.flat_map(|section| &section.entries);
    let said = entries.find(|entry| entry.key == name).map(|entry| entry.value.as_str());
    let default = KEYS.iter().find(|key| key.name == name).and_then(|key| key.default);
    said.or(default).filter(|text| !text.is_empty())
}

/// A configuration in the making, with the faults found so far.
struct Draft {
    /// The ini file and those of `users_file`, with their modes.
    files: Vec<(PathBuf, u32)>,
    folder: PathBuf,
    server: Server,
    rules: Rules,
    users: Vec<Named>,
    /// Where each of them has its section: the file and the line.
    places: HashMap<String, (usize, usize)>,
    /// `[template:NAME]` by name.
    templates: HashMap<String, Arc<Template>>,
    /// `[anonymous]`.
    anonymous: Option<ini::Section>,
    lines: HashMap<&'static str, usize>,
    texts: HashMap<&'static str, String>,
    faults: Vec<(Place, Fault)>,
}

/// A user in the making.
struct Named {
    name: String,
    /// Which of the files.
    file: usize,
    /// The line of the section; 0 if it has none.
    line: usize,
    /// The line of the password.
    password_line: usize,
    user: User,
}

impl Named {
    /// The name of its section.
    fn section(&self) -> String {
        match self.user.password {
            Some(_) => format!("user:{}", self.name),
            None => ANONYMOUS_SECTION.to_owned(),
        }
    }

    /// Where a key of its section belongs, whether it is there or not.
    fn place(&self, line: usize, key: &str) -> Place {
        Place { file: self.file, ..Place::of(line, &self.section(), key) }
    }
}

/// Keys that users have in common.
struct Template {
    section: ini::Section,
    /// Keys whose values have been reported as faults already.
    faulty: Vec<&'static str>,
}

/// The section of the anonymous users.
const ANONYMOUS_SECTION: &str = "anonymous";

/// Keys of `[server]` that say what others say in `[anonymous]`.
const ALIASES: [(&str, &str); 3] =
    [("enable_anonymous", "enabled"), ("anonymous_path", "home"), ("anonymous_perm", "perm")];

/// What stands for the name of the user in `home`.
const USER: &str = "{user}";

impl Draft {
    fn new(file: &Path, mode: u32) -> Self {
        let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        Self {
            files: vec![(file.to_owned(), mode)],
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
            server: Server::blank(),
            rules: Rules::blank(),
            users: Vec::new(),
            places: HashMap::new(),
            templates: HashMap::new(),
            anonymous: None,
            lines: HashMap::new(),
            texts: HashMap::new(),
            faults: Vec::new(),
        }
    }

    /// The server's section goes first, for its limits are the users' defaults; then the
    /// templates.
    fn take(&mut self, document: Document) {
        self.faults = document.faults;
        let (server, others): (Vec<_>, Vec<_>) =
            document.sections.into_iter().partition(|section| section.name == "server");
        self.server(server.into_iter().next());
        let (templates, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|section| section.name.starts_with("template:"));
        for section in templates {
            self.template(section);
        }
        for section in others {
            if let Some(name) = section.name.strip_prefix("user:") {
                self.named(name, &section);
            } else if section.name == ANONYMOUS_SECTION {
                self.anonymous = Some(section);
            } else {
                let mut known = ["server", ANONYMOUS_SECTION].into_iter();
                let near = known.find(|name| strsim::jaro_winkler(&section.name, name) > 0.8);
                let near = near.map(str::to_owned);
                self.fault(&section, None, Fault::UnknownSection(near));
            }
        }
    }

    /// The users of other files.
    fn take_users(&mut self, source: &Source<'_>) {
        let Some(users) = self.server.storage.users_file.clone() else { return };
        let files = source.files(&users).unwrap_or_else(|why| {
            let place = Place::of(self.line("users_file"), "server", "users_file");
            let fault =
                Fault::Value(users.display().to_string(), format!("cannot be read: {why}"));
            self.faults.push((place, fault));
            Vec::new()
        });
        for path in files {
            let read = source.read(&path);
            let mode = read.as_ref().map_or(0, |(_, mode)| *mode);
            self.files.push((path, mode));
            let file = self.files.len() - 1;
            let (bytes, _) = match read {
                Ok(read) => read,
                Err(why) => {
                    let place = Place { file, ..Place::default() };
                    self.faults.push((place, Fault::Unreadable(why.to_string())));
                    continue;
                }
            };
            let document = ini::read(&bytes);
            drop(bytes);
            let faults = document.faults.into_iter();
            self.faults.extend(faults.map(|(place, fault)| (Place { file, ..place }, fault)));
            for section in document.sections {
                match section.name.strip_prefix("user:") {
                    Some(name) => self.named(name, &section),
                    None => self.fault(&section, None, Fault::NotAUser),
                }
            }
        }
    }

    /// A section that is a user's, if the name can be one.
    fn named(&mut self, name: &str, section: &ini::Section) {
        if !is_user_name(name) {
            let why = "is not a user name".to_owned();
            return self.fault(section, None, Fault::Value(name.to_owned(), why));
        }
        if let Some((file, line)) = self.places.get(name) {
            let file = self.files.get(*file).map(|(path, _)| path.display().to_string());
            let place = format!("{}:{line}", file.unwrap_or_default());
            return self.fault(section, None, Fault::RepeatedUser(place));
        }
        self.places.insert(name.to_owned(), (self.files.len() - 1, section.line));
        let user = self.user(name, section, true);
        let password = section.entries.iter().find(|entry| entry.key == "password");
        self.users.push(Named {
            name: name.to_owned(),
            file: self.files.len() - 1,
            line: section.line,
            password_line: password.map_or(section.line, |entry| entry.line),
            user,
        });
    }

    /// What users have in common. Its faults are reported here, and not for each user; but whether
    /// a home is there shows only with the user's name.
    fn template(&mut self, section: ini::Section) {
        let name = section.name.strip_prefix("template:").unwrap_or_default().to_owned();
        if !is_user_name(&name) {
            let why = "is not the name of a template".to_owned();
            return self.fault(&section, None, Fault::Value(name, why));
        }
        let mut user = User { rules: self.rules.clone(), ..User::blank() };
        let mut faulty = Vec::new();
        for entry in &section.entries {
            let keys = KEYS.iter().filter(|key| key.section() != Section::Server);
            let Some(key) = keys.into_iter().find(|key| key.name == entry.key) else {
                continue;
            };
            let set = if matches!(key.kind, Kind::Folder(_)) {
                Ok(())
            } else {
                key.set(&entry.value, &self.folder, &mut Target::User(&mut user))
            };
            let chained = key.name == "like" && !entry.value.is_empty();
            let set = if chained { Err(Fault::TemplateOfTemplate) } else { set };
            if let Err(fault) = set {
                self.fault(&section, Some(entry), fault);
                faulty.push(key.name);
            }
        }
        self.unknown(&section, Section::Server, "[server]");
        self.templates.insert(name, Arc::new(Template { section, faulty }));
    }

    /// The template that a section names. One that is not there is a fault.
    fn template_of(&mut self, section: &ini::Section) -> Option<Arc<Template>> {
        let entry = section.entries.iter().find(|entry| entry.key == "like");
        let entry = entry.filter(|entry| !entry.value.is_empty())?;
        let found = self.templates.get(&entry.value).cloned();
        if found.is_none() {
            let mut why = format!("has no section '[template:{}]'", entry.value);
            let names = self.templates.keys().map(String::as_str);
            if let Some(near) = nearest(&entry.value, names) {
                let _ = write!(why, "; did you mean '{near}'?");
            }
            self.fault(section, Some(entry), Fault::Value(entry.value.clone(), why));
        }
        found
    }

    fn server(&mut self, section: Option<ini::Section>) {
        let blank = || ini::Section { name: "server".to_owned(), line: 0, entries: Vec::new() };
        let section = section.unwrap_or_else(blank);
        let (mut server, mut rules) = (self.server.clone(), self.rules.clone());
        let mut target = Target::Server(&mut server, &mut rules);
        let here = |key: &&Key| key.section() != Section::User;
        for key in KEYS.iter().filter(here) {
            let entry = section.entries.iter().find(|entry| entry.key == key.name);
            let text = entry.map(|entry| entry.value.as_str()).or(key.default);
            if let Some(entry) = entry {
                self.lines.insert(key.name, entry.line);
            }
            if let Some(text) = text {
                self.texts.insert(key.name, text.to_owned());
            }
            let set = text.map_or(Ok(()), |text| key.set(text, &self.folder, &mut target));
            if let Err(fault) = set {
                self.fault(&section, entry, fault);
            }
        }
        self.unknown(&section, Section::User, "[user:NAME]");
        (self.server, self.rules) = (server, rules);
    }

    /// Reads a user from a section, from the template that it names, and from the defaults.
    /// Anonymous users have no password.
    fn user(&mut self, name: &str, section: &ini::Section, has_password: bool) -> User {
        let names_template = self.faults.len();
        let template = self.template_of(section);
        // what a template that is not there would have said is not known to be missing
        let may_miss = self.faults.len() == names_template;
        let mut user = User { rules: self.rules.clone(), ..User::blank() };
        for key in KEYS.iter().filter(|key| key.section() != Section::Server) {
            if !has_password && key.name == "password" {
                continue;
            }
            let find = |section: &ini::Section| {
                section.entries.iter().position(|entry| entry.key == key.name)
            };
            let own = find(section).and_then(|at| section.entries.get(at));
            let lent = template.as_ref().filter(|_| own.is_none());
            let lent = lent.filter(|template| !template.faulty.contains(&key.name));
            let lent = lent.and_then(|lent| lent.section.entries.get(find(&lent.section)?));
            let default = key.default.filter(|_| key.section() == Section::User);
            let text = own.or(lent).map(|entry| entry.value.as_str()).or(default);
            let Some(text) = text else {
                let is_faulty =
                    template.as_ref().is_some_and(|lent| lent.faulty.contains(&key.name));
                if key.default.is_none() && may_miss && !is_faulty {
                    self.fault_of_key(section, key.name, Fault::Missing);
                }
                continue;
            };
            let is_folder = matches!(key.kind, Kind::Folder(_));
            let text = if is_folder { expanded(text, name) } else { Ok(Cow::Borrowed(text)) };
            let mut target = Target::User(&mut user);
            let set = text.and_then(|text| key.set(&text, &self.folder, &mut target));
            if let Err(fault) = set {
                match own {
                    Some(entry) => self.fault(section, Some(entry), fault),
                    None => self.fault_of_key(section, key.name, fault),
                }
            }
        }
        let find = |section: &ini::Section| {
            section.entries.iter().find(|entry| entry.key == "run_as").map(|entry| entry.line)
        };
        let lent = template.as_ref().map(|lent| &lent.section);
        let asks = find(section).map(|line| (self.files.len() - 1, line, section));
        let asks = asks.or_else(|| lent.and_then(|lent| Some((0, find(lent)?, lent))));
        if let (Some(ids), Some((file, line, section))) = (&mut user.run_as, asks) {
            let place = self.spot(file, line, &section.name, "run_as");
            *ids = Arc::new(Ids { place, ..Ids::clone(ids) });
        }
        self.unknown(section, Section::Server, "[server]");
        user
    }

    /// A fault of a key that the section itself does not have.
    fn fault_of_key(&mut self, section: &ini::Section, key: &str, fault: Fault) {
        let place = Place::of(section.line, &section.name, key);
        // the file that was read last
        self.faults.push((Place { file: self.files.len() - 1, ..place }, fault));
    }

    /// Keys of `section` that no row knows, or that belong elsewhere.
    fn unknown(&mut self, section: &ini::Section, foreign: Section, home: &'static str) {
        for entry in &section.entries {
            match KEYS.iter().find(|key| key.name == entry.key) {
                Some(key) if key.section() == foreign => {
                    self.fault(section, Some(entry), Fault::Misplaced(home));
                }
                Some(_) => {}
                None => {
                    let likely = KEYS.iter().filter(|key| key.section() != foreign);
                    let near = nearest(&entry.key, likely.map(|key| key.name));
                    self.fault(section, Some(entry), Fault::UnknownKey(near));
                }
            }
        }
    }

    fn fault(&mut self, section: &ini::Section, entry: Option<&ini::Entry>, fault: Fault) {
        let place = Place {
            // the one that was read last
            file: self.files.len() - 1,
            line: entry.map_or(section.line, |entry| entry.line),
            section: Some(section.name.clone()),
            key: entry.map(|entry| entry.key.clone()),
        };
        self.faults.push((place, fault));
    }

    /// What only the whole file shows.
    fn finish(mut self, homes: Homes) -> Result<Config, Vec<ConfigError>> {
        let mut warnings = Vec::new();
        self.ports(&mut warnings);
        self.readable_passwords(&mut warnings);
        self.slow_hashes(&mut warnings);
        self.anonymous();
        self.tls();
        self.account();
        self.links();
        if self.users.is_empty() && !self.server.anonymous.enabled && !self.user_was_meant() {
            self.faults.push((Place::default(), Fault::NobodyCanLogIn));
        }
        self.faults.sort_by_key(|(place, _)| (place.file, place.line));
        self.faults.dedup();
        let may_come = |(_, fault): &(Place, Fault)| {
            homes == Homes::MayCome && matches!(fault, Fault::Absent(..))
        };
        // with any other fault all are said in one go
        let is_good = self.faults.iter().all(may_come);
        let faults = std::mem::take(&mut self.faults);
        let absent: Vec<_> = faults.into_iter().map(|fault| self.error(fault)).collect();
        if !is_good {
            return Err(absent);
        }
        let users = self.users.into_iter().map(|named| (named.name, Arc::new(named.user)));
        let (server, rules) = (self.server, self.rules);
        let tls = tls_settings(&server);
        let (texts, folder) = (self.texts, self.folder);
        let users: HashMap<String, Arc<User>> = users.collect();
        let strangers_need_tls = rules.tls.required.control
            || users.values().any(|user| user.rules.tls.required.control);
        Ok(Config {
            server,
            rules,
            users,
            tls,
            strangers_need_tls,
            warnings,
            absent,
            texts,
            folder,
        })
    }

    /// Whether one of the faults may have cost a user, or the anonymous ones.
    fn user_was_meant(&self) -> bool {
        self.faults.iter().any(|(place, _)| {
            place.section.as_deref() != Some("server")
                || ["enable_anonymous", "users_file"].map(Some).contains(&place.key.as_deref())
        })
    }

    /// Passwords in clear text are for the server's user alone. A file is named once, however
    /// many users it has.
    fn readable_passwords(&self, warnings: &mut Vec<String>) {
        let mut first = vec![None; self.files.len()];
        for named in &self.users {
            let is_open = self.files.get(named.file).is_some_and(|(_, mode)| mode & 0o004 != 0);
            if is_open
                && matches!(named.user.password, Some(Password::Clear(_)))
                && let Some(seen) = first.get_mut(named.file)
            {
                let (_, count) = seen.get_or_insert((named, 0_usize));
                *count += 1;
            }
        }
        for (named, count) in first.into_iter().flatten() {
            let mut why = "clear text in a file that others can read; chmod o-r it, or use a \
                hash of 'ftpd passwd'"
                .to_owned();
            if count > 1 {
                let _ = write!(why, " ({count} users)");
            }
            let place = named.place(named.password_line, "password");
            warnings.push(self.printed(&(place, Fault::Note(why))));
        }
    }

    /// Hashes that hold up each login, and the logins that wait behind it.
    fn slow_hashes(&self, warnings: &mut Vec<String>) {
        let slow = self.users.iter().filter_map(|named| match &named.user.password {
            Some(Password::Hash(hash)) => Some((named, hash.estimate())),
            Some(Password::Clear(_)) | None => None,
        });
        let slow: Vec<_> = slow.filter(|(_, time)| *time > SLOW).collect();
        let (Some((first, _)), Some(longest)) =
            (slow.first(), slow.iter().map(|(_, time)| *time).max())
        else {
            return;
        };
        let mut why = format!(
            "a hash that takes about {:.1} s to check at each login; make another one with \
             'ftpd passwd NAME --write'",
            longest.as_secs_f64()
        );
        if slow.len() > 1 {
            let names = slow.iter().take(NAMED).map(|(named, _)| named.name.escape_debug());
            let names: Vec<_> = names.map(|name| name.to_string()).collect();
            let more = slow.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(why, " (for {} users: {}{more})", slow.len(), names.join(", "));
        }
        let place = first.place(first.password_line, "password");
        warnings.push(self.printed(&(place, Fault::Note(why))));
    }

    fn ports(&mut self, warnings: &mut Vec<String>) {
        let (range, port) = (self.server.passive.ports, self.server.listen.port);
        let max_per_ip = self.server.clients.max_per_ip;
        let place =
            |draft: &Self| Place::of(draft.line("passive_ports"), "server", "passive_ports");
        let read = || format!("{}-{}", range.first, range.last);
        let skipped = range.contains(port);
        let usable = range.count() - usize::from(skipped);
        if usable == 0 {
            let why = "holds only the control port, which is skipped".to_owned();
            self.faults.push((place(self), Fault::Value(read(), why)));
            return;
        }
        if skipped {
            let why = format!("holds the control port {port}, which is skipped");
            warnings.push(self.printed(&(place(self), Fault::Value(read(), why))));
        }
        if let Some(most) = max_per_ip.filter(|&most| usable < most) {
            let why = format!("has {usable} ports, fewer than max_per_ip ({most})");
            warnings.push(self.printed(&(place(self), Fault::Value(read(), why))));
        }
    }

    /// Protection that is asked for must be possible.
    fn tls(&mut self) {
        let has_key = self.server.tls.key.is_some();
        let without = match &self.server.tls.cert {
            CertificateSource::None => self.line("tls_cert"),
            source @ (CertificateSource::File(_) | CertificateSource::Auto) => {
                let is_auto = *source == CertificateSource::Auto;
                return self.tls_with_certificate(is_auto);
            }
        };
        // a certificate that was refused has its fault already
        if self.is_faulty(without) {
            return;
        }
        let none = TlsRequired::default();
        let asked = [
            ("tls_required", self.rules.tls.required != none),
            ("tls_implicit_port", self.server.listen.implicit_port != 0),
            ("tls_key", has_key),
            ("tls_client_ca", self.server.tls.client_ca.is_some()),
        ];
        for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            let place = Place::of(self.line(key), "server", key);
            // a value that was refused has its fault already, and the strictest one in its place
            if !self.is_faulty(place.line) {
                self.faults.push((place, Fault::NeedsCertificate));
            }
        }
        for named in &self.users {
            let user = &named.user;
            let own = user.rules.tls.required != self.rules.tls.required;
            let asked = [
                ("tls_required", own && user.rules.tls.required != none),
                ("tls_client", user.tls_client.is_some()),
            ];
            for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                let place = named.place(named.line, key);
                self.faults.push((place, Fault::NeedsCertificate));
            }
        }
    }

    /// What is asked for beside a certificate must fit it.
    fn tls_with_certificate(&mut self, is_auto: bool) {
        let (key, cert) = (self.line("tls_key"), self.line("tls_cert"));
        match &self.server.tls.key {
            Some(file) if is_auto => {
                let read = file.strip_prefix(&self.folder).unwrap_or(file);
                let why = "is of no use with tls_cert = auto, which makes its own key";
                let fault = Fault::Value(read.display().to_string(), why.to_owned());
                self.faults.push((Place::of(key, "server", "tls_key"), fault));
            }
            None if !is_auto && !self.is_faulty(key) => {
                let place = Place::of(key.max(cert), "server", "tls_key");
                self.faults.push((place, Fault::Missing));
            }
            Some(_) | None => {}
        }
        let Listening { port, implicit_port: implicit, .. } = self.server.listen;
        if implicit != 0 && implicit == port {
            let place =
                Place::of(self.line("tls_implicit_port"), "server", "tls_implicit_port");
            let why = "is the control port, on which TLS begins with AUTH".to_owned();
            self.faults.push((place, Fault::Value(implicit.to_string(), why)));
        }
        let has_authority = self.server.tls.client_ca.is_some();
        if has_authority || self.is_faulty(self.line("tls_client_ca")) {
            return;
        }
        for named in &self.users {
            if let Some(client) = &named.user.tls_client {
                let place = named.place(named.line, "tls_client");
                let why = "needs a tls_client_ca in [server]".to_owned();
                self.faults.push((place, Fault::Value(client.clone(), why)));
            }
        }
    }

    /// Whom root is given up for.
    fn account(&mut self) {
        let Some(name) = self.server.process.user_name.clone() else {
            if self.server.process.group.is_some() {
                let why = "is of no use without a user".to_owned();
                let place = Place::of(self.line("group"), "server", "group");
                let text = self.texts.get("group").cloned().unwrap_or_default();
                self.faults.push((place, Fault::Value(text, why)));
            }
            return;
        };
        let place = Place::of(self.line("user"), "server", "user");
        // a group that was refused has its fault already
        let some = self.is_faulty(self.line("group")).then_some(0);
        match Ids::of(&name, self.server.process.group.or(some)) {
            Ok(ids) => {
                let place = self.spot(0, place.line, "server", "user");
                self.server.process.user = Some(Ids { place, ..ids });
            }
            Err(why) => self.faults.push((place, Fault::Value(name, why))),
        }
    }

    /// Root does not follow links that others could have planted to the server's own files, and says
    /// so before it is needed.
    fn links(&mut self) {
        let server = &self.server;
        let user = server.process.user.as_ref();
        if !rights::starts_as_root(user) {
            return;
        }
        let log_file = match &server.log.to {
            LogTo::File(file) => Some(file),
            LogTo::Stderr | LogTo::Syslog(_) => None,
        };
        let certificate = match &server.tls.cert {
            CertificateSource::File(file) => Some(file),
            CertificateSource::Auto | CertificateSource::None => None,
        };
        let is_auto = server.tls.cert == CertificateSource::Auto;
        let paths = [
            ("log_file", log_file.filter(|_| server.log.enabled)),
            ("transfer_log", server.log.transfers.as_ref()),
            ("state_dir", server.storage.state_dir.as_ref()),
            ("admin_socket", server.admin.socket.as_ref()),
            ("users_file", server.storage.users_file.as_ref()),
            ("tls_dir", server.tls.dir.as_ref().filter(|_| is_auto)),
            ("tls_cert", certificate),
            ("tls_key", server.tls.key.as_ref()),
            ("tls_client_ca", server.tls.client_ca.as_ref()),
        ];
        let refused = |(key, path): (&'static str, Option<&PathBuf>)| {
            let why = rights::may_follow(path?, user).err()?;
            let text = self.texts.get(key).cloned().unwrap_or_default();
            Some((Place::of(self.line(key), "server", key), Fault::Value(text, why)))
        };
        let faults: Vec<_> = paths.into_iter().filter_map(refused).collect();
        // what was refused for another reason has its fault already
        let faults = faults.into_iter().filter(|(place, _)| !self.is_faulty(place.line));
        let faults: Vec<_> = faults.collect();
        self.faults.extend(faults);
    }

    /// Anonymous users are users without a password.
    fn anonymous(&mut self) {
        let given = self.anonymous.take();
        if given.is_none() && !self.server.anonymous.enabled {
            return;
        }
        let line = given.as_ref().map_or(0, |section| section.line);
        let blank = ini::Section {
            name: ANONYMOUS_SECTION.to_owned(),
            line: self.line("enable_anonymous"),
            entries: Vec::new(),
        };
        let has_section = given.is_some();
        let mut section = given.unwrap_or(blank);
        let lent = self.lend(&mut section);
        // it stands in ftpd.ini, whatever was read last
        let others = self.files.split_off(1);
        let known = self.faults.len();
        if let Some(entry) = section.entries.iter().find(|entry| entry.key == "password") {
            self.fault(&section, Some(entry), Fault::Misplaced("[user:NAME]"));
        }
        let user = self.user(ANONYMOUS_SECTION, &section, false);
        self.files.extend(others);
        for (place, _) in self.faults.iter_mut().skip(known) {
            // in the words of whoever has written the other key
            let alias = ALIASES.iter().find(|(_, key)| place.key.as_deref() == Some(key));
            if let Some((alias, key)) = alias
                && (lent.contains(key) || !has_section)
            {
                let line = self.lines.get(alias).copied().unwrap_or(place.line);
                *place = Place::of(line, "server", alias);
            }
        }
        self.server.anonymous.enabled = user.enabled;
        if !user.enabled {
            return;
        }
        for name in ANONYMOUS {
            if let Some((file, line)) = self.places.get(name) {
                let why = "is an anonymous user already (enable_anonymous)".to_owned();
                let section = Some(format!("user:{name}"));
                let place = Place { file: *file, line: *line, section, key: None };
                self.faults.push((place, Fault::Value(name.to_owned(), why)));
            }
            let (name, user) = (name.to_owned(), user.clone());
            self.users.push(Named { name, file: 0, line, password_line: line, user });
        }
    }

    /// What `[server]` says of anonymous users, where their section does not; gives the keys.
    /// The two must not contradict each other.
    fn lend(&mut self, section: &mut ini::Section) -> Vec<&'static str> {
        let mut lent = Vec::new();
        for (alias, name) in ALIASES {
            let (line, text) = (self.line(alias), self.texts.get(alias));
            let Some(text) = text.filter(|_| line > 0).cloned() else { continue };
            let own = section.entries.iter().find(|entry| entry.key == name);
            match own {
                None if text.is_empty() => {}
                // it has its fault already
                None if self.is_faulty(line) && name != "home" => {}
                None => {
                    section.entries.push(ini::Entry {
                        key: name.to_owned(),
                        value: text,
                        line,
                    });
                    lent.push(name);
                }
                Some(entry) if !self.agree(name, &entry.value, &text) => {
                    let why = format!("contradicts {alias} of [server] on line {line}");
                    let place = Place::of(entry.line, ANONYMOUS_SECTION, name);
                    self.faults.push((place, Fault::Value(entry.value.clone(), why)));
                }
                Some(_) => {}
            }
        }
        lent
    }

    /// Whether two texts are one value of a user's key, or one of them is none.
    fn agree(&self, name: &str, one: &str, other: &str) -> bool {
        let read = |text: &str| {
            let mut user = User { rules: self.rules.clone(), ..User::blank() };
            // a directory that is not there has its own fault
            user.enabled = false;
            let key = KEYS.iter().find(|key| key.name == name)?;
            key.set(text, &self.folder, &mut Target::User(&mut user)).ok()?;
            Some((user.enabled, user.perm, user.home))
        };
        match (read(one), read(other)) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        }
    }

    /// A place in one of the files, for what goes wrong later.
    fn spot(&self, file: usize, line: usize, section: &str, key: &str) -> String {
        let file = self.files.get(file).map(|(path, _)| path.display().to_string());
        format!("{}:{line}: [{section}] {key}", file.unwrap_or_default())
    }

    /// The line of a key of `[server]`; 0 if none.
    fn line(&self, key: &str) -> usize {
        self.lines.get(key).copied().unwrap_or_default()
    }

    /// Whether a line has its fault already.
    fn is_faulty(&self, line: usize) -> bool {
        let here = |place: &Place| place.file == 0 && place.line == line;
        line > 0 && self.faults.iter().any(|(place, _)| here(place))
    }

    fn printed(&self, fault: &(Place, Fault)) -> String {
        self.error(fault.clone()).to_string()
    }

    fn error(&self, (place, fault): (Place, Fault)) -> ConfigError {
        let file = self.files.get(place.file).map(|(path, _)| path.clone());
        ConfigError { file: file.unwrap_or_default(), place, fault }
    }
}

/// Everything about TLS in one value.
fn tls_settings(server: &Server) -> Option<TlsSettings> {
    let wild = |host: &str| matches!(host, "0.0.0.0" | "::");
    let hosts = server.passive.masquerade_address.iter().chain(&server.listen.ip);
    let mut names: Vec<_> = hosts.filter(|host| !wild(host)).cloned().collect();
    names.push("localhost".to_owned());
    let settings = TlsSettings {
        certificate: server.tls.cert.clone(),
        once: false,
        key: server.tls.key.clone(),
        dir: server.tls.dir.clone().unwrap_or_default(),
        names,
        min_version: server.tls.min_version,
        resume: server.tls.resume,
        client_ca: server.tls.client_ca.clone(),
        client_cert: server.tls.client_cert,
        owner: server.process.user.clone(),
    };
    (settings.certificate != CertificateSource::None).then_some(settings)
}

/// What a client can send and a log can show on one line.
fn is_user_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

/// The nearest of some names, if one is near enough to be meant.
fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let near = |name: &'n str| (strsim::osa_distance(word, name), name);
    let best = names.map(near).min()?;
    (best.0 <= 1 + word.len() / 4).then(|| best.1.to_owned())
}

/// The text of a home with the name of its user, which must be one part of a path.
fn expanded<'t>(text: &'t str, name: &str) -> Result<Cow<'t, str>, Fault> {
    if !text.contains(USER) {
        return Ok(Cow::Borrowed(text));
    }
    let odd = |letter: char| letter.is_control() || letter == '/';
    if matches!(name, "" | "." | "..") || name.contains(odd) || name.len() > LONGEST_NAME {
        let why = format!("needs a name that can be a directory's, and '{name}' is none");
        return Err(Fault::Value(text.to_owned(), why));
    }
    Ok(Cow::Owned(text.replace(USER, name)))
}

/// Bytes of the name of a file.
const LONGEST_NAME: usize = 255;

/// A hash that takes longer than this to check is worth a word.
const SLOW: Duration = Duration::from_millis(500);

/// How many users a warning names.
const NAMED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_is_accepted_by_its_own_row() {
        for key in KEYS {
            let (mut server, mut rules) = (Server::blank(), Rules::blank());
            let mut user = User { rules: rules.clone(), ..User::blank() };
            let mut target = match key.section() {
                Section::User => Target::User(&mut user),
                Section::Server | Section::Both => Target::Server(&mut server, &mut rules),
            };
            if let Some(default) = key.default {
                assert_eq!(
                    key.set(default, Path::new("/"), &mut target),
                    Ok(()),
                    "{}",
                    key.name
                );
            }
        }
    }

    #[test]
    fn key_names_are_unique_and_lower_case() {
        for (at, key) in KEYS.iter().enumerate() {
            assert_eq!(key.name, key.name.to_ascii_lowercase());
            assert!(KEYS[at + 1..].iter().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
