//! The server-PI (RFC 959 §2.2): reads a line, looks up the command in one table, checks login
//! and permission, calls the command's handler and sends the reply.
//!
//! Only this room chooses replies. It opens no file and moves no bulk bytes itself.

pub mod command;
#[doc(hidden)]
pub mod line;
pub mod reply;
pub mod request;
pub mod syntax;

mod alias;
mod answer;
mod arg;
mod aside;
mod blame;
mod charset;
mod connection;
mod conversation;
mod counters;
mod dispatch;
mod dtp;
mod ear;
mod events;
mod gate;
mod keep;
mod kinds;
mod left;
mod live;
mod naming;
mod offence;
mod refusal;
mod room;
mod session;
mod shared;
mod silence;
mod since;
mod state;
mod trash;
mod verbs;
mod why;

pub use crate::vfs::{FileReport, Report, RuleReport};
pub use conversation::{Parting, TurnedAway, turn_away};
pub use counters::{BOUNDS, Counters, Durations, Tally};
pub use keep::keep_report;
pub use kinds::{Away, Countable, LoginResult, Outcome, Reason, Traffic};
pub use left::{BrokenOff, broken_off, drop_parts};
pub use live::{CameBy, Live, Sight, Stranger, Underway};
pub use offence::{Guard, Guess, Offence};
pub use session::{Session, canonical};
pub use shared::{Settings, Shared, Stop};
pub use silence::{Expected, Silence};
pub use since::Since;
pub use trash::{
    Clock, FromTrash, InTrash, Removed, TrashTally, age_trash, trash_empty, trash_list,
    trash_restore, trash_tally,
};
pub use why::{ACTIONS, Verdict, why, why_here};

/// What a user has and may have. The server shows it, and uses nothing else of `vfs`.
pub use crate::vfs::QuotaState;

/// Why an event was dropped. The server shows how many were.
pub use crate::events::Dropped;
