//! The texts of `ftpd completions`: what a shell needs to complete the command line. They are made
//! from the table of subcommands; packages install them from `etc/completions`.

use std::fmt::Write;

use super::outcome::Stop;
use super::table::{SUBCOMMANDS, Subcommand};

/// A shell, and the function that makes its text.
type Shell = (&'static str, fn() -> String);

/// The shells that are known.
const SHELLS: [Shell; 3] = [("bash", bash), ("zsh", zsh), ("fish", fish)];

/// Lists the users for the completion of a name. Prints nothing if the settings cannot be read.
const USERS: &str = "ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }'";

/// Returns the text for a shell; `None` if the shell is not known.
pub fn completions(shell: &str) -> Option<String> {
    SHELLS.into_iter().find(|(name, _)| *name == shell).map(|(_, make)| make())
}

/// Returns the error for a shell that is not known.
pub(super) fn unknown() -> Stop {
    let names = SHELLS.map(|(name, _)| name).join(", ");
    Stop::Misuse(format!("expected one of {names}"))
}

/// The words that may follow the name of a subcommand.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    /// The options, each with the name of its value, if it takes one.
    flags: Vec<(&'static str, Option<&'static str>)>,
    /// Words that stand for themselves.
    fixed: Vec<&'static str>,
    /// Whether there is the name of a user.
    user: bool,
    /// Whether there is a file or directory of this machine.
    file: bool,
}

impl Words {
    /// Reads the usage of a subcommand, such as `NAME --home DIR [--perm LETTERS]`.
    fn of(usage: &'static str) -> Self {
        let mut words = Self::default();
        let mut before: Option<&str> = None;
        for part in usage.split_whitespace() {
            // the value of an option is within the same brackets, or the option has none
            let is_value = before.is_some_and(|before| {
                before.trim_start_matches('[').starts_with("--") && !before.ends_with(']')
            });
            let bare = part.trim_matches(['[', ']', '.']);
            if let (true, Some((_, value))) = (is_value, words.flags.last_mut()) {
                *value = Some(bare);
            } else {
                bare.split('|')
                    .filter(|word| !word.is_empty())
                    .for_each(|word| words.add(word));
            }
            before = Some(part);
        }
        words
    }

    fn add(&mut self, word: &'static str) {
        match word {
            flag if flag.starts_with("--") => self.flags.push((flag, None)),
            "USER" => self.user = true,
            "DIR" | "FILE" => self.file = true,
            fixed if fixed.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                self.fixed.push(fixed);
            }
            _ => {}
        }
    }

    /// Returns the options and the fixed words, for a shell that does not tell them apart.
    fn listed(&self) -> String {
        let flags = self.flags.iter().map(|(flag, _)| *flag);
        flags.chain(self.fixed.iter().copied()).collect::<Vec<_>>().join(" ")
    }
}

/// Returns whether the value of an option is a file or a directory.
fn is_path(value: &str) -> bool {
    matches!(value, "DIR" | "FILE")
}

fn all() -> impl Iterator<Item = (&'static Subcommand, Words)> {
    SUBCOMMANDS.iter().map(|subcommand| (subcommand, Words::of(subcommand.usage)))
}

fn names() -> String {
    SUBCOMMANDS.iter().map(|subcommand| subcommand.name).collect::<Vec<_>>().join(" ")
}

/// The part of the text for bash before the cases of the subcommands.
const BASH_HEAD: &str = "\
# bash completion for ftpd

_ftpd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at name= words= word list
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        -c|--config) ((at++)) ;;
        -*) ;;
        *) name=${COMP_WORDS[at]}; break ;;
        esac
    done
    case $name:$prev in
    *:-c|*:--config) return ;;
";

/// The part of the text for bash after the cases of the subcommands. The shell expands nothing in the
/// names of users, which may contain any characters.
const BASH_TAIL: &str = "    \
    esac
    [[ $cur != -* ]] || words+=' --config --help'
    read -r -d '' -a list <<< \"$words\"
    for word in \"${list[@]}\"; do
        [[ $word != \"$cur\"* ]] || COMPREPLY+=(\"$(printf %q \"$word\")\")
    done
}

complete -o default -F _ftpd ftpd
";

/// The text for bash. Where it offers nothing, bash completes the names of files.
fn bash() -> String {
    let mut text = BASH_HEAD.to_owned();
    for (Subcommand { name, .. }, words) in all() {
        for (flag, _) in words.flags.iter().filter(|(_, value)| value.is_some()) {
            // writing to a String cannot fail
            let _ = writeln!(text, "    {name}:{flag}) return ;;");
        }
    }
    let _ = writeln!(text, "    esac\n    case $name in\n    '') words='{}' ;;", names());
    for (Subcommand { name, .. }, words) in all() {
        let listed = if name == &"help" { names() } else { words.listed() };
        let users = if words.user { format!("\" $({USERS})\"") } else { String::new() };
        if !listed.is_empty() || words.user {
            let _ = writeln!(text, "    {name}) words='{listed}'{users} ;;");
        }
    }
    text + BASH_TAIL
}

/// The text for zsh.
fn zsh() -> String {
    let mut text = "#compdef ftpd\n\n_ftpd_users() {\n    local -a users\n    \
                    users=(${(f)\"$("
        .to_owned()
        + USERS
        + ")\"})\n    compadd -a users\n}\n\n_ftpd() {\n    local context state line\n    \
           _arguments -C '(-c --config)'{-c,--config}'[settings]:file:_files' \\\n        \
           '(-h --help)'{-h,--help}'[help]' '1:subcommand:->name' '*::argument:->rest'\n    \
           local -a names\n    names=(\n";
    for Subcommand { name, help, .. } in SUBCOMMANDS {
        let _ = writeln!(text, "        '{name}:{help}'");
    }
    text += "    )\n    case $state in\n    name) _describe subcommand names ;;\n    rest)\n        \
             case $words[1] in\n        help) _describe subcommand names ;;\n";
    for (Subcommand { name, .. }, words) in all().filter(|(one, _)| one.name != "help") {
        let _ = write!(text, "        {name}) _arguments");
        for (flag, value) in &words.flags {
            let _ = match value {
                None => write!(text, " '{flag}'"),
                Some(value) if is_path(value) => write!(text, " '{flag}:{value}:_files'"),
                Some(value) => write!(text, " '{flag}:{value}: '"),
            };
        }
        let fixed = words.fixed.join(" ");
        let _ = match (&words, fixed.as_str()) {
            (Words { user: true, .. }, "") => write!(text, " '*:user:_ftpd_users'"),
            (Words { user: true, .. }, fixed) => {
                write!(text, " '*:user:{{_ftpd_users; compadd {fixed}}}'")
            }
            (Words { file: true, .. }, _) => write!(text, " '*:file:_files'"),
            (_, "") => Ok(()),
            (_, fixed) => write!(text, " '*:word:({fixed})'"),
        };
        text += " ;;\n";
    }
    text + "        esac ;;\n    esac\n}\n\n_ftpd \"$@\"\n"
}

/// The text for fish.
fn fish() -> String {
    let mut text = "# fish completion for ftpd\n\ncomplete -c ftpd -f\n\
                    complete -c ftpd -s c -l config -r -F -d 'settings'\n\
                    complete -c ftpd -s h -l help -d 'help'\n"
        .to_owned();
    for (Subcommand { name, help, .. }, words) in all() {
        let _ =
            writeln!(text, "complete -c ftpd -n __fish_use_subcommand -a {name} -d '{help}'");
        let to = format!("complete -c ftpd -n '__fish_seen_subcommand_from {name}'");
        for (flag, value) in &words.flags {
            let flag = flag.trim_start_matches('-');
            let _ = match value {
                None => writeln!(text, "{to} -l {flag}"),
                Some(value) if is_path(value) => writeln!(text, "{to} -l {flag} -r -F"),
                Some(_) => writeln!(text, "{to} -l {flag} -x"),
            };
        }
        if !words.fixed.is_empty() {
            let _ = writeln!(text, "{to} -a '{}'", words.fixed.join(" "));
        }
        if words.user {
            // awk's program has quotes of its own
            let users = USERS.replace('\'', "\\'");
            let _ = writeln!(text, "{to} -a '({users})'");
        }
        if words.file {
            let _ = writeln!(text, "{to} -F");
        }
        if name == &"help" {
            let _ = writeln!(text, "{to} -a '{}'", names());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_tells_what_may_follow() {
        let words = Words::of("NAME --home DIR [--perm LETTERS] [--create-home]");
        let flags =
            [("--home", Some("DIR")), ("--perm", Some("LETTERS")), ("--create-home", None)];
        assert_eq!(words.flags, flags);
        assert_eq!((words.user, words.file), (false, false));
        let words = Words::of("[--json] | drop USER PATH");
        assert_eq!((words.fixed.as_slice(), words.user), (&["drop"][..], true));
        assert_eq!(words.flags, [("--json", None)]);
        let words = Words::of("USER PATH [read|write]");
        assert_eq!(words.fixed, ["read", "write"]);
        assert!(Words::of("FILE...").file);
    }
}
