//! The texts of `ftpd help` and `--help`, and hints for subcommands and options that do not
//! exist.

use std::fmt::Write as _;
use std::io::IsTerminal;

use unicode_width::UnicodeWidthStr;

use super::outcome::Stop;
use super::screen::size;
use super::table::{EXITS, SUBCOMMANDS, Subcommand};
use super::typos::nearest;

/// Width of a help text that is not printed to a terminal, and maximum width on a terminal.
const USUAL: usize = 80;

/// Width of the column of names in the list of subcommands.
const NAMES: usize = 13;

/// Options that all subcommands have.
const ALL: [&str; 3] = ["--config", "--help", "--version"];

/// The part of the help that is the same for all subcommands.
const COMMON: &str = "\
-c, --config FILE   the settings; default: ./ftpd.ini, then /etc/ftpd.ini
-h, --help          print this text
-V, --version       print the version";

const MANUAL: &str = "manual: ftpd(8), ftpd.ini(5)";

/// Returns the list of all subcommands.
pub(super) fn help() -> String {
    let columns = columns();
    let mut text =
        "ftpd - a small FTP server\n\nusage: ftpd [SUBCOMMAND] [OPTIONS]\n\n".to_owned();
    for Subcommand { name, help, .. } in SUBCOMMANDS {
        let line = wrapped(&format!("  {name:<10} {help}"), NAMES, columns);
        // writing to a String cannot fail
        let _ = writeln!(text, "{line}");
    }
    let more =
        "'ftpd help SUBCOMMAND' explains one of them. Without a subcommand, ftpd serves.";
    text + "\n" + &wrapped(more, 0, columns) + "\n\n" + &common(EXITS, columns)
}

/// Returns the help of one subcommand.
pub(super) fn help_on(subcommand: &Subcommand) -> String {
    let Subcommand { name, usage, help, about, exits, .. } = subcommand;
    let columns = columns();
    let call = format!("usage: ftpd {name} {usage}");
    let call = wrapped(call.trim_end(), "usage: ftpd ".len() + name.len() + 1, columns);
    let about = wrapped(about, 0, columns);
    format!("{call}\n\n{}\n\n{about}\n\n{}", wrapped(help, 0, columns), common(exits, columns))
}

fn common(exits: &str, columns: usize) -> String {
    let behind = "-c, --config FILE   ".len();
    let indent = |line: &str| if line.starts_with('-') { behind } else { 0 };
    let lines = COMMON.lines().map(|line| wrapped(line, indent(line), columns));
    let exits = wrapped(&format!("exit status: {exits}"), 0, columns);
    let lines = lines.chain([String::new(), exits, wrapped(MANUAL, 0, columns)]);
    lines.collect::<Vec<_>>().join("\n")
}

fn columns() -> usize {
    let stdout = std::io::stdout();
    if stdout.is_terminal() { size(&stdout).0.clamp(20, USUAL) } else { USUAL }
}

/// Breaks a line between words. The lines after the first are indented by `indent` blanks.
/// Words in brackets stay together.
fn wrapped(line: &str, indent: usize, columns: usize) -> String {
    let mut text = String::new();
    let (mut at, mut depth) = (0, 0_usize);
    let mut word = String::new();
    let mut blanks = 0;
    for letter in line.chars().chain([' ']) {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter != ' ' || depth > 0 {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            let width = word.width();
            if at > indent && at + blanks + width > columns {
                text.push('\n');
                text.push_str(&" ".repeat(indent));
                at = indent;
            } else {
                text.push_str(&" ".repeat(blanks));
                at += blanks;
            }
            text.push_str(&word);
            at += width;
            word.clear();
            blanks = 0;
        }
        blanks += 1;
    }
    text
}

/// Returns the error for a subcommand that does not exist, with the name that was probably
/// meant.
pub(super) fn unknown(word: &str) -> Stop {
    let near = nearest(word, SUBCOMMANDS.iter().map(|subcommand| subcommand.name));
    let meant = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
    let word = crate::log::escaped(word.as_bytes());
    Stop::Misuse(format!("unknown subcommand '{word}'{meant}"))
}

/// Returns a hint for an option that the subcommand `of` does not have: a similar option, or
/// another subcommand that has it. `of` is `None` if no subcommand was named.
pub(super) fn meant(flag: &str, of: Option<&Subcommand>) -> String {
    let own = of.map_or("", |subcommand| subcommand.usage);
    let near = nearest(flag, options(own).chain(ALL));
    if let Some(near) = near {
        return format!("; did you mean '{near}'?");
    }
    let mut others = SUBCOMMANDS.iter();
    let owner = others.find(|other| options(other.usage).any(|option| option == flag));
    owner.map(|owner| format!("; 'ftpd {}' has it", owner.name)).unwrap_or_default()
}

/// Returns the options in the usage line of a subcommand.
fn options(usage: &str) -> impl Iterator<Item = &str> {
    usage.split([' ', '[', ']', '|']).filter(|word| word.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_fit() {
        assert_eq!(wrapped("a bb ccc", 2, 5), "a bb\n  ccc");
        assert_eq!(wrapped("  a  b", 4, 80), "  a  b");
        assert_eq!(wrapped("a [b c] d", 1, 7), "a [b c]\n d");
        assert_eq!(wrapped("longer than that", 0, 4), "longer\nthan\nthat");
        for subcommand in SUBCOMMANDS {
            let text = help_on(subcommand) + &help();
            let wide = text.lines().find(|line| line.width() > USUAL);
            assert_eq!(wide, None);
        }
    }

    #[test]
    fn typos_are_near_and_other_words_are_not() {
        let meant = |flag, name: &str| {
            meant(flag, SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name))
        };
        assert_eq!(meant("--prot", "share"), "; did you mean '--port'?");
        assert_eq!(meant("--confg", "check"), "; did you mean '--config'?");
        assert_eq!(meant("--port", "check"), "; 'ftpd share' has it");
        assert_eq!(meant("--nonsense", "share"), "");
        assert_eq!(nearest("sahre", ["serve", "share"].into_iter()), Some("share"));
        assert_eq!(nearest("xyzzy", ["serve", "share"].into_iter()), None);
    }
}
