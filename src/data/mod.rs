//! The server-DTP (RFC 959 §2.2): data connections, and the bytes that travel over them.
//!
//! Only this room opens data sockets, moves bulk bytes and sleeps to keep to a rate. It
//! chooses no reply: it reports errors to the server-PI (the `control` room), which answers
//! the client.

pub mod ascii;
pub mod listing;
pub mod text;

mod active;
mod connection;
#[cfg(test)]
mod crowd;
mod error;
mod masquerade;
mod owners;
mod pace;
mod passive;
mod porch;
mod ports;
mod producer;
mod pump;
mod receive;
mod send;
mod share;
mod speed;
mod throttle;
mod tube;
mod watch;

pub use active::{connect, may_leave_from};
pub use connection::{DataConnection, Lingering};
pub use error::DataError;
pub use masquerade::Masquerade;
pub use owners::Owners;
pub use pace::is_within;
pub use passive::Passive;
pub use porch::MOST as MOST_UNNAMED;
pub use ports::Ports;
pub use producer::Producer;
pub use pump::Pump;
pub use speed::{Rate, Speed, Speeds, UserSpeeds};
pub use throttle::Throttle;
pub use watch::{Interrupt, LOOK, Progress, Watch, heed, wait_for};
