//! Failing system calls: the real server does one thing after another, and each time one of its
//! calls fails with one error. Run it with `make faults`, narrowed by `PATHS=`, `CALLS=` and
//! `ERRORS=`, lists of names. It needs strace.
//!
//! Each path is driven once under strace, which tells the calls that it makes. Then it is driven
//! for each call and each error: once for each time that the call is made, and once with all of
//! them failing. `judge.rs` says what
//! must hold.
//!
//! | File | What it holds |
//! | --- | --- |
//! | `paths.rs` | what the server is asked to do |
//! | `programs.rs` | whole runs: starts, and subcommands that change the settings |
//! | `tracer.rs` | strace |
//! | `judge.rs` | what must hold after a fault |
//! | `state.rs` | what is on the disk |
//! | `link.rs` | the client |
//! | `table.rs` | the results |

#![allow(
    clippy::pedantic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    clippy::format_push_string,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "a run prints, and ends when something is wrong"
)]

mod judge;
mod link;
mod paths;
mod programs;
#[path = "../suite/server.rs"]
mod server;
mod state;
mod table;
mod tracer;

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::time::{Duration, Instant};

use judge::{Case, ERRORS, Error, Reference};
use link::{End, Link, Step};
use paths::{PATHS, Path};
use programs::PROGRAMS;
use server::Server;
use table::Table;
use tracer::{Fault, Seen, Tracer};

/// Settings of all paths: what a client waits for must end soon.
const SETTINGS: &str = "data_timeout = 3";

/// Time in which the server must give back what a session held.
///
/// Threads end when they have had no session for 30 s.
const SETTLING: Duration = Duration::from_secs(40);

fn main() {
    let (paths, calls, errors) = (wanted("PATHS"), wanted("CALLS"), wanted("ERRORS"));
    let mut table = Table::default();
    for path in PATHS.iter().filter(|path| is_wanted(&paths, path.name)) {
        println!("\n{}: {}", path.name, path.about);
        let mut run = Run::new(path);
        let seen = run.reference();
        let fails = |call: &str| {
            is_wanted(&calls, call)
                && (path.everywhere.is_empty() || path.everywhere.contains(&call))
        };
        for (call, count) in seen.calls.iter().filter(|(call, _)| fails(call)) {
            for error in ERRORS.iter().filter(|error| is_wanted(&errors, error.name)) {
                for nth in (1..=*count).map(Some).chain(each(error)) {
                    let fault = Fault { call: call.clone(), nth, error: error.name };
                    let (cell, faults) = run.case(&fault, error);
                    table.add(path.name, &fault, cell, faults);
                }
            }
        }
    }
    for program in PROGRAMS.iter().filter(|program| is_wanted(&paths, program.name)) {
        println!("\n{}: {}", program.name, program.about);
        for (call, (first, last)) in program.calls() {
            for error in ERRORS.iter().filter(|error| is_wanted(&errors, error.name)) {
                // the first thread's calls begin after those of the loader, which must not fail
                let each = (first == 1).then_some(error).and_then(each);
                for nth in (first..=last).map(Some).chain(each) {
                    if !is_wanted(&calls, &call) {
                        continue;
                    }
                    let fault = Fault { call: call.clone(), nth, error: error.name };
                    let (cell, faults) = program.case(&fault, error);
                    table.add(program.name, &fault, cell, faults);
                }
            }
        }
    }
    table.print();
    exit(i32::from(table.faults() > 0));
}

/// Makes each call fail, and not only one. A call that is always interrupted would be repeated for
/// ever.
fn each(error: &Error) -> Option<Option<usize>> {
    (error.name != "EINTR").then_some(None)
}

fn wanted(name: &str) -> Vec<String> {
    let text = env::var(name).unwrap_or_default();
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn is_wanted(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

/// The run of one path.
struct Run {
    path: &'static Path,
    server: Server,
    reference: Reference,
    /// Open files and threads while no client is there.
    rest: (usize, usize),
}

impl Run {
    fn new(path: &'static Path) -> Self {
        let server = start(path);
        let (before, after) = (state::State::new(), state::State::new());
        let reference = Reference { before, after, received: Vec::new() };
        Self { path, server, reference, rest: (0, 0) }
    }

    /// Drives the path without a fault, and returns its calls.
    fn reference(&mut self) -> Seen {
        self.reset();
        self.reference.before = state::of(&self.server.home());
        let (end, seen) = self.drive(None);
        let End::Done(received) = end else { panic!("{}: {end:?}", self.path.name) };
        self.reference.received = received;
        self.reference.after = state::of(&self.server.home());
        self.warm_up();
        seen
    }

    fn reset(&self) {
        state::clear(&self.server.home());
        (self.path.prepare)(&self.server.home());
    }

    /// Notes what a server holds that has just started: as soon as no more threads are started.
    /// A client takes a few files and a thread more.
    fn settle(&mut self) {
        let (mut before, mut since) = (self.figures(), Instant::now());
        while since.elapsed() < Duration::from_millis(100) {
            let now = self.figures();
            if now != before {
                (before, since) = (now, Instant::now());
            }
            server::pause();
        }
        self.rest = (before.0 + 2, before.1 + 2);
    }

    /// Lets one client come and go, and notes what the server then holds.
    fn warm_up(&mut self) {
        self.serves().expect("the server serves a client");
        let until = Instant::now() + Duration::from_millis(300);
        self.rest = self.figures();
        while Instant::now() < until {
            let now = self.figures();
            self.rest = (self.rest.0.min(now.0), self.rest.1.max(now.1));
            server::pause();
        }
    }

    /// The log, from wherever it is written to.
    fn log(&self) -> String {
        let file = fs::read_to_string(self.server.dir().join("log")).unwrap_or_default();
        self.server.log() + &file
    }

    fn figures(&self) -> (usize, usize) {
        (self.server.open_files(), self.server.threads().len())
    }

    /// Drives the path, perhaps with a fault. A fault in what comes before is not the path's.
    fn drive(&self, fault: Option<&Fault>) -> (End, Seen) {
        let mut link = Link::connect(self.server.address()).expect("a greeting");
        if !self.path.at_login {
            link.login("bob").expect("a login");
            (self.path.before)(&mut link).expect("what comes before");
        }
        let output = self.server.dir().join("trace");
        let tracer = if self.path.everywhere.is_empty() {
            let threads = tracer::threads(self.server.pid(), self.path.threads);
            Tracer::attach(&threads, self.path.also, fault, &output)
        } else {
            let mut command = tracer::strace(self.path.also, fault, &output);
            command.arg("-f");
            Tracer::run(command, &[self.server.pid()], &output)
        };
        let driven =
            catch_unwind(AssertUnwindSafe(|| (self.path.drive)(&mut link, &self.server)));
        let end = match driven {
            Ok(Ok(received)) => End::Done(received),
            Ok(Err(end)) => end,
            Err(_) => End::Refused(0, "what must happen does not happen".to_owned()),
        };
        (end, tracer.end())
    }

    fn case(&mut self, fault: &Fault, error: &Error) -> (String, Vec<String>) {
        if self.path.fresh {
            self.server = start(self.path);
            self.settle();
        }
        self.reset();
        let begun = self.log().len();
        let (end, seen) = self.drive(Some(fault));
        let Some(call) = seen.injected.first() else {
            return ("not made".to_owned(), Vec::new());
        };
        let found = state::of(&self.server.home());
        // the log is written by a thread of its own
        let wait = Instant::now() + Duration::from_secs(1);
        let log = || self.log().get(begun..).unwrap_or_default().to_owned();
        while !matches!(end, End::Done(_))
            && !log().contains(error.text)
            && Instant::now() < wait
        {
            server::pause();
        }
        let log = log();
        let must = self.path.must;
        let case = Case { fault, error, end: &end, found: &found, log: &log, must, call };
        let mut faults = case.faults(&self.reference);
        faults.extend(self.after(&seen));
        for fault in &mut faults {
            *fault += &format!("\n    {call}\n{}", indented(&log));
        }
        let cell = match &end {
            End::Done(_) => "ok".to_owned(),
            End::Refused(code, _) => code.to_string(),
            End::Lost => "ended".to_owned(),
        };
        (cell, faults)
    }

    /// Checks that the server lives, and holds nothing of the case any more.
    fn after(&mut self, seen: &Seen) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(end) = self.serves() {
            faults.push(format!("the next client is not served: {end:?}"));
            self.server = start(self.path);
            self.warm_up();
            return faults;
        }
        // a call of close that was skipped has closed nothing
        let skipped = seen.injected.iter().filter(|call| call.contains("close(")).count();
        self.rest.0 += skipped;
        let until = Instant::now() + SETTLING;
        while self.figures().0 > self.rest.0 || self.figures().1 > self.rest.1 + 1 {
            if Instant::now() > until {
                let now = self.figures();
                faults.push(format!("files and threads: {now:?}, before {:?}", self.rest));
                self.rest = (now.0.max(self.rest.0), now.1.max(self.rest.1));
                break;
            }
            server::pause();
        }
        faults
    }

    /// Lets a client log in and list the home, which must show what is there.
    fn serves(&self) -> Step<()> {
        let mut link = Link::connect(self.server.address())?;
        // another user than the one who uploads, who is shown the own parts
        link.login("eve")?;
        let data = link.passive()?;
        let listed = link.download(data, "NLST")?;
        let mut listed: Vec<_> =
            String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect();
        listed.sort();
        let there = state::of(&self.server.home());
        let there: Vec<_> = there.into_keys().filter(|name| !name.contains('/')).collect();
        link.ask("QUIT")?;
        if listed == there {
            Ok(())
        } else {
            Err(End::Refused(0, format!("listed: {listed:?}, there: {there:?}")))
        }
    }
}

fn start(path: &Path) -> Server {
    let eve = "[user:eve]\npassword = secret\nhome = home\nperm = elr";
    let setup = Server::setup().server(SETTINGS).server(path.settings).section(eve);
    setup.start_with(|dir| {
        // a certificate for the path that reads one
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
        fs::write(dir.join("cert.pem"), made.cert.pem()).expect("a file");
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
        // settings may name their directory
        let ini = fs::read_to_string(dir.join("ftpd.ini")).expect("the settings");
        let ini = ini.replace("{dir}", &dir.display().to_string());
        fs::write(dir.join("ftpd.ini"), ini).expect("the settings");
    })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
