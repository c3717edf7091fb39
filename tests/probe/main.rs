//! A program in the place of the server: it becomes what the server becomes, by the same calls
//! and with the same settings, and then tries what an attacker would try who runs code in it.
//!
//! The results are a table in `.github/SECURITY.md`, and the run fails if they differ from it.
//! With `FTPD_WRITE_DOCS=1` the table is written. It takes root.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test program"
)]

mod acts;
mod table;
mod world;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::thread;

use ftpd::config;
use ftpd::rights;
use ftpd::server::{Orders, Server, SettingsSource, Supervisor};

use acts::ACTS;
use table::{Answer, Column};
use world::{Known, NOBODY, World};

/// The argument with which the program starts itself to try the acts.
const INSIDE: &str = "inside";

/// The same without becoming what the server becomes: what this machine lets its users do.
const CONTROL: &str = "control";

/// A server of which the attacker has taken control.
struct Setup {
    /// The head of its column.
    head: &'static str,
    server: &'static str,
    user: &'static str,
    /// The user that starts it.
    started_by: u32,
}

/// The server with `user` and without a sandbox: it can do what any program of its user can.
pub(crate) const PLAIN: usize = 2;

/// The server with `user` and sandbox.
const USUAL: usize = 3;

const SETUPS: &[Setup] = &[
    Setup { head: "root, no sandbox", server: "sandbox = off", user: "", started_by: 0 },
    Setup { head: "root and sandbox", server: "sandbox = require", user: "", started_by: 0 },
    Setup {
        head: "`user`, no sandbox",
        server: "sandbox = off\nuser = nobody",
        user: "",
        started_by: 0,
    },
    Setup {
        head: "`user` and sandbox",
        server: "sandbox = require\nuser = nobody",
        user: "",
        started_by: 0,
    },
    Setup {
        head: "and `run_as`",
        server: "sandbox = require\nuser = nobody",
        user: "run_as = 61003:61003",
        started_by: 0,
    },
    Setup {
        head: "and hooks",
        server: "sandbox = require\nuser = nobody\non_upload = /bin/true",
        user: "",
        started_by: 0,
    },
];

/// A server that its user starts, as the unit for systemd does. It has no column, because it
/// can do what the usual one can.
const STARTED: Setup = Setup {
    head: "started as its user",
    server: "sandbox = require",
    user: "",
    started_by: NOBODY,
};

fn main() -> ExitCode {
    use ftpd::launch::tasks;

    let task = std::env::args().nth(1);
    if task.is_some_and(|task| [tasks::START, tasks::LIST, tasks::EXEC].contains(&&*task)) {
        return ftpd::cli::run(std::env::args_os());
    }
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(INSIDE) => attack(&Known::of_arguments(arguments), true),
        Some(CONTROL) => attack(&Known::of_arguments(arguments), false),
        _ if !rustix::process::geteuid().is_root() => {
            println!("not tested: it takes root");
            ExitCode::SUCCESS
        }
        _ => compare(),
    }
}

/// Writes the log to standard error.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{}", record.args());
    }

    fn flush(&self) {}
}

/// Takes the place of a server, and prints for each act whether it succeeds.
fn attack(known: &Known, in_place: bool) -> ExitCode {
    if log::set_logger(&Log).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    let _server = if in_place {
        match serve(&known.dir.join("ftpd.ini")) {
            Ok(server) => Some(server),
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        None
    };
    for act in ACTS {
        let attempt = |as_root: bool| {
            let known = known.clone();
            move || {
                acts::raise_all();
                if as_root {
                    acts::become_user(0)?;
                }
                (act.attempt)(&known)
            }
        };
        // as in a session: on a thread that was started after the sandbox was entered
        let here = |as_root| thread::spawn(attempt(as_root)).join().expect("no act panics");
        let aside =
            |as_root| rights::look_up(attempt(as_root)).is_some_and(|done| done.is_ok());
        let answer = match here(false).or_else(|_| here(true)) {
            Ok(()) => Answer::Yes,
            Err(_) if in_place && (aside(false) || aside(true)) => Answer::Aside,
            Err(why) => {
                eprintln!("{}: {why}", act.name);
                Answer::No
            }
        };
        println!("{}", answer.word());
    }
    let _ = std::io::stdout().flush();
    ExitCode::SUCCESS
}

/// Becomes what the server becomes.
fn serve(file: &Path) -> Result<Server, String> {
    let told = |faults: Vec<config::ConfigError>| {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let origin = config::Origin::file(file);
    let config = config::load_to_serve(&origin).map_err(|faults| told(faults).concat())?;
    let source = SettingsSource {
        file: Some(file.to_owned()),
        tidies: None,
        load: Box::new(move || config::load_to_serve(&origin).map_err(told)),
        start_log: Box::new(|_| Ok(())),
    };
    Server::bind(config, source, Vec::new(), Supervisor::default(), Orders::default())
}

/// Tries the acts in each server, and compares the results with the table.
fn compare() -> ExitCode {
    let (control, _) = run(&SETUPS[PLAIN], CONTROL).expect("without a sandbox");
    let (mut columns, mut landlock) = (Vec::new(), None);
    for setup in SETUPS {
        match run(setup, INSIDE) {
            Ok((answers, version)) => {
                landlock = landlock.or(version);
                columns.push(Column { head: setup.head, answers: Some(answers) });
            }
            Err(why) => {
                println!("not tested: {}: {why}", setup.head);
                columns.push(Column { head: setup.head, answers: None });
            }
        }
    }
    let mut are_right = table::is_in_security(&columns, &control, landlock);
    if let (Ok((started, _)), Some(usual)) = (run(&STARTED, INSIDE), &columns[USUAL].answers) {
        for ((act, started), usual) in ACTS.iter().zip(started).zip(usual) {
            if started != *usual {
                println!("{}: {}: {}", STARTED.head, act.name, started.word());
                are_right = false;
            }
        }
    }
    if are_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries the acts in a server. Returns the version of Landlock as well, if there is a sandbox.
/// Fails if the server does not start.
fn run(setup: &Setup, what: &str) -> Result<(Vec<Answer>, Option<u32>), String> {
    let starter = if what == CONTROL { NOBODY } else { setup.started_by };
    let world = World::new(setup.server, setup.user, starter);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(what).args(world.known.arguments()).current_dir("/");
    command.uid(starter).gid(starter);
    let Output { status, stdout, stderr } = command.output().expect("this program starts");
    let said = String::from_utf8_lossy(&stderr);
    if std::env::var_os("VERBOSE").is_some() {
        println!("--- {}\n{said}", setup.head);
    }
    if !status.success() {
        return Err(said.trim().to_owned());
    }
    let answers: Vec<_> =
        String::from_utf8_lossy(&stdout).lines().filter_map(Answer::of_word).collect();
    assert_eq!(answers.len(), ACTS.len(), "{said}");
    let version =
        said.split("Landlock ABI ").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok((answers, version.and_then(|version| version.parse().ok())))
}
