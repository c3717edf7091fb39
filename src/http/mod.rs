//! HTTP/1.1 as a client: one request on a connection of its own, with a deadline for all of it.
//!
//! It follows no redirect, for that would send what was meant for one server to another.

mod client;
mod response;

pub use client::Client;
pub use response::Response;
