//! What a client may say, and what saying it takes.
//!
//! HELP, FEAT, both gates, the manual and half the tests must agree on which commands exist.
//! They agree because all of them read `VERBS`; nothing else in the tree lists their names.

use std::net::SocketAddr;

use super::arg::address::{self, Extended};
use super::arg::choice::{self, TransferType};
use super::arg::options::Options;
use super::arg::text::{self, Pathname};
use super::arg::time::{self, Moment, TimedPath, TimedPaths};
use super::counters::Traffic;
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
#[derive(Debug)]
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
    /// A path with options as for `ls` before it.
    OptionsAndPath(fn(Pathname) -> Command),
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
#[derive(Debug)]
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
    /// What it moves over a data connection, which begins where REST has said.
    pub transfers: Option<Traffic>,
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
        transfers: None,
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

    const fn transfers(self, what: Traffic) -> Self {
        Self { transfers: Some(what), ..self }
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
}

use Arg::{
    Address, Allocation, Bytes, HostPort, Ignored, Letter, ModeAndPath, Needed, Nothing,
    Number, Offset, OptionsAndPath, Path, Switch, TimeAndPath, UtimeAndPath, Word,
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
    verb(&["RETR"], "path", Path(Command::Retrieve), "send a file to the client").needs(Perm::Retrieve).transfers(Traffic::Download),
    verb(&["STOR"], "path", Path(Command::Store), "store a file").needs(Perm::Store).transfers(Traffic::Upload),
    verb(&["APPE"], "path", Path(Command::Append), "append to a file, or store it").needs(Perm::Append).transfers(Traffic::Upload),
    verb(&["STOU"], "", Nothing(|| Command::StoreUnique), "store a file under a name of the server's choice").needs(Perm::Store).transfers(Traffic::Upload),
    verb(&["STOU"], "path", Path(Command::StoreUniquePath), "store a file under this name, or one like it if it is taken").needs(Perm::Store).transfers(Traffic::Upload),
    verb(&["REST"], "offset", Offset(Command::Restart), "begin the next transfer at this offset").feature("REST STREAM"),
    verb(&["ALLO"], "bytes [R bytes]", Allocation(Command::Allocate), "ask whether there is room"),
    verb(&["ABOR"], "", Nothing(|| Command::Abort), "abort the running transfer"),
    verb(&["LIST"], "", Nothing(|| Command::List), "list the working directory for people").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["LIST"], "[-options] [path]", OptionsAndPath(Command::ListPath), "list a directory, a file, or what * and ? match in the last part, for people; options as for ls: R, d, t, S, r").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["NLST"], "", Nothing(|| Command::NameList), "list the names in the working directory").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["NLST"], "[-options] [path]", OptionsAndPath(Command::NameListPath), "list names, with the same options").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["MLSD"], "", Nothing(|| Command::MachineList), "list the working directory for machines").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["MLSD"], "path", Path(Command::MachineListPath), "list a directory for machines").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["MLST"], "", Nothing(|| Command::MachineShow), "describe the working directory for machines").needs(Perm::List).facts_feature(),
    verb(&["MLST"], "path", Path(Command::MachineShowPath), "describe a file or directory for machines").needs(Perm::List),
    verb(&["STAT"], "", Nothing(|| Command::Stat), "describe this session or the running transfer"),
    verb(&["STAT"], "[-options] path", OptionsAndPath(Command::StatPath), "list on the control connection").needs(Perm::List),
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

impl Arg {
    /// A closed door first: nothing where something is needed, or the other way round.
    pub(super) fn build(&self, argument: &[u8]) -> Result<Command, SyntaxError> {
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
            Path(make) | OptionsAndPath(make) => text::pathname(argument).map(make),
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

    /// The path in an argument of this kind, for the log. Where the argument can be read in two
    /// ways, `is_there` tells which file exists.
    pub(super) fn path(
        &self,
        argument: &[u8],
        is_there: &dyn Fn(&[u8]) -> bool,
    ) -> Option<Pathname> {
        let is_there_too = |path: &Pathname| is_there(path.as_bytes());
        match self {
            Path(_) => text::pathname(argument).ok(),
            OptionsAndPath(_) => text::pathname(Options::read(argument, is_there).1).ok(),
            ModeAndPath(_) => choice::mode_and_path(argument).ok().map(|(_, path)| path),
            TimeAndPath(_) => time::time_and_path(argument).ok().map(|(_, path)| path),
            Self::TimedPath(_) => {
                let TimedPath { path, whole, .. } = time::timed_path(argument).ok()?;
                Some(if is_there_too(&whole) { whole } else { path })
            }
            UtimeAndPath(_) => {
                let fits = time::utime(argument).ok()?;
                Some(fits.meant(is_there_too).1.clone())
            }
            Nothing(_)
            | Ignored(_)
            | Needed(_)
            | Bytes(_)
            | Self::Secret(_)
            | Word(_)
            | Offset(_)
            | Number(_)
            | Allocation(_)
            | Self::Type(_)
            | Letter(_)
            | HostPort(_)
            | Address(_)
            | Self::Extended(_)
            | Self::Mode(_)
            | Self::Facts(_)
            | Switch(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
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
}
