//! Answers `ftpd why`: whether a user may do something with a path, and what forbids it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::config::{Config, Perm, User};
use crate::log::path as quoted;
use crate::rights;
use crate::vfs::{
    Files, FsError, Home, Parts, Quotas, Turns, Uploader, VirtualPath, could, missing_right,
};

/// The actions that can be asked about, and the permission that each needs.
pub const ACTIONS: [(&str, Perm); 8] = [
    ("read", Perm::Retrieve),
    ("write", Perm::Store),
    ("list", Perm::List),
    ("delete", Perm::Delete),
    ("rename", Perm::Rename),
    ("append", Perm::Append),
    ("enter", Perm::Enter),
    ("mkdir", Perm::MakeDir),
];

/// Number of actions, from the start of the table, that are checked if none is named.
const USUAL: usize = 5;

/// The answer for one action.
#[derive(Debug)]
pub struct Verdict {
    /// The action.
    pub action: &'static str,
    /// The path in the system, in quotes.
    pub path: String,
    /// Why the action is refused, as the log would say it; `None` if it is allowed.
    pub refusal: Option<String>,
}

/// Returns a verdict for this action, or for each usual one if none is given. Files are
/// accessed with the rights of this thread; [`why_here`] takes those of `run_as`.
///
/// # Errors
///
/// When there is no such user, or the home cannot be opened. Returns a text for the
/// administrator.
pub fn why(
    config: &Config,
    name: &[u8],
    path: &[u8],
    action: Option<&str>,
) -> Result<Vec<Verdict>, String> {
    let shown = crate::log::escaped(name);
    let (_, user) = config.user(name).ok_or_else(|| format!("there is no user '{shown}'"))?;
    let path = VirtualPath::root().join(path);
    let actions: Vec<_> = match action {
        None => ACTIONS.iter().take(USUAL).collect(),
        Some(word) => ACTIONS.iter().filter(|(action, _)| word == *action).collect(),
    };
    let tree = open(config, name, user)
        .map_err(|why| format!("cannot open the home {}: {why}", quoted(&user.home)))?;
    let verdict = |(action, perm): &(&'static str, Perm)| Verdict {
        action,
        path: quoted(&tree.real(&path)).to_string(),
        refusal: refusal(user, &tree, &path, *perm),
    };
    Ok(actions.into_iter().map(verdict).collect())
}

/// Returns the verdicts of [`why`] in the running server, with the rights that a session of
/// the user would have.
///
/// # Errors
///
/// As for [`why`], or when the thread cannot act as the system user.
pub fn why_here(
    config: &Config,
    name: &[u8],
    path: &[u8],
    action: Option<&str>,
) -> Result<Vec<Verdict>, String> {
    let ids = config.user(name).and_then(|(_, user)| user.run_as.as_deref());
    let _acting = ids
        .map(|ids| rights::act_as(Some(ids)))
        .transpose()
        .map_err(|why| format!("the server cannot act as that user: {why}"))?;
    self::why(config, name, path, action)
}

fn open(config: &Config, name: &[u8], user: &Arc<User>) -> Result<Arc<Files>, FsError> {
    let quotas = Arc::new(Quotas::none());
    let parts = Arc::new(Parts::start(None, config.server.storage.keep_parts, &[], quotas));
    Ok(Files::new(
        Home::open(&user.home)?,
        parts,
        Arc::new(Turns::default()),
        Uploader::new(Vec::new(), b"", user.run_as.clone())
            .known_as(name, Ipv4Addr::UNSPECIFIED.into()),
        user,
    ))
}

fn refusal(user: &User, files: &Files, path: &VirtualPath, perm: Perm) -> Option<String> {
    if !user.perm_at(path.as_bytes()).has(perm) {
        return Some(perm.lacking());
    }
    files.ask(Some(perm));
    let why = could(files, path, perm).err()?;
    let right = matches!(why, FsError::Denied(_)).then(|| missing_right(files, path, perm));
    Some(right.flatten().unwrap_or_else(|| why.to_string()))
}
