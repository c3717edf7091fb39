//! The parts of uploads, and the turns that uploads take.
//!
//! A part file lies in the directory of its target. The store knows the parts of this server
//! that are being written and those that failed uploads have left. After a crash they are found
//! again by the journal, which says in which directories there may be parts.

pub(in crate::vfs) mod adopt;
pub(in crate::vfs) mod disk;
mod foreign;
pub(in crate::vfs) mod journal;
pub(in crate::vfs) mod keep;
pub(in crate::vfs) mod known;
pub(in crate::vfs) mod left;
pub(in crate::vfs) mod name;
pub(in crate::vfs) mod numbers;
pub(in crate::vfs) mod pins;
pub(in crate::vfs) mod shares;
pub(in crate::vfs) mod store;
pub(in crate::vfs) mod turns;
mod upkeep;
