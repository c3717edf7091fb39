//! The state that a session keeps between commands. It is one value, because REIN resets all
//! of it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::alias::{Alias, Aliases};
use super::arg::choice::TransferType;
use super::arg::text::Pathname;
use super::charset::{Signs, Speech};
use super::naming::{Naming, is_there};
use super::refusal::Refusal;
use crate::auth::Account;
use crate::config::{Perm, PermSet};
use crate::data::listing::Facts;
use crate::data::{Passive, Speed, UserSpeeds};
use crate::events::Owner;
use crate::rights::Acting;
use crate::vfs::{Algorithm, Entry, Files, Identity, Pin, Told, VirtualPath};

/// The login and the parameters of a session.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) login: Login,
    pub(super) parameters: Parameters,
}

impl SessionState {
    /// Returns the state at the start and after REIN. On the implicit TLS port, data
    /// connections are protected until PROT C, because many clients expect that there and send
    /// neither PBSZ nor PROT.
    pub(super) fn new(implicit_tls: bool) -> Self {
        let protection = if implicit_tls { Protection::Private } else { Protection::Clear };
        Self { login: Login::Out, parameters: Parameters::with(protection) }
    }
}

/// The progress of the login.
#[derive(Debug, Default)]
pub(super) enum Login {
    /// No user was named.
    #[default]
    Out,
    /// USER has named this user, and PASS is to follow.
    Named(Vec<u8>),
    /// A user is logged in.
    In(Box<User>),
}

impl Login {
    /// Returns the user who is logged in.
    pub(super) fn user(&self) -> Option<&User> {
        match self {
            Self::In(user) => Some(user),
            Self::Out | Self::Named(_) => None,
        }
    }

    /// Returns the user who is logged in, for changes.
    pub(super) fn user_mut(&mut self) -> Option<&mut User> {
        match self {
            Self::In(user) => Some(user),
            Self::Out | Self::Named(_) => None,
        }
    }

    /// Returns the name of the user who is logged in.
    pub(super) fn name(&self) -> Option<&str> {
        self.user().map(|user| user.account.name.as_str())
    }
}

/// A user who is logged in.
#[derive(Debug)]
pub(super) struct User {
    pub(super) account: Account,
    pub(super) tree: Arc<Files>,
    /// The owner of the events that hook programs get.
    pub(super) hook_owner: Owner,
    /// The speed limits of the user's transfers.
    pub(super) speeds: Arc<UserSpeeds>,
    pub(super) cwd: VirtualPath,
    /// The files that the session has stored under other names.
    pub(super) aliases: Aliases,
    /// How names are sent and taken.
    pub(super) speech: Speech,
    /// What the pathnames of the running command mean: names must not mean one file when the letters
    /// are checked, and another one when the command is carried out.
    pub(super) known: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Keeps retention from removing the working directory.
    pub(super) pin: Option<Pin>,
    pub(super) umask: u32,
    pub(super) idle_timeout: Option<Duration>,
    /// The system user as which this thread acts until the login ends. This is the last field,
    /// so that it is dropped last.
    pub(super) _acting: Option<Acting>,
}

impl User {
    /// Checks that the user may do something with what a path names. Where a link leads to is checked
    /// when it is followed.
    pub(super) fn check(&self, perm: Perm, path: &VirtualPath) -> Result<(), Refusal> {
        permitted(perm, self.account.user.perm_at(path.as_bytes()))
    }

    /// Checks that the user may do something with what a directory holds.
    pub(super) fn check_in(&self, perm: Perm, directory: &VirtualPath) -> Result<(), Refusal> {
        permitted(perm, self.account.user.perm_in(directory.as_bytes()))
    }

    /// Returns what the user may do where no folder has other letters.
    pub(super) fn perm(&self) -> PermSet {
        self.account.user.perm()
    }

    /// Returns the speed limits of an upload to a path and of a download from it.
    pub(super) fn speeds_for(
        &self,
        path: &VirtualPath,
    ) -> Result<(Arc<Speed>, Arc<Speed>), Refusal> {
        Ok(self.speeds.of_folder(&self.account.user, self.tree.folder_of(path)?))
    }

    /// Returns whether a file has this name. Used where an argument can be read in two ways.
    /// The first part of the name must exist too, even if `..` follows it.
    pub(super) fn has(&self, pathname: &[u8]) -> bool {
        let has = |pathname: &[u8]| {
            let path = self.cwd.join(pathname);
            let alias = self.alias(&path);
            is_there(&self.tree, alias.map_or(&path, |alias| &alias.stored))
        };
        let pathname: &[u8] = &self.meant(pathname);
        let first = pathname.split(|&byte| byte == b'/').find(|part| !part.is_empty());
        let root: &[u8] = if pathname.starts_with(b"/") { b"/" } else { b"" };
        first.is_none_or(|first| has(&[root, first].concat())) && has(pathname)
    }

    /// Returns the file that the session has stored under a name, unless another one has its path by
    /// now or none: the name then means what has it.
    pub(super) fn alias(&self, name: &VirtualPath) -> Option<&Alias> {
        self.aliases.of(name).filter(|alias| self.is_there(alias))
    }

    /// Returns the name under which the session has stored the file that is at a path.
    pub(super) fn name_of(&self, stored: &VirtualPath) -> Option<&VirtualPath> {
        let alias = self.aliases.at(stored).filter(|alias| self.is_there(alias));
        alias.map(|alias| &alias.name)
    }

    fn is_there(&self, alias: &Alias) -> bool {
        alias.file.is_none_or(|file| !self.tree.has_lost(&alias.stored, file))
    }

    /// Returns the path of the file that the session has stored under a name, if the name still means
    /// that. The command needs its letter for that file too.
    pub(super) fn own(
        &self,
        perm: Perm,
        pathname: &Pathname,
    ) -> Result<Option<&VirtualPath>, Refusal> {
        let Some(alias) = self.alias(&self.path(pathname)) else { return Ok(None) };
        self.check(perm, &alias.stored)?;
        Ok(Some(&alias.stored))
    }

    /// Resolves a pathname to the file that the client means: the one that it has stored under this name
    /// in this session, or else what has the name.
    pub(super) fn stored(
        &self,
        perm: Perm,
        pathname: &Pathname,
    ) -> Result<VirtualPath, Refusal> {
        let own = self.own(perm, pathname)?;
        Ok(own.cloned().unwrap_or_else(|| self.path(pathname)))
    }

    /// Describes the file that the client means. Uploads of other sessions do not matter to a file that
    /// the session has stored.
    pub(super) fn shown(&self, perm: Perm, pathname: &Pathname) -> Result<Entry, Refusal> {
        let (path, own) = self.begun(perm, &self.path(pathname))?;
        Ok(match own {
            Some(_) => self.tree.stat(&path)?,
            None => self.tree.shown(&path)?,
        })
    }

    /// Opens the file that the client means, as [`User::shown`] describes it, and returns its size as
    /// well.
    pub(super) fn read_shown(
        &self,
        perm: Perm,
        pathname: &Pathname,
    ) -> Result<(File, u64), Refusal> {
        let (path, own) = self.begun(perm, &self.path(pathname))?;
        Ok(match own {
            Some(_) => self.tree.read(&path)?,
            None => self.tree.read_shown(&path)?,
        })
    }

    /// Returns where an upload goes on that the client has begun under a name: in the file that the
    /// session has stored, with its identity if the session may go on writing to it; where an upload
    /// that broke off was filed; or else at the name.
    pub(super) fn begun(
        &self,
        perm: Perm,
        name: &VirtualPath,
    ) -> Result<(VirtualPath, Option<Identity>), Refusal> {
        let (path, file) = match self.alias(name) {
            Some(alias) => (alias.stored.clone(), alias.file.filter(|_| alias.may_write)),
            None => (self.tree.begun(name).unwrap_or_else(|| name.clone()), None),
        };
        if path != *name {
            self.check(perm, &path)?;
        }
        Ok((path, file))
    }

    /// Returns a short form of a path that the client can use from the working directory.
    pub(super) fn short_name<'p>(&self, path: &'p VirtualPath) -> Cow<'p, [u8]> {
        self.said(if path.parent() == self.cwd { path.name() } else { path.as_bytes() })
    }

    /// Resolves a pathname, relative to the working directory.
    pub(super) fn path(&self, pathname: &Pathname) -> VirtualPath {
        self.cwd.join(&self.meant(pathname.as_bytes()))
    }

    /// Begins a command: learns from what it names, and what names mean is found out again.
    pub(super) fn hear(&mut self, pathname: Option<&Pathname>) {
        self.known.get_mut().clear();
        let Some(pathname) = pathname.filter(|_| self.speech.is_open()) else { return };
        let pathname = pathname.as_bytes();
        // a name that is not UTF-8 on the disk either was sent to the client in this way
        let is_own = std::str::from_utf8(pathname).is_err()
            && is_there(&self.tree, &self.cwd.join(pathname));
        if !is_own {
            self.speech.hear(pathname);
        }
    }

    /// Returns a pathname of the client, relative to the working directory, with the names on the disk
    /// that it means.
    pub(super) fn meant<'t>(&self, typed: &'t [u8]) -> Cow<'t, [u8]> {
        if self.speech.is_plain() {
            return Cow::Borrowed(typed);
        }
        let mut known = self.known.borrow_mut();
        if let Some((_, meant)) = known.iter().find(|(of, _)| of == typed) {
            return Cow::Owned(meant.clone());
        }
        let meant = self.naming().meant(&self.cwd, typed);
        known.push((typed.to_vec(), meant.to_vec()));
        meant
    }

    /// Returns a pathname of the disk, relative to the working directory, as it is sent to the client.
    pub(super) fn said<'n>(&self, pathname: &'n [u8]) -> Cow<'n, [u8]> {
        self.naming().said(&self.cwd, pathname)
    }

    /// Does the same with a pathname that may be changed.
    pub(super) fn spoken(&self, pathname: Vec<u8>) -> Vec<u8> {
        let said = match self.said(&pathname) {
            Cow::Borrowed(_) => None,
            Cow::Owned(said) => Some(said),
        };
        said.unwrap_or(pathname)
    }

    pub(super) fn naming(&self) -> Naming<'_> {
        Naming { speech: self.speech, tree: &self.tree }
    }
}

fn permitted(perm: Perm, letters: PermSet) -> Result<(), Refusal> {
    if letters.has(perm) { Ok(()) } else { Err(Refusal::NotPermitted(perm)) }
}

/// The parameters that commands set for later commands.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) transfer_type: TransferType,
    pub(super) facts: Facts,
    pub(super) epsv_all: bool,
    /// What the client has shown of the charset of its names.
    pub(super) signs: Signs,
    pub(super) protection: Protection,
    pub(super) setup: Setup,
    /// The part of a file that the next transfer or HASH is about. Each of these commands resets it,
    /// even if it fails.
    pub(super) portion: Portion,
    /// The algorithm of HASH.
    pub(super) hash: Algorithm,
    /// The file of the last SIZE and the size in the reply, for the next APPE. Each upload
    /// resets it.
    pub(super) told_size: Option<(VirtualPath, Told)>,
    /// The size of the next upload, as ALLO has announced it. It is used for display only.
    pub(super) announced: Option<u64>,
    /// The path that RNFR named. The next RNTO or RNFR resets it, even if it fails.
    pub(super) rename_from: Option<VirtualPath>,
    /// The file that SITE CPFR has named. The next SITE CPTO or SITE CPFR resets it, even if it fails.
    pub(super) copy_from: Option<Source>,
}

impl Parameters {
    /// Returns the initial parameters, with this protection of data connections.
    pub(super) fn with(protection: Protection) -> Self {
        Self {
            // RFC 959 §3.1.1.1
            transfer_type: TransferType::Ascii,
            facts: Facts::default(),
            epsv_all: false,
            signs: Signs::default(),
            protection,
            setup: Setup::None,
            portion: Portion::default(),
            hash: Algorithm::Sha256,
            told_size: None,
            announced: None,
            rename_from: None,
            copy_from: None,
        }
    }
}

/// The file that SITE CPFR has named. It is held open, so that the file that is copied is the one that
/// the user was allowed to read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: VirtualPath,
    pub(super) file: File,
}

/// A part of a file, as REST or RANG names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Portion {
    /// The first byte.
    pub(super) start: u64,
    /// The byte after the last one, after RANG; `None`: up to the end of the file.
    pub(super) end: Option<u64>,
}

impl Portion {
    /// Returns the bytes of a file of this size. A range may end beyond the end of the file.
    pub(super) fn within(self, size: u64) -> Result<Range<u64>, Refusal> {
        let end = self.end.unwrap_or(size).min(size);
        // a range has at least one byte
        let is_beyond = self.start > end || (self.end.is_some() && self.start == end);
        if is_beyond { Err(Refusal::BadRestart) } else { Ok(self.start..end) }
    }
}

/// The protection of data connections, as PBSZ and PROT set it (RFC 4217 §8, §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// Clear text; PBSZ was not sent.
    Clear,
    /// Clear text; PBSZ was sent, so that PROT is allowed.
    Sized,
    /// PROT P was sent: TLS.
    Private,
}

/// Whether the data connections of a session have resumed its TLS session, for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Resumption {
    /// No data connection has used TLS yet.
    #[default]
    Unknown,
    /// All have resumed it so far.
    Always,
    /// None has resumed it so far.
    Never,
    /// Some have and some have not, which has been logged.
    Sometimes,
}

/// How the next data connection will be made.
#[derive(Debug, Default)]
pub(super) enum Setup {
    /// No data connection was set up.
    #[default]
    None,
    /// The server will connect to this address.
    Active(SocketAddr),
    /// The client will connect to this port.
    Passive(Passive),
}
