//! Refusals: all reasons for which a command is not carried out, among them the errors of the
//! lower rooms, and the reply to each.
//!
//! The client gets a short generic text; the log gets the cause.

use std::fmt;
use std::time::Duration;

use super::kinds::Reason;
use super::reply::{Code, Reply};
use super::syntax::SyntaxError;
use crate::auth::AuthError;
use crate::config::Perm;
use crate::data::{DataError, Interrupt};
use crate::vfs::{FsError, VirtualPath};

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Refusal {
    /// The line is not a command.
    Syntax(SyntaxError),
    /// The line was too long to be read.
    LineTooLong,
    /// The command needs a login.
    NotLoggedIn,
    /// The user lacks this permission.
    NotPermitted(Perm),
    /// The login failed; `true`: the session ends, because it was the last attempt.
    Login(AuthError, bool),
    /// The session ends before the login is complete, for this reason.
    Ended(&'static str),
    /// The user's home cannot be opened.
    NoHome(FsError),
    /// The thread of the session cannot act as the system user of `run_as`.
    NotThatUser(std::io::Error),
    /// The server has no certificate.
    NoTls,
    /// The command needs TLS.
    TlsNeeded,
    /// Data connections must be protected (RFC 4217 §10).
    ProtectionNeeded,
    /// A listing on the control connection was asked for. It needs TLS where data connections
    /// do.
    ListingInClear,
    /// A checksum was asked for, which reveals what a file contains. It needs TLS where data
    /// connections do.
    HashInClear,
    /// The level of PROT does not exist for TLS.
    ProtectionUnknown,
    /// Protection cannot be turned off.
    ProtectionStays,
    /// Bytes in clear text followed AUTH. An attacker may have added them, to be taken for
    /// protected ones.
    Injected,
    /// The command does not fit the state of the session. The text for the client says why.
    Sequence(&'static str),
    /// A command other than EPSV was sent after EPSV ALL (RFC 2428 §3).
    EpsvAll,
    /// Neither PASV nor PORT was sent before.
    NoDataSetup,
    /// PORT named another host, or a port below 1024 (RFC 2577 §3).
    Bounce,
    /// PORT or EPRT names a loopback address of the balancer's machine, which is not this one.
    OtherLoopback,
    /// IPv4 was asked for on an IPv6 connection, or the other way round. The number is the
    /// protocol to use.
    Protocol(u8),
    /// PASV cannot name an IPv6 address.
    PassiveOnIpv6,
    /// EPSV would send the client to the balancer, through which data connections do not come.
    PassiveAtBalancer,
    /// A client of a balancer can use neither PASV nor EPSV, but this command.
    OnlyActive(&'static str),
    /// The parameter is defined but not supported. The text for the client says what is.
    NotForThat(&'static str),
    /// The command is defined but not supported.
    NotImplemented,
    /// The restart offset is beyond the end of the file.
    BadRestart,
    /// The range of a checksum is empty, or ends beyond the end of the file.
    BadRange,
    /// MLSD named something other than a directory (RFC 3659 §7.2.1).
    NotADirectory,
    /// SIZE named something other than a file.
    NotAFile,
    /// SIZE or a restart in ASCII type would require reading too much of the file.
    TooLargeToCount,
    /// The group does not exist.
    NoGroup,
    /// SITE IDLE named no time, or one beyond this maximum.
    IdleRange(Duration),
    /// There is not enough free space for ALLO.
    NoRoom,
    /// Too many events of the user are waiting for hook programs.
    ProgramsBusy,
    /// Too many events of the user who logs in are waiting for hook programs.
    LoginBusy,
    /// An action on the user's files failed.
    Fs(FsError),
    /// The system denied a rename. The path is the one before the rename.
    RenameDenied(FsError, VirtualPath),
    /// A data connection could not be made, or a listing failed.
    Data(DataError),
    /// A transfer failed after it had begun. It has been logged already.
    Transfer(DataError),
}

impl From<SyntaxError> for Refusal {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl From<FsError> for Refusal {
    fn from(error: FsError) -> Self {
        Self::Fs(error)
    }
}

impl From<DataError> for Refusal {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl Refusal {
    /// Returns the reason that a judge has given for a refused upload.
    pub(super) fn verdict(&self) -> Option<&str> {
        let (Self::Fs(why) | Self::Transfer(DataError::Write(why))) = self else { return None };
        if let FsError::Rejected(why) = why { Some(why) } else { None }
    }

    /// Makes the reply to an upload that was refused for this reason, which is in the charset of the client.
    pub(super) fn judged(reason: &[u8]) -> Reply {
        let begin: &[u8] = if reason.is_empty() { b"Refused" } else { b"Refused: " };
        Reply::new(Code::NoAccess, [begin, reason].concat())
    }

    /// The reason under which the refusal is counted. Failed logins and transfers that had
    /// begun have counters of their own.
    pub(super) fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::Login(..) | Self::Ended(_) | Self::Transfer(_) => return None,
            Self::Syntax(_) | Self::LineTooLong | Self::NotForThat(_) => Reason::Syntax,
            Self::NotLoggedIn | Self::NoHome(_) | Self::NotThatUser(_) | Self::LoginBusy => {
                Reason::Login
            }
            Self::NotPermitted(_)
            | Self::RenameDenied(..)
            | Self::Fs(FsError::Denied(_) | FsError::Lacks(_) | FsError::Outside) => {
                Reason::Permission
            }
            Self::Fs(FsError::NotFound) => Reason::Missing,
            Self::NoRoom
            | Self::Fs(FsError::NoSpace(_) | FsError::OverQuota(_) | FsError::QuotaUsed(..)) => {
                Reason::Space
            }
            Self::Data(DataError::NoPort) => Reason::Port,
            Self::Data(_) | Self::NoDataSetup | Self::Bounce | Self::OtherLoopback => {
                Reason::Data
            }
            Self::NoTls
            | Self::TlsNeeded
            | Self::ProtectionNeeded
            | Self::ListingInClear
            | Self::HashInClear
            | Self::ProtectionUnknown
            | Self::ProtectionStays
            | Self::Injected => Reason::Tls,
            Self::Sequence(_)
            | Self::EpsvAll
            | Self::Protocol(_)
            | Self::PassiveOnIpv6
            | Self::PassiveAtBalancer
            | Self::OnlyActive(_)
            | Self::NotImplemented
            | Self::BadRestart
            | Self::BadRange
            | Self::NotADirectory
            | Self::NotAFile
            | Self::TooLargeToCount
            | Self::NoGroup
            | Self::IdleRange(_)
            | Self::ProgramsBusy
            | Self::Fs(_) => Reason::Other,
        })
    }
}

impl From<&Refusal> for Reply {
    #[expect(clippy::too_many_lines, reason = "a flat table of replies")]
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Syntax(why) => syntax(*why),
            Refusal::LineTooLong => Self::new(Code::BadCommand, "Line too long"),
            Refusal::NotLoggedIn => Self::new(Code::NotLoggedIn, "Log in with USER and PASS"),
            Refusal::NotPermitted(_) => Self::new(Code::NoAccess, "Permission denied"),
            Refusal::Login(AuthError::TooManySessions, _) => {
                Self::new(Code::Unavailable, "Too many sessions of this user")
            }
            Refusal::Login(AuthError::Outage(_), _) => {
                Self::new(Code::Unavailable, "Login cannot be checked, try again later")
            }
            Refusal::Login(AuthError::Busy, _) => {
                Self::new(Code::Unavailable, "Too many logins, try again later")
            }
            // not 421: a client takes that for "try again later", not for a wrong password
            Refusal::Login(_, is_last) => {
                let reply = Self::new(Code::NotLoggedIn, "Login incorrect");
                if *is_last { reply.closing() } else { reply }
            }
            Refusal::Ended(why) => Self::new(Code::Unavailable, why),
            Refusal::NoHome(FsError::TooManyOpen(_)) => {
                Self::new(Code::Unavailable, "Too many open files, try again later")
            }
            Refusal::NoHome(FsError::Failed(_) | FsError::NoSpace(_)) => {
                Self::new(Code::Unavailable, "Home directory is not available, try again later")
            }
            Refusal::NoHome(_) | Refusal::NotThatUser(_) => {
                Self::new(Code::NotLoggedIn, "Home directory is not available")
            }
            Refusal::NoTls => Self::new(Code::NotImplemented, "TLS is not set up"),
            Refusal::TlsNeeded => Self::new(Code::NotLoggedIn, "Use AUTH TLS first"),
            Refusal::ProtectionNeeded => {
                Self::new(Code::DataInsecure, "Data connections require PROT P")
            }
            Refusal::ListingInClear => {
                Self::new(Code::DataInsecure, "Listings require AUTH TLS")
            }
            Refusal::HashInClear => Self::new(Code::DataInsecure, "Checksums require AUTH TLS"),
            Refusal::ProtectionUnknown => Self::new(Code::ProtectionUnknown, "Use PROT P"),
            Refusal::ProtectionStays => {
                Self::new(Code::PolicyForbids, "Protection cannot be turned off")
            }
            Refusal::Injected => {
                Self::new(Code::Unavailable, "Nothing may follow AUTH before its reply")
            }
            Refusal::Sequence(what) => Self::new(Code::BadSequence, what),
            Refusal::EpsvAll => Self::new(Code::BadSequence, "Only EPSV after EPSV ALL"),
            Refusal::NoDataSetup => {
                Self::new(Code::CannotOpenData, "Use PASV, EPSV, PORT or EPRT first")
            }
            Refusal::Bounce => Self::new(
                Code::BadArgument,
                "Only your own address and ports from 1024 on are allowed",
            ),
            Refusal::OtherLoopback => Self::new(
                Code::BadArgument,
                "This address would be the server's own, not yours",
            ),
            Refusal::Protocol(other) => {
                let text = format!("Network protocol not supported, use ({other})");
                Self::new(Code::ProtocolUnknown, text)
            }
            Refusal::PassiveOnIpv6 => {
                Self::new(Code::NotImplemented, "PASV is for IPv4, use EPSV")
            }
            Refusal::PassiveAtBalancer => {
                Self::new(Code::NotImplemented, "EPSV cannot name another host, use PASV")
            }
            Refusal::OnlyActive(command) => {
                let text = format!("No passive mode through this balancer, use {command}");
                Self::new(Code::NotImplemented, text)
            }
            Refusal::NotForThat(what) => Self::new(Code::NotForThat, what),
            Refusal::NotImplemented => Self::new(Code::NotImplemented, "Not implemented"),
            Refusal::BadRestart => {
                Self::new(Code::BadRestart, "Restart offset is beyond the end of the file")
            }
            Refusal::BadRange => Self::new(
                Code::BadArgument,
                "The end must lie after the start, and not beyond the end of the file",
            ),
            Refusal::NotADirectory => Self::new(Code::BadArgument, "Not a directory"),
            Refusal::NotAFile => Self::new(Code::NoAccess, "Not a plain file"),
            Refusal::TooLargeToCount => {
                Self::new(Code::NoAccess, "Too large to count in ASCII type, use TYPE I")
            }
            Refusal::NoGroup => Self::new(Code::NoAccess, "No such group"),
            Refusal::IdleRange(most) => {
                let text = format!("The idle timeout must be 1 to {} seconds", most.as_secs());
                Self::new(Code::BadArgument, text)
            }
            Refusal::NoRoom => Self::new(Code::OverAllocation, "Not enough free space"),
            Refusal::ProgramsBusy => {
                Self::new(Code::BusyFile, "Too many events are waiting, try again later")
            }
            Refusal::LoginBusy => {
                Self::new(Code::Unavailable, "Too many events are waiting, try again later")
            }
            Refusal::Fs(why) | Refusal::RenameDenied(why, _) => file_system(why),
            Refusal::Data(why) | Refusal::Transfer(why) => data(why),
        }
    }
}

fn syntax(why: SyntaxError) -> Reply {
    let code = match why {
        SyntaxError::UnknownCommand
        | SyntaxError::UnknownSite
        | SyntaxError::Http
        | SyntaxError::Proxy => Code::BadCommand,
        SyntaxError::UnknownProtocol => Code::ProtocolUnknown,
        SyntaxError::UnknownFact => Code::NotForThat,
        SyntaxError::UnknownOption
        | SyntaxError::MissingArgument
        | SyntaxError::UnwantedArgument
        | SyntaxError::BadArgument
        | SyntaxError::BadNumber
        | SyntaxError::BadTime
        | SyntaxError::BadMode
        | SyntaxError::BadPathname => Code::BadArgument,
    };
    // the key is for the administrator
    let text = if why == SyntaxError::Proxy { SyntaxError::UnknownCommand } else { why };
    let reply = Reply::new(code, text.to_string());
    if why == SyntaxError::Http { reply.closing() } else { reply }
}

#[expect(clippy::too_many_lines, reason = "a flat table of replies")]
fn file_system(why: &FsError) -> Reply {
    let (code, text) = match why {
        FsError::Rejected(why) => return Refusal::judged(why.as_bytes()),
        FsError::Unjudged(_) => (Code::LocalError, "Cannot be judged now, try again later"),
        FsError::Unjudgeable => {
            (Code::BadName, "Would be changed without being judged, store it as a new file")
        }
        FsError::BadOffset(fits) => {
            let text = format!("Restart offset does not fit, {fits} would fit");
            return Reply::new(Code::BadRestart, text);
        }
        FsError::NotFound => (Code::NoAccess, "No such file or directory"),
        FsError::Denied(_) | FsError::Lacks(_) | FsError::Outside | FsError::Confined => {
            (Code::NoAccess, "Permission denied")
        }
        FsError::Exists => (Code::NoAccess, "Already exists"),
        FsError::Taken => (Code::BadName, "Already exists, and is not replaced"),
        FsError::NotEmpty => (Code::NoAccess, "Directory not empty"),
        FsError::NotADirectory => (Code::NoAccess, "Not a directory"),
        FsError::IsADirectory => (Code::NoAccess, "Is a directory"),
        FsError::NotAFile => (Code::NoAccess, "Not a plain file"),
        FsError::IsRoot => (Code::NoAccess, "The root directory cannot be changed"),
        FsError::LosesSetGid => {
            (Code::NoAccess, "Not changed, it would remove the set-group-ID bit")
        }
        FsError::NoSpace(_) => (Code::NoSpace, "No space left"),
        FsError::OverQuota(_) | FsError::QuotaUsed(..) => (Code::OverAllocation, "Over quota"),
        FsError::Interrupted => (Code::LocalError, "Interrupted"),
        FsError::TooLarge(most) => {
            let text = format!("File too large, at most {most} bytes are allowed");
            return Reply::new(Code::OverAllocation, text);
        }
        FsError::HasSettings => {
            (Code::BadName, "Has settings of its own, cannot be renamed or removed")
        }
        FsError::Across => {
            (Code::BadName, "Cannot be renamed into another tree, copy it instead")
        }
        FsError::MoveRefused(_) => (Code::BadName, "Not allowed in the new folder"),
        FsError::BadName(_)
        | FsError::Reserved
        | FsError::Unfiled
        | FsError::NameRefused(..) => (Code::BadName, "Name not allowed"),
        FsError::NotTrashed(_) => (Code::NoAccess, "Cannot be moved to the trash, not deleted"),
        FsError::NotKept(_) => {
            (Code::BadName, "The old version cannot be kept in the trash, not replaced")
        }
        FsError::Crowded => (Code::BusyFile, "Too many files are being read, try again later"),
        FsError::Busy => (Code::BusyFile, "Another upload is changing it, try again later"),
        FsError::TakenOver => (Code::DataLost, "Another session continues this upload"),
        FsError::Replaced => (Code::LocalError, "The file was removed or replaced meanwhile"),
        FsError::Relocated => {
            (Code::LocalError, "The directory was renamed meanwhile, try again")
        }
        FsError::TooManyOpen(_) => (Code::BusyFile, "Too many open files, try again later"),
        FsError::Failed(_) => (Code::LocalError, "The system has failed, try again later"),
        FsError::Other(_) => (Code::NoAccess, "Not possible"),
    };
    Reply::new(code, text)
}

fn data(why: &DataError) -> Reply {
    let (code, text) = match why {
        DataError::NoPort => (Code::CannotOpenData, "No passive port is free, try again later"),
        DataError::NoAddress | DataError::CannotListen(_) => {
            (Code::CannotOpenData, "Cannot open a passive port")
        }
        DataError::NeverCame(_) => (Code::CannotOpenData, "No data connection was made"),
        DataError::NeverUsed(_) => (
            Code::CannotOpenData,
            "The passive port was not used in time and is closed, send PASV or EPSV again",
        ),
        DataError::CannotConnect(_) => (Code::CannotOpenData, "Cannot connect to your address"),
        DataError::Handshake(_) => (Code::ProtocolUnknown, "TLS handshake failed"),
        DataError::LevelChanged => {
            (Code::CannotOpenData, "PROT changed after the TLS handshake, connect again")
        }
        DataError::OtherCertificate => {
            (Code::ProtocolUnknown, "Use the client certificate of the control connection")
        }
        DataError::NotClosed => (Code::DataLost, "Data connection ended without close_notify"),
        DataError::NotResumed => {
            (Code::ProtocolUnknown, "Resume the TLS session of the control connection")
        }
        DataError::Lost(_) => (Code::DataLost, "Data connection lost"),
        DataError::Stalled => (Code::DataLost, "Data connection made no progress"),
        // the code does not depend on the cause: the transfer had begun, and what arrived may
        // be cut short
        DataError::Read(_) => (Code::LocalError, "Reading failed"),
        DataError::Shortened => (Code::LocalError, "The file became shorter"),
        DataError::Write(
            why @ (FsError::NoSpace(_)
            | FsError::OverQuota(_)
            | FsError::QuotaUsed(..)
            | FsError::TooLarge(_)
            | FsError::BadOffset(_)
            | FsError::Busy
            | FsError::Rejected(_)
            | FsError::Unjudged(_)
            | FsError::NotKept(_)
            | FsError::TakenOver
            | FsError::Replaced
            | FsError::Relocated
            | FsError::NameRefused(..)
            | FsError::Lacks(_)),
        ) => return file_system(why),
        DataError::Write(_) => (Code::LocalError, "Writing failed"),
        DataError::Interrupted(Interrupt::Abort) => (Code::DataLost, "Transfer aborted"),
        DataError::Interrupted(
            Interrupt::ControlLost | Interrupt::Stopped | Interrupt::Ended(_),
        ) => (Code::DataLost, "Transfer cut off"),
    };
    Reply::new(code, text)
}

/// The text for the log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(why) => why.fmt(f),
            Self::LineTooLong => f.write_str("line too long"),
            Self::NotLoggedIn => f.write_str("not logged in"),
            Self::NotPermitted(perm) => f.write_str(&perm.lacking()),
            Self::Login(why, _) => why.fmt(f),
            Self::Ended(why) => f.write_str(why),
            Self::NoHome(why) => write!(f, "cannot open the home: {why}"),
            Self::NotThatUser(why) => write!(f, "cannot act as the user of run_as: {why}"),
            Self::NoTls => f.write_str("tls_cert is empty"),
            Self::TlsNeeded
            | Self::ProtectionNeeded
            | Self::ListingInClear
            | Self::HashInClear => f.write_str("TLS is required (tls_required)"),
            Self::ProtectionUnknown => f.write_str("unknown protection level"),
            Self::ProtectionStays => f.write_str("protection cannot be turned off"),
            Self::Injected => f.write_str("bytes in clear text after AUTH, discarded"),
            Self::Sequence(what) | Self::NotForThat(what) => f.write_str(what),
            Self::EpsvAll => f.write_str("EPSV ALL was sent before"),
            Self::NoDataSetup => f.write_str("neither PASV nor PORT was sent before"),
            Self::Bounce => f.write_str("not the client's own address, or a port below 1024"),
            Self::OtherLoopback => f.write_str(
                "a loopback address of another machine; the client must connect to the balancer's address \
                 instead of loopback to use active mode",
            ),
            Self::Protocol(_) => f.write_str("wrong network protocol"),
            Self::PassiveOnIpv6 => f.write_str("PASV cannot be used over IPv6"),
            Self::PassiveAtBalancer => f.write_str(
                "EPSV cannot be used by clients of a balancer while proxy_data is off",
            ),
            Self::OnlyActive(_) => f.write_str(
                "with proxy_data = off, PASV is for IPv4 clients of a balancer and needs an IPv4 address \
                 (masquerade_address)",
            ),
            Self::NotImplemented => f.write_str("not implemented"),
            Self::BadRestart => f.write_str("restart offset is beyond the end of the file"),
            Self::BadRange => f.write_str("no such range in the file"),
            Self::NotADirectory => f.write_str("not a directory"),
            Self::NotAFile => f.write_str("not a plain file"),
            Self::TooLargeToCount => f.write_str("too large to count in ASCII type"),
            Self::NoGroup => f.write_str("no such group"),
            Self::IdleRange(_) => f.write_str("idle timeout is out of range"),
            Self::NoRoom => f.write_str("not enough free space"),
            Self::ProgramsBusy | Self::LoginBusy => {
                f.write_str("too many events of this user are waiting for hook programs")
            }
            Self::Fs(why) | Self::RenameDenied(why, _) => why.fmt(f),
            Self::Data(why) | Self::Transfer(why) => why.fmt(f),
        }
    }
}
