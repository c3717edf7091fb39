//! `ftpd why`: whether a user may do something with a path, and what forbids it.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::geteuid;

use super::{Arguments, FAILED, Stop, Word, complain, load, say};
use crate::config::{Config, Perm, User};
use crate::log::{escaped, path as quoted};
use crate::rights::{self, Ids, Keep};
use crate::vfs::{FsError, Home, Parts, Tree, Uploads, VirtualPath};

/// What may be asked for, and the permission that it takes.
const ACTIONS: [(&str, Perm); 8] = [
    ("read", Perm::Retrieve),
    ("write", Perm::Store),
    ("list", Perm::List),
    ("delete", Perm::Delete),
    ("rename", Perm::Rename),
    ("append", Perm::Append),
    ("enter", Perm::Enter),
    ("mkdir", Perm::MakeDir),
];

/// Without a word all of these are answered.
const USUAL: usize = 5;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut words = Vec::new();
    while let Some(word) = arguments.next()? {
        match word {
            Word::Value(text) => words.push(text),
            flag @ Word::Flag(_) => return Err(flag.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let (Some(name), Some(path)) = (words.next(), words.next()) else {
        return Err(Stop::Misuse("expected a user and a path".to_owned()));
    };
    let wanted = words.next();
    if let Some(more) = words.next() {
        return Err(Word::Value(more).unexpected());
    }
    let actions: Vec<_> = match &wanted {
        None => ACTIONS.iter().take(USUAL).collect(),
        Some(word) => ACTIONS.iter().filter(|(action, _)| word == action).collect(),
    };
    if actions.is_empty() {
        let known: Vec<_> = ACTIONS.iter().map(|(action, _)| *action).collect();
        return Err(Stop::Misuse(format!("expected one of {}", known.join(", "))));
    }
    let (_, config) = load(arguments.file.as_deref())?;
    let name = name.to_string_lossy();
    let (_, user) = config.user(name.as_bytes()).ok_or_else(|| {
        Stop::Failed(format!("there is no user '{}'", escaped(name.as_bytes())))
    })?;
    let path = VirtualPath::root().join(path.as_bytes());
    become_server(user.run_as.as_deref().or(config.server.user.as_ref()))?;
    let tree = open(&config, user).map_err(|why| {
        Stop::Failed(format!("the home {} cannot be opened: {why}", quoted(&user.home)))
    })?;
    let mut all_allowed = true;
    for (action, perm) in actions {
        let refusal = refusal(user, &tree, &path, *perm);
        all_allowed &= refusal.is_none();
        let verdict = refusal
            .map_or_else(|| "yes".to_owned(), |why| format!("no: {}", escaped(why.as_bytes())));
        say(&format!("{action} {}: {verdict}", quoted(&tree.real(&path))));
    }
    Ok(if all_allowed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// From here on the answers are those that the server would get.
fn become_server(ids: Option<&Ids>) -> Result<(), Stop> {
    let Some(ids) = ids else {
        if rights::is_root() {
            complain("(for root; ask as the server's user, who may have fewer rights)");
        }
        return Ok(());
    };
    let name = escaped(ids.name.as_bytes());
    if rights::may_become(ids).is_err() {
        let me = geteuid().as_raw();
        complain(&format!(
            "(for uid {me}; ask as root, or as user {name}, whose rights count)"
        ));
        return Ok(());
    }
    rights::give_up(ids, Keep::default())
        .map_err(|why| Stop::Failed(format!("cannot become user {name}: {why}")))
}

fn open(config: &Config, user: &User) -> Result<Arc<Tree>, FsError> {
    let uploads = Uploads {
        parts: Arc::new(Parts::start(None, config.server.keep_parts, &[])),
        owner: Vec::new(),
        share: Vec::new(),
        ids: None,
        atomic: user.limits.atomic_uploads,
        sync: user.limits.sync_uploads,
        replace: user.limits.allow_overwrite,
    };
    Ok(Tree::new(Home::open(&user.home)?, uploads))
}

/// Why it is refused, in the words of the log; nothing when it is not.
fn refusal(user: &User, tree: &Arc<Tree>, path: &VirtualPath, perm: Perm) -> Option<String> {
    if !user.perm.has(perm) {
        return Some(perm.lacking());
    }
    let why = tree.could(path, perm).err()?;
    let right = matches!(why, FsError::Denied(_)).then(|| tree.missing_right(path, perm));
    Some(right.flatten().unwrap_or_else(|| why.to_string()))
}
