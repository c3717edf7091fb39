//! Parses a control line: finds the row of the table that the line fits, and builds its
//! command.

use std::sync::LazyLock;

use super::arg::text::Pathname;
use super::command::{Command, Consumed, VERBS, Verb};
use super::syntax::SyntaxError;
use crate::config::Perm;

/// One line of the client, parsed. The checks, the handler, the log and the refusal all use
/// this.
#[derive(Debug)]
pub struct Request<'l> {
    line: &'l [u8],
    /// What follows the name and one space.
    argument: &'l [u8],
    /// The row that the line fits, and its command; or the first row with the name, and the
    /// error.
    reading: Result<(&'static Verb, Command), (Option<&'static Verb>, SyntaxError)>,
}

/// Rows of the table of commands.
type Rows = [&'static Verb];

/// The rows with a name that begins with each letter, in the order of the table.
static BY_LETTER: LazyLock<[Box<Rows>; 26]> = LazyLock::new(|| {
    let begins = |name: &str, letter| name.as_bytes().first() == Some(&letter);
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ".map(|letter| {
        VERBS.iter().filter(|verb| verb.names.iter().any(|name| begins(name, letter))).collect()
    })
});

/// Parses one control line, without its line end. Names ignore case (RFC 959 §5.3).
pub fn parse(line: &[u8]) -> Request<'_> {
    read(line, rows_for(line))
}

/// Returns the rows with a name that begins with the first letter of a line.
fn rows_for(line: &[u8]) -> &'static Rows {
    let first = line.first().copied().unwrap_or_default();
    let at = usize::from(first.to_ascii_uppercase().wrapping_sub(b'A'));
    BY_LETTER.get(at).map(|rows| &**rows).unwrap_or_default()
}

/// Parses a line with these rows. The first row that fits is used. If several rows have the
/// name and none fits, the error is that of the last one.
fn read<'l>(line: &'l [u8], rows: &'static Rows) -> Request<'l> {
    let (mut named, mut error) = (None, None);
    for &verb in rows {
        let Some(argument) = verb.argument_in(line) else { continue };
        match verb.arg.build(argument) {
            Ok(command) => return Request { line, argument, reading: Ok((verb, command)) },
            Err(why) => error = Some(why),
        }
        named.get_or_insert(verb);
    }
    let why = error.unwrap_or_else(|| unknown(line));
    Request { line, argument: b"", reading: Err((named, why)) }
}

impl Request<'_> {
    /// Returns the row and the command.
    ///
    /// # Errors
    ///
    /// When the line is not a command.
    pub fn asks(&self) -> Result<(&'static Verb, &Command), SyntaxError> {
        match &self.reading {
            Ok((verb, command)) => Ok((verb, command)),
            Err((_, why)) => Err(*why),
        }
    }

    /// Returns another meaning of the line, for a user who may not use the first one. For
    /// example, `MDTM` with a time and a path is also `MDTM` with a name that begins like a
    /// time.
    pub fn otherwise(&self) -> Option<Self> {
        let verb = self.verb()?;
        let rows = rows_for(self.line);
        let here = rows.iter().position(|row| std::ptr::eq(*row, verb))?;
        let other = read(self.line, rows.get(here + 1..)?);
        other.reading.is_ok().then_some(other)
    }

    fn verb(&self) -> Option<&'static Verb> {
        match &self.reading {
            Ok((verb, _)) => Some(verb),
            Err((verb, _)) => *verb,
        }
    }

    /// Returns the name of the command, for the log, or "a line" if the command is unknown: no
    /// word of an unknown line is shown, because it may be a password sent by mistake.
    pub fn name(&self) -> &'static str {
        self.verb().map_or("a line", Verb::name)
    }

    /// Returns the permission that the command needs.
    pub fn perm(&self) -> Option<Perm> {
        self.verb()?.perm
    }

    fn consumes(&self, what: Consumed) -> bool {
        self.verb().is_some_and(|verb| verb.consumes == Some(what))
    }

    /// Returns whether the line consumes the path that RNFR has named. A malformed RNFR or
    /// RNTO does as well: an RNTO that follows a refused RNFR must not rename the file of an
    /// earlier RNFR.
    pub fn renames(&self) -> bool {
        self.consumes(Consumed::Rename)
    }

    /// Returns whether the line consumes the file that SITE CPFR has named, as
    /// [`Request::renames`] does for RNFR.
    pub fn copies(&self) -> bool {
        self.consumes(Consumed::Copy)
    }

    /// Returns the path that the line names, for the log. If the argument can be read in two
    /// ways, `is_there` tells which file exists.
    pub fn path(&self, is_there: &dyn Fn(&[u8]) -> bool) -> Option<Pathname> {
        let (verb, _) = self.reading.as_ref().ok()?;
        verb.arg.path(self.argument, is_there)
    }
}

fn unknown(line: &[u8]) -> SyntaxError {
    const HTTP: [&[u8]; 8] =
        [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"PATCH"];
    match after(b"SITE", line).or_else(|| after(b"OPTS", line)) {
        Some(b"") => SyntaxError::MissingArgument,
        Some(_) if after(b"SITE", line).is_some() => SyntaxError::UnknownSite,
        Some(_) => SyntaxError::UnknownOption,
        None if HTTP.iter().any(|method| after(method, line).is_some()) => SyntaxError::Http,
        // version 2 has a NUL in a line of its own, behind empty lines
        None if after(b"PROXY", line).is_some() || line == b"\0" => SyntaxError::Proxy,
        None => SyntaxError::UnknownCommand,
    }
}

impl Verb {
    /// Returns what follows one of the command's names and a space in `line`.
    fn argument_in<'l>(&self, line: &'l [u8]) -> Option<&'l [u8]> {
        self.names.iter().find_map(|name| after(name.as_bytes(), line))
    }
}

/// Returns what follows a name and a space in `line`. A name ends at a space or at the end of
/// the line. The words of a longer name may be separated by several spaces. Case is ignored
/// (RFC 959 §5.3).
fn after<'l>(name: &[u8], line: &'l [u8]) -> Option<&'l [u8]> {
    let mut rest = line;
    for (at, word) in name.split(|&byte| byte == b' ').enumerate() {
        if at > 0 {
            let space =
                rest.iter().position(|&byte| byte != b' ').filter(|&space| space > 0)?;
            rest = rest.get(space..)?;
        }
        let (head, tail) = rest.split_at_checked(word.len())?;
        if !head.eq_ignore_ascii_case(word) || !matches!(tail.first(), None | Some(b' ')) {
            return None;
        }
        rest = tail;
    }
    Some(rest.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command(line: &[u8]) -> Result<Command, SyntaxError> {
        parse(line).reading.map(|(_, command)| command).map_err(|(_, why)| why)
    }

    #[test]
    fn a_name_ends_at_a_space_and_ignores_case() {
        assert!(matches!(command(b"noop"), Ok(Command::Noop)));
        assert!(matches!(command(b"nooper"), Err(SyntaxError::UnknownCommand)));
        assert!(matches!(command(b"site  chmod 644 x"), Ok(Command::Chmod(0o644, _))));
        assert!(matches!(command(b"SITE CHMODS 644 x"), Err(SyntaxError::UnknownSite)));
        assert!(matches!(command(b"SITE CHMOD"), Err(SyntaxError::MissingArgument)));
        assert!(matches!(command(b"OPTS NONE"), Err(SyntaxError::UnknownOption)));
        assert!(matches!(command(b"GET / HTTP/1.1"), Err(SyntaxError::Http)));
        assert!(matches!(command(b""), Err(SyntaxError::UnknownCommand)));
    }

    #[test]
    fn all_bytes_behind_one_space_belong_to_a_pathname() {
        let Ok(Command::Delete(path)) = command(b"DELE  a \xff ") else { panic!() };
        assert_eq!(path.as_bytes(), b" a \xff ");
        assert!(matches!(command(b"DELE a\0b"), Err(SyntaxError::BadPathname)));
        assert!(matches!(command(b"DELE a\rb"), Err(SyntaxError::BadPathname)));
    }

    #[test]
    fn a_line_names_the_path_that_its_command_would_use() {
        let path = |line: &str, there: &[u8]| {
            let path = parse(line.as_bytes()).path(&|name| name == there);
            path.map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap())
        };
        for (line, there, wanted) in [
            ("RETR a b", "", Some("a b")),
            ("SITE CHMOD 644 a b", "", Some("a b")),
            ("MFMT 20240101000000 a b", "", Some("a b")),
            ("MDTM 20240101000000 a", "", Some("a")),
            ("MDTM 20240101000000 a", "20240101000000 a", Some("20240101000000 a")),
            ("SITE UTIME 20240101000000 a", "", Some("a")),
            ("LIST -la a", "", Some("a")),
            ("LIST -la a", "-la a", Some("-la a")),
            ("LIST -la", "", Some("")),
            ("STAT -a b", "", Some("b")),
            ("LIST", "", None),
            ("USER a", "", None),
            ("RETR", "", None),
            ("SITE CHMOD 999 a", "", None),
            ("XYZ a", "", None),
        ] {
            assert_eq!(path(line, there.as_bytes()).as_deref(), wanted, "{line} {there}");
        }
    }

    #[test]
    fn each_row_is_found_by_the_first_letter_of_each_name() {
        for verb in VERBS {
            for name in verb.names {
                let line = name.to_ascii_lowercase();
                let mut rows = rows_for(line.as_bytes()).iter();
                assert!(rows.any(|row| std::ptr::eq(*row, verb)), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_parsing_panic(line: Vec<u8>) {
            let request = parse(&line);
            let _ = (request.name(), request.path(&|_| false), request.otherwise());
        }

        #[test]
        fn no_argument_makes_parsing_panic(at in 0..VERBS.len(), rest: Vec<u8>) {
            let _ = parse(&[VERBS[at].name().as_bytes(), b" ", &rest].concat());
        }
    }
}
