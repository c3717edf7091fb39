//! The table of subcommands. A new subcommand needs a row here, a file, and a `mod` line in
//! `cli/mod.rs`.

use std::ffi::OsStr;
use std::process::ExitCode;

use super::arguments::Arguments;
use super::outcome::Stop;

/// A subcommand of `ftpd`.
pub struct Subcommand {
    /// Its name.
    pub name: &'static str,
    /// The arguments after the name, other than `--config FILE`.
    pub usage: &'static str,
    /// One line that says what it does, for the list of subcommands.
    pub help: &'static str,
    /// The details, for its own help and the manual.
    pub about: &'static str,
    /// What its exit status means, for its own help.
    pub exits: &'static str,
    pub(super) run: fn(Arguments) -> Result<ExitCode, Stop>,
}

const fn subcommand(
    name: &'static str,
    usage: &'static str,
    run: fn(Arguments) -> Result<ExitCode, Stop>,
    help: &'static str,
    about: &'static str,
) -> Subcommand {
    Subcommand { name, usage, help, about, exits: EXITS, run }
}

/// The exit status of most subcommands.
pub(super) const EXITS: &str =
    "0 success, 1 failure, 2 invalid command line, 78 faults in the settings";

impl Subcommand {
    const fn exits(self, exits: &'static str) -> Self {
        Self { exits, ..self }
    }
}

/// All subcommands, in the order in which the help prints them. Without a name on the command
/// line, `serve` is run.
#[rustfmt::skip]
pub static SUBCOMMANDS: &[Subcommand] = &[
    subcommand("serve", "", super::serve::run, "serve until Ctrl-C",
        "The server stays in the foreground, writes its log to standard error or to a file, and serves until a signal stops it. serve is the default subcommand."),
    subcommand("share", "[DIR] [--write] [--tls] [--user NAME] [--anonymous] [--ip ADDRESS] [--port N] [--for TIME]", super::share::run, "serve a folder now, without a settings file",
        "Serves DIR, or the working directory, to one user (guest, unless --user names another) with a random password. The password and the URLs by which other machines reach this one are printed. --anonymous: serve everybody, without a password. Clients may only read; --write lets them change everything. --tls: require TLS, with a certificate that is made for this run. The port is 2121, or any free port if that one is taken. On a terminal each running transfer has a progress bar. Ctrl-C stops the server. --for: the server stops by itself after TIME (90s, 30m, 2h, 1d), and running transfers end with it."),
    subcommand("check", "[--late-homes] [-v]", super::check::run, "check the settings and report their faults",
        "Every fault is reported with its file and line; nothing is started. -v: list each value in force, and the line or the variable of the environment that sets it; secrets are shown as ***. --late-homes: a home that does not exist is a warning and not a fault, as it is when the server starts or reloads its settings."),
    subcommand("cert", "", super::cert::run, "show the certificate of the server",
        "Prints its files, the day on which it expires, and its SHA-256 fingerprint, to compare with the one that a client shows to its user. With tls_cert = auto the certificate is made if it does not exist yet. If root runs this command, the new certificate belongs to the server's user, as a home does with adduser."),
    subcommand("passwd", "[USER] [--write]", super::passwd::run, "hash a password for the settings",
        "The password is read twice from the terminal, which does not show it. If standard input is not a terminal, one line is read from there. The hash is printed, for the key password. With --write it replaces the password in the section of USER, in whichever file the section is; nothing else in the file changes, and nothing is written if the result would have a fault. A running server uses the new password after a reload."),
    subcommand("adduser", "NAME --home DIR [--perm LETTERS] [--create-home]", super::adduser::add, "add a user to the settings",
        "Adds a section at the end of the settings or of users_file, or as a file of its own if users_file is a directory. The password is read as passwd reads it, and stored as a hash. Without --perm, the user may only list and read files. The home must exist; --create-home makes it. If root makes the home, it belongs to the server's user: the user in [server], or else the User= of the unit that starts the server, or else, if neither is known, the owner of the directory above. If the unit does not let the server use the home, the line that allows it is printed. Nothing is written if the result would have a fault."),
    subcommand("deluser", "USER", super::adduser::remove, "remove a user from the settings",
        "Removes the section of the user, from its first line to its last key, in whichever file the section is. All other lines stay, and so do the home and the files in it. A running server ends the sessions of the user when it is reloaded."),
    subcommand("users", "[--json]", super::users::run, "list the users of the settings",
        "Prints the permission letters, the last login, the limits and the home of each user. The server saves the times of the last logins in state_dir once a minute and when it stops; the running server is asked who is logged in now. --json prints one list, for programs."),
    subcommand("import", "FILE...", super::import::run, "convert users and settings of other FTP servers",
        "FILE is a vsftpd.conf, a pureftpd.passwd of Pure-FTPd, an AuthUserFile of ProFTPD, or the settings.py or user.py (user, password, permission letters, home) of pyftpdlib's tutorial; the last two may be given together. The format is recognized by the lines of the file. The settings are printed, and allow nothing that the other server refuses. What ftpd has no equivalent for becomes a comment. If a restriction is lost in this way, the whole section that would be too permissive without it becomes a comment, and the line is reported. Lines that cannot be read, and users whose password ftpd cannot check, are reported as well. If anything is reported, the exit status is 1."),
    subcommand("who", "[--json]", super::who::run, "list the sessions of the running server",
        "Prints the number, user, address and age of each session, and what it is doing: the running transfer, its progress, its speed and its share of a speed limit. A star after the address means TLS. --json prints the answer of the server, for programs."),
    subcommand("top", "[--once] [--json]", super::top::run, "show the sessions of the running server, updated each second",
        "Shows the totals, a line for each session, and a progress bar for each transfer; sessions with a transfer come first. On a terminal the arrow keys, j and k, Page Up and Page Down scroll. i, u, a, t and r sort by number, user, address, time and rate; the second time they reverse the order, the third time they restore the usual one. x asks for the number of a session, and Enter ends that session as kick does; Escape leaves the question. q and Ctrl-C quit. Uploads are green, downloads cyan and idle sessions dim, unless the variable NO_COLOR is set or TERM is dumb. Rates are averages since the last update. --once prints one update and exits; --json prints lines of JSON."),
    subcommand("stats", "[--json]", super::stats::run, "show the counters of the running server",
        "Shows what the server has counted since its start: sessions, logins and refusals by reason, transfers by direction and result, bytes, passive ports, bans. --json prints all counters, for programs; monitoring systems use metrics_listen."),
    subcommand("why", "USER PATH [read|write|list|delete|rename|append|enter|mkdir]", super::why::run, "explain whether a user may do something",
        "PATH is the path that the client sees, from the root of the home. Without an action, the first five are checked. Each is answered in one line with the real path: yes, or no and the reason, such as a missing permission letter, a link, or the permissions of the file system. The log gives the same reasons when a command is refused. The running server answers, with its own rights and sandbox, and with the settings that it has loaded. If no server is running, ftpd checks by itself, with the rights of the user who runs this command; if that is root, with those of the first of these that is set: the user's run_as, the user in [server], the User= of the unit that starts the server. Exit status 1: at least one action is refused."),
    subcommand("keep", "[--dry-run|--now] [--json]", super::keep::run, "list or remove what retention removes",
        "Lists the rules of retention (keep_for, keep_bytes, keep_files, min_free) with the files that would go, the oldest first: age, bytes, rule and path. At most 10,000 files are listed. Rules that are new and wait for keep_delay are included. Nothing is removed. --now: new rules wait no longer, and the running server removes at once what has to go; what went is listed. Without --now, and if no server is running, ftpd looks by itself. --json prints one object, for programs. Exit status 1: something could not be looked at or removed, or less than half of what was removed became free space."),
    subcommand("test", "URL [--read-only] [--active] [--timeout SECONDS] [--password-file FILE] [--json]", super::test::run, "test an FTP server from the side of a client",
        "Examines any FTP server, and says why data connections fail and what to do about it. URL is ftp://USER@HOST[:PORT]/DIR, or ftpes:// for TLS with AUTH TLS, or ftps:// for TLS from the start. The password is read from FILE (its first line), the URL or the terminal, which does not show it; if standard input is not a terminal, one line is read from there. Without a user, the login is anonymous. Tests the name, the connection, TLS and the certificate, the login, EPSV and PASV, a listing, an upload, a resumed upload and a download of a file with a random name in DIR, which is removed in any case; --read-only leaves out what changes anything. Active mode is tested with --active, or if passive mode fails. --timeout: a connection may take this long, 5 seconds by default; a reply or a step of a transfer may take a multiple of it. The certificate is reported on, but a bad one does not end the test. Prints a line for each check, and below it what to do. --json prints one object, for programs. The exit status is the number of failed checks; warnings do not count. See TESTING A SERVER.")
        .exits("the number of failed checks, at most 100; 1 no password, 2 invalid command line, 130 interrupted"),
    subcommand("doctor", "[-v] [--json]", super::doctor::run, "say why clients cannot reach the server or store files",
        "Examines this machine: the settings, who holds the ports, whether they can be reached from here, what the firewall (nftables, iptables, ufw, firewalld) lets in, addresses and NAT, what a container must publish, the homes and the rights of the server's user, free room, limits, the certificate, the clock and the kernel. It changes nothing. Prints a line for each finding, the worst first, and below it what to do; one line if there are none. Some checks need root, and the report says which. -v: also print what is good. --json prints one object, for programs. The exit status is the number of failed checks; warnings do not count. See EXAMINING THE MACHINE.")
        .exits("the number of failed checks, at most 100; 2 invalid command line"),
    subcommand("quota", "[USER] [--rescan] [--json]", super::quota::run, "show what homes with a quota hold and what is left",
        "Prints for each user with a quota, or for USER, the bytes and files below the home, the limits and what is left. The running server answers. --rescan: it counts the homes again first, which finds what other programs have changed; it does so once a day without being asked. If no server is running, the homes are counted by this process. A line that ends with 'counting' is an estimate: the server is still reading the home through. --json prints one list, for programs."),
    subcommand("kick", "NUMBER|USER|ADDRESS", super::kick::run, "end sessions of the running server",
        "Ends the session with this number, all sessions of this user (user:NAME, if the name looks like a number or an address), or all sessions from this address. Clients receive reply 421. Running uploads are cut off, and their files are not put in place."),
    subcommand("bans", "[--json]", super::bans::run, "list the addresses that are banned",
        "Prints for each address how much longer it is banned, after how many failures, the last failure, and how many connections from there were closed since. An IPv6 address stands for its /64."),
    subcommand("ban", "ADDRESS [TIME]", super::ban::run, "ban an address",
        "The ban lasts for TIME (90s, 5m, 1h, 1d; 0: until it is lifted); without TIME, for ban_time. All sessions from the address end. An IPv6 address stands for its /64. An address in ban_exempt cannot be banned. Bans end when the server stops."),
    subcommand("unban", "ADDRESS|all", super::unban::run, "lift one ban, or all bans",
        "The server also forgets the failures that it has counted for the address so far."),
    subcommand("parts", "[--json] | drop USER PATH", super::parts::run, "list the uploads that broke off on the running server",
        "Prints for each upload that broke off who may resume it, how many bytes have arrived, how long ago the last of them did, and the path that the client sees. Anonymous users may resume from the same address only, which the server knows until it is restarted. drop removes what an upload of USER to PATH has left, so that it starts from the beginning. The server removes such parts by itself after keep_parts. --json prints the answer of the server, for programs."),
    subcommand("trash", "list|restore|empty USER [PATH] [--all] [--json]", super::trash::run, "list, bring back or remove what a user has deleted",
        "With trash = on, what clients delete or replace lies in a trash; see TRASH in ftpd.ini(5). list prints when each file or directory came there, its size, and the path that the client saw. restore brings the newest version of PATH back to its place, as it was, with the directories above it that are missing; with --all instead of PATH, the newest version of each path. If something has the name, both stay as they are, and what is there is printed; the exit status is then 1. empty removes all versions of PATH, and of what was below it, for good; without PATH, all of the user's trash. The running server does this with its rights. If no server is running, ftpd does it by itself, as the server's user if root runs this command."),
    subcommand("convert-names", "--from CHARSET DIR [--dry-run] [--force]", super::convert_names::run, "rename files whose names are not in UTF-8",
        "Renames the files and directories below DIR whose names are in CHARSET, such as gbk, so that they are in UTF-8, as the key charset of ftpd.ini expects; see CHARSET in ftpd.ini(5). Nothing is replaced, and no link is followed. Names that are valid UTF-8 stay as they are. Those of them that could be CHARSET as well are listed, and --force converts them. --dry-run: nothing is renamed. The server may be running. Exit status 1: a name could not be converted."),
    subcommand("reload", "", super::reload::run, "make the running server read its settings again",
        "Users, passwords, limits, the banner, certificates and logs take effect for new logins at once, and speed limits for all transfers. Sessions of users that were removed end. Changed keys that need a restart are listed. If the settings have a fault, it is printed and nothing changes. SIGHUP does the same, and reports to the log."),
    subcommand("stop", "[--now|--drain]", super::stop::run, "stop the running server",
        "Works like SIGTERM: running transfers may continue for shutdown_grace. --now: they end at once. --drain: the server accepts no more clients, and /health answers 503, but sessions go on until they end, or until shutdown_grace is over; waits until the server has ended. Exit status 1: the server was killed or crashed instead. See SEVERAL SERVERS."),
    subcommand("completions", "bash|zsh|fish", super::help::completions, "print the completions of a shell",
        "Prints a text with which the shell completes subcommands, options and the names of users. Packages and 'make install' install it. Elsewhere, try: source <(ftpd completions bash)"),
    subcommand("help", "[SUBCOMMAND]", super::help::run, "explain a subcommand, or list all of them",
        "Prints the same text as SUBCOMMAND --help."),
];

/// Finds a subcommand by its name.
pub(super) fn find(name: &OsStr) -> Option<&'static Subcommand> {
    SUBCOMMANDS.iter().find(|subcommand| name == subcommand.name)
}
