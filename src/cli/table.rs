//! The table of subcommands. A subcommand is a row here, and its file.

use std::ffi::OsStr;
use std::process::ExitCode;

use super::arguments::Arguments;
use super::outcome::Stop;
use super::{
    adduser, ban, bans, cert, check, help, import, kick, passwd, reload, serve, share, stats,
    stop, top, unban, users, who, why,
};

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
    pub(super) run: fn(Arguments) -> Result<ExitCode, Stop>,
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

/// The subcommand of this name.
pub(super) fn find(name: &OsStr) -> Option<&'static Subcommand> {
    SUBCOMMANDS.iter().find(|subcommand| name == subcommand.name)
}
