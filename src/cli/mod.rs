//! The command line: one file for each subcommand, and a table of all subcommands.

mod adduser;
mod admin;
mod arguments;
mod ban;
mod bans;
mod bars;
mod cert;
mod check;
mod completions;
mod convert_names;
#[cfg(feature = "client")]
mod doctor;
#[cfg(not(feature = "client"))]
#[path = "no_doctor.rs"]
mod doctor;
mod files;
mod help;
mod import;
mod keep;
mod kick;
#[cfg(feature = "client")]
mod line;
mod outcome;
mod pages;
mod parts;
mod passwd;
mod print;
mod programs;
mod quota;
#[cfg(feature = "client")]
mod reach;
mod reload;
mod rewrite;
mod screen;
mod secret;
mod serve;
mod service;
mod settings;
mod share;
mod stats;
mod stop;
mod table;
mod terminal;
#[cfg(feature = "client")]
mod test;
#[cfg(not(feature = "client"))]
#[path = "no_client.rs"]
mod test;
mod top;
mod trash;
mod typos;
mod unban;
mod unit;
mod users;
mod who;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::log::escaped;
use arguments::{Arguments, Word};
use outcome::{BAD_CONFIG, FAILED, Stop, USAGE};
use print::{complain, say};

pub use completions::completions;
#[doc(hidden)]
pub use import::import_text;
pub use table::{SUBCOMMANDS, Subcommand};
#[cfg(feature = "client")]
#[doc(hidden)]
pub use test::{NoReply, Replies, Reply, of_227, of_229};

/// Runs the subcommand that the command line names, and returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parser = lexopt::Parser::from_iter(arguments);
    let mut arguments = Arguments { parser, file: None };
    let mut chosen = None;
    let done = choose(&mut arguments).and_then(|choice| match choice {
        Choice::Task(task, words) => Ok(task(&words)),
        Choice::Subcommand(subcommand) => {
            chosen = Some(subcommand);
            (subcommand.run)(arguments)
        }
    });
    match done {
        Ok(code) => code,
        Err(stop) => end(stop, chosen),
    }
}

/// Prints why a subcommand has stopped, and returns the exit status.
fn end(stop: Stop, chosen: Option<&Subcommand>) -> ExitCode {
    match stop {
        Stop::Help => say(&chosen.map_or_else(pages::help, pages::help_on)),
        Stop::HelpOn(None) => say(&pages::help()),
        Stop::HelpOn(Some(name)) => match table::find(&name) {
            Some(subcommand) => say(&pages::help_on(subcommand)),
            None => end(pages::unknown(&name.to_string_lossy()), chosen),
        },
        Stop::Completions(shell) => match completions(&shell) {
            Some(text) => say(text.trim_end()),
            None => end(completions::unknown(), chosen),
        },
        Stop::Version => say(concat!("ftpd ", env!("CARGO_PKG_VERSION"))),
        Stop::BadFlag(flag) => {
            let meant = pages::meant(&flag, chosen);
            let flag = escaped(flag.as_bytes());
            complain(&format!("ftpd: invalid option '{flag}'{meant}\ntry 'ftpd --help'"));
            ExitCode::from(USAGE)
        }
        Stop::Misuse(why) => {
            complain(&format!("ftpd: {why}\ntry 'ftpd --help'"));
            ExitCode::from(USAGE)
        }
        Stop::Failed(why) | Stop::Refused(why) => {
            complain(&format!("ftpd: {why}"));
            ExitCode::from(FAILED)
        }
        Stop::BadConfig => ExitCode::from(BAD_CONFIG),
    }
}

/// The choice that the first word of the command line makes.
enum Choice {
    Subcommand(&'static Subcommand),
    /// A task of starting programs, with its arguments. Only the server itself starts `ftpd` in
    /// this way.
    Task(programs::Task, Vec<OsString>),
}

fn choose(arguments: &mut Arguments) -> Result<Choice, Stop> {
    let name = match arguments.next()? {
        None => OsString::from("serve"),
        Some(Word::Value(name)) => name,
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
    };
    if let Some(task) = programs::find(&name) {
        return Ok(Choice::Task(task, arguments.parser.raw_args()?.collect()));
    }
    let known = table::find(&name).map(Choice::Subcommand);
    known.ok_or_else(|| pages::unknown(&name.to_string_lossy()))
}
