//! `ftpd users`: lists the users of the settings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::admin::ask;
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::{complain, say};
use super::screen::binary;
use super::settings::load;
use crate::auth::{LOGINS, LastTime, last_times};
use crate::config::{Config, Origin, Password, User};
use crate::log::{self, escaped, stamp};
use crate::server::protocol::{Quota, QuotaView, Who};
use crate::vfs::Limits;

/// What is known about the logins of users.
struct Known {
    /// The last login of each user.
    last: BTreeMap<String, LastTime>,
    /// The users who are logged in now.
    here: HashSet<String>,
    /// What users with a quota have.
    quotas: HashMap<String, QuotaView>,
}

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let (origin, config) = load(arguments.file.as_deref())?;
    let known = Known::of(&origin, &config);
    let users = config.users_by_name();
    if json {
        let list: Vec<_> =
            users.iter().map(|(name, user)| object(name, user, &known)).collect();
        return Ok(say(&log::json(&Value::from(list))));
    }
    let rows = users.iter().map(|(name, user)| row(name, user, &config, &known));
    Ok(say(&table(rows.collect())))
}

impl Known {
    fn of(origin: &Origin, config: &Config) -> Self {
        let last = config.server.storage.state_dir.as_deref();
        let last = last.map(|dir| last_times(dir, LOGINS)).transpose();
        let last = last.unwrap_or_else(|why| {
            complain(&format!("cannot read the last logins: {why}"));
            None
        });
        // without an answer from a server, nobody is shown as logged in
        let sessions = ask(origin.file.as_deref(), Who {}).map(|answer| answer.sessions);
        let here = sessions.into_iter().flatten().filter_map(|session| session.user).collect();
        let limited = |user: &Arc<User>| Limits::of(&user.rules.quota).any();
        let wanted = config.users.values().any(limited);
        let order = Quota { user: None, rescan: false };
        let quotas = wanted.then(|| ask(origin.file.as_deref(), order).ok()).flatten();
        let quotas = quotas.into_iter().flat_map(|answer| answer.quotas);
        let quotas = quotas.map(|quota| (quota.user.clone(), quota)).collect();
        Self { last: last.unwrap_or_default(), here, quotas }
    }
}

fn object(name: &str, user: &User, known: &Known) -> Value {
    let limits = &user.rules.limits;
    let folder = &user.rules.folder;
    let rate = |rate: Option<NonZeroU64>| rate.map(NonZeroU64::get);
    let from: Vec<_> = limits.allow_from.iter().map(ToString::to_string).collect();
    let last = known.last.get(name);
    json!({
        "name": name,
        "password": match user.password {
            None => "any",
            Some(Password::Clear(_)) => "clear text",
            Some(Password::Hash(_)) => "hash",
            Some(Password::Elsewhere) => "asked elsewhere",
        },
        "home": user.home.to_string_lossy(),
        "perm": user.perm().to_string(),
        "folders": letters(user).collect::<serde_json::Map<_, _>>(),
        "max_upload": rate(folder.max_upload),
        "max_download": rate(folder.max_download),
        "user_max_upload": rate(limits.user_max_upload),
        "user_max_download": rate(limits.user_max_download),
        "max_per_user": limits.max_per_user,
        "idle_timeout": limits.idle_timeout.map(|time| time.as_secs()),
        "allow_from": from,
        "quota_bytes": rate(user.rules.quota.bytes),
        "quota_files": user.rules.quota.files,
        "used": known.quotas.get(name).map(|used| json!({
            "bytes": used.bytes,
            "files": used.files,
        })),
        "enabled": user.enabled,
        "expires": user.expires.map(|day| day.to_string()),
        "here": known.here.contains(name),
        "last_login": last.map(|last| json!({
            "at": stamp(last.at),
            "address": last.address.to_string(),
        })),
    })
}

/// Returns the permission letters of the folders that have their own.
fn letters(user: &User) -> impl Iterator<Item = (String, Value)> + '_ {
    let folders = user.folders.iter().filter(|folder| folder.has_letters);
    folders.map(|folder| (folder.path.clone(), folder.rules.perm.to_string().into()))
}

fn row(name: &str, user: &User, config: &Config, known: &Known) -> [String; 5] {
    let safe = |text: &str| escaped(text.as_bytes()).to_string();
    let last = known.last.get(name).map(|last| {
        // without the seconds
        let at = stamp(last.at).replace('T', " ");
        format!("{} {}", at.get(..16).unwrap_or(&at), last.address)
    });
    let last = if known.here.contains(name) { Some("now".to_owned()) } else { last };
    [
        safe(name),
        user.perm().to_string(),
        last.unwrap_or_else(|| "-".to_owned()),
        limits(name, user, config, known),
        safe(&user.home.to_string_lossy()),
    ]
}

/// Formats the limits of a user. `idle_timeout` is included only if it differs from the general
/// one.
fn limits(name: &str, user: &User, config: &Config, known: &Known) -> String {
    let limits = &user.rules.limits;
    let mut text = Vec::new();
    let rate = |way: &str, rate: Option<NonZeroU64>| {
        rate.map(|rate| format!("{way} {}/s", binary(rate.get())))
    };
    text.extend(rate("up", user.rules.folder.max_upload));
    text.extend(rate("down", user.rules.folder.max_download));
    text.extend(rate("all up", limits.user_max_upload));
    text.extend(rate("all down", limits.user_max_download));
    let quota = &user.rules.quota;
    text.extend(quota.bytes.map(|most| format!("quota {}", binary(most.get()))));
    text.extend(quota.files.map(|most| format!("{most} files")));
    if let Some(used) = known.quotas.get(name) {
        text.push(format!("{} % used", used.percent()));
    }
    text.extend(limits.max_per_user.map(|most| format!("{most} sessions")));
    if limits.idle_timeout != config.rules.limits.idle_timeout {
        let seconds = limits.idle_timeout.map_or(0, |time| time.as_secs());
        text.push(format!("idle {seconds} s"));
    }
    if !limits.allow_from.is_empty() {
        let from: Vec<_> = limits.allow_from.iter().map(ToString::to_string).collect();
        text.push(format!("from {}", from.join(" ")));
    }
    text.extend(letters(user).map(|(path, perm)| {
        let perm = perm.as_str().unwrap_or_default().to_owned();
        format!("{} {}", escaped(path.as_bytes()), if perm.is_empty() { "-" } else { &perm })
    }));
    text.extend(user.mounts().map(|(folder, from)| {
        let (path, from) = (escaped(folder.path.as_bytes()), from.to_string_lossy());
        format!("{path} from {}", escaped(from.as_bytes()))
    }));
    if !user.enabled {
        text.push("disabled".to_owned());
    }
    text.extend(user.expires.map(|day| {
        let word = if day.is_over() { "expired" } else { "expires" };
        format!("{word} {day}")
    }));
    if matches!(user.password, Some(Password::Clear(_))) {
        text.push("password in clear text".to_owned());
    }
    if text.is_empty() { "-".to_owned() } else { text.join(", ") }
}

fn table(rows: Vec<[String; 5]>) -> String {
    let head = ["USER", "PERM", "LAST LOGIN", "LIMITS", "HOME"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut lines = Vec::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // writing to a String cannot fail
            let blanks = width.saturating_sub(cell.width());
            let _ = write!(line, "{cell}{:blanks$}  ", "");
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}
