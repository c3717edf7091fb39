//! The server-DTP: data connections, and the bytes that go over them.
//!
//! Alone has the right to open data sockets, to move bulk bytes and to sleep for a rate. It
//! chooses no reply: it says what happened, and the server-PI answers.

pub mod ascii;
pub mod listing;
pub mod pattern;
pub mod text;

mod active;
mod connection;
mod error;
mod masquerade;
mod owners;
mod passive;
mod ports;
mod pump;
mod throttle;
mod tube;

use std::time::Instant;

use crate::tls::Awaited;

pub use active::{connect, may_leave_from};
pub use connection::{DataConnection, Lingering};
pub use error::DataError;
pub use masquerade::Masquerade;
pub use owners::Owners;
pub use passive::Passive;
pub use ports::Ports;
pub use pump::{Interrupt, LOOK, Progress, Pump, Source, Watch, heed};
use pump::{Ready, wait};
pub use throttle::Throttle;

/// Waits until something of the server's own becomes readable, and says whether it has before the
/// time comes; listens to the control connection meanwhile.
///
/// # Errors
///
/// When the client or the server says that there is nothing to wait for any more.
pub fn wait_for(
    watch: &mut dyn Watch,
    bell: Awaited<'_>,
    until: Option<Instant>,
) -> Result<bool, Interrupt> {
    let ready = wait(watch, &Progress::start(), Some(bell), until)?;
    Ok(ready == Ready::Yes)
}
