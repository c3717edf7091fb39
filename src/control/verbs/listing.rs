//! LIST, NLST, MLSD and MLST (RFC 959 §4.1.3, RFC 3659 §7), and STAT of a path.

use std::sync::Arc;
use std::time::SystemTime;

use crate::control::Session;
use crate::control::arg::Pathname;
use crate::control::command::Command;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Mark, Reply, tame};
use crate::control::shared::Shared;
use crate::control::state::User;
use crate::data::listing::{self, Long, Machine};
use crate::data::pattern;
use crate::data::{Source, Throttle};
use crate::vfs::{Entry, FileKind, FsError, Listing, VirtualPath};

/// STAT of a directory is sent from memory, so it ends after so many lines.
const STAT_LINES: usize = 1000;

/// LIST.
pub(crate) fn list(session: &mut Session, path: Option<&Pathname>) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let (path, _) = named(user, path);
    let style = Style::Long(LongStyle::new(&session.shared));
    send(session, "LIST", &path, style)
}

/// NLST.
pub(crate) fn names(session: &mut Session, path: Option<&Pathname>) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let (path, typed) = named(user, path);
    let is_dir = match user.tree.shown(&path) {
        Err(FsError::NotFound) if pattern::is_pattern(path.name()) => false,
        other => other?.kind == FileKind::Directory,
    };
    let mut prefix = typed.unwrap_or_default();
    if is_dir && !prefix.is_empty() && !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    if !is_dir {
        // it may have been typed with a slash or dots behind it
        if !prefix.ends_with(path.name()) {
            prefix = path.as_bytes().to_vec();
        }
        prefix.truncate(prefix.len().saturating_sub(path.name().len()));
    }
    send(session, "NLST", &path, Style::Names(prefix))
}

/// MLSD: a directory and nothing else (RFC 3659 §7.2.1).
pub(crate) fn machine(
    session: &mut Session,
    path: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = path.map_or_else(|| user.cwd.clone(), |path| user.path(path));
    if user.tree.stat(&path)?.kind != FileKind::Directory {
        return Err(Refusal::NotADirectory);
    }
    let style = Style::Machine(Machine::new(session.state.parameters.facts, user.perm()));
    send(session, "MLSD", &path, style)
}

/// MLST: one line on the control connection, which names the path in full (RFC 3659 §7.2).
pub(crate) fn show(session: &mut Session, path: Option<&Pathname>) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = path.map_or_else(|| user.cwd.clone(), |path| user.path(path));
    let entry = user.tree.shown_entry(&path)?;
    let mut line = vec![b' '];
    Machine::new(session.state.parameters.facts, user.perm()).facts(&entry, &mut line);
    line.extend_from_slice(&tame(path.as_bytes()));
    line.extend_from_slice(b"\r\n");
    Ok(Reply::lines(Code::FileActionDone, "Listing", line, "End"))
}

/// STAT of a path: LIST on the control connection, which then needs the protection that a data
/// connection would. MLST tells of one file that the client has named, as SIZE and MDTM do.
pub(crate) fn stat(session: &mut Session, path: &Pathname) -> Result<Reply, Refusal> {
    if session.required().data && !session.connection.is_secure() {
        return Err(Refusal::ListingInClear);
    }
    let user = session.user()?;
    let (path, _) = named(user, Some(path));
    let style = Style::Long(LongStyle::new(&session.shared));
    let mut lines = Lines::new(user, &path, style)?;
    let mut text = Vec::new();
    let is_all = session.attend("STAT", |heed| {
        let mut count = 0;
        while count < STAT_LINES {
            let before = text.len();
            if !lines.fill(&mut text)? {
                return Ok(true);
            }
            count += usize::from(text.len() > before);
            if !heed() {
                return Err(FsError::Interrupted);
            }
        }
        Ok(false)
    })?;
    let last = format!("End of the first {STAT_LINES}; LIST sends all");
    let last = if is_all { "End" } else { &last };
    Ok(Reply::lines(Code::FileStatus, "Status", text, last))
}

/// The path that a command means, for the log.
pub(crate) fn meant(user: &User, command: &Command) -> Option<VirtualPath> {
    let mut path = command.path()?;
    if let Command::ModifyTimeOld(timed) = command
        && user.has(timed.whole.as_bytes())
    {
        path = &timed.whole;
    } else if let Command::SiteUtime(fits) = command {
        (_, path) = fits.meant(|path| user.has(path.as_bytes()));
    }
    let with_options = matches!(
        command,
        Command::ListPath(_) | Command::NameListPath(_) | Command::StatPath(_)
    );
    Some(if with_options { named(user, Some(path)).0 } else { user.path(path) })
}

/// The path that a listing command means, and what of its argument names it. Clients send
/// options as to `ls`: `-al`, `-a /dir`, `-1`. A leading word with a dash is one, unless what
/// begins with it is the name of a file.
fn named(user: &User, path: Option<&Pathname>) -> (VirtualPath, Option<Vec<u8>>) {
    let Some(path) = path else { return (user.cwd.clone(), None) };
    let mut rest = path.as_bytes();
    while rest.starts_with(b"-") && user.tree.entry(&user.cwd.join(rest)).is_err() {
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
    }
    let path = user.cwd.join(rest);
    (path, (!rest.is_empty()).then(|| rest.to_vec()))
}

/// The path is looked at before the data connection is made, so that one that is not there
/// costs the client nothing.
fn send(
    session: &mut Session,
    verb: &'static str,
    path: &VirtualPath,
    style: Style,
) -> Result<Reply, Refusal> {
    let mut lines = Lines::new(session.user()?, path, style)?;
    let mut data = session.connect(verb)?;
    session.connection.hold(&Mark::opening("Here comes the listing"));
    session.secure(verb, &mut data)?;
    session.live.begin(verb, &session.user()?.tree.real(path), None);
    let (_, result) = session.pump(verb, Throttle::none(), |pump| {
        pump.send(&mut data, &mut lines)?;
        pump.finish(&mut data)
    });
    result?;
    session.linger(data);
    Ok(Reply::new(Code::DataDone, "Listing complete"))
}

/// How an entry becomes a line.
enum Style {
    Long(LongStyle),
    /// With what stands before each name.
    Names(Vec<u8>),
    Machine(Machine),
}

/// What LIST needs besides the entry.
struct LongStyle {
    shared: Arc<Shared>,
    lines: Long,
}

impl LongStyle {
    fn new(shared: &Arc<Shared>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since.ok().and_then(|since| i64::try_from(since.as_secs()).ok());
        Self { shared: Arc::clone(shared), lines: Long::new(now.unwrap_or_default()) }
    }

    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let owners = &self.shared.owners;
        self.lines.push(entry, |uid, gid| (owners.user(uid), owners.group(gid)), out);
    }
}

/// Lines that are made as they are sent, so that a large directory needs no more memory than
/// a small one.
struct Lines {
    entries: Entries,
    style: Style,
}

enum Entries {
    Directory(Listing),
    /// Those whose names fit a pattern.
    Fitting(Listing, VirtualPath),
    /// Whether it has been given out.
    One(Box<Entry>, bool),
}

impl Lines {
    fn new(user: &User, path: &VirtualPath, style: Style) -> Result<Self, FsError> {
        let entries = match user.tree.shown(path) {
            Ok(entry) if entry.kind == FileKind::Directory => {
                Entries::Directory(user.tree.list(path)?)
            }
            Err(FsError::NotFound) if pattern::is_pattern(path.name()) => {
                user.tree.enter(&path.parent())?;
                Entries::Fitting(user.tree.list(&path.parent())?, path.clone())
            }
            _ => Entries::One(Box::new(user.tree.shown_entry(path)?), false),
        };
        Ok(Self { entries, style })
    }
}

/// What comes next of a listing.
enum Next<'a> {
    Entry(&'a Entry),
    /// One that is not to be listed.
    Other,
    End,
}

impl Entries {
    fn next(&mut self) -> Result<Next<'_>, FsError> {
        Ok(match self {
            Self::Directory(listing) => listing.advance()?.map_or(Next::End, Next::Entry),
            Self::Fitting(listing, pattern) => match listing.advance()? {
                None => Next::End,
                Some(entry) if fits(entry, pattern) => Next::Entry(entry),
                Some(_) => Next::Other,
            },
            Self::One(_, true) => Next::End,
            Self::One(entry, given) => {
                *given = true;
                Next::Entry(entry)
            }
        })
    }
}

/// With a slash behind it a pattern is for directories.
fn fits(entry: &Entry, pattern: &VirtualPath) -> bool {
    let is_kind = !pattern.is_directory_s() || entry.followed().kind == FileKind::Directory;
    is_kind && pattern::fits(pattern.name(), &entry.name)
}

impl Source for Lines {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError> {
        let entry = match self.entries.next()? {
            Next::Entry(entry) => entry,
            Next::Other => return Ok(true),
            Next::End => return Ok(false),
        };
        match &mut self.style {
            Style::Long(style) => style.line(entry, out),
            Style::Names(prefix) => listing::name(prefix, entry, out),
            Style::Machine(lines) => lines.push(entry, out),
        }
        Ok(true)
    }
}
