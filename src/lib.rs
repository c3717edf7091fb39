//! `ftpd`: an FTP server for small Linux boxes. One binary, one ini file, a thread per
//! connection, no async runtime.
//!
//! The rooms, from top to bottom; a room uses rooms below it and never one above or beside:
//!
//! | Room | Has the sole right to |
//! | --- | --- |
//! | [`cli`], [`docs`] | the command line, standard error, signals; what the tables print |
//! | [`server`] | listening for clients, starting threads (beside the one for signals), shutting down |
//! | [`control`] | the server-PI: session state, login, permission, choosing a reply |
//! | [`data`] | the server-DTP: data sockets, bulk bytes, sleeping for a rate |
//! | [`auth`], [`vfs`], [`hook`] | secrets; served files; starting programs |
//! | [`config`], [`log`](mod@log) | the ini file; the log |
//! | [`rights`] | user numbers and capabilities |
//!
//! Two tables hold what the server knows: [`control::command::VERBS`] and
//! [`config::KEYS`]. A line of help, a gate, a default or a page of the manual is read off
//! them and stands nowhere else.

pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod data;
pub mod docs;
pub mod hook;
pub mod log;
pub mod rights;
pub mod server;
pub mod tls;
pub mod vfs;
