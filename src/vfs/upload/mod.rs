//! Uploads: complete under their name, or not there at all.
//!
//! An upload writes to a part file in the directory of its target, and one rename puts it in
//! place: readers, a crash and other uploads find the old version or the new one. Only where
//! that cannot be done is the file in place changed, by one upload at a time. A user can also
//! have the classic way, in which every upload writes to the file in place.
//!
//! `prepare` looks at what is in place and has `plan` decide; `part`, `in_place` and `direct` are
//! the ways to write, with the verbs of `body`.

mod attributes;
mod body;
mod copy;
mod direct;
mod existing;
mod in_place;
mod obstacle;
pub(in crate::vfs) mod open;
pub(in crate::vfs) mod own;
mod part;
pub(in crate::vfs) mod plan;
pub(in crate::vfs) mod prepare;
mod resume;
pub(in crate::vfs) mod uploads;
