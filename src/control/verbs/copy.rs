//! SITE CPFR and SITE CPTO, which other servers have too: the server copies a file.

use std::sync::Arc;
use std::time::Instant;

use super::transfer;
use crate::config::Occasion;
use crate::control::arg::text::Pathname;
use crate::control::command::Verb;
use crate::control::events::in_turn;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::Source;
use crate::log::Event;
use crate::vfs::{Copying, Counted, Upload};

/// SITE CPFR: opens a file as RETR does, for SITE CPTO. Directories are not copied.
pub(crate) fn copy_from(session: &mut Session, path: &Pathname) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.path(path);
    let (file, ..) = transfer::open(user, &path)?;
    session.state.parameters.copy_from = Some(Source { path, file });
    Ok(Reply::new(Code::NeedMore, "Send SITE CPTO now"))
}

/// SITE CPTO: copies the file that SITE CPFR has named. For everything but the data connection, this
/// is an upload, also for the programs of hooks.
pub(crate) fn copy_to(
    session: &mut Session,
    verb: &Verb,
    source: Option<Source>,
    to: &Pathname,
) -> Result<Reply, Refusal> {
    let source = source.ok_or(Refusal::Sequence("Send SITE CPFR first"))?;
    session.await_program(Occasion::Upload, verb)?;
    let user = session.user()?;
    let (to, umask, tree) = (user.path(to), user.umask, Arc::clone(&user.tree));
    let size = tree.check_copy(&source.file, &to)?;
    session.make_room_of(verb, &to, size)?;
    let relief = session.relief(&to)?;
    let patience = session.patience();
    let shared = Arc::clone(&session.shared);
    let copying = Copying { source: &source.file, size, to: &to, umask, patience };
    session.live.show_work(verb.name(), &tree.real(&source.path), size);
    let began = Instant::now();
    let judge = session.judge()?;
    let turn = session.turn(Occasion::Upload, &to, None).map(Arc::new);
    let publish = |mut upload: Upload, told: &mut Counted<'_>| {
        in_turn(&mut upload, turn.as_ref());
        judge.publish(upload, began.elapsed(), &mut || told(size))
    };
    let done = session.attend_counting(verb, |told| {
        tree.copy(&shared.hashes, copying, relief, told, publish)
    });
    session.live.over();
    let (stored, remark) = done?;
    if let Some(remark) = remark {
        session.log(&Event::InPlace(&tree.real(&to), &remark));
    }
    let (from, path, took) = (tree.real(&source.path), stored.path, began.elapsed());
    session.log(&Event::Copied(&from, &tree.real(&path), stored.size, took));
    session.log_trashed(stored.kept, &path)?;
    session.happened(Occasion::Upload, &path, None, Some((stored.size, took, None)));
    drop(turn);
    if path == to {
        return Ok(Reply::done("Copied"));
    }
    // overwrite = rename has given it another name
    let path = session.user()?.said(path.as_bytes());
    Ok(Reply::new(Code::FileActionDone, [b"Copied, FILE: ", &*path].concat()))
}
