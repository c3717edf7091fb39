//! Settings from the environment: `FTPD_SERVER_KEY` gives what `[server]` gives, and
//! `FTPD_USER_NAME_KEY` what `[user:name]` gives.
//!
//! A variable becomes an entry of its section, so that the one reader of the key table reads it like a
//! line of the file. The command line passes the variables on as values; nothing here reads the
//! environment. Other names are ignored: service managers, hook programs and orchestrators have
//! variables that begin with `FTPD_` as well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fmt;

use super::error::{ConfigError, Fault, Location};
use super::field::Scope;
use super::ini::{Assignment, Section};
use super::keys::{KEYS, Key, other_form};
use super::nearest::nearest;

const SERVER: &str = "FTPD_SERVER_";
const USER: &str = "FTPD_USER_";

/// The last part of a variable that gives the name of a user, if the variables of the user cannot
/// contain it.
const NAME: &str = "name";

/// Variables have line numbers from here on, in the order of their names, so that they come after the
/// lines of all files.
const FIRST: usize = usize::MAX / 2;

/// The variables of the environment that set keys. `Debug` shows none of their values.
#[derive(Default)]
pub struct Environment {
    variables: Vec<Variable>,
    server: Vec<Assignment>,
    users: BTreeMap<String, Vec<Assignment>>,
    faults: Vec<(Location, Fault)>,
}

/// A variable that sets a key.
struct Variable {
    name: String,
    /// The name up to the key.
    stem: String,
    key: String,
}

/// A variable of a user whose name is not known yet.
struct Piece {
    /// The part of the variable that stands for the user, in lower case.
    middle: String,
    entry: Assignment,
    /// The user and the key, if the name is split at a shorter key.
    other: Option<(String, String)>,
}

impl Environment {
    /// Reads the variables of an environment.
    pub fn of(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut ours: Vec<_> = all
            .into_iter()
            .filter(|(name, _)| {
                let name = name.as_encoded_bytes();
                [SERVER, USER].iter().any(|prefix| name.starts_with(prefix.as_bytes()))
            })
            .collect();
        ours.sort();
        let mut environment = Self::default();
        let mut pieces = Vec::new();
        for (name, value) in ours {
            let value = value.to_str();
            let is_address =
                |text: &str| text.starts_with("tcp://") || text.starts_with("udp://");
            if value.is_some_and(is_address) {
                continue;
            }
            let name = name.to_string_lossy();
            match (name.strip_prefix(SERVER), name.strip_prefix(USER)) {
                (Some(key), _) => environment.take_server(key, value),
                (None, Some(rest)) => pieces.extend(environment.take_user(rest, value)),
                (None, None) => {}
            }
        }
        environment.name_users(pieces);
        environment
    }

    /// Returns whether no variable sets a key.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// Returns the text of a key of `[server]`, if a variable sets it.
    pub(super) fn server_text(&self, key: &str) -> Option<&str> {
        let entry = self.server.iter().find(|entry| entry.key == key)?;
        Some(entry.value.as_str())
    }

    /// Returns the variable that sets a key of `[server]`.
    pub fn of_server(&self, key: &str) -> Option<&str> {
        let entry = self.server.iter().find(|entry| entry.key == key)?;
        let variable = self.variables.get(entry.line.checked_sub(FIRST)?)?;
        Some(variable.name.as_str())
    }

    /// Returns the variables that set keys of a user, each with its key.
    pub fn of_user(&self, name: &str) -> Vec<(&str, &str)> {
        let entries = self.users.get(name).into_iter().flatten();
        let variable = |entry: &Assignment| {
            let variable = self.variables.get(entry.line.checked_sub(FIRST)?)?;
            Some((variable.name.as_str(), variable.key.as_str()))
        };
        entries.filter_map(variable).collect()
    }

    /// Returns the names of the users that variables set keys of.
    pub(super) fn users(&self) -> impl Iterator<Item = &String> {
        self.users.keys()
    }

    /// Returns the faults of names and values that became no entry.
    pub(super) fn faults(&self) -> impl Iterator<Item = (Location, Fault)> {
        self.faults.iter().cloned()
    }

    /// Returns section, key and value of each entry, for the fuzz targets.
    #[doc(hidden)]
    pub fn rows(&self) -> Vec<(String, String, String)> {
        let server = self.server.iter().map(|entry| ("server".to_owned(), entry));
        let users = self.users.iter().flat_map(|(user, entries)| {
            entries.iter().map(move |entry| (format!("user:{user}"), entry))
        });
        let row = |(section, entry): (String, &Assignment)| {
            (section, entry.key.clone(), entry.value.clone())
        };
        server.chain(users).map(row).collect()
    }

    /// Returns the faults as they are printed, for the fuzz targets.
    #[doc(hidden)]
    pub fn complaints(&self) -> Vec<String> {
        let printed = |(place, fault): (Location, Fault)| {
            let variable = self.variable(&place);
            let fault = self.reworded(&place, fault);
            ConfigError { file: "environment".into(), place, variable, fault }.to_string()
        };
        self.faults().map(printed).collect()
    }

    /// Replaces the entries of `[server]` or of a user that variables set too.
    pub(super) fn override_in(&self, section: &mut Section) {
        let entries = match section.name.strip_prefix("user:") {
            Some(user) => self.users.get(user).map_or(&[][..], Vec::as_slice),
            None if section.name == "server" => &self.server,
            None => &[],
        };
        let sets = |key: &str| entries.iter().any(|entry| entry.key == key);
        section
            .entries
            .retain(|entry| !sets(&entry.key) && !other_form(&entry.key).is_some_and(sets));
        section.entries.extend_from_slice(entries);
    }

    /// Returns the section of a user who has none in the files.
    pub(super) fn section_of(&self, user: &str) -> Section {
        let entries = self.users.get(user).cloned().unwrap_or_default();
        let line = entries.first().map_or(0, |entry| entry.line);
        Section { name: format!("user:{user}"), line, entries }
    }

    /// Returns the variable at a location; `None`: there is a line of a file. If the variable at the
    /// location sets another key, the variable of the same user that would set this key.
    pub(super) fn variable(&self, place: &Location) -> Option<String> {
        let variable = self.variables.get(place.line.checked_sub(FIRST)?)?;
        let is_own = |key: &&String| {
            **key == variable.key || other_form(key) == Some(variable.key.as_str())
        };
        Some(match place.key.as_ref().filter(|key| !is_own(key)) {
            Some(key) => format!("{}{}", variable.stem, key.to_ascii_uppercase()),
            None => variable.name.clone(),
        })
    }

    /// Returns a fault with the names of variables in place of those of keys and sections, if it is the fault of
    /// a variable.
    pub(super) fn reworded(&self, place: &Location, fault: Fault) -> Fault {
        let named =
            |key: &String| self.variable(&Location { key: Some(key.clone()), ..place.clone() });
        if !Self::is_variable(place.line) {
            return fault;
        }
        if let Fault::UnknownKey(Some(near)) = &fault {
            return Fault::UnknownKey(named(near));
        }
        if let Fault::Misplaced(home) = fault {
            let is_server = home == "[server]";
            return Fault::Misplaced(if is_server {
                "FTPD_SERVER_KEY"
            } else {
                "FTPD_USER_NAME_KEY"
            });
        }
        fault
    }

    /// Returns whether the line number is that of a variable.
    pub(super) fn is_variable(line: usize) -> bool {
        line >= FIRST
    }

    /// Adds a variable and returns its line number.
    fn add(&mut self, name: String, stem: String, key: &str) -> usize {
        self.variables.push(Variable { name, stem, key: key.to_owned() });
        FIRST + self.variables.len() - 1
    }

    fn take_server(&mut self, rest: &str, value: Option<&str>) {
        let key = rest.to_ascii_lowercase();
        if known(&key).is_none() && is_of_orchestrator(&key) {
            return;
        }
        let line = self.add(format!("{SERVER}{rest}"), SERVER.to_owned(), &key);
        let place = Location::of(line, "server", &key);
        if let Some(other) = self.server.iter().find(|entry| entry.key == key) {
            let other = Location::of(other.line, "server", &key);
            let other = self.variable(&other).unwrap_or_default();
            return self.faults.push((place, Fault::RepeatedVariable(other)));
        }
        match text(value) {
            Ok(value) => self.server.push(Assignment { key, value, line }),
            Err(why) => self.faults.push((place, why)),
        }
    }

    /// Splits a variable of a user at its key. Returns `None` if it is not ours, or after a fault.
    fn take_user(&mut self, rest: &str, value: Option<&str>) -> Option<Piece> {
        let lower = rest.to_ascii_lowercase();
        let name = format!("{USER}{rest}");
        let is_of_server = |key| known(key).is_some_and(|key| key.scope() == Scope::Server);
        let mut splits = splits(&lower);
        let parts = splits.next().filter(|_| known(&lower).is_none());
        if parts.is_none_or(|(_, key)| is_of_server(key)) && is_of_orchestrator(&lower) {
            return None;
        }
        let Some((middle, key)) = parts else {
            let is_key = !lower.contains('_') || known(&lower).is_some();
            let unknown = || Fault::UnknownKey(meant(&lower));
            let fault = if is_key { Fault::NobodyNamed } else { unknown() };
            let line = self.add(name, USER.to_owned(), &lower);
            self.faults.push((Location { line, ..Location::default() }, fault));
            return None;
        };
        let stem = format!("{USER}{}_", rest.get(..middle.len()).unwrap_or(middle));
        let line = self.add(name, stem, key);
        let mut bad = |fault| {
            let place = Location { line, key: Some(key.to_owned()), ..Location::default() };
            self.faults.push((place, fault));
        };
        if middle.is_empty() || is_of_server(key) {
            let is_nobody = middle.is_empty();
            bad(if is_nobody { Fault::NobodyNamed } else { Fault::Misplaced("[server]") });
            return None;
        }
        let own = |(middle, key): (&str, &str)| (middle.to_owned(), key.to_owned());
        let other = splits.next().map(own);
        let (middle, key) = own((middle, key));
        match text(value) {
            Ok(value) => Some(Piece { middle, entry: Assignment { key, value, line }, other }),
            Err(why) => {
                bad(why);
                None
            }
        }
    }

    /// Adds the entries of users, under the names that variables give or that their own names contain.
    fn name_users(&mut self, pieces: Vec<Piece>) {
        let (names, pieces): (Vec<_>, Vec<_>) =
            pieces.into_iter().partition(|piece| piece.entry.key == NAME);
        self.find_ambiguous(&pieces);
        // the variables of one user have one middle
        let mut middles: HashMap<String, (String, usize)> = HashMap::new();
        let mut given: BTreeMap<String, (String, usize)> = BTreeMap::new();
        for Piece { middle, entry, .. } in names {
            self.name_user(&mut middles, &entry.value, &middle, entry.line);
            self.users.entry(entry.value.clone()).or_default();
            if let Some((_, line)) = given.insert(middle, (entry.value, entry.line)) {
                self.repeat(entry.line, line);
            }
        }
        for Piece { middle, entry, .. } in pieces {
            let name = given.get(&middle).map_or(&middle, |(name, _)| name).clone();
            if !given.contains_key(&middle) {
                self.name_user(&mut middles, &name, &middle, entry.line);
            }
            let entries = self.users.entry(name).or_default();
            match entries.iter().find(|other| other.key == entry.key).map(|other| other.line) {
                Some(other) => self.repeat(entry.line, other),
                None => entries.push(entry),
            }
        }
        for (name, line) in given.values() {
            let entries = self.users.get(name).is_none_or(Vec::is_empty);
            if entries {
                self.users.remove(name);
                let place = Location { line: *line, ..Location::default() };
                let why = "is the name of a user without any key".to_owned();
                self.faults.push((place, Fault::Value(name.clone(), why)));
            }
        }
    }

    /// Reports the variables that may belong to another user, whom other variables name.
    fn find_ambiguous(&mut self, pieces: &[Piece]) {
        let clear = pieces.iter().filter(|piece| piece.other.is_none());
        let clear: HashSet<_> = clear.map(|piece| piece.middle.as_str()).collect();
        for Piece { middle, entry, other } in pieces {
            if let Some((user, key)) = other
                && clear.contains(user.as_str())
            {
                let own = (entry.key.clone(), middle.clone());
                let fault = Fault::Ambiguous([own, (key.clone(), user.clone())]);
                let place = Location { line: entry.line, ..Location::default() };
                self.faults.push((place, fault));
            }
        }
    }

    /// Notes that the variables with this middle set keys of the user `name`. It is a fault if those
    /// with another middle do.
    fn name_user(
        &mut self,
        middles: &mut HashMap<String, (String, usize)>,
        name: &str,
        middle: &str,
        line: usize,
    ) {
        match middles.get(name) {
            Some((other, at)) if other != middle => {
                let (place, other) = (Location::default(), *at);
                let other = self.variable(&Location { line: other, ..place.clone() });
                let fault = Fault::SameUser(other.unwrap_or_default());
                self.faults.push((Location { line, ..place }, fault));
            }
            Some(_) => {}
            None => {
                middles.insert(name.to_owned(), (middle.to_owned(), line));
            }
        }
    }

    fn repeat(&mut self, line: usize, other: usize) {
        let place = |line| Location { line, ..Location::default() };
        let other = self.variable(&place(other)).unwrap_or_default();
        self.faults.push((place(line), Fault::RepeatedVariable(other)));
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.variables.iter().map(|variable| &variable.name)).finish()
    }
}

fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Splits the part of a variable after its prefix into the user and a key that is known, in each possible way.
/// The longest key comes first.
fn splits(rest: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = rest.match_indices('_').map(|(at, _)| at);
    let parts = parts.filter_map(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)));
    parts.filter(|(_, key)| *key == NAME || known(key).is_some())
}

/// Returns the variable that is most similar to one without a known key, after its prefix.
fn meant(rest: &str) -> Option<String> {
    let parts = rest.match_indices('_').map(|(at, _)| at).filter(|at| *at > 0);
    let near = parts.filter_map(|at| {
        let (user, key) = (rest.get(..=at)?, rest.get(at + 1..)?);
        let names = KEYS.iter().filter(|key| key.scope().has_users());
        let near = nearest(key, names.map(|key| key.name))?;
        Some((strsim::osa_distance(key, &near), format!("{user}{near}")))
    });
    near.min().map(|(_, near)| near)
}

/// Returns the text of a value without the line end that a program may have left.
fn text(value: Option<&str>) -> Result<String, Fault> {
    let text = value.ok_or(Fault::NotText)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.contains(['\n', '\r']) {
        return Err(Fault::Secret("has more than one line"));
    }
    Ok(text.to_owned())
}

/// Returns whether a name has the form of the variables by which an orchestrator tells programs about a
/// service, such as `FTPD_SERVER_SERVICE_HOST` and `FTPD_SERVER_PORT_21_TCP_ADDR`.
fn is_of_orchestrator(rest: &str) -> bool {
    let is_service = |at: &str| at == "service_host" || at.starts_with("service_port");
    let is_port = |at: &str| {
        let number = at.strip_prefix("port_").and_then(|at| at.split_once('_'));
        number.is_some_and(|(number, kind)| {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && matches!(kind.split('_').next(), Some("tcp" | "udp" | "sctp"))
        })
    };
    let begins = rest.match_indices('_').map(|(at, _)| at + 1);
    let mut parts = [0].into_iter().chain(begins).filter_map(|at| rest.get(at..));
    parts.any(|at| is_service(at) || is_port(at))
}
