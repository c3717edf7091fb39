//! The settings of a user: those that only the user's section sets, and those that `[server]` sets
//! for every user.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::blank::settings;
use super::gate::GateRules;
use super::keep::{Choice, KeepRules};
use crate::config::charset::Charset;
use crate::config::day::Day;
use crate::config::filing::Filing;
use crate::config::hook::Programs;
use crate::config::pattern::Patterns;
use crate::config::perm::PermSet;
use crate::config::tls::TlsRequired;
use crate::config::value::{Overwrite, Password, Room};
use crate::rights::Ids;

settings! {
    /// The settings of one user.
    pub struct User {
        /// The password; `None`: any password is accepted, as for anonymous users.
        pub password: Option<Password> = None,
        /// The file that the password was read from.
        pub password_file: Option<PathBuf> = None,
        /// The system user under which this user's sessions open and create files.
        pub run_as: Option<Arc<Ids>> = None,
        /// Directory that is the root of what the user sees.
        pub home: PathBuf = PathBuf::new(),
        /// Directory out of which no link on the path of the home may lead; `None`: links may lead anywhere.
        pub above: Option<PathBuf> = None,
        /// Subject or fingerprint of the certificate that the user must present.
        pub tls_client: Option<String> = None,
        /// Whether the user may log in at all.
        pub enabled: bool = true,
        /// Maximum time between two uploads of the user, after which the administrator is told; `None`:
        /// uploads are not expected.
        pub expect_every: Option<Duration> = None,
        /// The last day on which the user may log in.
        pub expires: Option<Day> = None,
        /// The folders with settings of their own. One that encloses another comes before it.
        pub folders: Arc<[Folder]> = Arc::default(),
        /// The rules of `[server]`, with the values that the section of the user overrides.
        pub rules: Rules = Rules::blank(),
    }
}

impl User {
    /// Takes over a password that was read from a file.
    pub(in crate::config) fn take_password(&mut self, (file, password): (PathBuf, Password)) {
        (self.password, self.password_file) = (Some(password), Some(file));
    }

    /// Returns whether the settings do not have the user, whom `auth_program` has accepted.
    pub fn is_from_elsewhere(&self) -> bool {
        self.password == Some(Password::Elsewhere)
    }

    /// Returns whether the user may log in today.
    pub fn is_active(&self) -> bool {
        self.enabled && !self.expires.is_some_and(Day::is_over)
    }

    /// Whether a rule demands free space anywhere in the home.
    pub fn demands_room(&self) -> bool {
        let own = std::iter::once(&self.rules.folder);
        let mut all = own.chain(self.folders.iter().map(|folder| &folder.rules));
        all.any(|rules| rules.keep.min_free.is_on())
    }

    /// Returns the free space that the file system of a directory must have. The path is as for
    /// [`User::folder_rules`].
    pub fn min_free_in(&self, directory: &[u8]) -> Choice<Room> {
        let folders = self.folders.iter().rev();
        let mut rules = folders.filter(|folder| folder.holds(directory)).map(|one| &one.rules);
        let set = rules.find(|rules| rules.keep.min_free.is_set());
        set.unwrap_or(&self.rules.folder).keep.min_free
    }

    /// Returns the rules for what lies directly in a directory of the home. The path is absolute, and
    /// leads through no links.
    pub fn folder_rules(&self, directory: &[u8]) -> &FolderRules {
        self.folder_of(directory).map_or(&self.rules.folder, |folder| &folder.rules)
    }

    /// Returns the innermost folder with settings of its own that holds a directory. The path is as
    /// for [`User::folder_rules`].
    pub fn folder_of(&self, directory: &[u8]) -> Option<&Folder> {
        innermost(&self.folders, directory)
    }

    /// Returns what the user may do where no section of a folder sets other letters.
    pub fn perm(&self) -> PermSet {
        self.rules.folder.perm
    }

    /// Returns whether any folder has permission letters of its own.
    pub fn has_letters(&self) -> bool {
        self.folders.iter().any(|folder| folder.has_letters)
    }

    /// Returns what the user may do inside a directory. The path is as for [`User::folder_rules`].
    pub fn perm_in(&self, directory: &[u8]) -> PermSet {
        self.folder_rules(directory).perm
    }

    /// Returns what the user may do with what has this path. To make, change, remove or rename an
    /// entry takes the letter in the directory of the entry as well, which matters for a folder with
    /// letters of its own. The path is as for [`User::folder_rules`].
    pub fn perm_at(&self, path: &[u8]) -> PermSet {
        let own = self.perm_in(path);
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
        own.limited_to(self.perm_in(path.get(..end).unwrap_or_default()))
    }

    /// Returns the letters of the home and of all its folders together.
    pub fn perm_anywhere(&self) -> PermSet {
        let folders = self.folders.iter().map(|folder| folder.rules.perm);
        folders.fold(self.perm(), PermSet::or)
    }

    /// Returns the letters of the home and of its folders together, without those from elsewhere.
    pub fn perm_in_home(&self) -> PermSet {
        let own =
            self.folders.iter().filter(|one| self.mount_of(one.path.as_bytes()).is_empty());
        own.map(|folder| folder.rules.perm).fold(self.perm(), PermSet::or)
    }

    /// Returns whether a folder with letters of its own is at a path or below it. The path is as for
    /// [`User::folder_rules`].
    pub fn has_letters_below(&self, path: &[u8]) -> bool {
        self.folders.iter().any(|folder| folder.has_letters && folder.lies_below(path))
    }

    /// Returns the folders from elsewhere, each with the directory that clients see as the folder.
    pub fn mounts(&self) -> impl DoubleEndedIterator<Item = (&Folder, &PathBuf)> {
        self.folders.iter().filter_map(|folder| Some((folder, folder.rules.from.as_ref()?)))
    }

    /// Returns the path of the innermost folder from elsewhere that holds a path; empty for what is in
    /// the home itself. The case of ASCII letters does not matter.
    pub fn mount_of(&self, path: &[u8]) -> &str {
        let found = self.mounts().rev().find(|(folder, _)| folder.holds(path));
        found.map_or("", |(folder, _)| &folder.path)
    }

    /// Returns whether an upload gets another name anywhere in the home if its own is taken. Parts of
    /// the user then belong to the address of the client as well.
    pub fn renames(&self) -> bool {
        let own = std::iter::once(&self.rules.folder);
        let mut all = own.chain(self.folders.iter().map(|folder| &folder.rules));
        all.any(|rules| rules.overwrite == Overwrite::Rename)
    }

    /// Returns whether an upload replaces the file that has its name everywhere in the home.
    pub fn overwrites_everywhere(&self) -> bool {
        let own = std::iter::once(&self.rules.folder);
        let mut all = own.chain(self.folders.iter().map(|folder| &folder.rules));
        all.all(|rules| rules.overwrite == Overwrite::Yes)
    }

    /// Returns whether anything in the home is moved to the trash when it is deleted.
    pub fn has_trash(&self) -> bool {
        self.any_rules(|rules| rules.trash)
    }

    /// Returns what judges uploads to any part of the home. The same rules may come twice.
    pub fn gates(&self) -> impl Iterator<Item = &GateRules> {
        let own = std::iter::once(&self.rules.folder);
        own.chain(self.folders.iter().map(|folder| &folder.rules)).map(|rules| &rules.gate)
    }

    /// Returns whether anything that the user does starts a program.
    pub fn starts_programs(&self) -> bool {
        self.rules.hooks.any() || self.gates().any(|gate| gate.program.is_some())
    }

    /// Returns whether missing directories are made anywhere in the home.
    pub fn makes_folders(&self) -> bool {
        self.any_rules(|rules| rules.make_parents || rules.store_as.is_some())
    }

    /// Returns whether uploads are filed anywhere in the home.
    pub fn files_uploads(&self) -> bool {
        self.any_rules(|rules| rules.store_as.is_some())
    }

    /// Returns whether any rules in the home are as wanted.
    pub(in crate::config) fn any_rules(&self, wanted: impl Fn(&FolderRules) -> bool) -> bool {
        wanted(&self.rules.folder) || self.folders.iter().any(|folder| wanted(&folder.rules))
    }
}

settings! {
    /// Settings that `[server]` sets for every user, and that the section of a user may override.
    pub struct Rules {
        /// Limits on speed, sessions and idle time, and the addresses a user may log in from.
        pub limits: Limits = Limits::blank(),
        /// Which files are served, and the modes of new ones.
        pub files: FileRules = FileRules::blank(),
        /// How uploads are written.
        pub uploads: UploadRules = UploadRules::blank(),
        /// Rules that a folder may override.
        pub folder: FolderRules = FolderRules::blank(),
        /// How much there may be in the home.
        pub quota: QuotaRules = QuotaRules::blank(),
        /// Texts that are sent to a user.
        pub messages: Messages = Messages::blank(),
        /// How names and times are sent.
        pub talk: Talk = Talk::blank(),
        /// Programs to start after events.
        pub hooks: Programs = Programs::default(),
        /// What must be protected by TLS.
        pub tls: TlsRules = TlsRules::blank(),
    }
}

settings! {
    /// Limits on speed, sessions and idle time, and the addresses a user may log in from.
    pub struct Limits {
        /// Maximum speed of all uploads of a user together, in bytes per second; `None`: no limit.
        pub user_max_upload: Option<NonZeroU64> = None,
        /// Maximum speed of all downloads of a user together, in bytes per second; `None`: no limit.
        pub user_max_download: Option<NonZeroU64> = None,
        /// Maximum number of sessions of one user at once; `None`: no limit.
        pub max_per_user: Option<usize> = None,
        /// Sessions are closed after this long without a command; `None`: never.
        pub idle_timeout: Option<Duration> = None,
        /// Addresses from which the user may log in; empty: any address.
        pub allow_from: Vec<IpNet> = Vec::new(),
    }
}

impl Limits {
    /// Returns whether a login from `address` is allowed.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow_from.is_empty() || self.allow_from.iter().any(|net| net.contains(&address))
    }
}

settings! {
    /// Which files are served, and the modes of new ones.
    pub struct FileRules {
        /// Permission bits that new files and directories do not get.
        pub umask: u32 = 0o077,
        /// Permission bits that SITE CHMOD may set.
        pub chmod_mask: u32 = 0,
        /// Whether files are served only if everybody on the system may read them.
        pub world_readable_only: bool = true,
        /// Whether clients may make symbolic links.
        pub allow_symlinks: bool = false,
        /// Whether a missing home directory is made at login.
        pub create_home: bool = false,
        /// The working directory after the login, as the client sees it; `None`: the home.
        pub start_dir: Option<String> = None,
    }
}

settings! {
    /// How uploads are written.
    pub struct UploadRules {
        /// Whether an upload is written to a hidden part file until it is complete.
        pub atomic: bool = true,
        /// Whether an upload is written through to the disk before the client is told that it is
        /// complete.
        pub sync: bool = true,
    }
}

settings! {
    /// How much there may be in the home.
    pub struct QuotaRules {
        /// Maximum number of bytes; `None`: no limit.
        pub bytes: Option<NonZeroU64> = None,
        /// Maximum number of files; `None`: no limit.
        pub files: Option<usize> = None,
    }
}

settings! {
    /// Rules that may differ between the folders of a home.
    #[derive(PartialEq, Eq)]
    pub struct FolderRules {
        /// What the user may do.
        pub perm: PermSet = PermSet::default(),
        /// Maximum speed of one transfer from client to server, in bytes per second; `None`: no
        /// limit.
        pub max_upload: Option<NonZeroU64> = None,
        /// Maximum speed of one transfer from server to client, in bytes per second; `None`: no
        /// limit.
        pub max_download: Option<NonZeroU64> = None,
        /// What an upload or a rename does to a file that has the name already.
        pub overwrite: Overwrite = Overwrite::No,
        /// Maximum size of a file that is uploaded, in bytes; `None`: no limit.
        pub max_file_size: Option<NonZeroU64> = None,
        /// Names that files and directories cannot get.
        pub deny_names: Patterns = Patterns::default(),
        /// The only names that files and directories can get; empty: any.
        pub allow_names: Patterns = Patterns::default(),
        /// Names that are not listed.
        pub hide: Patterns = Patterns::default(),
        /// The mode of new files; `None`: what the umask leaves.
        pub file_mode: Option<u32> = None,
        /// The mode of new directories; `None`: what the umask leaves.
        pub dir_mode: Option<u32> = None,
        /// Whether directories that are missing on the way to something new are made.
        pub make_parents: bool = false,
        /// Where uploads are filed; `None`: where the client stores them.
        pub store_as: Option<Arc<Filing>> = None,
        /// Whether what is deleted or replaced is moved to the trash.
        pub trash: bool = true,
        /// How long it stays there; `None`: until the trash is emptied by hand.
        pub trash_for: Option<Duration> = None,
        /// The directory that clients see as the folder; `None`: that of the home.
        pub from: Option<PathBuf> = None,
        /// Which files the server removes by itself.
        pub keep: KeepRules = KeepRules::blank(),
        /// The gate that judges uploads before they are put in place.
        pub gate: GateRules = GateRules::blank(),
    }
}

/// Returns the innermost of the folders that holds a path. One that encloses another comes before it.
pub(in crate::config) fn innermost<'f>(
    folders: &'f [Folder],
    path: &[u8],
) -> Option<&'f Folder> {
    folders.iter().rev().find(|folder| folder.holds(path))
}

impl FolderRules {
    /// Returns the mode that a new file gets in a session with this umask.
    pub fn mode_of_file(&self, umask: u32) -> u32 {
        self.file_mode.unwrap_or(0o666 & !umask)
    }

    /// Returns the mode that a new directory gets in a session with this umask.
    pub fn mode_of_dir(&self, umask: u32) -> u32 {
        self.dir_mode.unwrap_or(0o777 & !umask)
    }

    /// Returns whether these rules allow every size that `other` allows.
    pub fn is_size_allowed_as_by(&self, other: &Self) -> bool {
        let allows = |most| other.max_file_size.is_some_and(|other| other <= most);
        self.max_file_size.is_none_or(allows)
    }

    /// Returns whether these rules allow everything that `other` allows, as far as a comparison of
    /// the patterns as text tells.
    pub fn allows_as_much_as(&self, other: &Self) -> bool {
        let is_denied_less = self.deny_names.all_are_in(&other.deny_names);
        let is_allowed_more = self.allow_names.is_empty()
            || !other.allow_names.is_empty() && other.allow_names.all_are_in(&self.allow_names);
        let is_judged_less = !self.gate.is_on() || self.gate.judges_as(&other.gate);
        self.is_size_allowed_as_by(other) && is_denied_less && is_allowed_more && is_judged_less
    }
}

/// A folder with settings of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The path that clients see, without a slash at its end. The case of ASCII letters does not
    /// matter.
    pub path: String,
    /// The rules below the folder, with those that it takes from the folder around it.
    pub rules: FolderRules,
    /// Whether a section of the folder itself sets its permission letters, or says where it is.
    pub has_letters: bool,
}

impl Folder {
    /// Returns whether a path of the same home is the folder or lies below it.
    pub fn holds(&self, path: &[u8]) -> bool {
        is_in(path, self.path.as_bytes())
    }

    /// Returns whether the folder is at a path of the same home or below it.
    pub fn lies_below(&self, path: &[u8]) -> bool {
        is_in(self.path.as_bytes(), path)
    }
}

/// Returns whether a path is a folder or lies below it. The case of ASCII letters does not matter,
/// because there are file systems that ignore it.
pub(in crate::config) fn is_in(path: &[u8], folder: &[u8]) -> bool {
    path.split_at_checked(folder.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(folder) && (rest.is_empty() || rest.starts_with(b"/"))
    })
}

settings! {
    /// Texts that are sent to a user.
    pub struct Messages {
        /// Text of the reply to a successful login (reply 230).
        pub login: String = String::new(),
        /// Whether CWD shows the text of the file `.message` in the new directory.
        pub folder: bool = false,
    }
}

settings! {
    /// How names and times are sent to a user.
    pub struct Talk {
        /// The charset of names and texts.
        pub charset: Charset = Charset::Utf8,
        /// Whether LIST shows times in the time zone of the server instead of UTC.
        pub local_time: bool = false,
    }
}

settings! {
    /// What must be protected by TLS.
    pub struct TlsRules {
        /// Which connections must use TLS.
        pub required: TlsRequired = TlsRequired { control: true, data: true },
        /// Whether an upload over TLS must end with TLS's closing message (`close_notify`).
        pub require_close_notify: bool = true,
    }
}
