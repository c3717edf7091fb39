//! The table of commands: what a client may send, and what each command needs.
//!
//! HELP, FEAT, the checks of login and permission, the manual and many tests must agree on
//! which commands exist. They do, because all of them read `VERBS`; no other file lists the
//! names.

use std::net::SocketAddr;

use super::arg::address::{self, Extended};
use super::arg::choice::{self, TransferType};
use super::arg::modification::{self, Modification};
use super::arg::options::Options;
use super::arg::range::{self, Bounds, RangedPath};
use super::arg::text::{self, Pathname};
use super::arg::time::{self, Moment, TimedPath, TimedPaths};
use super::kinds::Traffic;
use super::syntax::SyntaxError;
use crate::config::Perm;
use crate::data::listing::Facts;
use crate::vfs::Algorithm;

/// A command with its parsed argument.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after its command")]
pub enum Command {
    Abort,
    Account,
    Allocate(u64),
    Available,
    AvailablePath(Pathname),
    Append(Pathname),
    Auth(String),
    BufferSize(u64),
    ChangeDir(Pathname),
    ChangeDirUp,
    ChangeGroup(String, Pathname),
    Checksum(Algorithm, RangedPath),
    Chmod(u32, Pathname),
    ClearControl,
    ClientName,
    ClientServerId,
    CopyFrom(Pathname),
    CopyTo(Pathname),
    Delete(Pathname),
    EprtPort(SocketAddr),
    ExtendedPassive(Extended),
    Feat,
    Hash(Pathname),
    Help,
    HelpOn(String),
    Host,
    Idle,
    IdleSet(u64),
    Language,
    LanguageSet(String),
    List,
    ListPath(Pathname),
    MachineList,
    MachineListPath(Pathname),
    MachineShow,
    MachineShowPath(Pathname),
    MakeDir(Pathname),
    MakeDirs(Pathname),
    MakeLink(Pathname, Pathname),
    Mode(u8),
    ModifiedTime(Pathname),
    ModifyFacts(Modification, Pathname),
    ModifyTime(Moment, Pathname),
    ModifyTimeOld(TimedPath),
    NameList,
    NameListPath(Pathname),
    Noop,
    OptsHash(Option<Algorithm>),
    OptsMlst(Facts),
    OptsUtf8(bool),
    Password(text::Secret),
    Passive,
    Port(SocketAddr),
    PreTransfer,
    PrintDir,
    Protect(u8),
    Quit,
    Range(Option<Bounds>),
    Reinitialize,
    RemoveDir(Pathname),
    RenameFrom(Pathname),
    RenameTo(Pathname),
    Restart(u64),
    Retrieve(Pathname),
    SiteHelp,
    SiteMd5(Pathname),
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

/// The kind of argument of a command, with the function that builds the command from it. A row
/// therefore cannot promise a pathname and build something else.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it takes")]
pub enum Arg {
    Nothing(fn() -> Command),
    /// Any text or none; it is ignored.
    Ignored(fn() -> Command),
    /// Any text that is not empty; it is ignored.
    Needed(fn() -> Command),
    Bytes(fn(Vec<u8>) -> Command),
    /// Any bytes or none, which are never shown.
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
    /// A path, with options before it as for `ls`.
    OptionsAndPath(fn(Pathname) -> Command),
    /// A path, with a range of bytes behind it.
    RangedPath(fn(RangedPath) -> Command),
    Range(fn(Option<Bounds>) -> Command),
    /// The name of an algorithm, which may be empty.
    Algorithm(fn(Option<Algorithm>) -> Command),
    ModeAndPath(fn(u32, Pathname) -> Command),
    TimeAndPath(fn(Moment, Pathname) -> Command),
    /// The facts of MFF with nothing but a time, and a path.
    TimeFactAndPath(fn(Modification, Pathname) -> Command),
    /// The facts of MFF with a mode or a group, and a path.
    ModeFactsAndPath(fn(Modification, Pathname) -> Command),
    GroupAndPath(fn(String, Pathname) -> Command),
    /// Two paths; the command changes the second one.
    TwoPaths(fn(Pathname, Pathname) -> Command),
    TimedPath(fn(TimedPath) -> Command),
    UtimeAndPath(fn(TimedPaths) -> Command),
    /// A list of facts, which may be empty.
    Facts(fn(Facts) -> Command),
    Switch(fn(bool) -> Command),
}

/// The line of a command in FEAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// This line, always.
    Line(&'static str),
    /// This line, if the server has a certificate.
    Tls(&'static str),
    /// The line of MLST, which lists all facts and marks those that are chosen.
    Facts,
    /// The line of HASH, which lists all algorithms and marks the one that is chosen.
    Hashes,
}

/// What one command sets for another one, which consumes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// The offset of REST or the range of RANG. All commands that move data consume it.
    Portion,
    /// The path that RNFR has named.
    Rename,
    /// The file that SITE CPFR has named.
    Copy,
}

/// Everything the server knows about a command, except how to carry it out.
#[derive(Debug)]
pub struct Verb {
    /// The names of the command; the first is the usual one.
    pub names: &'static [&'static str],
    /// The kind of argument.
    pub arg: Arg,
    /// The argument, as HELP and the manual show it.
    pub usage: &'static str,
    /// Whether the command is allowed before a login.
    pub before_login: bool,
    /// The permission that the command needs.
    pub perm: Option<Perm>,
    /// The kind of data that the command moves over a data connection; `None`: it moves none.
    pub transfers: Option<Traffic>,
    /// What the command consumes of what earlier commands have set.
    pub consumes: Option<Consumed>,
    /// The command's line in FEAT.
    pub feature: Option<Feature>,
    /// One line about the command for HELP and the manual.
    pub help: &'static str,
}

/// Makes a row of the table. The command requires a login, needs no permission and moves no
/// data, unless one of the methods below is called on the row.
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
        consumes: None,
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
        Self { transfers: Some(what), ..self }.consumes(Consumed::Portion)
    }

    const fn consumes(self, what: Consumed) -> Self {
        Self { consumes: Some(what), ..self }
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

    const fn hashes_feature(self) -> Self {
        Self { feature: Some(Feature::Hashes), ..self }
    }

    /// Returns the usual name.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

use Arg::{
    Address, Allocation, Bytes, HostPort, Ignored, Letter, ModeAndPath, Needed, Nothing,
    Number, Offset, OptionsAndPath, Path, Switch, TimeAndPath, UtimeAndPath, Word,
};

/// All commands. A command whose needs depend on its argument has several rows with one name;
/// the first row that fits a line is used.
#[rustfmt::skip]
pub static VERBS: &[Verb] = &[
    verb(&["USER"], "name", Bytes(Command::User), "name the user to log in as").before_login(),
    verb(&["PASS"], "password", Arg::Secret(Command::Password), "send the password").before_login(),
    verb(&["ACCT"], "account", Needed(|| Command::Account), "accepted, but not needed").before_login(),
    verb(&["REIN"], "", Nothing(|| Command::Reinitialize), "log out and reset the session").before_login(),
    verb(&["QUIT"], "", Ignored(|| Command::Quit), "end the session once a running transfer is complete").before_login(),
    verb(&["AUTH"], "TLS", Word(Command::Auth), "begin TLS").before_login().tls_feature("AUTH TLS"),
    verb(&["PBSZ"], "0", Number(Command::BufferSize), "required before PROT").before_login().tls_feature("PBSZ"),
    verb(&["PROT"], "P|C", Letter(Command::Protect), "choose TLS or clear text for data connections").before_login().tls_feature("PROT"),
    verb(&["CCC"], "", Nothing(|| Command::ClearControl), "refused: TLS cannot be turned off"),
    verb(&["CWD", "XCWD"], "path", Path(Command::ChangeDir), "change the working directory").needs(Perm::Enter).feature("TVFS"),
    verb(&["CDUP", "XCUP"], "", Nothing(|| Command::ChangeDirUp), "change to the parent directory").needs(Perm::Enter),
    verb(&["PWD", "XPWD"], "", Nothing(|| Command::PrintDir), "show the working directory"),
    verb(&["TYPE"], "A|A N|I|L 8", Arg::Type(Command::Type), "choose ASCII or binary transfers"),
    verb(&["STRU"], "F", Letter(Command::Structure), "choose file structure"),
    verb(&["MODE"], "S", Letter(Command::Mode), "choose stream mode"),
    verb(&["PORT"], "h1,h2,h3,h4,p1,p2", HostPort(Command::Port), "let the server connect to this IPv4 address"),
    verb(&["PASV", "P@SW"], "", Nothing(|| Command::Passive), "open a port for the client to connect to, IPv4"),
    verb(&["EPRT"], "|1|address|port| or |2|address|port|", Address(Command::EprtPort), "let the server connect to this address").feature("EPRT"),
    verb(&["EPSV"], "", Nothing(|| Command::ExtendedPassive(Extended::Protocol(None))), "open a port for the client to connect to").feature("EPSV"),
    verb(&["EPSV"], "1|2|ALL", Arg::Extended(Command::ExtendedPassive), "open a port for one protocol; ALL: allow no other command for data connections"),
    verb(&["PRET"], "command", Ignored(|| Command::PreTransfer), "accepted, but not needed"),
    verb(&["RETR"], "path", Path(Command::Retrieve), "send a file to the client").needs(Perm::Retrieve).transfers(Traffic::Download),
    verb(&["STOR"], "path", Path(Command::Store), "store a file").needs(Perm::Store).transfers(Traffic::Upload),
    verb(&["APPE"], "path", Path(Command::Append), "append to a file, or store it").needs(Perm::Append).transfers(Traffic::Upload),
    verb(&["STOU"], "", Nothing(|| Command::StoreUnique), "store a file under a name that the server chooses").needs(Perm::Store).transfers(Traffic::Upload),
    verb(&["STOU"], "path", Path(Command::StoreUniquePath), "store a file under this name, or a similar one if it is taken").needs(Perm::Store).transfers(Traffic::Upload),
    verb(&["REST"], "offset", Offset(Command::Restart), "start the next transfer at this offset").feature("REST STREAM"),
    verb(&["RANG"], "first last", Arg::Range(Command::Range), "send or hash only these bytes of the next file, in binary type; 1 0: all").feature("RANG STREAM"),
    verb(&["ALLO"], "bytes [R bytes]", Allocation(Command::Allocate), "ask whether there is enough free space"),
    verb(&["AVBL"], "", Nothing(|| Command::Available), "show how many bytes may still be stored").needs(Perm::List).feature("AVBL"),
    verb(&["AVBL"], "path", Path(Command::AvailablePath), "show how many bytes may still be stored in a directory").needs(Perm::List),
    verb(&["ABOR"], "", Nothing(|| Command::Abort), "abort the running transfer"),
    verb(&["LIST"], "", Nothing(|| Command::List), "list the working directory in the form of ls -l").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["LIST"], "[-options] [path]", OptionsAndPath(Command::ListPath), "list a directory, a file, or all names that match the last part with * and ?; options as for ls: R, d, t, S, r").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["NLST"], "", Nothing(|| Command::NameList), "list the names in the working directory").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["NLST"], "[-options] [path]", OptionsAndPath(Command::NameListPath), "list names, with the options of LIST").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["MLSD"], "", Nothing(|| Command::MachineList), "list the working directory in machine-readable form").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["MLSD"], "path", Path(Command::MachineListPath), "list a directory in machine-readable form").needs(Perm::List).transfers(Traffic::Listing),
    verb(&["MLST"], "", Nothing(|| Command::MachineShow), "describe the working directory in machine-readable form").needs(Perm::List).facts_feature(),
    verb(&["MLST"], "path", Path(Command::MachineShowPath), "describe a file or directory in machine-readable form").needs(Perm::List),
    verb(&["STAT"], "", Nothing(|| Command::Stat), "describe this session or the running transfer"),
    verb(&["STAT"], "[-options] path", OptionsAndPath(Command::StatPath), "list a path, over the control connection").needs(Perm::List),
    verb(&["SIZE"], "path", Path(Command::Size), "show the number of bytes that a download would send").needs(Perm::List).feature("SIZE"),
    verb(&["HASH"], "path", Path(Command::Hash), "show the checksum of a file, or of the part that RANG or REST names").needs(Perm::Retrieve).consumes(Consumed::Portion).hashes_feature(),
    verb(&["XCRC"], "path [start end]", Arg::RangedPath(|it| Command::Checksum(Algorithm::Crc32, it)), "show the CRC-32 of a file, or of its bytes from start up to end").needs(Perm::Retrieve).feature("XCRC"),
    verb(&["XMD5"], "path [start end]", Arg::RangedPath(|it| Command::Checksum(Algorithm::Md5, it)), "show the MD5 of a file, or of a part of it").needs(Perm::Retrieve).feature("XMD5"),
    verb(&["XSHA1", "XSHA"], "path [start end]", Arg::RangedPath(|it| Command::Checksum(Algorithm::Sha1, it)), "show the SHA-1 of a file, or of a part of it").needs(Perm::Retrieve).feature("XSHA1"),
    verb(&["XSHA256"], "path [start end]", Arg::RangedPath(|it| Command::Checksum(Algorithm::Sha256, it)), "show the SHA-256 of a file, or of a part of it").needs(Perm::Retrieve).feature("XSHA256"),
    verb(&["XSHA512"], "path [start end]", Arg::RangedPath(|it| Command::Checksum(Algorithm::Sha512, it)), "show the SHA-512 of a file, or of a part of it").needs(Perm::Retrieve).feature("XSHA512"),
    verb(&["MDTM"], "time path", Arg::TimedPath(Command::ModifyTimeOld), "set the modification time; if the whole argument is the name of a file, show its time instead").needs(Perm::SetTime),
    verb(&["MDTM"], "path", Path(Command::ModifiedTime), "show when a file was modified").needs(Perm::List).feature("MDTM"),
    verb(&["MFMT"], "time path", TimeAndPath(Command::ModifyTime), "set the modification time").needs(Perm::SetTime).feature("MFMT"),
    verb(&["MFF"], "modify=time; path", Arg::TimeFactAndPath(Command::ModifyFacts), "set the modification time").needs(Perm::SetTime).feature("MFF modify;UNIX.group;UNIX.mode;"),
    verb(&["MFF"], "fact=value;... path", Arg::ModeFactsAndPath(Command::ModifyFacts), "set all of these facts or none: UNIX.mode, UNIX.group, and modify, which needs T as well").needs(Perm::Chmod),
    verb(&["DELE"], "path", Path(Command::Delete), "delete a file").needs(Perm::Delete),
    verb(&["RMD", "XRMD"], "path", Path(Command::RemoveDir), "remove an empty directory").needs(Perm::Delete),
    verb(&["MKD", "XMKD"], "path", Path(Command::MakeDir), "make a directory").needs(Perm::MakeDir),
    verb(&["RNFR"], "path", Path(Command::RenameFrom), "choose the file or directory to rename").needs(Perm::Rename).consumes(Consumed::Rename),
    verb(&["RNTO"], "path", Path(Command::RenameTo), "rename what RNFR chose to this path, replacing an existing file").needs(Perm::Rename).consumes(Consumed::Rename),
    verb(&["SITE CHMOD"], "mode path", ModeAndPath(Command::Chmod), "change permission bits").needs(Perm::Chmod),
    verb(&["SITE CHGRP"], "group path", Arg::GroupAndPath(Command::ChangeGroup), "change the group, to one of the server's own").needs(Perm::Chmod),
    verb(&["SITE MKDIR"], "path", Path(Command::MakeDirs), "make a directory, and those that are missing above it").needs(Perm::MakeDir).feature("SITE MKDIR"),
    verb(&["SITE RMDIR"], "path", Path(Command::RemoveDir), "remove an empty directory, as RMD does").needs(Perm::Delete).feature("SITE RMDIR"),
    verb(&["SITE CPFR"], "path", Path(Command::CopyFrom), "choose the file to copy").needs(Perm::Retrieve).consumes(Consumed::Copy),
    verb(&["SITE CPTO"], "path", Path(Command::CopyTo), "copy what SITE CPFR chose to this path, replacing an existing file").needs(Perm::Store).consumes(Consumed::Copy),
    verb(&["SITE SYMLINK"], "target link", Arg::TwoPaths(Command::MakeLink), "make a symbolic link to what lies below its directory, if allow_symlinks is on; quotes around names with spaces").needs(Perm::Store),
    verb(&["SITE MD5"], "path", Path(Command::SiteMd5), "show the MD5 of a file in another form").needs(Perm::Retrieve),
    verb(&["SITE UTIME"], "time path", UtimeAndPath(Command::SiteUtime), "set the modification time").needs(Perm::SetTime),
    verb(&["SITE UMASK"], "", Nothing(|| Command::Umask), "show the mask for new files"),
    verb(&["SITE UMASK"], "mask", Arg::Mode(Command::UmaskSet), "set the mask for new files").needs(Perm::Chmod),
    verb(&["SITE IDLE"], "", Nothing(|| Command::Idle), "show the idle timeout"),
    verb(&["SITE IDLE"], "seconds", Number(Command::IdleSet), "set the idle timeout, up to the configured one"),
    verb(&["SITE HELP"], "", Nothing(|| Command::SiteHelp), "list the SITE commands").before_login(),
    verb(&["SYST"], "", Nothing(|| Command::System), "show the type of the system").before_login(),
    verb(&["FEAT"], "", Nothing(|| Command::Feat), "list the extensions").before_login(),
    verb(&["HELP"], "", Nothing(|| Command::Help), "list the commands").before_login(),
    verb(&["HELP"], "command", Word(Command::HelpOn), "explain a command").before_login(),
    verb(&["NOOP"], "", Ignored(|| Command::Noop), "do nothing").before_login(),
    verb(&["OPTS HASH"], "[algorithm]", Arg::Algorithm(Command::OptsHash), "show or choose the algorithm of HASH").before_login(),
    verb(&["OPTS MLST"], "[fact;...]", Arg::Facts(Command::OptsMlst), "choose the facts of MLSD and MLST").before_login(),
    verb(&["OPTS UTF8", "OPTS UTF-8"], "[ON|OFF]", Switch(Command::OptsUtf8), "send and take names in UTF-8, whatever charset says, or no longer").before_login().feature("UTF8"),
    verb(&["LANG"], "", Nothing(|| Command::Language), "choose the default language, English").before_login().feature("LANG EN*"),
    verb(&["LANG"], "tag", Word(Command::LanguageSet), "choose the language of the replies: EN is the only one").before_login(),
    verb(&["CLNT"], "name", Ignored(|| Command::ClientName), "accepted and ignored").before_login(),
    verb(&["HOST"], "name", Needed(|| Command::Host), "accepted: this server answers to every name").before_login().feature("HOST"),
    verb(&["CSID"], "name=value;...", Ignored(|| Command::ClientServerId), "accepted; replies with the name of the server").before_login(),
    verb(&["SMNT"], "path", Ignored(|| Command::StructureMount), "not implemented"),
];

impl Arg {
    /// Builds the command from the text after its name. Whether there must be an argument is
    /// checked first.
    pub(super) fn build(&self, argument: &[u8]) -> Result<Command, SyntaxError> {
        match self {
            Ignored(make) => Ok(make()),
            Self::Secret(make) => Ok(make(text::Secret::of(argument))),
            Nothing(make) if argument.trim_ascii().is_empty() => Ok(make()),
            Nothing(_) => Err(SyntaxError::UnwantedArgument),
            Self::Facts(make) => choice::facts(argument).map(make),
            Self::Algorithm(make) => choice::algorithm(argument).map(make),
            Switch(make) => choice::switch(argument).map(make),
            _ if argument.is_empty() => Err(SyntaxError::MissingArgument),
            Needed(make) => Ok(make()),
            Bytes(make) => Ok(make(argument.to_vec())),
            Word(make) => text::words(argument).map(str::to_owned).map(make),
            Path(make) | OptionsAndPath(make) => text::pathname(argument).map(make),
            Self::RangedPath(make) => range::ranged_path(argument).map(make),
            Self::Range(make) => range::range(argument).map(make),
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
            Self::TimeFactAndPath(make) => modification::time_alone_and_path(argument)
                .map(|(facts, path)| make(facts, path)),
            Self::ModeFactsAndPath(make) => modification::mode_facts_and_path(argument)
                .map(|(facts, path)| make(facts, path)),
            Self::TwoPaths(make) => {
                range::two_paths(argument).map(|(target, link)| make(target, link))
            }
            Self::GroupAndPath(make) => {
                modification::group_and_path(argument).map(|(group, path)| make(group, path))
            }
            Self::TimedPath(make) => time::timed_path(argument).map(make),
            UtimeAndPath(make) => time::utime(argument).map(make),
        }
    }

    /// Returns the path in an argument of this kind, for the log. If the argument can be read
    /// in two ways, `is_there` tells which file exists.
    pub(super) fn path(
        &self,
        argument: &[u8],
        is_there: &dyn Fn(&[u8]) -> bool,
    ) -> Option<Pathname> {
        let is_there_too = |path: &Pathname| is_there(path.as_bytes());
        match self {
            Path(_) => text::pathname(argument).ok(),
            OptionsAndPath(_) => text::pathname(Options::read(argument, is_there).1).ok(),
            Self::RangedPath(_) => {
                let ranged = range::ranged_path(argument).ok()?;
                ranged.meant(is_there_too).map(|(path, _)| path.clone())
            }
            ModeAndPath(_) => choice::mode_and_path(argument).ok().map(|(_, path)| path),
            TimeAndPath(_) => time::time_and_path(argument).ok().map(|(_, path)| path),
            Self::TimeFactAndPath(_) | Self::ModeFactsAndPath(_) => {
                modification::facts_and_path(argument).ok().map(|(_, path)| path)
            }
            Self::TwoPaths(_) => range::two_paths(argument).ok().map(|(_, link)| link),
            Self::GroupAndPath(_) => {
                modification::group_and_path(argument).ok().map(|(_, path)| path)
            }
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
            | Self::Range(_)
            | Self::Algorithm(_)
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
