//! What a person types: one file for each subcommand.

mod cert;
mod check;
mod serve;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};

use crate::config::{self, Config};
use crate::hook;
use crate::log::escaped;
use crate::tls;

/// Where the settings are looked for when no file is named.
const FILES: [&str; 2] = ["ftpd.ini", "/etc/ftpd.ini"];

/// Something failed while running.
const FAILED: u8 = 1;

/// The command line is not understood.
const USAGE: u8 = 2;

/// What shells say of a program that cannot be started.
const CANNOT_START: u8 = 127;

/// The configuration is at fault (`EX_CONFIG` of sysexits.h).
const BAD_CONFIG: u8 = 78;

const HELP: &str = "\
ftpd - a small FTP server

usage: ftpd [serve] [--config FILE]  serve until Ctrl-C
       ftpd check [--config FILE]    check the file and say what is wrong with it
       ftpd cert [--config FILE]     show the certificate that clients are shown
       ftpd --help | --version

-c, --config FILE   the settings; default: ./ftpd.ini, then /etc/ftpd.ini
-h, --help          this text
-V, --version       the version

exit status: 0 done, 1 failed, 2 command line not understood, 78 faults in the settings
manual: ftpd(8), ftpd.ini(5)";

enum Action {
    Serve,
    Check,
    Cert,
    Help,
    Version,
    /// Become a program of a hook; for the server alone.
    Hook(Vec<OsString>),
}

/// Carries out the command line.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (action, file) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(why) => {
            complain(&format!("ftpd: {why}\ntry 'ftpd --help'"));
            return ExitCode::from(USAGE);
        }
    };
    match action {
        Action::Serve => serve::run(file.as_deref()),
        Action::Check => check::run(file.as_deref()),
        Action::Cert => cert::run(file.as_deref()),
        Action::Help => say(HELP),
        Action::Hook(words) => {
            let why = hook::launch(&words);
            let program = words.first().map(|word| word.as_encoded_bytes());
            let program = escaped(program.unwrap_or_default());
            complain(&format!("{program} cannot be started: {why}"));
            ExitCode::from(CANNOT_START)
        }
        Action::Version => say(concat!("ftpd ", env!("CARGO_PKG_VERSION"))),
    }
}

fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Action, Option<PathBuf>), lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let (mut action, mut file) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("config") | Short('c') => file = Some(PathBuf::from(parser.value()?)),
            Long("help") | Short('h') => return Ok((Action::Help, None)),
            Long("version") | Short('V') => return Ok((Action::Version, None)),
            Value(word) if action.is_none() && word == hook::LAUNCH => {
                return Ok((Action::Hook(parser.raw_args()?.collect()), None));
            }
            Value(word) if action.is_none() && word == "check" => action = Some(Action::Check),
            Value(word) if action.is_none() && word == "cert" => action = Some(Action::Cert),
            Value(word) if action.is_none() && word == "serve" => action = Some(Action::Serve),
            other @ (Long(_) | Short(_) | Value(_)) => return Err(other.unexpected()),
        }
    }
    Ok((action.unwrap_or(Action::Serve), file))
}

/// Reads the settings. Faults go to standard error, and the exit code comes back.
fn load(file: Option<&Path>) -> Result<(PathBuf, Config), ExitCode> {
    let there = || FILES.iter().map(Path::new).find(|file| file.exists());
    let Some(file) = file.or_else(there) else {
        let [here, system] = FILES;
        complain(&format!("ftpd: neither {here} nor {system} is there; use --config FILE"));
        return Err(ExitCode::from(BAD_CONFIG));
    };
    let mut config = match config::load(file) {
        Ok(config) => config,
        Err(faults) => {
            for fault in faults {
                complain(&fault.to_string());
            }
            return Err(ExitCode::from(BAD_CONFIG));
        }
    };
    match config.tls.as_ref().map(tls::check).transpose() {
        Ok(warnings) => {
            let place = |warning| format!("{}: [server] {warning}", file.display());
            config.warnings.extend(warnings.into_iter().flatten().map(place));
            Ok((file.to_owned(), config))
        }
        Err(why) => {
            complain(&format!("{}: [server] {why}", file.display()));
            Err(ExitCode::from(BAD_CONFIG))
        }
    }
}

/// Prints to standard error; a reader that has gone changes no exit code.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints to standard output; a reader that has gone is no failure of ours.
fn say(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}
