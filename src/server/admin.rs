//! The admin socket: what is going on, and orders, as one line of JSON each.
//!
//! Whoever may open the socket may do all of it; its mode lets nobody in but the server's own
//! user and root.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Shutdown};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, fchmod};
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Type};

use super::admission::ban::Ban;
use super::admission::place::Place;
use super::{Hub, Order, stats};
use crate::control::{self, Live, Sight};
use crate::log::{escaped, stamp};
use crate::rights::{self, Held, Ids};

/// A client that has asked something is let go when it asks nothing for this long, or does not take
/// its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same before its first request.
const SILENCE: Duration = Duration::from_secs(3);

/// A request is shorter than this.
const LONGEST: u64 = 64 << 10;

/// A year in seconds, as for the keys.
const LONGEST_BAN: u64 = 365 * 24 * 3600;

/// Connections at once.
const MOST: usize = 16;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The socket, and how its name is told from that of another server's.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    id: (u64, u64),
}

/// Makes the socket.
///
/// # Errors
///
/// The system's, or that another server uses it. A server serves all the same.
pub(super) fn listen(path: &Path, user: Option<&Ids>) -> io::Result<Socket> {
    // what that user may do in the folder is done as that user: nobody else can be led there
    let made = {
        let _acting = user.and_then(|ids| rights::act_as(Some(ids)).ok());
        make(path, None)
    };
    match made {
        Err(why) if user.is_some() && why.kind() == io::ErrorKind::PermissionDenied => {
            make(path, user)
        }
        other => other,
    }
}

fn make(path: &Path, user: Option<&Ids>) -> io::Result<Socket> {
    if let Some(folder) = path.parent() {
        rights::make_folder(folder, user)?;
    }
    let held = Held::find(path)?;
    let place = held.path();
    // what a server has left that was killed
    if fs::symlink_metadata(&place).is_ok_and(|meta| meta.file_type().is_socket()) {
        match UnixStream::connect(&place) {
            Ok(other) if is_stopping(&other) => held.remove()?,
            Ok(_) => return Err(io::Error::other("another server uses it")),
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => held.remove()?,
            Err(why) => return Err(why),
        }
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    // the name gets the mode of the socket: never open to others, not even for a moment, and
    // without a mask, which would be that of all threads
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    socket.bind(&SockAddr::unix(&place)?)?;
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from(socket);
    if let Some(ids) = user {
        held.hand_over(ids)?;
    }
    let (id, path) = (id(&place)?, path.to_owned());
    Ok(Socket { listener, path, id })
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// Whether a server says that it ends soon: then its socket may be taken over.
fn is_stopping(other: &UnixStream) -> bool {
    let ask = || {
        other.set_read_timeout(Some(Duration::from_secs(1)))?;
        let (mut other, mut line) = (other, String::new());
        other.write_all(b"{}\n")?;
        BufReader::new(other).read_line(&mut line)?;
        Ok::<_, io::Error>(line)
    };
    let answer = ask().ok().and_then(|line| serde_json::from_str::<Value>(&line).ok());
    answer.is_some_and(|answer| answer.get("stopping") == Some(&Value::Bool(true)))
}

#[expect(clippy::disallowed_methods, reason = "not a served file")]
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

impl Socket {
    /// Takes the socket's name away, unless it is another server's by now.
    pub(super) fn leave(&self) {
        if id(&self.path).ok() != Some(self.id) {
            return;
        }
        if let Err(why) = remove(&self.path) {
            log::warn!("the admin socket {} stays: {why}", self.path.display());
        }
    }
}

/// A connection.
#[derive(Debug)]
struct Guest {
    stream: UnixStream,
    state: Mutex<GuestState>,
}

#[derive(Debug, Clone, Copy)]
struct GuestState {
    /// Whether it has asked anything yet.
    asked: bool,
    /// Whether its request is being carried out.
    at_work: bool,
    /// Since when the server waits for it.
    since: Instant,
}

impl Guest {
    fn state(&self) -> MutexGuard<'_, GuestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them.
#[derive(Debug, Default)]
struct Guests(Mutex<Vec<Arc<Guest>>>);

impl Guests {
    /// Lets one in, unless there are too many. Then the one makes room that has asked nothing yet
    /// and has been silent for the longest time, or else the one that has been silent since it asked.
    fn enter(&self, stream: UnixStream) -> Option<Arc<Guest>> {
        let mut all = self.all();
        if all.len() >= MOST {
            let waits = |(_, guest): &(usize, &Arc<Guest>)| !guest.state().at_work;
            let waiting = all.iter().enumerate().filter(waits);
            let (at, _) = waiting.min_by_key(|(_, guest)| {
                let state = guest.state();
                (state.asked, state.since)
            })?;
            // its thread ends by that
            let _ = all.swap_remove(at).stream.shutdown(Shutdown::Both);
        }
        let state = GuestState { asked: false, at_work: false, since: Instant::now() };
        let guest = Arc::new(Guest { stream, state: Mutex::new(state) });
        all.push(Arc::clone(&guest));
        Some(guest)
    }

    fn leave(&self, guest: &Arc<Guest>) {
        self.all().retain(|other| !Arc::ptr_eq(other, guest));
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that lets in whoever comes.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(socket: &Socket, hub: &Arc<Hub>) -> io::Result<()> {
    let (listener, hub) = (socket.listener.try_clone()?, Arc::clone(hub));
    let builder = thread::Builder::new().name("admin".to_owned());
    builder.spawn(move || serve(&listener, &hub)).map(drop)
}

/// Lets in whoever comes, each with a thread.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
fn serve(listener: &UnixListener, hub: &Arc<Hub>) {
    let guests = Arc::<Guests>::default();
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let Some(guest) = guests.enter(stream) else { continue };
        let (hub, own, other) = (Arc::clone(hub), Arc::clone(&guests), Arc::clone(&guest));
        let talk = move || {
            // whoever asked may go at any time
            let _ = converse(&guest, &hub);
            own.leave(&guest);
        };
        if thread::Builder::new().name("admin-client".to_owned()).spawn(talk).is_err() {
            guests.leave(&other);
        }
    }
}

fn converse(guest: &Guest, hub: &Arc<Hub>) -> io::Result<()> {
    let stream = &guest.stream;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut patience = SILENCE;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        read_line(&mut lines, stream, patience, &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        patience = PATIENCE;
        // what follows would be taken for another request
        let is_whole = line.len() < usize::try_from(LONGEST).unwrap_or(usize::MAX);
        *guest.state() = GuestState { asked: true, at_work: true, since: Instant::now() };
        let mut order = None;
        let mut answer =
            if is_whole { answer(&line, hub, &mut order) } else { refused("too long") };
        *guest.state() = GuestState { asked: true, at_work: false, since: Instant::now() };
        if hub.shared.stop.is_soon()
            && let Some(answer) = answer.as_object_mut()
        {
            answer.insert("stopping".to_owned(), Value::Bool(true));
        }
        let mut stream = stream;
        let told = stream.write_all(format!("{}\n", crate::log::json(&answer)).as_bytes());
        // whoever gave it has its answer before the server ends
        if let Some(order) = order {
            hub.orders.give(order);
        }
        told?;
        if !is_whole {
            return Ok(());
        }
    }
}

/// Reads a line, which must be whole in time, however its bytes come.
fn read_line(
    lines: &mut BufReader<&UnixStream>,
    stream: &UnixStream,
    patience: Duration,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // no time at all would be for ever
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let room = LONGEST.saturating_sub(u64::try_from(line.len()).unwrap_or(u64::MAX));
        let there = lines.fill_buf()?;
        let there = there.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(there);
        let end = there.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(there.len());
        line.extend_from_slice(there.get(..taken).unwrap_or_default());
        lines.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(());
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// The answer to one request: `{"ok":true, …}`, or `{"ok":false,"error":"…"}`.
fn answer(line: &[u8], hub: &Arc<Hub>, order: &mut Option<Order>) -> Value {
    let Ok(request) = serde_json::from_slice::<Value>(line) else {
        return refused("a request is one line of JSON");
    };
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    match text("command") {
        Some("who") => {
            json!({ "ok": true, "sessions": sessions(hub) })
        }
        Some("kick") => text("whom").map_or_else(|| refused("whom?"), |whom| kick(hub, whom)),
        Some("stats") => stats(hub),
        Some("why") => why(hub, &request),
        Some("bans") => json!({ "ok": true, "bans": bans(hub) }),
        Some("ban") => {
            let said = request.get("seconds");
            let seconds = said.and_then(Value::as_u64);
            if said.is_some() && seconds.is_none() {
                return refused("seconds is a whole number");
            }
            text("address").map_or_else(|| refused("whom?"), |whom| ban(hub, whom, seconds))
        }
        Some("unban") => {
            text("address").map_or_else(|| refused("whom?"), |whom| unban(hub, whom))
        }
        Some("reload") => match Hub::reload(hub) {
            Ok(done) => json!({ "ok": true, "warnings": done.warnings, "ended": done.ended }),
            Err(faults) => json!({ "ok": false, "error": faults.join("\n") }),
        },
        Some("stop") => {
            let now = request.get("now").and_then(Value::as_bool).unwrap_or_default();
            *order = Some(if now { Order::StopNow } else { Order::Stop });
            json!({ "ok": true })
        }
        _ => refused("no such command"),
    }
}

fn refused(why: &str) -> Value {
    json!({ "ok": false, "error": why })
}

/// A number is a session, an address all that come from there, and any other word a user; so is
/// what stands behind `user:`.
fn kick(hub: &Hub, whom: &str) -> Value {
    let which: Box<dyn Fn(&Live) -> bool> = match (whom.parse::<u64>(), whom.parse::<IpAddr>())
    {
        (Ok(id), _) => Box::new(move |live| live.id == id),
        (_, Ok(address)) => {
            let address = address.to_canonical();
            Box::new(move |live| live.peer.ip() == address)
        }
        _ => {
            let name = whom.strip_prefix("user:").unwrap_or(whom);
            Box::new(move |live| live.is_user(name))
        }
    };
    let ended = hub.registry.end(which, "Ended by the administrator");
    log::info!("the administrator has ended sessions: {ended}");
    json!({ "ok": true, "ended": ended })
}

/// What a user may do with a path, as a session of that user finds it. Names are bytes.
fn why(hub: &Hub, request: &Value) -> Value {
    let bytes = |key: &str| {
        let list = request.get(key)?.as_array()?.iter();
        list.map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<Vec<u8>>>()
    };
    let (Some(user), Some(path)) = (bytes("user"), bytes("path")) else {
        return refused("user and path are lists of bytes");
    };
    let action = request.get("action").and_then(Value::as_str);
    let answer = |verdict: control::Verdict| json!({ "action": verdict.action, "path": verdict.path, "refusal": verdict.refusal });
    match control::why_here(&hub.shared.settings().config, &user, &path, action) {
        Ok(verdicts) => {
            let answers: Vec<_> = verdicts.into_iter().map(answer).collect();
            json!({ "ok": true, "answers": answers })
        }
        Err(why) => refused(&why),
    }
}

fn stats(hub: &Hub) -> Value {
    let since = hub.shared.counters.since;
    json!({
        "ok": true,
        "version": env!("CARGO_PKG_VERSION"),
        "since": stamp(since.date()),
        "seconds": since.age().as_secs(),
        "stats": stats::json(&stats::metrics(hub, &hub.registry.sights())),
    })
}

pub(super) fn bans(hub: &Hub) -> Vec<Value> {
    let now = Instant::now();
    let ban = |(place, ban): (Place, Ban)| {
        json!({
            "address": place.to_string(),
            "left": ban.left(now).map(|left| left.as_secs()),
            "failures": ban.failures,
            "last": ban.last.map_or_else(|| "by hand".to_owned(), |last| last.to_string()),
            "closed": ban.closed,
        })
    };
    hub.bans.list(now).into_iter().map(ban).collect()
}

fn no_place(whom: &str) -> Value {
    let whom = escaped(whom.as_bytes());
    refused(&format!("'{whom}' is neither an address nor an IPv6 prefix of 64 bits"))
}

/// `seconds` are `ban_time` unless they are said; 0 is until somebody lifts it.
fn ban(hub: &Hub, whom: &str, seconds: Option<u64>) -> Value {
    let settings = hub.shared.settings();
    let rules = &settings.config.server;
    let Some(place) = Place::parse(whom) else { return no_place(whom) };
    if place.is_exempt(rules) {
        return refused(&format!("{place} is in ban_exempt"));
    }
    // deadlines are sums
    let time = seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_BAN)));
    let time = time.map_or(rules.ban_time, |time| Some(time).filter(|time| !time.is_zero()));
    if let Err(why) = hub.bans.ban(place, time, Instant::now()) {
        return refused(&why);
    }
    let ended = hub
        .registry
        .end(|live| Place::of(live.peer.ip()) == place, "Your address has been banned");
    log::warn!("the administrator has banned {place}; {ended} sessions ended");
    let seconds = time.map(|time| time.as_secs());
    json!({ "ok": true, "address": place.to_string(), "seconds": seconds, "ended": ended })
}

fn unban(hub: &Hub, whom: &str) -> Value {
    let place = match whom {
        "all" => None,
        whom => match Place::parse(whom) {
            Some(place) => Some(place),
            None => return no_place(whom),
        },
    };
    let lifted = hub.bans.lift(place, Instant::now());
    log::info!("the administrator has lifted {lifted} bans");
    json!({ "ok": true, "lifted": lifted })
}

/// Every session as it is now.
pub(super) fn sessions(hub: &Hub) -> Vec<Value> {
    hub.registry.sights().iter().map(session).collect()
}

pub(super) fn session(sight: &Sight) -> Value {
    let transfer = sight.transfer.as_ref().map(|under| {
        let seconds = under.took.as_secs_f64();
        json!({
            "doing": under.verb,
            "path": under.path.to_string_lossy(),
            "bytes": under.bytes,
            "size": under.size,
            "seconds": seconds,
        })
    });
    json!({
        "id": sight.id,
        "user": sight.user,
        "address": sight.peer.ip().to_string(),
        "port": sight.peer.port(),
        "tls": sight.tls,
        "since": stamp(sight.since.date()),
        "seconds": sight.since.age().as_secs(),
        "transfer": transfer,
    })
}
