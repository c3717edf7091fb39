//! The handlers of the commands, one file for each family. A handler gets the parsed command
//! and returns one reply.

pub(super) mod copy;
pub(super) mod facts;
pub(super) mod hash;
pub(super) mod info;
pub(super) mod listing;
pub(super) mod login;
pub(super) mod param;
pub(super) mod security;
pub(super) mod site;
pub(super) mod transfer;
pub(super) mod tree;
