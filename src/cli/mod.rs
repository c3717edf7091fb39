//! What a person types: one file for each subcommand, and one table of them.

mod adduser;
mod admin;
mod ban;
mod bans;
mod cert;
mod check;
mod help;
mod import;
mod kick;
mod passwd;
mod reload;
mod rewrite;
mod screen;
mod secret;
mod serve;
mod service;
mod share;
mod stats;
mod stop;
mod terminal;
mod top;
mod unban;
mod unit;
mod users;
mod who;
mod why;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;

use crate::config::{self, Config, ConfigError};
use crate::hook;
use crate::log::escaped;
use crate::tls;

#[doc(hidden)]
pub use import::import_text;

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

/// One thing that the program does.
pub struct Subcommand {
    /// What it is called.
    pub name: &'static str,
    /// What may stand behind the name, besides `--config FILE`.
    pub usage: &'static str,
    /// One line for the list.
    pub help: &'static str,
    /// The rest, for its own help and the manual.
    pub about: &'static str,
    run: fn(Arguments) -> Result<ExitCode, Stop>,
}

const fn subcommand(
    name: &'static str,
    usage: &'static str,
    run: fn(Arguments) -> Result<ExitCode, Stop>,
    help: &'static str,
    about: &'static str,
) -> Subcommand {
    Subcommand { name, usage, help, about, run }
}

/// Every subcommand, in the order in which the help prints them. `serve` is meant where none is
/// named.
#[rustfmt::skip]
pub static SUBCOMMANDS: &[Subcommand] = &[
    subcommand("serve", "", serve::run, "serve until Ctrl-C",
        "The server stays in the foreground, writes its log to standard error or to a file, and serves until a signal says stop. This is what happens without a subcommand."),
    subcommand("share", "[DIR] [--write] [--tls] [--user NAME] [--anonymous] [--ip ADDRESS] [--port N]", share::run, "serve a folder now, without a settings file",
        "DIR, or the working directory, is served to one user (guest, unless --user says otherwise) with a password that is made up and printed, together with the URLs under which this machine is found. --anonymous: to everybody, without a password. Clients may only read; --write lets them change everything. --tls: with a certificate that is made for the occasion, and not without. The port is 2121, or any that is free. On a terminal each running transfer has a progress bar. Ctrl-C ends it."),
    subcommand("check", "[--late-homes]", check::run, "check the settings and say what is wrong with them",
        "Every fault is reported with its file and line; nothing is started. --late-homes: a home that does not exist is a warning and no fault, as when the server starts or reads its settings again."),
    subcommand("cert", "", cert::run, "show the certificate that clients are shown",
        "Its files, the day on which it ends, and its SHA-256 fingerprint to compare with what clients are shown. With tls_cert = auto it is made if it is not there yet. Made by root, it belongs to the server's user, as with adduser."),
    subcommand("passwd", "[USER] [--write]", passwd::run, "make the hash of a password, for the settings",
        "The password is read twice from the terminal, which does not show it, or once, as a line, from a standard input that is no terminal. The hash is printed, for the key password; with --write it is put into the section of USER instead, wherever that stands, and nothing else in the file changes. Nothing is written that would be a fault. A running server takes it over with a reload."),
    subcommand("adduser", "NAME --home DIR [--perm LETTERS] [--create-home]", adduser::add, "add a user to the settings",
        "A section is put at the end of the settings, or of users_file, or into a file of its own in that directory. The password is read as passwd reads it and stands there as a hash. Without --perm the user may read. The home must be there; --create-home makes it. Made by root, it belongs to the server's user: the user in [server], or else the User= of the unit that starts the server; where none is known, to whom the directory above belongs. Where the unit keeps the server from the home, the line that it needs is printed. Nothing is written that would be a fault."),
    subcommand("deluser", "NAME", adduser::remove, "remove a user from the settings",
        "The section goes, from its first line to its last key, wherever it stands; all other lines stay, and so do the home and the files in it. A running server ends the user's sessions when it is reloaded."),
    subcommand("users", "[--json]", users::run, "list the users of the settings",
        "For each the permission letters, the last login, the limits and the home. The server writes last logins down in state_dir once a minute and when it stops; who is logged in now is asked of it. --json prints one list, for programs."),
    subcommand("import", "FILE...", import::run, "turn users and settings of other servers into settings of this one",
        "FILE is a vsftpd.conf, a pureftpd.passwd of Pure-FTPd, an AuthUserFile of ProFTPD, or the settings.py and the user.py (user, password, permission letters, home) of pyftpdlib's tutorial, of which both may be given at once; its lines show which of them it is. The settings are printed, and let nobody do what the other server refuses. What has no equal here is a comment. Where that was a restriction, the whole section that would be too open is a comment, and the line is reported; so are lines that cannot be read, and users whose password cannot be checked here. The exit status is 1 then."),
    subcommand("who", "[--json]", who::run, "list the sessions of the running server",
        "For each its number, user, address, time, and what it is doing: the transfer that runs, how far it has come, and how fast. A star behind the address stands for TLS. --json prints what the server says, for programs."),
    subcommand("top", "[--once] [--json]", top::run, "show the sessions of the running server, each second",
        "A line for each session, those that transfer something first, a progress bar for each transfer, and the totals in front. On a terminal the arrows, j and k, Page Up and Page Down scroll; q and Ctrl-C end it. Rates are those since the last picture. --once prints one picture and ends; --json prints lines of JSON."),
    subcommand("stats", "[--json]", stats::run, "show the numbers of the running server",
        "Since its start: sessions, logins and refusals by reason, transfers by direction and result, bytes, passive ports, bans. --json prints all that the server counts, for programs; metrics_listen is the way for monitoring."),
    subcommand("why", "USER PATH [read|write|list|delete|rename|append|enter|mkdir]", why::run, "say whether a user may do something, and what forbids it",
        "PATH is what the client sees, from the root of the home. Without an action the first five are answered, one in a line, with the real path: yes, or no and the permission letter, the link or the right of the file system that forbids it. The log says the same when a command is refused. The running server answers, with the rights and the sandbox that it has, for the settings that it has read. Without one, and asked by root, the rights are those of the user's run_as, of the user in [server], or of the User= of the unit that starts the server; where none is set, they are those of who asks. Exit status 1: at least one is refused."),
    subcommand("kick", "NUMBER|USER|ADDRESS", kick::run, "end sessions of the running server",
        "The session of that number, all of that user (user:NAME, if the name looks like one of the others), or all from that address. Clients are told 421; an upload that runs is not put in place."),
    subcommand("bans", "[--json]", bans::run, "list the addresses that are banned",
        "For each how long it is still banned, after how many failures, the last of them, and how many connections from there were closed since. An IPv6 address stands for its /64."),
    subcommand("ban", "ADDRESS [TIME]", ban::run, "let nobody in from an address",
        "For TIME (90s, 5m, 1h, 1d; 0: until it is lifted), or else for ban_time. All sessions from there end. An IPv6 address stands for its /64. An address in ban_exempt is not banned. Bans end with the server."),
    subcommand("unban", "ADDRESS|all", unban::run, "lift a ban, or all of them",
        "Failures of the address so far are forgotten as well."),
    subcommand("reload", "", reload::run, "let the running server read its settings again",
        "Users, passwords, limits, the banner, certificates and logs hold for new logins at once, and limits on speed for all transfers; sessions of users that were removed end. Keys whose change takes a restart are named. With a fault nothing changes, and the fault is printed. A SIGHUP does the same, and tells the log."),
    subcommand("stop", "[--now]", stop::run, "stop the running server",
        "As a SIGTERM does: transfers may go on for shutdown_grace. --now: they may not."),
    subcommand("help", "[SUBCOMMAND]", help::run, "explain a subcommand, or list them",
        "The same as SUBCOMMAND --help."),
];

/// What holds for all subcommands.
const COMMON: &str = "\
-c, --config FILE   the settings; default: ./ftpd.ini, then /etc/ftpd.ini
-h, --help          this text
-V, --version       the version

exit status: 0 done, 1 failed, 2 command line not understood, 78 faults in the settings
manual: ftpd(8), ftpd.ini(5)";

/// What stands behind the name of a subcommand.
struct Arguments {
    parser: lexopt::Parser,
    /// The settings that were named.
    file: Option<PathBuf>,
}

/// One word of it.
enum Word {
    /// `--name` or `-n`, with its dashes.
    Flag(String),
    Value(OsString),
}

/// Why a command line is not carried out.
enum Stop {
    Help,
    Version,
    /// It is not understood.
    Misuse(String),
    /// An option that the subcommand does not have.
    BadFlag(String),
    /// It was tried, and this went wrong.
    Failed(String),
    /// The running server has refused it.
    Refused(String),
    /// The settings have faults, which have been reported.
    BadConfig,
}

impl From<lexopt::Error> for Stop {
    fn from(why: lexopt::Error) -> Self {
        Self::Misuse(why.to_string())
    }
}

impl Arguments {
    /// The next word, unless it is for all subcommands.
    fn next(&mut self) -> Result<Option<Word>, Stop> {
        while let Some(argument) = self.parser.next()? {
            return Ok(Some(match argument {
                Long("config") | Short('c') => {
                    self.file = Some(PathBuf::from(self.parser.value()?));
                    continue;
                }
                Long("help") | Short('h') => return Err(Stop::Help),
                Long("version") | Short('V') => return Err(Stop::Version),
                Long(name) => Word::Flag(format!("--{name}")),
                Short(letter) => Word::Flag(format!("-{letter}")),
                Value(text) => Word::Value(text),
            }));
        }
        Ok(None)
    }

    /// What belongs to the option before.
    fn value(&mut self) -> Result<String, Stop> {
        Ok(self.parser.value()?.string()?)
    }

    /// The same, where it is more than a text.
    fn parsed<T: FromStr>(&mut self, what: &str) -> Result<T, Stop> {
        let text = self.value()?;
        let cannot = |_| Stop::Misuse(format!("'{}' is not {what}", escaped(text.as_bytes())));
        text.parse().map_err(cannot)
    }

    /// Which of these flags stand there, and nothing else.
    fn switches<const N: usize>(&mut self, names: [&str; N]) -> Result<[bool; N], Stop> {
        let mut set = [false; N];
        while let Some(word) = self.next()? {
            let is = |name: &str| matches!(&word, Word::Flag(flag) if flag == name);
            let mut known = names.iter().zip(&mut set);
            match known.find(|(name, _)| is(name)) {
                Some((_, set)) => *set = true,
                None => return Err(word.unexpected()),
            }
        }
        Ok(set)
    }

    /// There must be no more words; gives the settings that were named.
    fn end(mut self) -> Result<Option<PathBuf>, Stop> {
        self.next()?.map_or(Ok(()), |word| Err(word.unexpected()))?;
        Ok(self.file)
    }
}

impl Word {
    /// It has no business here.
    fn unexpected(self) -> Stop {
        match self {
            Self::Flag(flag) => Stop::BadFlag(flag),
            Self::Value(text) => {
                let text = escaped(text.as_encoded_bytes());
                Stop::Misuse(format!("unexpected argument '{text}'"))
            }
        }
    }
}

/// Carries out the command line.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parser = lexopt::Parser::from_iter(arguments);
    let mut arguments = Arguments { parser, file: None };
    let mut chosen = None;
    let done = choose(&mut arguments).and_then(|choice| match choice {
        Choice::Hook(words) => Ok(launch(&words)),
        Choice::Subcommand(subcommand) => {
            chosen = Some(subcommand);
            (subcommand.run)(arguments)
        }
    });
    match done {
        Ok(code) => code,
        Err(Stop::Help) => say(&chosen.map_or_else(help::help, help::help_on)),
        Err(Stop::Version) => say(concat!("ftpd ", env!("CARGO_PKG_VERSION"))),
        Err(Stop::BadFlag(flag)) => {
            let meant = help::meant(&flag, chosen);
            let flag = escaped(flag.as_bytes());
            complain(&format!("ftpd: invalid option '{flag}'{meant}\ntry 'ftpd --help'"));
            ExitCode::from(USAGE)
        }
        Err(Stop::Misuse(why)) => {
            complain(&format!("ftpd: {why}\ntry 'ftpd --help'"));
            ExitCode::from(USAGE)
        }
        Err(Stop::Failed(why) | Stop::Refused(why)) => {
            complain(&format!("ftpd: {why}"));
            ExitCode::from(FAILED)
        }
        Err(Stop::BadConfig) => ExitCode::from(BAD_CONFIG),
    }
}

/// What the first word means.
enum Choice {
    Subcommand(&'static Subcommand),
    /// Become a program of a hook; for the server alone.
    Hook(Vec<OsString>),
}

fn choose(arguments: &mut Arguments) -> Result<Choice, Stop> {
    let name = match arguments.next()? {
        None => OsString::from("serve"),
        Some(Word::Value(name)) => name,
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
    };
    if name == hook::LAUNCH {
        return Ok(Choice::Hook(arguments.parser.raw_args()?.collect()));
    }
    let known = SUBCOMMANDS.iter().find(|subcommand| name == subcommand.name);
    known.map(Choice::Subcommand).ok_or_else(|| help::unknown(&name.to_string_lossy()))
}

fn launch(words: &[OsString]) -> ExitCode {
    let why = hook::launch(words);
    let program = words.get(1).map(|word| word.as_encoded_bytes());
    let program = escaped(program.unwrap_or_default());
    complain(&format!("{program} cannot be started: {why}"));
    ExitCode::from(CANNOT_START)
}

/// Reads the settings as the server does: a home that does not exist is no fault. Faults go to
/// standard error.
fn load(file: Option<&Path>) -> Result<(PathBuf, Config), Stop> {
    load_with(file, read)
}

fn load_with(file: Option<&Path>, read: Reader) -> Result<(PathBuf, Config), Stop> {
    let file = settings_file(file)?;
    match read(&file) {
        Ok(config) => Ok((file, config)),
        Err(faults) => {
            for fault in faults {
                complain(&fault);
            }
            Err(Stop::BadConfig)
        }
    }
}

/// The file that is named, or the one that is there.
fn settings_file(named: Option<&Path>) -> Result<PathBuf, Stop> {
    let there = || FILES.iter().map(Path::new).find(|file| file.exists());
    named.or_else(there).map(Path::to_owned).ok_or_else(|| {
        let [here, system] = FILES;
        complain(&format!("ftpd: neither {here} nor {system} is there; use --config FILE"));
        complain("to serve a folder now, without settings: ftpd share DIR");
        Stop::BadConfig
    })
}

type Reader = fn(&Path) -> Result<Config, Vec<String>>;

/// Reads the settings as the server does, with what TLS makes of its own; or gives every fault.
fn read(file: &Path) -> Result<Config, Vec<String>> {
    with_tls(file, config::load_to_serve(file))
}

/// Reads the settings where a home that does not exist is a fault as well.
fn read_strictly(file: &Path) -> Result<Config, Vec<String>> {
    with_tls(file, config::load(file))
}

fn with_tls(
    file: &Path,
    loaded: Result<Config, Vec<ConfigError>>,
) -> Result<Config, Vec<String>> {
    let printed =
        |faults: Vec<ConfigError>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut config = loaded.map_err(printed)?;
    let place = |what: String| format!("{}: [server] {what}", file.display());
    let checked = config.tls.as_ref().map(tls::check).transpose();
    let warnings = checked.map_err(|why| vec![place(why.to_string())])?;
    config.warnings.extend(warnings.into_iter().flatten().map(place));
    Ok(config)
}

/// Prints to standard error; a reader that has gone changes no exit code.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints to standard output; a reader that has gone is no failure of ours, and a full disk is.
fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("ftpd: the output is not whole: {why}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
