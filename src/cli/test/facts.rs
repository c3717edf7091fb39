//! What the probes have found, as plain data: the judge sees nothing else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::reply::Reply;
use super::url::Security;
use crate::tls::Presented;

/// Why something did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The port is closed, or a firewall rejects connections to it.
    Refused,
    /// Nothing came within the time.
    Silent,
    /// There is no way to the address; the text is the system's.
    Unreachable(String),
    /// The server closed the connection.
    Closed,
    /// The connection was reset.
    Reset,
    /// TLS ended without its closing message (`close_notify`).
    Cut,
    /// The other side does not speak TLS, or not as it should.
    Tls(String),
    /// These bytes are not a reply.
    Foreign(Vec<u8>),
    /// The reply has no end.
    TooLong,
    /// It was not tried, because the address is not one that a client should connect to.
    Untried,
    /// The user has pressed Ctrl-C.
    Interrupted,
    /// Another error of the system.
    Other(String),
}

/// The reply to a command.
pub(super) type Answer = Result<Reply, Trouble>;

/// One thing that a probe has found.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// The addresses of the host, and how long the lookup took.
    Names(Result<Vec<IpAddr>, String>, Duration),
    /// Each address, and how long it took to connect to it.
    Connections(Vec<(SocketAddr, Result<Duration, Trouble>)>),
    /// The first reply, and when it came.
    Greeting(Answer, Duration),
    Tls(TlsStart),
    Login(Login),
    Features(Answer),
    /// The reply to PROT P.
    Protection(Answer),
    /// The reply to CWD.
    Directory(Answer),
    Passive(Passive),
    /// The passive ports once more, on a control connection with TLS.
    Hidden(Hidden),
    /// A listing in active mode, and the passive way that works.
    Active(Transfer, Option<Way>),
    Listing(Transfer),
    /// A listing over a data connection that does not resume the session of TLS.
    Unresumed(Transfer),
    Upload(Transfer),
    Resumed(Resumption),
    Download(Download),
    Removal(Removal),
    /// How long replies to NOOP took.
    Latency(Vec<Duration>),
    /// There is no way to open a data connection, so nothing that needs one was tried.
    NoWay,
}

/// How TLS began on the control connection.
#[derive(Clone, Debug)]
pub(super) struct TlsStart {
    /// The reply to AUTH TLS; `None`: TLS begins at once.
    pub(super) auth: Option<Answer>,
    /// `None`: AUTH was refused.
    pub(super) handshake: Option<Result<Handshake, Trouble>>,
    /// Whether the handshake succeeded with small packets only, after it had got no answer.
    pub(super) is_small: bool,
    /// What the server says otherwise, if it has refused AUTH.
    pub(super) refusal: Option<Refusal>,
}

/// A command that no server knows.
pub(super) const UNKNOWN: &str = "XFTP";

/// Shows whether the server itself has refused AUTH.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The reply to FEAT.
    pub(super) features: Answer,
    /// The reply to a command that no server knows.
    pub(super) unknown: Answer,
}

/// What a handshake has shown.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// Version and cipher suite.
    pub(super) version: String,
    pub(super) certificate: Option<Presented>,
    /// Number of certificates that were presented.
    pub(super) length: usize,
    pub(super) chain: Chain,
    pub(super) has_name: bool,
    /// Whole days until the certificate expires; negative: it has expired.
    pub(super) days_left: i64,
}

/// Whether the chain leads to an authority that this machine trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Chain {
    Trusted,
    /// No authority that is known here has signed it.
    Unknown,
    Expired,
    NotYet,
    /// This machine has no list of authorities.
    NoAuthorities,
    Broken(String),
}

#[derive(Clone, Debug)]
pub(super) struct Login {
    /// The command that got the last reply.
    pub(super) command: &'static str,
    pub(super) answer: Answer,
}

/// How the client learns the address of a passive port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Epsv,
    Pasv,
}

impl Method {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
        }
    }
}

/// Several attempts with one method.
#[derive(Clone, Debug)]
pub(super) struct Passive {
    pub(super) method: Method,
    pub(super) tries: Vec<Try>,
}

/// What comes of passive ports if nobody in between can read the replies.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    pub(super) tls: TlsStart,
    /// Whether the login succeeded.
    pub(super) is_in: bool,
    /// Whether PASV named an address other than that of the control connection without TLS.
    pub(super) named_other: bool,
    pub(super) epsv: Vec<Try>,
    pub(super) pasv: Vec<Try>,
}

/// One attempt.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) answer: Answer,
    /// The address that the reply names; for EPSV with the address of the control connection.
    /// `None`: the reply cannot be read.
    pub(super) named: Option<SocketAddr>,
    /// Whether the named address could be connected to.
    pub(super) at_named: Option<Result<Duration, Trouble>>,
    /// The same for the address of the control connection, if another one is named.
    pub(super) at_peer: Option<Result<Duration, Trouble>>,
}

/// How the data connection of a transfer is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Epsv,
    /// To the address that the reply names.
    Pasv,
    /// To the address of the control connection, with the port that the reply names.
    PasvAtPeer,
    Active,
}

/// One transfer.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// The command of the transfer.
    pub(super) command: &'static str,
    pub(super) way: Way,
    /// The last reply before the transfer: to EPSV, PASV, EPRT, PORT or REST. `None`: it was all
    /// right.
    pub(super) prepared: Option<Answer>,
    /// Why there is no data connection.
    pub(super) opened: Option<Trouble>,
    /// The first reply to the command.
    pub(super) mark: Option<Answer>,
    /// Whether the data connection has resumed the session; `None`: without TLS.
    pub(super) resumed: Option<bool>,
    /// Why the data did not come to its end.
    pub(super) broken: Option<Trouble>,
    /// Whether the server ended TLS properly; `None`: without TLS, or not known.
    pub(super) clean_end: Option<bool>,
    pub(super) bytes: u64,
    pub(super) time: Duration,
    /// The last reply.
    pub(super) last: Option<Answer>,
    /// Whether it succeeded with small packets, after it had stalled; `None`: not tried.
    pub(super) small: Option<bool>,
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::PasvAtPeer => "PASV, at the address of the control connection",
            Self::Active => "active mode",
        }
    }
}

impl Transfer {
    pub(super) const fn new(command: &'static str, way: Way) -> Self {
        Self {
            command,
            way,
            prepared: None,
            opened: None,
            mark: None,
            resumed: None,
            broken: None,
            clean_end: None,
            bytes: 0,
            time: Duration::ZERO,
            last: None,
            small: None,
        }
    }

    /// Returns whether all bytes were transferred and the server confirmed it.
    pub(super) fn is_done(&self) -> bool {
        self.broken.is_none() && matches!(&self.last, Some(Ok(reply)) if reply.is_done())
    }

    /// Returns whether a data connection was opened, and then nothing more came.
    pub(super) fn is_stalled(&self) -> bool {
        let is_late = matches!(self.last, Some(Err(Trouble::Silent)));
        let is_begun = self.prepared.is_none() && self.opened.is_none();
        is_begun && (self.broken == Some(Trouble::Silent) || self.broken.is_none() && is_late)
    }

    /// Returns whether the control connection is out of step, or lost.
    pub(super) fn is_lost(&self) -> bool {
        let answers = [&self.prepared, &self.mark, &self.last];
        answers.into_iter().flatten().any(Result::is_err)
    }
}

/// An upload that continued another one.
#[derive(Clone, Debug)]
pub(super) struct Resumption {
    /// With REST and STOR.
    pub(super) rest: Transfer,
    /// With APPE, where REST and STOR failed.
    pub(super) append: Option<Transfer>,
    /// The size of the file after it, and the size that it should have.
    pub(super) size: Option<u64>,
    pub(super) wanted: u64,
}

/// A download, compared with what was uploaded.
#[derive(Clone, Debug)]
pub(super) struct Download {
    pub(super) transfer: Transfer,
    pub(super) is_same: bool,
}

/// What became of the probe file in one place where it could be.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    /// Its name on the server.
    pub(super) name: Vec<u8>,
    /// The reply to DELE, on a second connection if the first one is lost.
    pub(super) answer: Answer,
    /// The server has said that the file is stored there.
    pub(super) is_stored: bool,
    /// After a refusal, whether the server says that there is such a file; `None`: it does not say.
    pub(super) is_there: Option<bool>,
}

impl Removal {
    /// Returns whether nothing was stored there, and nothing is there.
    pub(super) fn is_gone(&self) -> bool {
        !self.is_stored && self.is_there == Some(false)
    }
}

/// The programs whose settings the advice knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Ftpd,
    Vsftpd,
    PureFtpd,
    ProFtpd,
    Pyftpdlib,
    Unknown,
}

/// What is known of EPSV when PASV is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epsv {
    /// It was not tried, or the server does not offer it.
    Absent,
    /// A port was named and could be connected to.
    Works,
    /// Ports were named, and some of them could not be connected to.
    Partly,
    /// Ports were named, and none of them could be connected to.
    Blocked,
}

/// What the judge must know beside a fact.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) is_anonymous: bool,
    pub(super) program: Program,
    /// The two ends of the control connection, once there is one.
    pub(super) peer: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    /// Whether data connections use TLS.
    pub(super) is_protected: bool,
    /// The lines of FEAT, in capitals.
    pub(super) features: Vec<String>,
    /// Whether a data connection of an earlier transfer has resumed its session.
    pub(super) resumes: bool,
    pub(super) epsv: Epsv,
    /// Why the ports that EPSV named could not be connected to.
    pub(super) epsv_troubles: Vec<Trouble>,
    /// Why a port that is no passive port cannot be connected to. `None`: it was not tried.
    pub(super) beside: Option<Trouble>,
}

impl World {
    /// Returns from where the server can be reached; `None` before there is a connection.
    pub(super) fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }
}
