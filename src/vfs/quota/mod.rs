//! Quotas: what the files below a home take, and what they may take.
//!
//! Each home whose users have a quota has a ledger, which knows how many bytes and files there are
//! below it. Everything that changes names or sizes over FTP reports the difference. A directory
//! counts for each ledger above it, so that where homes are nested, both pay.
//!
//! Each name that is not of a directory counts as one file with the size that `lstat` reports.
//! Without a quota in the settings, there is no ledger, and nothing is looked up.

pub(in crate::vfs) mod accounts;
mod common;
pub(in crate::vfs) mod count;
mod doubts;
mod file;
pub(in crate::vfs) mod ledger;
pub(in crate::vfs) mod meter;
pub(in crate::vfs) mod payer;
pub(in crate::vfs) mod quotas;
mod scan;
pub(in crate::vfs) mod survey;
