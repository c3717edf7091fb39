//! TLS: the certificate and its renewal, the settings of a session, the layer between a TCP stream
//! and its bytes, and the function that waits for connections. No other module of the server uses
//! `rustls`; `ftpd test`, which is a client, has its own side of TLS in `cli::test`.
//!
//! Each control connection gets settings of its own, with its own key for session tickets, and a data
//! connection issues tickets only if it has resumed a session itself. So a data connection that
//! resumes a session was opened by the client of that control connection. This holds for TLS 1.2 and
//! 1.3, however often a client uses one ticket.

mod build;
mod certificate;
mod channel;
mod current;
mod der;
mod error;
mod identity;
mod layer;
mod made;
mod name;
mod pem;
mod presented;
mod records;
mod selfsigned;
mod session;
mod stamp;
mod tickets;
mod trust;
mod wait;

pub use channel::Channel;
pub use current::{Tls, check};
pub use error::TlsError;
pub use identity::Identity;
pub use layer::{Got, Layer, Peer, Want};
pub use made::{load, present};
pub use presented::Presented;
pub use session::SessionTls;
pub use trust::{AUTHORITIES, Trust};
pub use wait::{Awaited, wait};
