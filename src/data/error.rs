//! The errors of data connections and transfers.

use std::fmt;
use std::io;

use super::watch::Interrupt;
use crate::vfs::FsError;

/// Why a data connection could not be made, or a transfer failed. The reply to the client is
/// chosen elsewhere.
#[derive(Debug)]
pub enum DataError {
    /// Every passive port is taken.
    NoPort,
    /// The name in `masquerade_address` has never been resolved.
    NoAddress,
    /// A passive port could not be opened.
    CannotListen(io::Error),
    /// The client did not connect to this passive port.
    NeverCame(u16),
    /// This passive port, or the connection accepted on it, was closed because no transfer
    /// used it in time.
    NeverUsed(u16),
    /// The client's port could not be reached.
    CannotConnect(io::Error),
    /// The data connection broke.
    Lost(io::Error),
    /// The client closed without a `close_notify` of TLS, so the upload may be cut short.
    NotClosed,
    /// The TLS handshake failed, for this reason.
    Handshake(String),
    /// The client changed the PROT level after the TLS handshake of this connection.
    LevelChanged,
    /// The client's certificate differs from the one on the control connection, or is missing.
    OtherCertificate,
    /// The client did not resume the TLS session of its control connection.
    NotResumed,
    /// No byte was moved for `data_timeout`.
    Stalled,
    /// The local file could not be read.
    Read(FsError),
    /// The local file became shorter while it was sent.
    Shortened,
    /// The local file could not be written.
    Write(FsError),
    /// The transfer was interrupted.
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
            Self::CannotListen(why) => write!(f, "cannot open a passive port: {why}"),
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
                 tls_require_close_notify = off allows that",
            ),
            Self::LevelChanged => f.write_str("PROT C was sent after the TLS handshake"),
            Self::OtherCertificate => f.write_str(
                "the client certificate of the data connection is not that of the control \
                 connection",
            ),
            Self::Handshake(why) => {
                write!(f, "TLS handshake of the data connection failed: {why}")
            },
            Self::NotResumed => {
                f.write_str("the data connection did not resume the TLS session")
            }
            Self::Stalled => f.write_str("no progress within data_timeout"),
            Self::Read(why) => write!(f, "cannot read the file: {why}"),
            Self::Shortened => f.write_str("the file became shorter while it was sent"),
            Self::Write(why @ (FsError::Rejected(_) | FsError::Unjudged(_))) => why.fmt(f),
            Self::Write(why) => write!(f, "cannot write the file: {why}"),
            Self::Interrupted(Interrupt::Abort) => f.write_str("aborted by the client"),
            Self::Interrupted(Interrupt::ControlLost) => f.write_str("control connection lost"),
            Self::Interrupted(Interrupt::Stopped) => f.write_str("server is stopping"),
            Self::Interrupted(Interrupt::Ended(why)) => f.write_str(why),
        }
    }
}
