//! The types that hold the settings, one struct for each subject.
//!
//! Code that uses settings is given only the struct of its subject. Each field is declared with its
//! blank value, which it has before its key is read. Blank values are strict, so that a refused value
//! never leaves the server more open than its administrator intended.

mod blank;
mod gate;
mod keep;
mod server;
mod user;

pub use gate::{GateLimits, GateRules};
pub use keep::{Choice, KeepRules};
pub use server::{
    Admin, Anonymous, Balancers, BanRules, Clients, DataRules, Elsewhere, EventRules,
    HookRules, Listening, LogRules, LoginRules, Passive, Process, Retention, Server, Storage,
    TlsKeys,
};
pub use user::{
    FileRules, Folder, FolderRules, Limits, Messages, QuotaRules, Rules, Talk, TlsRules,
    UploadRules, User,
};
pub(in crate::config) use user::{innermost, is_in};
