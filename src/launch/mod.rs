//! Starting the programs that the settings name, through a process of their own.
//!
//! A program that the server started itself would be in the server's sandbox, and a server that
//! may start programs could be made to start any. So the server starts one process before it
//! enters the sandbox, and gives it the table of all programs in the settings. That process is
//! `ftpd` itself with another task. It starts programs for the server, which names a program by
//! the digest of its path and arguments, and one of the users that the table lets it run as. It
//! cannot name anything else. The server also gives it the values of variables whose names are
//! in [`VARIABLES`], and pipes for the input and output of the program.
//!
//! After a reload, that process reads the settings by itself, since the server might be under the
//! control of a client by then. Both compare the digest of the whole table.
//!
//! For each program there is a socket: the server hears from it that the program has started and
//! ended, and asks for its end. The process ends a program whose socket is closed, and itself
//! when the server has ended. It has one thread, and reads no settings into its own memory.
//!
//! Only this room starts programs. The server's side is in `launcher.rs`, the other side in
//! `process.rs`; `exec.rs` is the last step before a program runs.

mod exec;
mod launcher;
mod message;
mod process;
mod running;
mod table;
pub mod tasks;
mod wire;

pub use exec::exec;
pub use launcher::{Launcher, Renewal};
pub use message::VARIABLES;
pub use process::{print_table, start_programs};
pub use running::{LAST_WORDS, Running};
