//! The admin socket: what is going on, and orders, as one line of JSON each.
//!
//! Whoever may open the socket may do all of it; its mode lets nobody in but the server's own
//! user and root.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::umask;
use serde_json::{Value, json};

use super::admission::ban::Ban;
use super::admission::place::Place;
use super::{Hub, Order, stats};
use crate::control::{self, Live, Sight};
use crate::log::{escaped, stamp};
use crate::rights::{self, Held, Ids};

/// Who asks nothing for this long is let go.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request is shorter than this.
const LONGEST: u64 = 64 << 10;

/// A year in seconds, as for the keys.
const LONGEST_BAN: u64 = 365 * 24 * 3600;

/// Connections at once.
const MOST: usize = 16;

/// The socket, and how its name is told from that of another server's.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    id: (u64, u64),
}

/// Makes the socket. A server that cannot have it serves all the same, and the log says why.
pub(super) fn listen(path: &Path, user: Option<&Ids>) -> Option<Socket> {
    // what that user may do in the folder is done as that user: nobody else can be led there
    let made = {
        let _acting = user.and_then(|ids| rights::act_as(Some(ids)).ok());
        make(path, None)
    };
    let made = match made {
        Err(why) if user.is_some() && why.kind() == io::ErrorKind::PermissionDenied => {
            make(path, user)
        }
        other => other,
    };
    if let Err(why) = &made {
        log::warn!("no admin socket at {}: {why}", path.display());
    }
    made.ok()
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
    // never open to others, not even for a moment
    let before = umask(Mode::from_raw_mode(0o177));
    let made = UnixListener::bind(&place);
    umask(before);
    let listener = made?;
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
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }

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

/// Lets in whoever comes, each with a thread.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
pub(super) fn serve(listener: &UnixListener, hub: &Arc<Hub>) {
    let count = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if count.load(Ordering::SeqCst) >= MOST {
            continue;
        }
        count.fetch_add(1, Ordering::SeqCst);
        let (hub, own) = (Arc::clone(hub), Arc::clone(&count));
        let talk = move || {
            // whoever asked may go at any time
            let _ = converse(&stream, &hub);
            own.fetch_sub(1, Ordering::SeqCst);
        };
        if thread::Builder::new().name("admin-client".to_owned()).spawn(talk).is_err() {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn converse(stream: &UnixStream, hub: &Arc<Hub>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        lines.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        // what follows would be taken for another request
        let is_whole = line.len() < usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let mut order = None;
        let mut answer =
            if is_whole { answer(&line, hub, &mut order) } else { refused("too long") };
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

fn bans(hub: &Hub) -> Vec<Value> {
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
