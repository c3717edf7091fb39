//! Reads the sections of the files into a draft.

use std::sync::Arc;

use super::draft::{ANONYMOUS_SECTION, Draft, FolderSection};
use super::error::{Fault, Location};
use super::field::{Scope, Target};
use super::ini::{self, Document};
use super::keys::{KEYS, Key};
use super::kind::Given;
use super::users::{named, renamed, template, unknown};
use super::view::View;

/// Reads the sections of `ftpd.ini`: first `[server]`, because its rules are the defaults of the
/// users, and then the templates.
pub(super) fn take(draft: &mut Draft, document: Document) {
    draft.faults = document.faults;
    let (server, others): (Vec<_>, Vec<_>) =
        document.sections.into_iter().partition(|section| section.name == "server");
    self::server(draft, server.into_iter().next());
    let (templates, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|section| section.name.starts_with("template:"));
    for section in templates {
        template(draft, section);
    }
    for section in others {
        if let Some(name) = section.name.strip_prefix("user:") {
            let name = name.to_owned();
            named(draft, &name, section);
        } else if section.name.starts_with("folder:") {
            draft.folders.push(FolderSection { file: 0, section });
        } else if section.name == ANONYMOUS_SECTION {
            draft.anonymous = Some(section);
        } else {
            let mut known = ["server", ANONYMOUS_SECTION].into_iter();
            let near = known.find(|name| strsim::jaro_winkler(&section.name, name) > 0.8);
            let near = near.map(str::to_owned);
            draft.fault(&section, None, Fault::UnknownSection(near));
        }
    }
}

/// Reads the users in the files of `users_file`.
pub(super) fn take_users(draft: &mut Draft, source: &View<'_>) {
    let Some(users) = draft.server.storage.users_file.clone() else { return };
    let files = source.files(&users).unwrap_or_else(|why| {
        let place = Location::of(draft.line("users_file"), "server", "users_file");
        let fault = Fault::Value(users.display().to_string(), format!("cannot be read: {why}"));
        draft.faults.push((place, fault));
        Vec::new()
    });
    for path in files {
        let read = source.read(&path);
        let mode = read.as_ref().map_or(0, |(_, mode)| *mode);
        draft.files.push((path, mode));
        let file = draft.files.len() - 1;
        let (bytes, _) = match read {
            Ok(read) => read,
            Err(why) => {
                let place = Location { file, ..Location::default() };
                draft.faults.push((place, Fault::Unreadable(why.to_string())));
                continue;
            }
        };
        let document = ini::read(&bytes);
        drop(bytes);
        let faults = document.faults.into_iter();
        draft.faults.extend(faults.map(|(place, fault)| (Location { file, ..place }, fault)));
        for section in document.sections {
            match section.name.strip_prefix("user:").map(str::to_owned) {
                Some(name) => named(draft, &name, section),
                None if section.name.starts_with("folder:") => {
                    draft.folders.push(FolderSection { file, section });
                }
                None => draft.fault(&section, None, Fault::NotAUser),
            }
        }
    }
}

/// Reads the users that only the environment names, after those of the files.
pub(super) fn take_environment(draft: &mut Draft) {
    let environment = Arc::clone(&draft.environment);
    draft.faults.extend(environment.faults());
    // whatever the file, the locations name variables
    let others = draft.files.split_off(1);
    for name in environment.users() {
        if !draft.places.contains_key(name) {
            named(draft, name, environment.section_of(name));
        }
    }
    draft.files.extend(others);
    // a key whose variable has a fault is not missing
    let variable = |(place, _): &(Location, Fault)| environment.variable(place);
    let faulty: Vec<_> = environment.faults().filter_map(|fault| variable(&fault)).collect();
    draft.faults.retain(|fault| {
        fault.1 != Fault::Missing || !variable(fault).is_some_and(|name| faulty.contains(&name))
    });
}

fn server(draft: &mut Draft, section: Option<ini::Section>) {
    let blank = || ini::Section { name: "server".to_owned(), line: 0, entries: Vec::new() };
    let mut section = section.unwrap_or_else(blank);
    Arc::clone(&draft.environment).override_in(&mut section);
    let (mut server, mut rules) = (draft.server.clone(), draft.rules.clone());
    let mut target = Target::Server(&mut server, &mut rules);
    let here = |key: &&Key| key.scope().has_server();
    for key in KEYS.iter().filter(here) {
        let entry = section.entries.iter().find(|entry| entry.key == key.name);
        let text = entry.map(|entry| entry.value.as_str()).or(key.default);
        if let Some(entry) = entry {
            draft.lines.insert(key.name, entry.line);
        }
        if let Some(text) = text {
            draft.texts.insert(key.name, text.to_owned());
        }
        if let Some(text) = text {
            draft.explain("server", key, text, entry.map(|entry| (0, entry)));
        }
        let set = text.map_or(Ok(()), |text| {
            key.set(&Given { text, folder: &draft.folder, user: None }, &mut target)
        });
        if let Err(fault) = set {
            draft.fault(&section, entry, fault);
        }
    }
    renamed(draft, &section);
    unknown(draft, &section, Scope::User, "[user:NAME]");
    (draft.server, draft.rules) = (server, rules);
}
