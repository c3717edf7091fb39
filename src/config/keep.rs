//! Which rules of retention apply where in a home, and whether the homes of the settings allow
//! them: no rule may reach the home of another user, or files of the server itself.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::draft::{Candidate, Draft};
use super::error::{Fault, Location};
use super::settings::{KeepRules, User, is_in};
use super::tls::CertificateSource;
use super::value::LogTo;

/// Number of keys that are rules of retention.
pub const KEEP_KEYS: usize = 4;

/// The rules of retention in one home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHome {
    /// The home itself, and the folders that set a key. One that encloses another comes before it.
    sections: Vec<(String, KeepRules)>,
    /// All folders with settings.
    folders: Vec<String>,
}

impl KeptHome {
    /// Returns the rules in the home of a user, if there are any.
    pub fn of(user: &User) -> Option<Self> {
        let own = (String::new(), user.rules.folder.keep.clone());
        let folders = user.folders.iter();
        let inner = folders.map(|folder| (folder.path.clone(), folder.rules.keep.clone()));
        let all = std::iter::once(own).chain(inner);
        let sections: Vec<_> = all
            .filter(|(_, keep)| keep.by_key().into_iter().any(|(is_set, _)| is_set))
            .collect();
        sections.iter().any(|(_, keep)| keep.any()).then(|| {
            let folders = user.folders.iter().map(|folder| folder.path.clone()).collect();
            Self { sections, folders }
        })
    }

    /// Returns the path and the rules of each section.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &KeepRules)> {
        self.sections.iter().map(|(folder, keep)| (folder.as_str(), keep))
    }

    /// Returns for each key the section whose rule applies to what lies directly in a directory. The
    /// path is absolute, and leads through no links.
    pub fn rules_in(&self, directory: &[u8]) -> [Option<usize>; KEEP_KEYS] {
        let mut found = [None; KEEP_KEYS];
        for (at, (folder, keep)) in self.sections.iter().enumerate() {
            if !is_in(directory, folder.as_bytes()) {
                continue;
            }
            for (rule, (is_set, is_on)) in found.iter_mut().zip(keep.by_key()) {
                if is_set {
                    *rule = is_on.then_some(at);
                }
            }
        }
        found
    }

    /// Whether any rule applies to what lies in a directory or below it.
    pub fn reaches(&self, directory: &[u8]) -> bool {
        self.rules_in(directory).iter().any(Option::is_some)
            || self
                .sections
                .iter()
                .any(|(folder, keep)| keep.any() && is_in(folder.as_bytes(), directory))
    }

    /// Whether a directory is a folder whose section sets a rule.
    pub fn is_section(&self, directory: &[u8]) -> bool {
        let is_it = |folder: &str| folder.as_bytes().eq_ignore_ascii_case(directory);
        self.sections.iter().any(|(folder, _)| is_it(folder))
    }

    /// Whether a directory is the home, or a folder with settings of its own.
    pub fn has_settings(&self, directory: &[u8]) -> bool {
        let is_it = |folder: &String| folder.as_bytes().eq_ignore_ascii_case(directory);
        matches!(directory, b"" | b"/") || self.folders.iter().any(is_it)
    }
}

/// The keys of retention, for the text of faults.
const RULES: &str = "the rules of retention (keep_for, keep_bytes, keep_files, min_free)";

/// The homes of all users and the rules in them, in the order of the users.
struct Homes {
    paths: Vec<PathBuf>,
    rules: Vec<Option<KeptHome>>,
    /// The first user with each home.
    first: HashMap<PathBuf, usize>,
}

/// Checks that rules of retention reach no home of another user and no file of the server. Returns
/// warnings.
pub(super) fn check(draft: &mut Draft) -> Vec<String> {
    let rules: Vec<_> = draft.users.iter().map(|named| KeptHome::of(&named.user)).collect();
    if rules.iter().all(Option::is_none) {
        return Vec::new();
    }
    let homes: Vec<_> = draft.users.iter().map(|named| real(&named.user.home)).collect();
    let mut first = HashMap::new();
    for (at, home) in homes.iter().enumerate() {
        first.entry(home.clone()).or_insert(at);
    }
    let homes = Homes { paths: homes, rules, first };
    let mut faults = homes.shared(draft);
    faults.extend(homes.nested(draft));
    for (key, path) in own_files(draft) {
        let outer = homes.around(&path).and_then(|at| draft.users.get(at));
        let why = format!("contains {key} ({}), which {RULES} would remove", path.display());
        faults.extend(outer.map(|outer| fault(outer, &why)));
    }
    draft.faults.extend(faults);
    warnings(draft)
}

impl Homes {
    /// Returns a fault for each user who has the home of another one and other rules there.
    fn shared(&self, draft: &Draft) -> Vec<(Location, Fault)> {
        let mut faults = Vec::new();
        for (at, (named, home)) in draft.users.iter().zip(&self.paths).enumerate() {
            let Some(&first) = self.first.get(home) else { continue };
            if self.rules.get(first) != self.rules.get(at) {
                let other = draft.users.get(first).map_or("", |named| named.name.as_str());
                let why = format!(
                    "is also the home of user '{other}', for whom other {} apply",
                    RULES.trim_start_matches("the ")
                );
                faults.push(fault(named, &why));
            }
        }
        faults
    }

    /// Returns a fault for each home with rules that reach the home of another user.
    fn nested(&self, draft: &Draft) -> Vec<(Location, Fault)> {
        let mut told = HashSet::new();
        let mut faults = Vec::new();
        for (named, home) in draft.users.iter().zip(&self.paths) {
            let Some(above) = home.parent() else { continue };
            let Some(at) = self.around_from(above, home) else { continue };
            let Some(outer) = draft.users.get(at).filter(|_| told.insert(at)) else { continue };
            let name = &named.name;
            let why =
                format!("contains the home of user '{name}', whose files {RULES} would remove");
            faults.push(fault(outer, &why));
        }
        faults
    }

    /// Returns a user whose rules reach this file or directory.
    fn around(&self, path: &Path) -> Option<usize> {
        self.around_from(path, path)
    }

    /// Returns a user whose home is at `above` or above it, and whose rules reach `path`.
    fn around_from(&self, above: &Path, path: &Path) -> Option<usize> {
        above.ancestors().find_map(|above| {
            let at = *self.first.get(above)?;
            let rules = self.rules.get(at)?.as_ref()?;
            rules.reaches(&below(above, path)?).then_some(at)
        })
    }
}

fn warnings(draft: &Draft) -> Vec<String> {
    let delay = draft.server.retention.delay;
    if draft.server.storage.state_dir.is_some() || delay.is_zero() {
        return Vec::new();
    }
    let why = "without it, keep_delay begins anew at each start of the server".to_owned();
    let place = Location::of(draft.line("state_dir"), "server", "state_dir");
    vec![draft.printed(&(place, Fault::Value(String::new(), why)))]
}

fn fault(named: &Candidate, why: &str) -> (Location, Fault) {
    let home = named.user.home.display().to_string();
    (named.place(named.line, "home"), Fault::Value(home, why.to_owned()))
}

/// Returns the path of a file in a home, as clients see it, or `None` if it is not in the home.
fn below(home: &Path, path: &Path) -> Option<Vec<u8>> {
    let below = path.strip_prefix(home).ok()?.as_os_str().as_encoded_bytes();
    Some([b"/", below].concat())
}

/// Returns the path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let Ok(found) = std::fs::canonicalize(above) {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            return found.join(rest);
        }
    }
    path.to_owned()
}

/// Returns the files of the server, each with the key that names it.
fn own_files(draft: &Draft) -> Vec<(&'static str, PathBuf)> {
    let server = &draft.server;
    let log = match &server.log.to {
        LogTo::File(file) => Some(file.as_path()),
        LogTo::Stderr | LogTo::Syslog(_) => None,
    };
    let (certificate, dir) = match &server.tls.cert {
        CertificateSource::File(file) => (Some(file.as_path()), None),
        CertificateSource::Auto => (None, server.tls.dir.as_deref()),
        CertificateSource::None => (None, None),
    };
    let paths = [
        ("log_file", log.filter(|_| server.log.enabled)),
        ("transfer_log", server.log.transfers.as_deref()),
        ("state_dir", server.storage.state_dir.as_deref()),
        ("admin_socket", server.admin.socket.as_deref()),
        ("users_file", server.storage.users_file.as_deref()),
        ("tls_dir", dir),
        ("tls_cert", certificate),
        ("tls_key", server.tls.key.as_deref()),
        ("tls_client_ca", server.tls.client_ca.as_deref()),
    ];
    let settings = draft.settings_file().map(|file| ("the settings", real(file)));
    let secrets = draft.users.iter().filter_map(|named| named.user.password_file.as_deref());
    let secrets = secrets.map(|file| ("password_file", real(file)));
    let others = paths.into_iter().filter_map(|(key, path)| Some((key, real(path?))));
    settings.into_iter().chain(others).chain(secrets).collect()
}
