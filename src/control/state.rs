//! What a session remembers between commands. REIN resets all of it, so it is one value.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::arg::choice::TransferType;
use crate::auth::Account;
use crate::config::{Perm, PermSet};
use crate::data::Passive;
use crate::data::listing::Facts;
use crate::hook::Owner;
use crate::rights::Acting;
use crate::vfs::{Files, FsError, Told, VirtualPath};

/// Login and parameters.
#[derive(Debug)]
pub(super) struct State {
    pub(super) login: Login,
    pub(super) parameters: Parameters,
}

impl State {
    /// What a session begins with, and what REIN brings back. On the implicit port data
    /// connections are protected until PROT C: many clients send neither PBSZ nor PROT there, and
    /// expect it.
    pub(super) fn new(implicit_tls: bool) -> Self {
        let protection = if implicit_tls { Protection::Private } else { Protection::Clear };
        Self { login: Login::Out, parameters: Parameters::with(protection) }
    }
}

/// Who the client is.
#[derive(Debug, Default)]
pub(super) enum Login {
    /// Nobody yet.
    #[default]
    Out,
    /// USER was sent.
    Named(Vec<u8>),
    /// USER and PASS were right.
    In(Box<User>),
}

impl Login {
    /// Who has logged in.
    pub(super) fn user(&self) -> Option<&User> {
        match self {
            Self::In(user) => Some(user),
            Self::Out | Self::Named(_) => None,
        }
    }

    /// Who has logged in, to be changed.
    pub(super) fn user_mut(&mut self) -> Option<&mut User> {
        match self {
            Self::In(user) => Some(user),
            Self::Out | Self::Named(_) => None,
        }
    }

    /// The name of who has logged in.
    pub(super) fn name(&self) -> Option<&str> {
        self.user().map(|user| user.account.name.as_str())
    }
}

/// A user that has logged in.
#[derive(Debug)]
pub(super) struct User {
    pub(super) account: Account,
    pub(super) tree: Arc<Files>,
    /// Whose events the programs of hooks are told.
    pub(super) hook_owner: Owner,
    pub(super) cwd: VirtualPath,
    pub(super) umask: u32,
    pub(super) idle_timeout: Option<Duration>,
    /// With the login ends what this thread is for the system. The last field, and so the last
    /// to go.
    pub(super) _acting: Option<Acting>,
}

impl User {
    /// Whether the user has a permission.
    pub(super) fn may(&self, perm: Perm) -> bool {
        self.perm().has(perm)
    }

    pub(super) fn perm(&self) -> PermSet {
        self.account.user.perm
    }

    /// Whether something has this name, for an argument that may mean something else as well. To
    /// a virtual path what stands before `..` does not matter; here it does.
    pub(super) fn has(&self, pathname: &[u8]) -> bool {
        let is_there = |pathname: &[u8]| {
            let there = self.tree.shown_entry(&self.cwd.join(pathname));
            !matches!(
                there,
                Err(FsError::NotFound | FsError::NotADirectory | FsError::BadName(_))
            )
        };
        let first = pathname.split(|&byte| byte == b'/').find(|part| !part.is_empty());
        let root: &[u8] = if pathname.starts_with(b"/") { b"/" } else { b"" };
        first.is_none_or(|first| is_there(&[root, first].concat())) && is_there(pathname)
    }

    /// Where a pathname leads.
    pub(super) fn path(&self, pathname: &super::arg::text::Pathname) -> VirtualPath {
        self.cwd.join(pathname.as_bytes())
    }
}

/// What commands set for later commands.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) transfer_type: TransferType,
    pub(super) facts: Facts,
    pub(super) epsv_all: bool,
    pub(super) protection: Protection,
    pub(super) setup: Setup,
    /// Where the next transfer begins; taken by it, whatever comes of it.
    pub(super) restart: u64,
    /// What SIZE has told of a file; taken by the next upload.
    pub(super) told_size: Option<(VirtualPath, Told)>,
    /// What ALLO has said of the next upload, for who looks on.
    pub(super) announced: Option<u64>,
    /// What RNFR named; taken by the next RNTO or RNFR, whatever comes of it.
    pub(super) rename_from: Option<VirtualPath>,
}

impl Parameters {
    /// As they are at first, but for the protection of data connections.
    pub(super) fn with(protection: Protection) -> Self {
        Self {
            // RFC 959 §3.1.1.1
            transfer_type: TransferType::Ascii,
            facts: Facts::default(),
            epsv_all: false,
            protection,
            setup: Setup::None,
            restart: 0,
            told_size: None,
            announced: None,
            rename_from: None,
        }
    }
}

/// What PBSZ and PROT have said (RFC 4217 §8, §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// Nothing.
    Clear,
    /// PBSZ, so that PROT may come.
    Sized,
    /// PROT P.
    Private,
}

/// Whether the data connections of a session have resumed its TLS session, for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Resumption {
    /// There was no data connection with TLS yet.
    #[default]
    Unknown,
    /// Each so far.
    Always,
    /// Not one so far.
    Never,
    /// Some did and some did not, which has been told.
    Sometimes,
}

/// How the next data connection is made.
#[derive(Debug, Default)]
pub(super) enum Setup {
    /// Not at all.
    #[default]
    None,
    /// The server connects.
    Active(SocketAddr),
    /// The client connects.
    Passive(Passive),
}
