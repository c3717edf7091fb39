//! TLS: the certificate and its renewal, the settings of a session, the layer between a TCP
//! stream and its bytes, and the one place that waits for such streams. Alone knows `rustls`.
//!
//! Each control connection gets settings of its own, with a key of its own for tickets, and its
//! data connections give out tickets only if they have resumed themselves. So a data connection
//! that resumes has been opened by the client of that control connection, in TLS 1.2 and 1.3
//! alike, however often a client uses one ticket.

mod build;
mod channel;
mod current;
mod error;
mod identity;
mod layer;
mod made;
mod pem;
mod session;
mod stamp;
mod tickets;
mod wait;

pub use channel::Channel;
pub use current::{Tls, check};
pub use error::TlsError;
pub use identity::Identity;
pub use layer::{Got, Layer, Peer, Want};
pub use made::load;
pub use session::SessionTls;
pub use wait::{Awaited, wait};
