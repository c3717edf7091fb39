//! What can go wrong with a data connection or a transfer.

use std::fmt;
use std::io;

use super::watch::Interrupt;
use crate::vfs::FsError;

/// Says what happened, not what to answer.
#[derive(Debug)]
pub enum DataError {
    /// Every passive port is taken.
    NoPort,
    /// The masquerade address cannot be found out.
    NoAddress,
    /// A passive port could not be opened.
    CannotListen(io::Error),
    /// The client did not connect to its passive port.
    NeverCame(u16),
    /// The passive port, or the connection that came in on it, was closed because no transfer used
    /// it in time.
    NeverUsed(u16),
    /// The client's port could not be reached.
    CannotConnect(io::Error),
    /// The data connection broke.
    Lost(io::Error),
    /// TLS was not ended, and so the upload may have been cut.
    NotClosed,
    /// The handshake of TLS failed.
    Handshake(String),
    /// The client has changed the level of PROT since its handshake.
    LevelChanged,
    /// The client has shown another certificate than on the control connection, or none.
    OtherCertificate,
    /// The client did not resume the TLS session of its control connection.
    NotResumed,
    /// Nothing moved for too long.
    Stalled,
    /// Our file could not be read.
    Read(FsError),
    /// Our file became shorter while it was sent.
    Shortened,
    /// Our file could not be written.
    Write(FsError),
    /// Something else ended it.
    Interrupted(Interrupt),
}

impl From<Interrupt> for DataError {
    fn from(interrupt: Interrupt) -> Self {
        Self::Interrupted(interrupt)
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort => f.write_str("all passive ports are in use"),
            Self::NoAddress => f.write_str("masquerade_address cannot be resolved"),
            Self::CannotListen(why) => write!(f, "no passive port: {why}"),
            Self::NeverCame(port) => write!(
                f,
                "the client never connected to passive port {port}; \
                 is passive_ports open in the firewall?"
            ),
            Self::NeverUsed(port) => write!(
                f,
                "passive port {port} was closed: no transfer used it within data_timeout"
            ),
            Self::CannotConnect(why) => write!(f, "cannot connect to the client: {why}"),
            Self::Lost(why) => write!(f, "data connection lost: {why}"),
            Self::NotClosed => f.write_str(
                "data connection lost: closed without close_notify, so the file may be cut short; \
                 tls_require_close_notify = off lets that pass",
            ),
            Self::LevelChanged => f.write_str("PROT C came after the handshake of TLS"),
            Self::OtherCertificate => f.write_str(
                "the client certificate of the data connection is not that of the control \
                 connection",
            ),
            Self::Handshake(why) => write!(f, "TLS handshake of the data connection: {why}"),
            Self::NotResumed => {
                f.write_str("the data connection did not resume the TLS session")
            }
            Self::Stalled => f.write_str("no progress within data_timeout"),
            Self::Read(why) => write!(f, "reading the file: {why}"),
            Self::Shortened => f.write_str("the file became shorter while it was sent"),
            Self::Write(why) => write!(f, "writing the file: {why}"),
            Self::Interrupted(Interrupt::Abort) => f.write_str("aborted by the client"),
            Self::Interrupted(Interrupt::ControlLost) => f.write_str("control connection lost"),
            Self::Interrupted(Interrupt::Stopped) => f.write_str("server is stopping"),
            Self::Interrupted(Interrupt::Ended(why)) => f.write_str(why),
        }
    }
}
