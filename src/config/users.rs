//! Reads the sections of users, and the templates that they name.

use std::fmt::Write;
use std::sync::Arc;

use super::draft::{Candidate, Draft, Template};
use super::error::Fault;
use super::field::{Scope, Target};
use super::home;
use super::ini;
use super::keys::{KEYS, Key, OLDER, other_form};
use super::kind::Given;
use super::nearest::nearest;
use super::settings::User;
use crate::rights::Ids;

/// Reads the section of a user. A name that no user can have, or that another section has, is a
/// fault.
pub(super) fn named(draft: &mut Draft, name: &str, mut section: ini::Section) {
    let environment = Arc::clone(&draft.environment);
    environment.override_in(&mut section);
    let section = &section;
    if !is_user_name(name) {
        let why = "is not a valid user name".to_owned();
        return draft.fault(section, None, Fault::Value(name.to_owned(), why));
    }
    if let Some((file, line)) = draft.places.get(name) {
        let place = draft.file_and_line(*file, *line);
        return draft.fault(section, None, Fault::RepeatedUser(place));
    }
    draft.places.insert(name.to_owned(), (draft.files.len() - 1, section.line));
    let user = self::user(draft, name, section, true);
    let is_password = |key: &str| key == "password" || other_form(key) == Some("password");
    let password = section.entries.iter().find(|entry| is_password(&entry.key));
    draft.users.push(Candidate {
        name: name.to_owned(),
        file: draft.files.len() - 1,
        line: section.line,
        password_line: password.map_or(section.line, |entry| entry.line),
        user,
    });
}

/// Reads a template. The faults of its keys are reported once, here, and not again for each user.
/// Whether its home exists is checked for each user, because the path may contain the name of the
/// user.
pub(super) fn template(draft: &mut Draft, section: ini::Section) {
    let name = section.name.strip_prefix("template:").unwrap_or_default().to_owned();
    if !is_user_name(&name) {
        let why = "is not a valid template name".to_owned();
        return draft.fault(&section, None, Fault::Value(name, why));
    }
    let mut user = User { rules: draft.rules.clone(), ..User::blank() };
    let mut faulty = Vec::new();
    for entry in &section.entries {
        let keys = KEYS.iter().filter(|key| key.scope().has_users());
        let Some(key) = keys.into_iter().find(|key| key.name == entry.key) else {
            continue;
        };
        let given = Given { text: &entry.value, folder: &draft.folder, user: None };
        let set = key.set(&given, &mut Target::User(&mut user));
        let chained = key.name == "like" && !entry.value.is_empty();
        let set = if chained { Err(Fault::TemplateOfTemplate) } else { set };
        if let Err(fault) = set {
            draft.fault(&section, Some(entry), fault);
            faulty.push(key.name);
        }
    }
    rivals(draft, &section);
    renamed(draft, &section);
    unknown(draft, &section, Scope::Server, "[server]");
    draft.templates.insert(name, Arc::new(Template { section, faulty }));
}

/// Returns the template that a section names. Reports a fault if the template does not exist.
pub(super) fn template_of(draft: &mut Draft, section: &ini::Section) -> Option<Arc<Template>> {
    let entry = section.entries.iter().find(|entry| entry.key == "like");
    let entry = entry.filter(|entry| !entry.value.is_empty())?;
    let found = draft.templates.get(&entry.value).cloned();
    if found.is_none() {
        let mut why = format!("has no section '[template:{}]'", entry.value);
        let names = draft.templates.keys().map(String::as_str);
        if let Some(near) = nearest(&entry.value, names) {
            let _ = write!(why, "; did you mean '{near}'?");
        }
        draft.fault(section, Some(entry), Fault::Value(entry.value.clone(), why));
    }
    found
}

/// Reads a user from a section, from the template that the section names, and from the defaults.
/// Anonymous users have no password.
pub(super) fn user(
    draft: &mut Draft,
    name: &str,
    section: &ini::Section,
    has_password: bool,
) -> User {
    let known = draft.faults.len();
    let template = template_of(draft, section);
    // an unknown template may have been meant to set the keys that are missing
    let may_miss = draft.faults.len() == known;
    let sources = Sources { name, section, template: template.as_deref(), may_miss };
    let mut user = User { rules: draft.rules.clone(), ..User::blank() };
    for key in KEYS.iter().filter(|key| key.scope().has_users()) {
        let is_password = key.is_secret() || other_form(key.name).is_some();
        if has_password || !is_password {
            set(draft, &sources, key, &mut user);
        }
    }
    check_home(draft, &sources, &user);
    note_place(draft, &sources, &mut user);
    rivals(draft, section);
    renamed(draft, section);
    unknown(draft, section, Scope::Server, "[server]");
    user
}

/// The sources of a user's settings.
struct Sources<'a> {
    name: &'a str,
    section: &'a ini::Section,
    template: Option<&'a Template>,
    /// Whether a missing key is a fault.
    may_miss: bool,
}

impl<'a> Sources<'a> {
    /// Returns the line of a key in the section of the user.
    fn own(&self, key: &str) -> Option<&'a ini::Assignment> {
        self.section.entries.iter().find(|entry| entry.key == key)
    }

    /// Returns the line of a key in the template, if the section of the user does not set the key.
    fn lent(&self, key: &str) -> Option<&'a ini::Assignment> {
        let is_own = |key| self.own(key).is_some_and(|entry| !entry.value.is_empty());
        let template = self.template.filter(|_| self.own(key).is_none())?;
        if other_form(key).is_some_and(is_own) {
            return None;
        }
        if template.faulty.contains(&key) {
            return None;
        }
        template.section.entries.iter().find(|entry| entry.key == key)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.own(key).or_else(|| self.lent(key)).map(|entry| entry.value.as_str())
    }
}

/// Reads one key of a user.
fn set(draft: &mut Draft, sources: &Sources<'_>, key: &Key, user: &mut User) {
    let default = key.default.filter(|_| key.scope() == Scope::User);
    let Some(text) = sources.text(key.name).or(default) else {
        let is_faulty = sources.template.is_some_and(|lent| lent.faulty.contains(&key.name));
        let other = other_form(key.name).and_then(|other| sources.text(other));
        let is_faulty = is_faulty || other.is_some_and(|text| !text.is_empty());
        if key.default.is_none() && sources.may_miss && !is_faulty {
            draft.fault_of_key(sources.section, key.name, Fault::Missing);
        }
        return;
    };
    let own = sources.own(key.name).map(|entry| (draft.files.len() - 1, entry));
    // templates are in the first file
    let entry = own.or_else(|| sources.lent(key.name).map(|entry| (0, entry)));
    draft.explain(&sources.section.name, key, text, entry);
    let given = Given { text, folder: &draft.folder, user: Some(sources.name) };
    if let Err(fault) = key.set(&given, &mut Target::User(user)) {
        report(draft, sources, key.name, fault);
    }
}

/// Reports the keys that set the same secret twice.
fn rivals(draft: &mut Draft, section: &ini::Section) {
    let is_set = |key: &str| {
        section.entries.iter().any(|entry| entry.key == key && !entry.value.is_empty())
    };
    for entry in section.entries.iter().filter(|entry| !entry.value.is_empty()) {
        let of_file = entry.key.strip_suffix("_file");
        let other = other_form(&entry.key).filter(|other| Some(*other) == of_file);
        // a file that cannot be read has been reported already
        if let Some(other) = other.filter(|other| is_set(other))
            && !is_reported(draft, entry)
        {
            draft.fault(section, Some(entry), Fault::Rival(other));
        }
    }
}

/// Reports the keys of a section that are set under an older name as well.
pub(super) fn renamed(draft: &mut Draft, section: &ini::Section) {
    let is_set = |entry: &&ini::Assignment| !entry.value.is_empty();
    let entry = |key| section.entries.iter().filter(is_set).find(|entry| entry.key == key);
    for (older, key) in OLDER {
        if let (Some(older), Some(_)) = (entry(older), entry(key))
            && !is_reported(draft, older)
        {
            draft.fault(section, Some(older), Fault::Rival(key));
        }
    }
}

/// Returns whether a fault of a line of the current file has been reported already.
fn is_reported(draft: &Draft, entry: &ini::Assignment) -> bool {
    let line = (draft.files.len() - 1, entry.line);
    draft.faults.iter().any(|(place, _)| (place.file, place.line) == line)
}

/// Checks the home of a user. All keys must have been read, because some of them decide whether the
/// home must exist.
fn check_home(draft: &mut Draft, sources: &Sources<'_>, user: &User) {
    let is_set = !user.home.as_os_str().is_empty();
    let Some(text) = sources.text("home").filter(|_| is_set) else { return };
    if let Err(fault) = home::check(&home::expanded(text, sources.name), user) {
        report(draft, sources, "home", fault);
    }
}

fn report(draft: &mut Draft, sources: &Sources<'_>, key: &str, fault: Fault) {
    match sources.own(key) {
        Some(entry) => draft.fault(sources.section, Some(entry), fault),
        None => draft.fault_of_key(sources.section, key, fault),
    }
}

/// Stores the location of `run_as` in the files, for later messages about it.
fn note_place(draft: &Draft, sources: &Sources<'_>, user: &mut User) {
    let Some(ids) = &mut user.run_as else { return };
    let own =
        sources.own("run_as").map(|entry| (draft.files.len() - 1, entry, sources.section));
    let lent = || {
        let entry = sources.lent("run_as")?;
        Some((0, entry, &sources.template?.section))
    };
    if let Some((file, entry, section)) = own.or_else(lent) {
        let place = draft.spot(file, entry.line, &section.name, "run_as");
        *ids = Arc::new(Ids { place, ..Ids::clone(ids) });
    }
}

/// Reports the keys of `section` that are unknown, and those of the scope `foreign`, which belong
/// in the section `home`.
pub(super) fn unknown(
    draft: &mut Draft,
    section: &ini::Section,
    foreign: Scope,
    home: &'static str,
) {
    for entry in &section.entries {
        match KEYS.iter().find(|key| key.name == entry.key) {
            Some(key) if key.scope() == foreign => {
                draft.fault(section, Some(entry), Fault::Misplaced(home));
            }
            Some(key) if key.scope() == Scope::Folder => {
                draft.fault(section, Some(entry), Fault::Misplaced("[folder:USER:/path]"));
            }
            Some(_) => {}
            None => {
                let likely = KEYS.iter().filter(|key| key.scope() != foreign);
                let near = nearest(&entry.key, likely.map(|key| key.name));
                draft.fault(section, Some(entry), Fault::UnknownKey(near));
            }
        }
    }
}

/// Returns whether clients can send the name and the log can show it on one line.
fn is_user_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}
