//! What a client may say, and what saying it takes.
//!
//! HELP, FEAT, both gates, the manual and half the tests must agree on which commands exist.
//! They agree because all of them read `VERBS`; nothing else in the tree lists their names.

use std::net::SocketAddr;

use super::arg::address::{self, Extended};
use super::arg::choice::{self, TransferType};
use super::arg::text::{self, Pathname};
use super::arg::time::{self, Moment, TimedPath, TimedPaths};
use super::syntax::SyntaxError;
use crate::config::Perm;
use crate::data::listing::Facts;

/// One request, fully parsed.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after its command")]
pub enum Command {
    Abort,
    Account,
    Allocate(u64),
    Append(Pathname),
    Auth(String),
    BufferSize(u64),
    ChangeDir(Pathname),
    ChangeDirUp,
    Chmod(u32, Pathname),
    ClearControl,
    ClientName,
    ClientServerId,
    Delete(Pathname),
    EprtPort(SocketAddr),
    ExtendedPassive(Extended),
    Feat,
    Help,
    HelpOn(String),
    Host,
    Idle,
    IdleSet(u64),
    List,
    ListPath(Pathname),
    MachineList,
    MachineListPath(Pathname),
    MachineShow,
    MachineShowPath(Pathname),
    MakeDir(Pathname),
    Mode(u8),
    ModifiedTime(Pathname),
    ModifyTime(Moment, Pathname),
    ModifyTimeOld(TimedPath),
    NameList,
    NameListPath(Pathname),
    Noop,
    OptsMlst(Facts),
    OptsUtf8(bool),
    Password(text::Secret),
    Passive,
    Port(SocketAddr),
    PreTransfer,
    PrintDir,
    Protect(u8),
    Quit,
    Reinitialize,
    RemoveDir(Pathname),
    RenameFrom(Pathname),
    RenameTo(Pathname),
    Restart(u64),
    Retrieve(Pathname),
    SiteHelp,
    SiteUtime(TimedPaths),
    Size(Pathname),
    Stat,
    StatPath(Pathname),
    Store(Pathname),
    StoreUnique,
    StoreUniquePath(Pathname),
    Structure(u8),
    StructureMount,
    System,
    Type(TransferType),
    Umask,
    UmaskSet(u32),
    User(Vec<u8>),
}

/// What may follow a name, with the constructor that consumes it, so that a row cannot promise
/// a pathname and build something else.
#[expect(missing_docs, reason = "each is named after what it takes")]
pub enum Arg {
    Nothing(fn() -> Command),
    /// Any text or none, which does not matter.
    Ignored(fn() -> Command),
    /// Any text that is not empty, which does not matter.
    Needed(fn() -> Command),
    Bytes(fn(Vec<u8>) -> Command),
    /// Bytes that may be none, and are shown nowhere.
    Secret(fn(text::Secret) -> Command),
    Word(fn(String) -> Command),
    Path(fn(Pathname) -> Command),
    Offset(fn(u64) -> Command),
    Number(fn(u64) -> Command),
    Allocation(fn(u64) -> Command),
    Type(fn(TransferType) -> Command),
    Letter(fn(u8) -> Command),
    HostPort(fn(SocketAddr) -> Command),
    Address(fn(SocketAddr) -> Command),
    Extended(fn(Extended) -> Command),
    Mode(fn(u32) -> Command),
    ModeAndPath(fn(u32, Pathname) -> Command),
    TimeAndPath(fn(Moment, Pathname) -> Command),
    TimedPath(fn(TimedPath) -> Command),
    UtimeAndPath(fn(TimedPaths) -> Command),
    /// Facts, or none.
    Facts(fn(Facts) -> Command),
    Switch(fn(bool) -> Command),
}

/// What FEAT says of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// A line of its own.
    Line(&'static str),
    /// A line of its own, where there is a certificate.
    Tls(&'static str),
    /// MLST and its facts, with a mark for those that are chosen.
    Facts,
}

/// All the server knows about a command, except how to carry it out.
pub struct Verb {
    /// Its names; the first is the usual one.
    pub names: &'static [&'static str],
    /// What may follow.
    pub arg: Arg,
    /// What follows, for people.
    pub usage: &'static str,
    /// Whether it may come before a login.
    pub before_login: bool,
    /// The permission letter it takes.
    pub perm: Option<Perm>,
    /// Whether it is a transfer, which takes what REST has said.
    pub transfers: bool,
    /// Whether it takes what RNFR has named.
    pub renames: bool,
    /// Its line in FEAT.
    pub feature: Option<Feature>,
    /// One line for HELP and the manual.
    pub help: &'static str,
}

/// A row as strict as rows get: after login only. Each exception then shows in the table.
const fn verb(
    names: &'static [&'static str],
    usage: &'static str,
    arg: Arg,
    help: &'static str,
) -> Verb {
    Verb {
        names,
        arg,
        usage,
        before_login: false,
        perm: None,
        transfers: false,
        renames: false,
        feature: None,
        help,
    }
}

impl Verb {
    const fn before_login(self) -> Self {
        Self { before_login: true, ..self }
    }

    const fn needs(self, perm: Perm) -> Self {
        Self { perm: Some(perm), ..self }
    }

    const fn transfers(self) -> Self {
        Self { transfers: true, ..self }
    }

    const fn renames(self) -> Self {
        Self { renames: true, ..self }
    }

    const fn feature(self, line: &'static str) -> Self {
        Self { feature: Some(Feature::Line(line)), ..self }
    }

    const fn tls_feature(self, line: &'static str) -> Self {
        Self { feature: Some(Feature::Tls(line)), ..self }
    }

    const fn facts_feature(self) -> Self {
        Self { feature: Some(Feature::Facts), ..self }
    }

    /// The usual name.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// What follows one of its names in `line`, without the space between.
    fn text_after_name<'l>(&self, line: &'l [u8]) -> Option<&'l [u8]> {
        // most names of the table differ in their first letter
        let first = line.first()?.to_ascii_uppercase();
        let mut names = self.names.iter().map(|name| name.as_bytes());
        names.find_map(|name| if name.first()? == &first { after(name, line) } else { None })
    }
}

/// A name ends at a space or with the line; the words of a longer name may lie further apart.
/// Case does not matter (RFC 959 §5.3).
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

use Arg::{
    Address, Allocation, Bytes, HostPort, Ignored, Letter, ModeAndPath, Needed, Nothing,
    Number, Offset, Path, Switch, TimeAndPath, UtimeAndPath, Word,
};

/// Two rows share a name where the argument changes what is needed; the first that fits wins.
#[rustfmt::skip]
pub static VERBS: &[Verb] = &[
    verb(&["USER"], "name", Bytes(Command::User), "say who you are").before_login(),
    verb(&["PASS"], "password", Arg::Secret(Command::Password), "prove it").before_login(),
    verb(&["ACCT"], "account", Needed(|| Command::Account), "accepted and not needed").before_login(),
    verb(&["REIN"], "", Nothing(|| Command::Reinitialize), "start the session anew").before_login(),
    verb(&["QUIT"], "", Ignored(|| Command::Quit), "end the session, after a running transfer").before_login(),
    verb(&["AUTH"], "TLS", Word(Command::Auth), "begin TLS").before_login().tls_feature("AUTH TLS"),
    verb(&["PBSZ"], "0", Number(Command::BufferSize), "must come before PROT").before_login().tls_feature("PBSZ"),
    verb(&["PROT"], "P|C", Letter(Command::Protect), "choose TLS or clear text for data connections").before_login().tls_feature("PROT"),
    verb(&["CCC"], "", Nothing(|| Command::ClearControl), "refused: TLS stays"),
    verb(&["CWD", "XCWD"], "path", Path(Command::ChangeDir), "change the working directory").needs(Perm::Enter).feature("TVFS"),
    verb(&["CDUP", "XCUP"], "", Nothing(|| Command::ChangeDirUp), "change to the parent directory").needs(Perm::Enter),
    verb(&["PWD", "XPWD"], "", Nothing(|| Command::PrintDir), "say the working directory"),
    verb(&["TYPE"], "A|A N|I|L 8", Arg::Type(Command::Type), "choose ASCII or binary transfers"),
    verb(&["STRU"], "F", Letter(Command::Structure), "choose file structure"),
    verb(&["MODE"], "S", Letter(Command::Mode), "choose stream mode"),
    verb(&["PORT"], "h1,h2,h3,h4,p1,p2", HostPort(Command::Port), "let the server connect to this IPv4 address"),
    verb(&["PASV", "P@SW"], "", Nothing(|| Command::Passive), "open a port for the client to connect to, IPv4"),
    verb(&["EPRT"], "|1|address|port| or |2|address|port|", Address(Command::EprtPort), "let the server connect to this address").feature("EPRT"),
    verb(&["EPSV"], "", Nothing(|| Command::ExtendedPassive(Extended::Protocol(None))), "open a port for the client to connect to").feature("EPSV"),
    verb(&["EPSV"], "1|2|ALL", Arg::Extended(Command::ExtendedPassive), "the same for one protocol; ALL: and nothing else from now on"),
    verb(&["PRET"], "command", Ignored(|| Command::PreTransfer), "accepted and not needed"),
    verb(&["RETR"], "path", Path(Command::Retrieve), "send a file to the client").needs(Perm::Retrieve).transfers(),
    verb(&["STOR"], "path", Path(Command::Store), "store a file").needs(Perm::Store).transfers(),
    verb(&["APPE"], "path", Path(Command::Append), "append to a file, or store it").needs(Perm::Append).transfers(),
    verb(&["STOU"], "", Nothing(|| Command::StoreUnique), "store a file under a name of the server's choice").needs(Perm::Store).transfers(),
    verb(&["STOU"], "path", Path(Command::StoreUniquePath), "store a file under this name, or one like it if it is taken").needs(Perm::Store).transfers(),
    verb(&["REST"], "offset", Offset(Command::Restart), "begin the next transfer at this offset").feature("REST STREAM"),
    verb(&["ALLO"], "bytes [R bytes]", Allocation(Command::Allocate), "ask whether there is room"),
    verb(&["ABOR"], "", Nothing(|| Command::Abort), "abort the running transfer"),
    verb(&["LIST"], "", Nothing(|| Command::List), "list the working directory for people").needs(Perm::List).transfers(),
    verb(&["LIST"], "[-options] [path]", Path(Command::ListPath), "list a directory, a file, or what * and ? match in the last part, for people; options as for ls: R, d, t, S, r").needs(Perm::List).transfers(),
    verb(&["NLST"], "", Nothing(|| Command::NameList), "list the names in the working directory").needs(Perm::List).transfers(),
    verb(&["NLST"], "[-options] [path]", Path(Command::NameListPath), "list names, with the same options").needs(Perm::List).transfers(),
    verb(&["MLSD"], "", Nothing(|| Command::MachineList), "list the working directory for machines").needs(Perm::List).transfers(),
    verb(&["MLSD"], "path", Path(Command::MachineListPath), "list a directory for machines").needs(Perm::List).transfers(),
    verb(&["MLST"], "", Nothing(|| Command::MachineShow), "describe the working directory for machines").needs(Perm::List).facts_feature(),
    verb(&["MLST"], "path", Path(Command::MachineShowPath), "describe a file or directory for machines").needs(Perm::List),
    verb(&["STAT"], "", Nothing(|| Command::Stat), "describe this session or the running transfer"),
    verb(&["STAT"], "[-options] path", Path(Command::StatPath), "list on the control connection").needs(Perm::List),
    verb(&["SIZE"], "path", Path(Command::Size), "say how many bytes a transfer would have").needs(Perm::List).feature("SIZE"),
    verb(&["MDTM"], "time path", Arg::TimedPath(Command::ModifyTimeOld), "set the modification time, unless a file has all of this for its name").needs(Perm::SetTime),
    verb(&["MDTM"], "path", Path(Command::ModifiedTime), "say when a file was modified").needs(Perm::List).feature("MDTM"),
    verb(&["MFMT"], "time path", TimeAndPath(Command::ModifyTime), "set the modification time").needs(Perm::SetTime).feature("MFMT"),
    verb(&["DELE"], "path", Path(Command::Delete), "delete a file").needs(Perm::Delete),
    verb(&["RMD", "XRMD"], "path", Path(Command::RemoveDir), "remove an empty directory").needs(Perm::Delete),
    verb(&["MKD", "XMKD"], "path", Path(Command::MakeDir), "make a directory").needs(Perm::MakeDir),
    verb(&["RNFR"], "path", Path(Command::RenameFrom), "rename this file or directory").needs(Perm::Rename).renames(),
    verb(&["RNTO"], "path", Path(Command::RenameTo), "to this, replacing a file of that name").needs(Perm::Rename).renames(),
    verb(&["SITE CHMOD"], "mode path", ModeAndPath(Command::Chmod), "change permission bits").needs(Perm::Chmod),
    verb(&["SITE UTIME"], "time path", UtimeAndPath(Command::SiteUtime), "set the modification time").needs(Perm::SetTime),
    verb(&["SITE UMASK"], "", Nothing(|| Command::Umask), "say the mask for new files"),
    verb(&["SITE UMASK"], "mask", Arg::Mode(Command::UmaskSet), "set the mask for new files").needs(Perm::Chmod),
    verb(&["SITE IDLE"], "", Nothing(|| Command::Idle), "say the idle timeout"),
    verb(&["SITE IDLE"], "seconds", Number(Command::IdleSet), "set the idle timeout, up to the configured one"),
    verb(&["SITE HELP"], "", Nothing(|| Command::SiteHelp), "list the SITE commands").before_login(),
    verb(&["SYST"], "", Nothing(|| Command::System), "say what system this is").before_login(),
    verb(&["FEAT"], "", Nothing(|| Command::Feat), "list the extensions").before_login(),
    verb(&["HELP"], "", Nothing(|| Command::Help), "list the commands").before_login(),
    verb(&["HELP"], "command", Word(Command::HelpOn), "explain a command").before_login(),
    verb(&["NOOP"], "", Ignored(|| Command::Noop), "do nothing").before_login(),
    verb(&["OPTS MLST"], "[fact;...]", Arg::Facts(Command::OptsMlst), "choose the facts of MLSD and MLST").before_login(),
    verb(&["OPTS UTF8", "OPTS UTF-8"], "[ON]", Switch(Command::OptsUtf8), "accepted: names are bytes, and sent as they are").before_login().feature("UTF8"),
    verb(&["CLNT"], "name", Ignored(|| Command::ClientName), "accepted: the client's name").before_login(),
    verb(&["HOST"], "name", Needed(|| Command::Host), "accepted: every name is this server").before_login().feature("HOST"),
    verb(&["CSID"], "name=value;...", Ignored(|| Command::ClientServerId), "accepted; answers who the server is").before_login(),
    verb(&["SMNT"], "path", Ignored(|| Command::StructureMount), "not implemented"),
];

/// Reads one control line, its end already removed. Names ignore case (RFC 959 §5.3).
///
/// # Errors
///
/// What is wrong with the line; if several rows have its name, with the last of them.
pub fn parse(line: &[u8]) -> Result<(&'static Verb, Command), SyntaxError> {
    let mut refusal = None;
    for verb in VERBS {
        match verb.text_after_name(line).map(|text| verb.arg.build(text)) {
            None => {}
            Some(Ok(command)) => return Ok((verb, command)),
            Some(Err(why)) => refusal = Some(why),
        }
    }
    Err(refusal.unwrap_or_else(|| unknown(line)))
}

/// The other meaning that a line may have, for who may not have said the first: `MDTM`, a time
/// and a path is also `MDTM` and a name that begins like a time.
pub fn parse_otherwise(verb: &Verb, line: &[u8]) -> Option<(&'static Verb, Command)> {
    let here = VERBS.iter().position(|row| std::ptr::eq(row, verb))?;
    VERBS.iter().skip(here + 1).find_map(|row| {
        let command = row.arg.build(row.text_after_name(line)?).ok()?;
        Some((row, command))
    })
}

/// Whether a line takes what RNFR has named, even if it is malformed: an RNTO that was sent together
/// with an RNFR that is refused must not rename something else.
pub fn renames(line: &[u8]) -> bool {
    VERBS.iter().any(|verb| verb.renames && verb.text_after_name(line).is_some())
}

/// The name of a line for the log. An unknown one may be a password that went astray, so not
/// a word of it is shown.
pub fn name_of(line: &[u8]) -> &'static str {
    let named = VERBS.iter().find(|verb| verb.text_after_name(line).is_some());
    named.map_or("a line", Verb::name)
}

fn unknown(line: &[u8]) -> SyntaxError {
    const HTTP: [&[u8]; 8] =
        [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"PATCH"];
    match after(b"SITE", line).or_else(|| after(b"OPTS", line)) {
        Some(b"") => SyntaxError::MissingArgument,
        Some(_) if after(b"SITE", line).is_some() => SyntaxError::UnknownSite,
        Some(_) => SyntaxError::UnknownOption,
        None if HTTP.iter().any(|method| after(method, line).is_some()) => SyntaxError::Http,
        None => SyntaxError::UnknownCommand,
    }
}

impl Command {
    /// The path that it names, for the log.
    pub fn path(&self) -> Option<&Pathname> {
        match self {
            Self::Append(path)
            | Self::ChangeDir(path)
            | Self::Chmod(_, path)
            | Self::Delete(path)
            | Self::ListPath(path)
            | Self::MachineListPath(path)
            | Self::MachineShowPath(path)
            | Self::MakeDir(path)
            | Self::ModifiedTime(path)
            | Self::ModifyTime(_, path)
            | Self::ModifyTimeOld(TimedPath { path, .. })
            | Self::NameListPath(path)
            | Self::RemoveDir(path)
            | Self::RenameFrom(path)
            | Self::RenameTo(path)
            | Self::Retrieve(path)
            | Self::Size(path)
            | Self::StatPath(path)
            | Self::Store(path)
            | Self::StoreUniquePath(path) => Some(path),
            Self::SiteUtime(fits) => Some(fits.meant(|_| true).1),
            Self::Abort
            | Self::Account
            | Self::Allocate(_)
            | Self::Auth(_)
            | Self::BufferSize(_)
            | Self::ClearControl
            | Self::Protect(_)
            | Self::ChangeDirUp
            | Self::ClientName
            | Self::ClientServerId
            | Self::EprtPort(_)
            | Self::ExtendedPassive(_)
            | Self::Feat
            | Self::Help
            | Self::HelpOn(_)
            | Self::Host
            | Self::Idle
            | Self::IdleSet(_)
            | Self::List
            | Self::MachineList
            | Self::MachineShow
            | Self::Mode(_)
            | Self::NameList
            | Self::Noop
            | Self::OptsMlst(_)
            | Self::OptsUtf8(_)
            | Self::Password(_)
            | Self::Passive
            | Self::Port(_)
            | Self::PreTransfer
            | Self::PrintDir
            | Self::Quit
            | Self::Reinitialize
            | Self::Restart(_)
            | Self::SiteHelp
            | Self::Stat
            | Self::StoreUnique
            | Self::Structure(_)
            | Self::StructureMount
            | Self::System
            | Self::Type(_)
            | Self::Umask
            | Self::UmaskSet(_)
            | Self::User(_) => None,
        }
    }
}

impl Arg {
    /// A closed door first: nothing where something is needed, or the other way round.
    fn build(&self, argument: &[u8]) -> Result<Command, SyntaxError> {
        match self {
            Ignored(make) => Ok(make()),
            Self::Secret(make) => Ok(make(text::Secret::of(argument))),
            Nothing(make) if argument.trim_ascii().is_empty() => Ok(make()),
            Nothing(_) => Err(SyntaxError::UnwantedArgument),
            Self::Facts(make) => choice::facts(argument).map(make),
            Switch(make) => choice::switch(argument).map(make),
            _ if argument.is_empty() => Err(SyntaxError::MissingArgument),
            Needed(make) => Ok(make()),
            Bytes(make) => Ok(make(argument.to_vec())),
            Word(make) => text::words(argument).map(str::to_owned).map(make),
            Path(make) => text::pathname(argument).map(make),
            Offset(make) => text::offset(argument).map(make),
            Number(make) => text::number(argument).map(make),
            Allocation(make) => text::allocation(argument).map(make),
            Self::Type(make) => choice::transfer_type(argument).map(make),
            Letter(make) => choice::letter(argument).map(make),
            HostPort(make) => address::host_port(argument).map(make),
            Address(make) => address::extended(argument).map(make),
            Self::Extended(make) => address::extended_passive(argument).map(make),
            Self::Mode(make) => choice::mode(argument).map(make),
            ModeAndPath(make) => {
                choice::mode_and_path(argument).map(|(mode, path)| make(mode, path))
            }
            TimeAndPath(make) => time::time_and_path(argument).map(|(at, path)| make(at, path)),
            Self::TimedPath(make) => time::timed_path(argument).map(make),
            UtimeAndPath(make) => time::utime(argument).map(make),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_upper_case_and_one_shape_of_argument_stands_once() {
        let mut seen = Vec::new();
        for verb in VERBS {
            for name in verb.names {
                assert_eq!(*name, name.to_ascii_uppercase());
                let shape = (*name, std::mem::discriminant(&verb.arg));
                assert!(!seen.contains(&shape), "{name} twice");
                seen.push(shape);
            }
            assert!(!verb.help.is_empty() && !verb.help.ends_with('.'), "{}", verb.name());
        }
    }

    #[test]
    fn a_name_ends_at_a_space_and_ignores_case() {
        assert!(matches!(parse(b"noop"), Ok((_, Command::Noop))));
        assert!(matches!(parse(b"nooper"), Err(SyntaxError::UnknownCommand)));
        assert!(matches!(parse(b"site  chmod 644 x"), Ok((_, Command::Chmod(0o644, _)))));
        assert!(matches!(parse(b"SITE CHMODS 644 x"), Err(SyntaxError::UnknownSite)));
        assert!(matches!(parse(b"SITE CHMOD"), Err(SyntaxError::MissingArgument)));
        assert!(matches!(parse(b"OPTS NONE"), Err(SyntaxError::UnknownOption)));
        assert!(matches!(parse(b"GET / HTTP/1.1"), Err(SyntaxError::Http)));
        assert!(matches!(parse(b""), Err(SyntaxError::UnknownCommand)));
    }

    #[test]
    fn all_bytes_behind_one_space_belong_to_a_pathname() {
        let Ok((_, Command::Delete(path))) = parse(b"DELE  a \xff ") else { panic!() };
        assert_eq!(path.as_bytes(), b" a \xff ");
        assert!(matches!(parse(b"DELE a\0b"), Err(SyntaxError::BadPathname)));
        assert!(matches!(parse(b"DELE a\rb"), Err(SyntaxError::BadPathname)));
    }

    proptest! {
        #[test]
        fn no_line_makes_parsing_panic(line: Vec<u8>) {
            let _ = (parse(&line), name_of(&line));
        }

        #[test]
        fn no_argument_makes_parsing_panic(at in 0..VERBS.len(), rest: Vec<u8>) {
            let _ = parse(&[VERBS[at].name().as_bytes(), b" ", &rest].concat());
        }
    }
}
