//! `ftpd test`: examines any FTP server from the side of a client, and says why the data connection
//! does not come.
//!
//! Probes collect facts; the judge, a pure function, turns each fact into lines of the report: what
//! was found, the cause, and what to do about it. A new check is a fact, the probe that tells it,
//! and an arm of the judge with its row in a test.
//!
//! The client is a part of the product, and not `suppaftp`: that crate opens the data connection
//! within a command and returns one error for everything that can go wrong in it, while this
//! program has to tell apart the address in the reply, each attempt to connect, the preliminary
//! reply, the handshake, its resumption, and the last reply. It would also bring `chrono`, `regex`
//! and seven further crates to the program, whereas rustls and `socket2` are there already. The
//! client's side of rustls makes this the cargo feature `client`: all of it takes 0.4 MB.
//!
//! The certificate is reported on and not required: like a look at it, the test goes on with a bad
//! one. Everything that a server sends is escaped before it is printed, every wait has a deadline,
//! and a server is not obeyed where its reply names an address that a client should not connect to.

mod address;
mod client;
mod cure;
mod facts;
mod judge;
mod probe;
mod reply;
mod store;
mod stored;
mod transfer;
mod trust;
mod url;
mod wire;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::arguments::{Arguments, Word};
use super::line::{Line, Verdict, status};
use super::outcome::Stop;
use super::print::{complain, say};
use super::terminal::{Terminal, line};
use crate::log::{self, escaped};
use facts::{Fact, World};
use probe::{Plan, examine};
use url::{Secret, Url};
use wire::Clock;

pub use address::{of_227, of_229};
pub(super) use facts::Chain;
pub use reply::{NoReply, Replies, Reply};
pub(super) use trust::judge_chain;

/// The password of anonymous users, which is an address by custom (RFC 1635).
const ANONYMOUS: &[u8] = b"ftpd-test@example.org";

/// How long a connection may take, in seconds, and the highest value that can be set.
const TIMEOUT: (u16, u16) = (5, 600);

/// Exit status after Ctrl-C, as of a program that the signal ended.
const INTERRUPTED: u8 = 130;

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    let (plan, is_json) = plan(arguments)?;
    let stop =
        catch_signals().map_err(|why| Stop::Failed(format!("cannot catch signals: {why}")))?;
    let clock = Clock::new(Arc::clone(&stop), plan.timeout);
    let mut report = Report { is_json, lines: Vec::new() };
    let mut tell = |fact: &Fact, world: &World| report.add(judge::judge(fact, world));
    examine(&plan, &clock, &mut tell);
    let is_interrupted = stop.load(Ordering::Relaxed);
    Ok(report.end(&plan, is_interrupted))
}

/// The lines so far. Each is printed as soon as it is known, for some take seconds.
struct Report {
    is_json: bool,
    lines: Vec<Line>,
}

impl Report {
    fn add(&mut self, lines: Vec<Line>) {
        for line in lines {
            if !self.is_json {
                say(&line.print());
            }
            self.lines.push(line);
        }
    }

    fn end(&self, plan: &Plan, is_interrupted: bool) -> ExitCode {
        let count = |verdict| self.lines.iter().filter(|line| line.verdict == verdict).count();
        let (failed, warnings) = (count(Verdict::Failed), count(Verdict::Warning));
        if self.is_json {
            let lines: Vec<Value> = self.lines.iter().map(Line::json).collect();
            say(&log::json(&json!({
                "host": plan.url.host,
                "port": plan.url.port,
                "failed": failed,
                "warnings": warnings,
                "interrupted": is_interrupted,
                "checks": lines,
            })));
        } else {
            say(&format!("{failed} failed, {warnings} warnings"));
        }
        if is_interrupted {
            complain("ftpd: interrupted");
            return ExitCode::from(INTERRUPTED);
        }
        status(&self.lines)
    }
}

/// Reads the arguments, and the password where they name it.
fn plan(mut arguments: Arguments) -> Result<(Plan, bool), Stop> {
    let (mut url, mut file) = (None, None);
    let (mut read_only, mut active, mut is_json) = (false, false, false);
    let mut timeout = TIMEOUT.0;
    while let Some(word) = arguments.next()? {
        match word {
            Word::Flag(flag) => match flag.as_str() {
                "--read-only" => read_only = true,
                "--active" => active = true,
                "--json" => is_json = true,
                "--password-file" => file = Some(arguments.value()?),
                "--timeout" => timeout = seconds(&mut arguments)?,
                _ => return Err(Word::Flag(flag).unexpected()),
            },
            Word::Value(text) if url.is_none() => url = Some(text),
            more @ Word::Value(_) => return Err(more.unexpected()),
        }
    }
    let missing =
        || Stop::Misuse("expected the URL of a server, such as ftp://user@host/".into());
    let url = url.ok_or_else(missing)?;
    let url = url.to_str().ok_or_else(|| Stop::Misuse("the URL is not UTF-8".to_owned()))?;
    let mut url = Url::parse(url).map_err(Stop::Misuse)?;
    let (user, password) = match (&url.user, url.password.take()) {
        (None, _) => (b"anonymous".to_vec(), Secret(ANONYMOUS.to_vec())),
        (Some(user), Some(password)) if file.is_none() => (user.clone(), password),
        (Some(user), _) => (user.clone(), password(file.as_deref(), user)?),
    };
    let stem = format!("ftpd-test-{}", number()?);
    let timeout = Duration::from_secs(timeout.into());
    Ok((Plan { url, user, password, read_only, active, timeout, stem }, is_json))
}

/// Reads the value of `--timeout`.
fn seconds(arguments: &mut Arguments) -> Result<u16, Stop> {
    let (least, most) = (1, TIMEOUT.1);
    let what = format!("a whole number of seconds from {least} to {most}");
    let seconds: u16 = arguments.parsed(&what)?;
    if !(least..=most).contains(&seconds) {
        return Err(Stop::Misuse(format!("'{seconds}' is not {what}")));
    }
    Ok(seconds)
}

/// Reads the password from a file or the terminal, or else from standard input.
fn password(file: Option<&str>, user: &[u8]) -> Result<Secret, Stop> {
    let failed = |why: io::Error| {
        let file =
            file.map_or_else(String::new, |file| format!(" in {}", escaped(file.as_bytes())));
        Stop::Failed(format!("no password{file}: {why}"))
    };
    let password = if let Some(file) = file {
        #[expect(clippy::disallowed_methods, reason = "a client reads its password")]
        let opened = File::open(file);
        opened.and_then(|opened| line(BufReader::new(opened)))
    } else if io::stdin().is_terminal() {
        let terminal = Terminal::silent().map_err(failed)?;
        terminal.ask(&format!("Password of {}: ", escaped(user)))
    } else {
        line(io::stdin().lock())
    };
    let password = password.map_err(failed)?;
    if password.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Stop::Failed("the password contains a line end or NUL".to_owned()));
    }
    Ok(Secret(password))
}

/// Returns a random number, so that the probe file hits no other file.
fn number() -> Result<String, Stop> {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Stop::Failed("no random bytes for the name of a file".to_owned()))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// The first signal sets a flag, which ends all waits; the second one ends the process.
fn catch_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let end = i32::from(INTERRUPTED);
        flag::register_conditional_shutdown(signal, end, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
