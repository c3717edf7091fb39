//! The parts of uploads: the store of all that are known, the journal of their directories, their
//! names, and whose share of the places they take.

pub(in crate::vfs) mod journal;
pub(in crate::vfs) mod name;
pub(in crate::vfs) mod shares;
pub(in crate::vfs) mod store;
