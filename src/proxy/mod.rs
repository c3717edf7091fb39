//! The PROXY protocol (versions 1 and 2): a balancer says at the beginning of a connection for whom it
//! has made it. The header decides which address is banned, counted and logged, so it is read only
//! from balancers that the settings name, and before anything else of the connection.

mod header;
mod reading;

#[doc(hidden)]
pub use header::read;
pub use header::{Introduced, Malformed};
pub use reading::{Reading, Unread};
