//! Reads the sections of users, and the templates that these name.

use std::fmt::Write;
use std::sync::Arc;

use super::draft::{Candidate, Draft, Template, nearest};
use super::error::Fault;
use super::field::{Scope, Target};
use super::home;
use super::ini;
use super::keys::{KEYS, Key};
use super::kind::Given;
use super::settings::User;
use crate::rights::Ids;

/// A section that is a user's, if the name can be one.
pub(super) fn named(draft: &mut Draft, name: &str, section: &ini::Section) {
    if !is_user_name(name) {
        let why = "is not a user name".to_owned();
        return draft.fault(section, None, Fault::Value(name.to_owned(), why));
    }
    if let Some((file, line)) = draft.places.get(name) {
        let file = draft.files.get(*file).map(|(path, _)| path.display().to_string());
        let place = format!("{}:{line}", file.unwrap_or_default());
        return draft.fault(section, None, Fault::RepeatedUser(place));
    }
    draft.places.insert(name.to_owned(), (draft.files.len() - 1, section.line));
    let user = self::user(draft, name, section, true);
    let password = section.entries.iter().find(|entry| entry.key == "password");
    draft.users.push(Candidate {
        name: name.to_owned(),
        file: draft.files.len() - 1,
        line: section.line,
        password_line: password.map_or(section.line, |entry| entry.line),
        user,
    });
}

/// What users have in common. Its faults are reported here, and not for each user; but whether
/// a home is there shows only with the user's name.
pub(super) fn template(draft: &mut Draft, section: ini::Section) {
    let name = section.name.strip_prefix("template:").unwrap_or_default().to_owned();
    if !is_user_name(&name) {
        let why = "is not the name of a template".to_owned();
        return draft.fault(&section, None, Fault::Value(name, why));
    }
    let mut user = User { rules: draft.rules.clone(), ..User::blank() };
    let mut faulty = Vec::new();
    for entry in &section.entries {
        let keys = KEYS.iter().filter(|key| key.scope() != Scope::Server);
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
    unknown(draft, &section, Scope::Server, "[server]");
    draft.templates.insert(name, Arc::new(Template { section, faulty }));
}

/// The template that a section names. One that is not there is a fault.
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
    // what an unknown template would have set is not reported as missing
    let may_miss = draft.faults.len() == known;
    let said = Said { name, section, template: template.as_deref(), may_miss };
    let mut user = User { rules: draft.rules.clone(), ..User::blank() };
    for key in KEYS.iter().filter(|key| key.scope() != Scope::Server) {
        if has_password || key.name != "password" {
            set(draft, &said, key, &mut user);
        }
    }
    check_home(draft, &said, &user);
    note_place(draft, &said, &mut user);
    unknown(draft, section, Scope::Server, "[server]");
    user
}

/// What the files say of one user.
struct Said<'a> {
    name: &'a str,
    section: &'a ini::Section,
    template: Option<&'a Template>,
    /// Whether a key that is missing is a fault.
    may_miss: bool,
}

impl<'a> Said<'a> {
    /// What the section of the user itself says.
    fn own(&self, key: &str) -> Option<&'a ini::Assignment> {
        self.section.entries.iter().find(|entry| entry.key == key)
    }

    /// What the template says, if the section itself does not say anything.
    fn lent(&self, key: &str) -> Option<&'a ini::Assignment> {
        let template = self.template.filter(|_| self.own(key).is_none())?;
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
fn set(draft: &mut Draft, said: &Said<'_>, key: &Key, user: &mut User) {
    let default = key.default.filter(|_| key.scope() == Scope::User);
    let Some(text) = said.text(key.name).or(default) else {
        let is_faulty = said.template.is_some_and(|lent| lent.faulty.contains(&key.name));
        if key.default.is_none() && said.may_miss && !is_faulty {
            draft.fault_of_key(said.section, key.name, Fault::Missing);
        }
        return;
    };
    let given = Given { text, folder: &draft.folder, user: Some(said.name) };
    if let Err(fault) = key.set(&given, &mut Target::User(user)) {
        report(draft, said, key.name, fault);
    }
}

/// Whether the home must exist depends on other keys, so it is checked after them.
fn check_home(draft: &mut Draft, said: &Said<'_>, user: &User) {
    let is_set = !user.home.as_os_str().is_empty();
    let Some(text) = said.text("home").filter(|_| is_set) else { return };
    if let Err(fault) = home::check(&home::expanded(text, said.name), user) {
        report(draft, said, "home", fault);
    }
}

fn report(draft: &mut Draft, said: &Said<'_>, key: &str, fault: Fault) {
    match said.own(key) {
        Some(entry) => draft.fault(said.section, Some(entry), fault),
        None => draft.fault_of_key(said.section, key, fault),
    }
}

/// Notes where the files set `run_as`, for what may go wrong with it later.
fn note_place(draft: &Draft, said: &Said<'_>, user: &mut User) {
    let Some(ids) = &mut user.run_as else { return };
    let own = said.own("run_as").map(|entry| (draft.files.len() - 1, entry, said.section));
    let lent = || {
        let entry = said.lent("run_as")?;
        Some((0, entry, &said.template?.section))
    };
    if let Some((file, entry, section)) = own.or_else(lent) {
        let place = draft.spot(file, entry.line, &section.name, "run_as");
        *ids = Arc::new(Ids { place, ..Ids::clone(ids) });
    }
}

/// Keys of `section` that no row knows, or that belong elsewhere.
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
            Some(_) => {}
            None => {
                let likely = KEYS.iter().filter(|key| key.scope() != foreign);
                let near = nearest(&entry.key, likely.map(|key| key.name));
                draft.fault(section, Some(entry), Fault::UnknownKey(near));
            }
        }
    }
}

/// What a client can send and a log can show on one line.
fn is_user_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}
