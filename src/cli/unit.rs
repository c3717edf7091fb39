//! The systemd unit that starts the server, if it is installed: its user, and the directories
//! that it lets the server write to. The settings contain neither.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Config, Origin, User};
use crate::log::escaped;
use crate::rights::{self, Ids};

/// The name of the unit.
const NAME: &str = "ftpd.service";

/// The directories in which systemd looks for units, in this order (systemd.unit(5)).
const PATHS: [&str; 6] = [
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Maximum number of homes with a warning of their own.
const MOST: usize = 20;

/// The values of each key in the section `[Service]` of the unit and its drop-ins.
#[derive(Debug, Default)]
pub(super) struct Unit {
    values: BTreeMap<String, Vec<String>>,
}

/// What the unit lets the server do below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
    /// The server sees an empty or a different directory instead.
    Hidden,
}

impl Unit {
    /// Finds the unit that starts a server with these settings, if there is one.
    pub(super) fn of(origin: &Origin) -> Option<Self> {
        let settings = origin.file.as_deref()?;
        let places = search_path();
        let file = places.iter().map(|place| place.join(NAME)).find(|file| file.exists())?;
        let mut unit = Self::default();
        unit.read(&read(&file)?);
        // a drop-in hides drop-ins with its name in later directories; they are read in the
        // order of their names
        let mut drop_ins = BTreeMap::new();
        for place in places.iter().rev() {
            for file in listed(&place.join(format!("{NAME}.d"))) {
                if file.extension().is_some_and(|extension| extension == "conf") {
                    drop_ins.insert(file.file_name().map(ToOwned::to_owned), file);
                }
            }
        }
        for file in drop_ins.values() {
            unit.read(&read(file).unwrap_or_default());
        }
        unit.starts(settings).then_some(unit)
    }

    /// Adds the lines of a file.
    fn read(&mut self, text: &str) {
        let mut is_service = false;
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            if line.starts_with('[') {
                is_service = line == "[Service]";
            }
            let is_comment = line.starts_with(['#', ';']);
            let Some((key, value)) = line.split_once('=').filter(|_| is_service && !is_comment)
            else {
                continue;
            };
            let values = self.values.entry(key.trim().to_owned()).or_default();
            match value.trim() {
                // an empty value removes the values before it
                "" => values.clear(),
                value => values.push(value.to_owned()),
            }
        }
    }

    /// Returns the last value of a key, or an empty text.
    fn last(&self, key: &str) -> &str {
        self.values.get(key).and_then(|values| values.last()).map_or("", String::as_str)
    }

    /// Returns the words of all values of a key.
    fn words(&self, key: &str) -> impl Iterator<Item = String> + '_ {
        self.values.get(key).into_iter().flatten().flat_map(|value| words(value))
    }

    /// Returns whether the unit starts a server with these settings.
    fn starts(&self, settings: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let named: Vec<_> = self.words("ExecStart").collect();
        let follows = |word: &str| matches!(word, "--config" | "-c");
        let after = named.iter().zip(named.iter().skip(1));
        let file =
            after.filter(|(word, _)| follows(word)).map(|(_, file)| file.as_str()).next_back();
        let joined = named.iter().find_map(|word| word.strip_prefix("--config="));
        let file = file.or(joined).unwrap_or("/etc/ftpd.ini");
        real(settings).is_some_and(|settings| real(Path::new(file)) == Some(settings))
    }

    /// Returns the user that the unit names.
    pub(super) fn user(&self) -> Option<Ids> {
        let name = Some(self.last("User")).filter(|name| !name.is_empty())?;
        let group = Some(self.last("Group")).filter(|group| !group.is_empty());
        let gid = group.and_then(|group| rights::group(group).ok());
        Ids::of(name, gid).ok()
    }

    /// Returns what the unit lets the server do below a directory. The most specific rule
    /// counts, but a hidden directory can only be made writable by a bind mount.
    fn access(&self, folder: &Path) -> Access {
        let rules = self.rules();
        let bound = self.bound();
        let applies = rules.iter().chain(&bound).filter(|(path, _)| folder.starts_with(path));
        let is_hidden = applies.clone().any(|(_, access)| *access == Access::Hidden);
        if is_hidden && !bound.iter().any(|(path, _)| folder.starts_with(path)) {
            return Access::Hidden;
        }
        let nearest = applies.max_by_key(|(path, _)| path.components().count());
        nearest.map_or(Access::Write, |(_, access)| *access)
    }

    /// Returns the rules of the unit, other than bind mounts.
    fn rules(&self) -> Vec<(PathBuf, Access)> {
        let is_on = |value: &str| matches!(value, "yes" | "true" | "1" | "on");
        let system: &[&str] = match self.last("ProtectSystem") {
            "strict" => &["/"],
            "full" => &["/usr", "/boot", "/efi", "/etc"],
            value if is_on(value) => &["/usr", "/boot", "/efi"],
            _ => &[],
        };
        let homes: &[&str] = &["/home", "/root", "/run/user"];
        let homes = match self.last("ProtectHome") {
            "read-only" => Some((homes, Access::Read)),
            value if value == "tmpfs" || is_on(value) => Some((homes, Access::Hidden)),
            _ => None,
        };
        let temporary: &[&str] = &["/tmp", "/var/tmp"];
        let temporary = is_on(self.last("PrivateTmp")).then_some((temporary, Access::Hidden));
        let fixed = [Some((system, Access::Read)), homes, temporary].into_iter().flatten();
        let fixed = fixed.flat_map(|(paths, access)| {
            paths.iter().map(move |path| (PathBuf::from(path), access))
        });
        let own = [
            ("StateDirectory", "/var/lib"),
            ("CacheDirectory", "/var/cache"),
            ("LogsDirectory", "/var/log"),
            ("RuntimeDirectory", "/run"),
        ];
        let own = own.into_iter().flat_map(|(key, base)| {
            self.words(key).map(move |name| (Path::new(base).join(name), Access::Write))
        });
        let named = [
            ("ReadOnlyPaths", Access::Read),
            ("InaccessiblePaths", Access::Hidden),
            ("ReadWritePaths", Access::Write),
        ];
        let named = named.into_iter().flat_map(|(key, access)| {
            let plain = |path: String| PathBuf::from(path.trim_start_matches(['-', '+']));
            self.words(key).map(move |path| (plain(path), access))
        });
        fixed.chain(own).chain(named).collect()
    }

    /// Returns the mount points of bind mounts.
    fn bound(&self) -> Vec<(PathBuf, Access)> {
        let keys = [("BindReadOnlyPaths", Access::Read), ("BindPaths", Access::Write)];
        let all = keys.into_iter().flat_map(|(key, access)| {
            self.words(key).map(move |path| {
                let mut parts = path.trim_start_matches('-').split(':');
                let from = parts.next().unwrap_or_default();
                let to = parts.next().filter(|to| !to.is_empty()).unwrap_or(from);
                (PathBuf::from(to), access)
            })
        });
        all.collect()
    }

    /// Returns advice to add a line to the unit, if the server needs it to use the home of this
    /// user.
    pub(super) fn advice(&self, user: &User) -> Option<String> {
        self.advice_for(&user.home, user.perm_in_home().writes())
    }

    /// Returns advice to add a line to the unit, if the server needs it to use this home.
    pub(super) fn advice_for(&self, home: &Path, writes: bool) -> Option<String> {
        // systemd applies the rules to paths without links
        let home = fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
        let shown = home.display().to_string().replace('%', "%%");
        let (what, key) = match self.access(&home) {
            Access::Write => return None,
            Access::Read if !writes => return None,
            Access::Read => ("does not let the server write there", "ReadWritePaths"),
            Access::Hidden => ("hides it from the server", "BindPaths"),
        };
        let shown = if key == "BindPaths" { shown.replace(':', "\\:") } else { shown };
        let is_plain = !shown.contains(|letter: char| letter.is_whitespace() || letter == '"');
        let value =
            if is_plain { shown } else { format!("\"{}\"", shown.replace('"', "\\\"")) };
        Some(format!(
            "{NAME} {what}; run 'systemctl edit ftpd', add this and restart: [Service] {key}={value}"
        ))
    }
}

/// Returns the user as which a server with these settings runs: the user in the settings (which
/// may have faults), or else the user of the unit, or else the owner of the files that a server
/// has made.
pub(super) fn server_user(origin: &Origin) -> Option<Ids> {
    let text = |key: &str| config::server_text(origin, key).ok().flatten();
    if let Some(name) = text("user") {
        let gid = text("group").and_then(|group| rights::group(&group).ok());
        return Ids::of(&name, gid).ok();
    }
    if let Some(unit) = Unit::of(origin) {
        return unit.user();
    }
    let folder = origin.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let owner = |key: &str| {
        let path = folder.join(text(key)?);
        let meta = fs::symlink_metadata(path).ok().filter(|meta| meta.uid() != 0)?;
        Ids::of(&meta.uid().to_string(), Some(meta.gid())).ok()
    };
    owner("admin_socket").or_else(|| owner("state_dir"))
}

/// Returns a warning for each home and quarantine that the unit of these settings does not let the server
/// use.
pub(super) fn warnings(origin: &Origin, config: &Config) -> Vec<String> {
    let Some(unit) = Unit::of(origin) else { return Vec::new() };
    let users = config.users_by_name();
    let about = |(name, user): &(&String, &Arc<User>)| {
        let name = escaped(name.as_bytes());
        let home = unit.advice(user).map(|why| {
            let home = user.home.display();
            format!("[user:{name}] home {home}: {why}")
        });
        let mounts = user.mounts().filter_map(|(folder, from)| {
            let why = unit.advice_for(from, folder.rules.perm.writes())?;
            let (folder, from) = (escaped(folder.path.as_bytes()), from.display());
            Some(format!("[user:{name}] folder {folder} from {from}: {why}"))
        });
        home.into_iter().chain(mounts).collect::<Vec<_>>()
    };
    let users = users.iter().filter(|(_, user)| user.enabled);
    let quarantines = config.quarantines().into_iter().filter_map(|folder| {
        let why = unit.advice_for(folder, true)?;
        Some(format!("quarantine {}: {why}", folder.display()))
    });
    let all: Vec<_> = users.flat_map(about).chain(quarantines).collect();
    let more = all.len().saturating_sub(MOST);
    let mut warnings: Vec<_> = all.into_iter().take(MOST).collect();
    if more > 0 {
        warnings.push(format!("{NAME} does not let the server use {more} more directories"));
    }
    warnings
}

/// Returns the directories in which systemd searches for units. An environment variable may
/// name others.
fn search_path() -> Vec<PathBuf> {
    match std::env::var_os("SYSTEMD_UNIT_PATH").filter(|path| !path.is_empty()) {
        Some(path) => std::env::split_paths(&path).filter(|path| path.is_absolute()).collect(),
        None => PATHS.map(PathBuf::from).into(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a directory of the system")]
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a file of the system")]
fn read(file: &Path) -> Option<String> {
    fs::read(file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Splits a value into words, which may be quoted.
fn words(value: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', _) => word.get_or_insert_default().extend(letters.next()),
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| word.replace("%%", "%")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        let mut unit = Unit::default();
        unit.read(text);
        unit
    }

    const SHIPPED: &str = include_str!("../../etc/ftpd.service");

    #[test]
    fn the_shipped_unit_lets_homes_be_where_it_says() {
        let unit = unit(SHIPPED);
        for (home, access) in [
            ("/srv/ftp/camera", Access::Write),
            ("/srv/ftp", Access::Write),
            ("/srv/ftpx", Access::Read),
            ("/srv/anna", Access::Read),
            ("/var/lib/ftpd/home", Access::Write),
            ("/home/anna/ftp", Access::Hidden),
            ("/tmp/x", Access::Hidden),
        ] {
            assert_eq!(unit.access(Path::new(home)), access, "{home}");
        }
    }

    #[test]
    fn drop_ins_add_and_take_back() {
        let more = "[Service]\nReadWritePaths=/mnt/disk \"/mnt/two words\" -/mnt/100%%\n\
                    BindPaths=/home/anna/ftp /srv/real:/home/bob\nUser=\nUser=other\n";
        let added = unit(&format!("{SHIPPED}\n{more}"));
        for (home, access) in [
            ("/mnt/disk/camera", Access::Write),
            ("/mnt/two words", Access::Write),
            ("/mnt/100%", Access::Write),
            ("/home/anna/ftp", Access::Write),
            ("/home/bob", Access::Write),
            ("/home/anna", Access::Hidden),
        ] {
            assert_eq!(added.access(Path::new(home)), access, "{home}");
        }
        assert_eq!(added.last("User"), "other");
        let none = unit(&format!("{SHIPPED}\n[Service]\nReadWritePaths=\n"));
        assert_eq!(none.access(Path::new("/srv/ftp/camera")), Access::Read);
        // a hidden directory cannot be made writable
        let vain = unit(&format!("{SHIPPED}\n[Service]\nReadWritePaths=/home/anna\n"));
        assert_eq!(vain.access(Path::new("/home/anna/x")), Access::Hidden);
    }

    #[test]
    fn advice_is_a_line_that_systemd_reads() {
        let unit = unit(SHIPPED);
        let advice = |home: &str| unit.advice_for(Path::new(home), true).unwrap();
        let ends = |home: &str, line: &str| assert!(advice(home).ends_with(line), "{home}");
        ends("/srv/anna", "[Service] ReadWritePaths=/srv/anna");
        ends("/home/anna/ftp", "[Service] BindPaths=/home/anna/ftp");
        ends("/mnt/two words", "ReadWritePaths=\"/mnt/two words\"");
        ends("/mnt/100%", "ReadWritePaths=/mnt/100%%");
        assert_eq!(unit.advice_for(Path::new("/srv/anna"), false), None);
        assert!(unit.advice_for(Path::new("/home/anna"), false).is_some());
        assert_eq!(unit.advice_for(Path::new("/srv/ftp/x"), true), None);
    }
}
