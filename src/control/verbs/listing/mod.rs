//! LIST, NLST, MLSD and MLST (RFC 959 §4.1.3, RFC 3659 §7), and STAT of a path.

mod voice;
mod walk;

use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{Perm, pattern};
use crate::control::arg::options::Options;
use crate::control::arg::text::Pathname;
use crate::control::command::Verb;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Mark, Reply, tame};
use crate::control::session::Session;
use crate::control::shared::Shared;
use crate::control::state::User;
use crate::data::listing::{self, Long, Machine, Zone};
use crate::data::{Producer, Throttle};
use crate::log::Event;
use crate::vfs::{Entry, FileKind, FsError, VirtualPath};

use voice::Voice;
use walk::{Step, Walk};

/// Maximum number of lines of STAT, because its reply is built in memory.
const STAT_LINES: usize = 1000;

/// LIST: sends a listing for people.
pub(crate) fn list(
    session: &mut Session,
    verb: &Verb,
    path: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let Argument { path, typed, options } = read_argument(user, path)?;
    let walk = Walk::new(&user.tree, &path, options)?.call(&own_name(&path, &typed, options));
    let base = user.spoken(base(&walk, &path, &typed));
    let style = Style::Long(LongStyle::new(session, base));
    let voice = Voice::of(user, &path);
    send(session, verb, &path, Lines { walk, style, voice })
}

/// NLST: sends the names alone.
pub(crate) fn names(
    session: &mut Session,
    verb: &Verb,
    path: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let Argument { path, typed, options } = read_argument(user, path)?;
    let is_dir = match user.tree.shown(&path) {
        Err(FsError::NotFound) if pattern::is_pattern(path.name()) => false,
        // with the option `d`, a link itself is listed, wherever it leads
        Err(_) if options.itself => false,
        other => other?.kind == FileKind::Directory,
    };
    let mut walk = Walk::new(&user.tree, &path, options)?;
    let voice = Voice::of(user, &path);
    if is_dir && options.itself && typed.is_empty() {
        walk = walk.call(b".");
        let style = Style::names(Vec::new());
        return send(session, verb, &path, Lines { walk, style, voice });
    }
    let is_dir = is_dir && !options.itself;
    let mut prefix = typed;
    if is_dir && !prefix.is_empty() && !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    if !is_dir {
        // the client may have sent the name with a slash or dots after it
        if !prefix.ends_with(path.name()) {
            prefix = path.as_bytes().to_vec();
        }
        prefix.truncate(prefix.len().saturating_sub(path.name().len()));
    }
    let style = Style::names(user.spoken(prefix));
    send(session, verb, &path, Lines { walk, style, voice })
}

/// MLSD: sends a listing for programs, of a directory only (RFC 3659 §7.2.1).
pub(crate) fn machine(
    session: &mut Session,
    verb: &Verb,
    path: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = path.map_or_else(|| user.cwd.clone(), |path| user.path(path));
    if user.tree.stat(&path)?.kind != FileKind::Directory {
        return Err(Refusal::NotADirectory);
    }
    let style =
        Style::Machine(Box::new(Machine::new(session.state.parameters.facts, user.perm())));
    let walk = Walk::new(&user.tree, &path, Options::default())?;
    let voice = Voice::of(user, &path);
    send(session, verb, &path, Lines { walk, style, voice })
}

/// MLST: sends one line on the control connection, with the full path (RFC 3659 §7.2). Like SIZE and
/// MDTM, it describes the file that the session has stored under the name.
pub(crate) fn show(session: &mut Session, path: Option<&Pathname>) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let own = path.map(|path| user.own(Perm::List, path)).transpose()?.flatten();
    let path = path.map_or_else(|| user.cwd.clone(), |path| user.path(path));
    let entry = match own {
        Some(own) => user.tree.entry(own)?,
        None => user.tree.shown_entry(&path)?,
    };
    let mut line = vec![b' '];
    Machine::new(session.state.parameters.facts, user.perm()).facts(&entry, &mut line);
    line.extend_from_slice(&tame(&user.said(path.as_bytes())));
    line.extend_from_slice(b"\r\n");
    Ok(Reply::lines(Code::FileActionDone, "Listing", line, "End"))
}

/// STAT of a path: sends a listing on the control connection. If data connections must use
/// TLS, the control connection must too. MLST is exempt: like SIZE and MDTM, it describes a
/// single file that the client has named.
pub(crate) fn stat(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    if session.required().data && !session.connection.is_secure() {
        return Err(Refusal::ListingInClear);
    }
    let user = session.user_mut()?;
    user.aliases.clear();
    let Argument { path, typed, options } = read_argument(user, Some(path))?;
    let walk = Walk::new(&user.tree, &path, options)?.call(&own_name(&path, &typed, options));
    let mut base = user.spoken(base(&walk, &path, &typed));
    if base.first().is_some_and(u8::is_ascii_digit) {
        // the base begins a line, so digits there could be taken for the code of the last line
        base.splice(..0, *b"./");
    }
    let voice = Voice::of(user, &path);
    let mut lines = Lines { walk, style: Style::Long(LongStyle::new(session, base)), voice };
    let mut text = Vec::new();
    let more = session.attend(verb, |heed| {
        let mut sent = 0;
        while sent < STAT_LINES {
            let before = text.len();
            if !lines.fill(&mut text)? {
                return Ok(false);
            }
            sent += usize::from(text.len() > before);
            if !heed() {
                return Err(FsError::Interrupted);
            }
        }
        Ok(true)
    })?;
    session.remark(verb, &lines, &path);
    session.user_mut()?.aliases.clear();
    let last = match lines.walk.lacks() {
        _ if more => format!("End of the first {STAT_LINES} lines; LIST sends all"),
        Some(lacks) => format!("End, {lacks}"),
        None => "End".to_owned(),
    };
    Ok(Reply::lines(Code::FileStatus, "Status", text, &last))
}

/// The argument of a listing command.
struct Argument {
    path: VirtualPath,
    /// The path as the client sent it, with the names on the disk; empty for the working directory.
    typed: Vec<u8>,
    options: Options,
}

/// Reads an argument, which may begin with options as for `ls`: `-al`, `-a /dir`, `-1`.
fn read_argument(user: &User, path: Option<&Pathname>) -> Result<Argument, Refusal> {
    let text = path.map(Pathname::as_bytes).unwrap_or_default();
    let (options, typed) = Options::read(text, |name| user.has(name));
    let typed = user.meant(typed);
    let path = user.cwd.join(&typed);
    // what is an option has been found out anew, and the path may be another one by now
    user.check(Perm::List, &path)?;
    Ok(Argument { path, typed: typed.into_owned(), options })
}

/// Returns the name under which a single entry is listed. With the option `d`, `.`, `..` and
/// `/` are listed as the client sent them.
fn own_name(path: &VirtualPath, typed: &[u8], options: Options) -> Vec<u8> {
    let last = typed.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty());
    match last {
        _ if !options.itself => path.name().to_vec(),
        Some(dots @ (b"." | b"..")) => dots.to_vec(),
        None if typed.is_empty() => b".".to_vec(),
        _ if path.is_root() => b"/".to_vec(),
        _ => path.name().to_vec(),
    }
}

/// Returns the prefix of the directories in a recursive listing, as the client sent it.
fn base(walk: &Walk, path: &VirtualPath, typed: &[u8]) -> Vec<u8> {
    let mut base = typed;
    if walk.has_pattern() {
        base = base.strip_suffix(path.name()).unwrap_or_default();
    }
    match base.iter().rposition(|&byte| byte != b'/') {
        None if base.starts_with(b"/") => Vec::new(),
        None => b".".to_vec(),
        Some(last) => base.get(..=last).unwrap_or_default().to_vec(),
    }
}

/// Sends a listing. The path was looked up before, so that the client makes no data connection
/// for a path that is missing.
fn send(
    session: &mut Session,
    verb: &Verb,
    path: &VirtualPath,
    mut lines: Lines,
) -> Result<Reply, Refusal> {
    let traffic = verb.transfers.ok_or(Refusal::NotImplemented)?;
    let mut data = session.connect(verb)?;
    session.user_mut()?.aliases.clear();
    session.connection.hold(&Mark::opening("Here comes the listing"));
    session.secure(verb, &mut data)?;
    // from now on the names are those that the client sees
    session.user_mut()?.aliases.clear();
    let real = session.user()?.tree.real(path);
    session.live.show_transfer(verb.name(), traffic, &real, None, None);
    let (_, result) = session.pump(verb, traffic, Throttle::none(), |pump| {
        pump.send(&mut data, &mut lines)?;
        pump.finish(&mut data)
    });
    session.remark(verb, &lines, path);
    result?;
    session.linger(data);
    let text = match lines.walk.lacks() {
        Some(lacks) => format!("Listing {lacks}"),
        None => "Listing complete".to_owned(),
    };
    Ok(Reply::new(Code::DataDone, text))
}

impl Session {
    /// Logs that a listing is incomplete, or not sorted as requested.
    fn remark(&self, verb: &Verb, lines: &Lines, path: &VirtualPath) {
        let Ok(user) = self.user() else { return };
        let Lines { walk, voice, .. } = lines;
        let (verb, letter) = (verb.name(), if walk.is_recursive() { " -R" } else { "" });
        let mut remarks = walk.remarks(path);
        remarks.extend(voice.remark());
        for (path, remark) in remarks {
            let note = format!("{verb}{letter} {}: {remark}", user.tree.real(&path).display());
            self.log(&Event::Note(&note));
        }
    }
}

/// The format of the lines of a listing.
enum Style {
    Long(LongStyle),
    Names(NameStyle),
    Machine(Box<Machine>),
}

/// The state of LIST.
struct LongStyle {
    shared: Arc<Shared>,
    lines: Long,
    /// The prefix of the directories in a recursive listing.
    base: Vec<u8>,
}

/// The state of NLST.
struct NameStyle {
    /// The prefix of the names, and of the directories in a recursive listing.
    base: Vec<u8>,
    /// The prefix of the names in the current directory.
    prefix: Vec<u8>,
}

impl LongStyle {
    fn new(session: &Session, base: Vec<u8>) -> Self {
        let user = session.user();
        let is_local = user.is_ok_and(|user| user.account.user.rules.talk.local_time);
        let zone = if is_local { Zone::Local } else { Zone::Utc };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since.ok().and_then(|since| i64::try_from(since.as_secs()).ok());
        let lines = Long::new(now.unwrap_or_default(), zone);
        Self { shared: Arc::clone(&session.shared), lines, base }
    }

    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let owners = &self.shared.owners;
        self.lines.push(entry, |uid, gid| (owners.user(uid), owners.group(gid)), out);
    }
}

impl Style {
    fn names(base: Vec<u8>) -> Self {
        Self::Names(NameStyle { prefix: base.clone(), base })
    }

    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match self {
            Self::Long(style) => style.line(entry, out),
            Self::Names(style) => listing::name_line(&style.prefix, entry, out),
            Self::Machine(lines) => lines.push(entry, out),
        }
    }

    /// Begins a directory of a recursive listing, as it is sent. NLST sends each name with its whole
    /// path, so that it can be used as a pathname (RFC 1123 §4.1.2.7).
    fn folder(&mut self, below: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Long(style) => listing::folder_line(&style.base, below, out),
            Self::Names(style) => style.prefix = [&style.base, below, b"/"].concat(),
            Self::Machine(_) => {}
        }
    }
}

/// Generates the lines of a listing while they are sent.
struct Lines {
    walk: Walk,
    style: Style,
    voice: Voice,
}

impl Producer for Lines {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError> {
        match self.walk.step()? {
            Step::End => return Ok(false),
            Step::Busy => {}
            Step::Folder => {
                self.style.folder(&self.voice.below(&self.walk), out);
            }
            Step::Entry => {
                if let Some(entry) = self.walk.current() {
                    let entry = self.voice.entry(entry, &self.walk);
                    self.style.line(&entry, out);
                }
            }
        }
        Ok(true)
    }
}
