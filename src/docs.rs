//! Generates the sample settings and parts of the manual pages from the tables of the program.
//! `make docs` writes the files, and a test compares them.

use std::fmt::Write;

use crate::cli::SUBCOMMANDS;
use crate::config::{KEYS, Key, Scope};
use crate::control::command::{VERBS, Verb};
use crate::server::stats::METRICS;

/// A sample settings file: the keys that it sets or shows, and the start of its section of a user.
struct Sample {
    /// Keys that the file sets, with their values.
    set: &'static [(&'static str, &'static str)],
    /// Keys that the file shows in a comment with a value other than the default.
    proposed: &'static [(&'static str, &'static str)],
    /// The text at the start of the section of a user.
    user: &'static str,
}

/// `etc/ftpd.ini`: loopback only, with a user whose password everybody knows.
const SAMPLE: Sample = Sample {
    set: &[
        ("ip", "127.0.0.1"),
        ("port", "2121"),
        ("welcome_msg", "Welcome to my ftp"),
        ("passive_ports", "50000-50200"),
        ("state_dir", "../target/state"),
        ("password", "demo"),
        ("perm", "elradfmwMT"),
        ("home", "../target/home"),
    ],
    proposed: &[],
    user: "\
; One section for each user. Replace this one, because everybody knows its password.
[user:demo]
",
};

/// `etc/ftpd.system.ini`. It has no user, so the server does not start until an administrator adds
/// one.
const SYSTEM: Sample = Sample {
    set: &[
        ("ip", "0.0.0.0"),
        ("port", "21"),
        ("passive_ports", "50000-50200"),
        ("state_dir", "/var/lib/ftpd"),
        ("admin_socket", "/run/ftpd/admin.sock"),
        ("tls_cert", "auto"),
        ("tls_dir", "/var/lib/ftpd/tls"),
    ],
    proposed: &[("perm", "elmw"), ("home", "/srv/ftp/camera")],
    user: "\
; One section for each user. There is no user yet, so the server does not start. Either add one with
; 'ftpd adduser', or remove the ; from the lines [user:camera], password, perm and home below, choose
; a password, and create the home:  install -d -o ftpd -g ftpd /srv/ftp/camera
;[user:camera]
",
};

const HEAD: &str = "\
; Settings of ftpd; see ftpd.ini(5). 'ftpd check --config FILE' reports the mistakes in a file.
;
; Sizes may end in K, M or G, and durations in s, m, h or d. Switches are on or off. A value that is
; 0 or empty means no limit, unless the key says otherwise. A line that begins with ; or # is a
; comment; elsewhere in a line, these characters are part of the value. Double quotes around a value
; keep spaces at its ends. Relative paths start from the directory of this file. A key after a ; is
; shown with its default.
";

/// Returns the text of `etc/ftpd.ini`, for a first try.
pub fn sample_ini() -> String {
    ini(&SAMPLE)
}

/// Returns the text of `etc/ftpd.system.ini`, which is installed as `/etc/ftpd.ini`.
pub fn system_ini() -> String {
    ini(&SYSTEM)
}

fn ini(sample: &Sample) -> String {
    let mut text = format!("{HEAD}\n[server]\n");
    for key in KEYS.iter().filter(|key| key.scope().has_server()) {
        push_sample(key, sample, &mut text);
    }
    let _ = write!(text, "\n{}", sample.user);
    for key in KEYS.iter().filter(|key| key.scope() == Scope::User) {
        push_sample(key, sample, &mut text);
    }
    text.push_str("; These override the values of [server] for this user:\n");
    for key in KEYS.iter().filter(|key| key.scope() == Scope::Both) {
        let _ = writeln!(text, ";{} = {}", key.name, key.default.unwrap_or_default());
    }
    text.push_str(
        "\n; A folder of one user, or [folder:/path] of all users, with settings of its own:\n\
         ;[folder:demo:/music]\n",
    );
    for key in KEYS.iter().filter(|key| key.scope() == Scope::Folder) {
        push_sample(key, sample, &mut text);
    }
    text.replace(" \n", "\n")
}

fn push_sample(key: &Key, sample: &Sample, text: &mut String) {
    for line in wrap(key.help, 92) {
        let _ = writeln!(text, "; {line}");
    }
    let among = |list: &[(&str, &'static str)]| {
        list.iter().find(|(name, _)| *name == key.name).map(|(_, value)| *value)
    };
    let value = among(sample.proposed).or(key.default).unwrap_or_default();
    let _ = match among(sample.set) {
        Some(value) => writeln!(text, "{} = {value}", key.name),
        None => writeln!(text, ";{} = {value}", key.name),
    };
}

/// Returns the keys of one section as text for `ftpd.ini(5)`.
pub fn keys_roff(section: Scope) -> String {
    let mut text = String::new();
    for key in KEYS.iter().filter(|key| key.scope() == section) {
        let default = match key.default {
            None => "none, must be set".to_owned(),
            Some("") => "empty".to_owned(),
            Some(default) => format!("\\fB{}\\fR", roff(default)),
        };
        let _ = writeln!(text, ".TP\n.B {}", roff(key.name));
        let kind = roff(&key.describe());
        let restart = if key.restarts { "; a change needs a restart" } else { "" };
        let _ = writeln!(text, "{}", filled(key.help));
        let folders = if key.is_for_folders() && key.scope() != Scope::Folder {
            "; also for a folder"
        } else {
            ""
        };
        let about = format!("({kind}; default: {default}{restart}{folders})");
        let _ = writeln!(text, "{}", lines(&about));
    }
    text
}

/// Returns the subcommands as text for `ftpd(8)`.
pub fn subcommands_roff() -> String {
    let mut text = String::new();
    for subcommand in SUBCOMMANDS {
        let (name, usage) = (roff(subcommand.name), roff(subcommand.usage));
        let _ = writeln!(text, ".TP\n.BI \"ftpd {name}\" \" {usage}\"");
        let help = capital(subcommand.help) + ".";
        let _ = writeln!(text, "{}\n{}", filled(&help), filled(subcommand.about));
    }
    text
}

/// Returns the metrics as text for `ftpd.ini(5)`.
pub fn metrics_roff() -> String {
    let mut text = String::new();
    for metric in METRICS {
        let _ = writeln!(text, ".TP\n.B {}\n{}", roff(metric.name), filled(metric.help));
    }
    text
}

/// Returns the FTP commands as text for `ftpd(8)`.
pub fn commands_roff() -> String {
    let mut text = String::new();
    for verb in VERBS {
        let _ = writeln!(text, ".TP\n.BI \"{}\" \" {}\"", roff(&names(verb)), roff(verb.usage));
        let _ = writeln!(text, "{}", filled(&sentence(verb)));
    }
    text
}

fn names(verb: &Verb) -> String {
    verb.names.join(", ")
}

fn sentence(verb: &Verb) -> String {
    let mut text = capital(verb.help) + ".";
    if let Some(perm) = verb.perm {
        let _ = write!(text, " Needs the permission letter {}.", perm.letter());
    }
    if verb.before_login {
        text.push_str(" Allowed before login.");
    }
    text
}

fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Replaces the part of `text` between the lines `begin NAME` and `end NAME` by `body`.
///
/// Returns `None` if `text` has no such lines.
pub fn splice(text: &str, name: &str, body: &str) -> Option<String> {
    let begin = text.find(&format!("begin {name}"))?;
    let from = begin + text.get(begin..)?.find('\n')? + 1;
    let end = from + text.get(from..)?.find(&format!("end {name}"))?;
    let to = text.get(..end)?.rfind('\n')? + 1;
    Some([text.get(..from)?, body, text.get(to..)?].concat())
}

/// Escapes text for troff.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// Wraps the long lines of a manual, except requests and the lines between `.nf` and `.fi`.
pub fn broken(manual: &str) -> String {
    let mut is_verbatim = false;
    let mut text = String::new();
    for line in manual.lines() {
        match line {
            ".nf" => is_verbatim = true,
            ".fi" => is_verbatim = false,
            _ => {}
        }
        let is_text = !is_verbatim && !line.starts_with(['.', '\'']);
        let line = if is_text && line.len() > 80 { lines(line) } else { line.to_owned() };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Wraps text for a manual, with each sentence on a new line, as mandoc recommends.
fn filled(text: &str) -> String {
    let sentences = text.split(". ").collect::<Vec<_>>();
    let last = sentences.len().saturating_sub(1);
    let end = |(at, sentence): (usize, &str)| {
        let sentence = if at < last { format!("{sentence}.") } else { sentence.to_owned() };
        lines(&roff(&sentence))
    };
    sentences.into_iter().enumerate().map(end).collect::<Vec<_>>().join("\n")
}

/// Wraps a line of a manual. Lines that would begin like a request are escaped.
fn lines(text: &str) -> String {
    let guarded = |line: String| {
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    wrap(text, 78).into_iter().map(guarded).collect::<Vec<_>>().join("\n")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
