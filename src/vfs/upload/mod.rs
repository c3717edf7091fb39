//! Uploads, which get their name only when they are complete.
//!
//! An upload writes to a part file in the directory of its target, and a single rename puts the
//! part in place. So readers and other uploads find either the old version or the new one, even
//! after a crash. Where this is not possible, the existing file is changed in place, by one
//! upload at a time. The settings can also choose the classic way for a user, in which every
//! upload writes to the existing file.
//!
//! `prepare` examines the existing file and lets `plan` decide. `part`, `in_place` and `direct`
//! are the ways to write; each has the operations of `body`.

mod attributes;
pub(in crate::vfs) mod body;
mod claims;
mod copy;
pub(in crate::vfs) mod destination;
mod direct;
mod existing;
pub(in crate::vfs) mod folders;
mod in_place;
mod kept;
mod obstacle;
pub(in crate::vfs) mod open;
pub(in crate::vfs) mod own;
mod part;
pub(in crate::vfs) mod plan;
pub(in crate::vfs) mod prepare;
mod resume;
pub(in crate::vfs) mod settled;
pub(in crate::vfs) mod uploads;
mod within;
