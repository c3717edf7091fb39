//! Reads the settings of anonymous users: the section `[anonymous]`, and the keys of `[server]`
//! with the same meaning.

use super::draft::{ANONYMOUS_SECTION, Candidate, Draft};
use super::environment::Environment;
use super::error::{Fault, Location};
use super::field::Target;
use super::home;
use super::ini;
use super::keys::{KEYS, other_form};
use super::kind::Given;
use super::settings::User;
use super::users;
use super::whole::ANONYMOUS;

/// Keys of `[server]`, with the key of `[anonymous]` that has the same meaning.
const ALIASES: [(&str, &str); 3] =
    [("enable_anonymous", "enabled"), ("anonymous_path", "home"), ("anonymous_perm", "perm")];

/// Adds the anonymous users to the draft, if they may log in. They are users without a password.
pub(super) fn add(draft: &mut Draft) {
    let given = draft.anonymous.take();
    if given.is_none() && !draft.server.anonymous.enabled {
        return;
    }
    let line = given.as_ref().map_or(0, |section| section.line);
    let blank = ini::Section {
        name: ANONYMOUS_SECTION.to_owned(),
        line: draft.line("enable_anonymous"),
        entries: Vec::new(),
    };
    let has_section = given.is_some();
    let mut section = given.unwrap_or(blank);
    let lent = lend(draft, &mut section);
    // faults are reported for the last file of the list, and the section is in the first, ftpd.ini
    let others = draft.files.split_off(1);
    let known = draft.faults.len();
    for entry in section.entries.iter().filter(|entry| is_password(&entry.key)) {
        draft.fault(&section, Some(entry), Fault::Misplaced("[user:NAME]"));
    }
    let user = users::user(draft, ANONYMOUS_SECTION, &section, false);
    draft.files.extend(others);
    for (place, _) in draft.faults.iter_mut().skip(known) {
        // the administrator wrote the key in [server], so the fault names that key
        let alias = ALIASES.iter().find(|(_, key)| place.key.as_deref() == Some(key));
        if let Some((alias, key)) = alias
            && (lent.contains(key) || !has_section)
        {
            let line = draft.lines.get(alias).copied().unwrap_or(place.line);
            *place = Location::of(line, "server", alias);
        }
    }
    draft.server.anonymous.enabled = user.enabled;
    if !user.enabled {
        return;
    }
    for name in ANONYMOUS {
        if let Some((file, line)) = draft.places.get(name) {
            let why = "is already the name of an anonymous user (enable_anonymous)".to_owned();
            let section = Some(format!("user:{name}"));
            let place = Location { file: *file, line: *line, section, key: None };
            draft.faults.push((place, Fault::Value(name.to_owned(), why)));
        }
        let (name, user) = (name.to_owned(), user.clone());
        draft.users.push(Candidate { name, file: 0, line, password_line: line, user });
    }
}

/// Returns whether a key sets a password, which anonymous users have none of.
fn is_password(key: &str) -> bool {
    key == "password" || other_form(key) == Some("password")
}

/// Adds the values that `[server]` sets for anonymous users to the section, and returns the keys
/// that were added. Reports a fault if both set a key to different values.
fn lend(draft: &mut Draft, section: &mut ini::Section) -> Vec<&'static str> {
    let mut lent = Vec::new();
    for (alias, name) in ALIASES {
        let (line, text) = (draft.line(alias), draft.texts.get(alias));
        let Some(text) = text.filter(|_| line > 0).cloned() else { continue };
        if Environment::is_variable(line) {
            // the environment overrides the file
            section.entries.retain(|entry| entry.key != name);
        }
        let own = section.entries.iter().find(|entry| entry.key == name);
        match own {
            None if text.is_empty() => {}
            // the fault of this value has been reported already
            None if draft.is_faulty(line) && name != "home" => {}
            None => {
                section.entries.push(ini::Assignment {
                    key: name.to_owned(),
                    value: text,
                    line,
                });
                lent.push(name);
            }
            Some(entry) if !agree(draft, name, &entry.value, &text) => {
                let why = format!("contradicts {alias} of [server] on line {line}");
                let place = Location::of(entry.line, ANONYMOUS_SECTION, name);
                draft.faults.push((place, Fault::Value(entry.value.clone(), why)));
            }
            Some(_) => {}
        }
    }
    lent
}

/// Returns whether two texts mean the same value of a user's key. An invalid text counts as equal
/// to any other, because its fault is reported elsewhere.
fn agree(draft: &Draft, name: &str, one: &str, other: &str) -> bool {
    let read = |text: &str| {
        // disabled, because a missing directory has a fault of its own
        let mut user = User { rules: draft.rules.clone(), enabled: false, ..User::blank() };
        let key = KEYS.iter().find(|key| key.name == name)?;
        let given = Given { text, folder: &draft.folder, user: None };
        key.set(&given, &mut Target::User(&mut user)).ok()?;
        if name == "home" && (text.is_empty() || home::check(text, &user).is_err()) {
            return None;
        }
        Some((user.enabled, user.perm(), user.home))
    };
    match (read(one), read(other)) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => true,
    }
}
