//! The types that hold the settings, one struct for each subject.
//!
//! A consumer is given the struct of its subject alone. Each field says beside its type what it
//! holds before its key is read: the strictest value, so that a value that is refused never leaves
//! the server more open than its administrator meant.

mod blank;
mod server;
mod user;

pub use server::{
    Admin, Anonymous, BanRules, Clients, DataRules, HookRules, Listening, LogRules, LoginRules,
    Passive, Process, Server, Storage, TlsKeys,
};
pub use user::{FileRules, Limits, Messages, Rules, TlsRules, UploadRules, User};
