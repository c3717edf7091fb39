//! Retention: the server removes the oldest files by itself, as the settings say.
//!
//! `rules` decides which files go, and makes no system call. `plan` is what the settings say;
//! `survey` walks through the homes; `removal` removes one file, if nothing speaks against it;
//! `pass` does all of that for one home or one file system; `memory` knows which rules are new,
//! `clock` notices that the clock was set; and `keeper` says when a pass is due, and makes room for
//! uploads.

pub(in crate::vfs) mod clock;
pub(in crate::vfs) mod keeper;
mod memory;
mod pass;
mod plan;
mod removal;
mod rules;
mod survey;
