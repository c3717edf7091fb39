//! SYST, FEAT, HELP, STAT and the SITE commands that show or set parameters of the session.

use std::time::Duration;

use crate::control::arg::choice::TransferType;
use crate::control::charset::Signs;
use crate::control::command::{Feature, VERBS, Verb};
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::{Login, Parameters, Setup, User};
use crate::data::listing::Fact;
use crate::vfs::Algorithm;

/// FEAT: one line for each row that has a feature, in alphabetical order (RFC 2389 §3.2).
pub(crate) fn feat(session: &mut Session) -> Reply {
    session.note(Signs { feat: true, ..session.state.parameters.signs });
    let (parameters, tls) = (&session.state.parameters, session.settings.tls.is_some());
    let mut lines: Vec<String> = VERBS
        .iter()
        .filter_map(|verb| match verb.feature? {
            Feature::Line(line) => Some(format!(" {line}\r\n")),
            Feature::Tls(line) => tls.then(|| format!(" {line}\r\n")),
            Feature::Hashes => Some(format!(" HASH {}\r\n", marked_hashes(parameters))),
            Feature::Facts => Some(format!(" MLST {}\r\n", marked_facts(parameters))),
        })
        .collect();
    lines.sort_unstable();
    Reply::lines(Code::SystemStatus, "Extensions", lines.concat().into_bytes(), "End")
}

/// Returns all facts, with a mark after those that are chosen (RFC 3659 §7.8).
fn marked_facts(parameters: &Parameters) -> String {
    let mark = |fact| if parameters.facts.has(fact) { "*;" } else { ";" };
    Fact::ALL.into_iter().flat_map(|fact| [fact.name(), mark(fact)]).collect()
}

/// Returns all algorithms of HASH, with a mark after the one that is chosen.
fn marked_hashes(parameters: &Parameters) -> String {
    let mark = |one| if parameters.hash == one { "*" } else { "" };
    let marked = Algorithm::ALL.map(|one| format!("{}{}", one.name(), mark(one)));
    marked.join(";")
}

/// HELP: the first words of all names. SITE and OPTS represent all commands that begin with
/// them.
pub(crate) fn help() -> Reply {
    let names = VERBS.iter().map(|verb| first_word(verb.name()));
    columns("Commands", names, "HELP command explains one")
}

/// SITE HELP: the SITE commands.
pub(crate) fn site_help() -> Reply {
    let names = VERBS.iter().filter_map(|verb| verb.name().strip_prefix("SITE "));
    columns("SITE commands", names, "End")
}

/// Lists each name once, eight per line.
fn columns(first: &str, names: impl Iterator<Item = &'static str>, last: &str) -> Reply {
    let mut once: Vec<_> = names.collect();
    once.dedup();
    let line = |names: &[&str]| format!(" {}\r\n", names.join(" "));
    let lines: Vec<_> = once.chunks(8).map(line).collect();
    Reply::lines(Code::Help, first, lines.concat().into_bytes(), last)
}

fn first_word(name: &'static str) -> &'static str {
    name.split_once(' ').map_or(name, |(first, _)| first)
}

/// HELP with a command. The word SITE or OPTS explains all commands that begin with it (RFC
/// 959 §4.1.3).
pub(crate) fn help_on(name: &str) -> Result<Reply, Refusal> {
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    let named =
        |verb: &&Verb| verb.names.iter().any(|known| is(known) || is(first_word(known)));
    let line = |verb: &Verb| format!(" {} {}: {}\r\n", verb.name(), verb.usage, verb.help);
    let lines: Vec<_> = VERBS.iter().filter(named).map(line).collect();
    if lines.is_empty() {
        return Err(Refusal::NotImplemented);
    }
    Ok(Reply::lines(Code::Help, "Help", lines.concat().into_bytes(), "End"))
}

/// SYST. This reply makes clients parse our listings as those of Unix.
pub(crate) fn system() -> Reply {
    Reply::new(Code::SystemType, "UNIX Type: L8")
}

/// STAT without a path: describes the session (RFC 959 §4.1.3).
pub(crate) fn stat(session: &Session) -> Reply {
    let parameters = &session.state.parameters;
    let kind = match parameters.transfer_type {
        TransferType::Ascii => "ASCII",
        TransferType::Image | TransferType::Other => "binary",
    };
    let setup = match &parameters.setup {
        Setup::None => "none",
        Setup::Active(_) => "active, set up",
        Setup::Passive(_) => "passive, set up",
    };
    let user = match &session.state.login {
        Login::In(user) => user.account.name.as_str(),
        Login::Out | Login::Named(_) => "nobody",
    };
    let lines = format!(
        " Connected from {}\r\n Logged in as {user}\r\n Type {kind}, structure file, mode \
         stream\r\n Data connection: {setup}\r\n",
        session.peer.ip()
    );
    Reply::lines(Code::SystemStatus, "Status", lines.into_bytes(), "No transfer is running")
}

/// SITE UMASK: shows the mask.
pub(crate) fn umask(user: &User) -> Reply {
    Reply::ok(format!("Current UMASK is {:03o}", user.umask))
}

/// SITE UMASK with a mask: sets it.
pub(crate) fn set_umask(user: &mut User, mask: u32) -> Reply {
    let old = std::mem::replace(&mut user.umask, mask);
    Reply::ok(format!("UMASK set to {mask:03o} (was {old:03o})"))
}

/// SITE IDLE: shows the idle timeout.
pub(crate) fn idle(user: &User) -> Reply {
    Reply::ok(match user.idle_timeout {
        Some(time) => format!("Idle timeout is {} seconds", time.as_secs()),
        None => "There is no idle timeout".to_owned(),
    })
}

/// SITE IDLE with seconds: sets the idle timeout, up to the configured one.
pub(crate) fn set_idle(user: &mut User, seconds: u64) -> Result<Reply, Refusal> {
    let wanted = Duration::from_secs(seconds);
    let most = user.account.user.rules.limits.idle_timeout.unwrap_or(LONGEST_IDLE);
    if wanted.is_zero() || wanted > most {
        return Err(Refusal::IdleRange(most));
    }
    user.idle_timeout = Some(wanted);
    Ok(idle(user))
}

/// Maximum of SITE IDLE if no idle timeout is configured: a day.
const LONGEST_IDLE: Duration = Duration::from_secs(24 * 3600);
