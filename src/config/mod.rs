//! The settings of `ftpd.ini` as typed values, checked as a whole before the server starts.
//!
//! Of the other modules this one uses only `rights`, to look up system users. [`load()`] reports
//! all faults of the files at once.
//!
//! Each key is one row of [`KEYS`] and one field of a settings struct. The row names the kind of
//! its values: a constant that describes valid values and reads them.

pub mod edit;
pub mod pattern;

mod anonymous;
mod apart;
mod charset;
mod checks;
mod confine;
mod day;
mod draft;
mod elsewhere;
mod environment;
mod error;
mod explain;
mod field;
mod filing;
mod folders;
mod hash;
mod home;
mod hook;
mod ini;
mod keep;
mod keys;
mod kind;
mod load;
mod lookup;
mod nearest;
mod origin;
mod perm;
mod sections;
mod settings;
mod shared;
mod tls;
mod users;
mod value;
mod view;
mod whole;

pub use charset::{Charset, Encoding};
pub use confine::Confine;
pub use day::Day;
pub use elsewhere::may_be_user;
pub use environment::Environment;
pub use error::{ConfigError, Fault, Location};
pub use explain::Explained;
pub use field::Scope;
pub use filing::{Filing, Moment, Paper};
pub use hash::{Hash, Scheme, may_be_clear_text};
pub use hook::{Occasion, Occasions, Program, Programs};
#[doc(hidden)]
pub use ini::rows;
pub use keep::{KEEP_KEYS, KeptHome};
pub use keys::{KEYS, Key};
pub use load::{load, load_edited, load_explained, load_to_serve, of_text};
pub use lookup::{
    UserPlace, admin_socket, duration, is_host, place_of_user, server_text, value_fault,
};
pub use origin::Origin;
pub use pattern::Patterns;
pub use perm::{Perm, PermSet};
pub use settings::{
    Admin, Anonymous, Balancers, BanRules, Choice, Clients, DataRules, Elsewhere, EventRules,
    FileRules, Folder, FolderRules, GateLimits, GateRules, HookRules, KeepRules, Limits,
    Listening, LogRules, LoginRules, Messages, Passive, Process, QuotaRules, Retention, Rules,
    Server, Storage, Talk, TlsKeys, TlsRules, UploadRules, User,
};
pub use tls::{
    CertificateSource, ClientCertificate, Resume, TlsRequired, TlsSettings, TlsVersion,
};
pub use value::{
    AuthProtocol, Broker, EventsKept, EventsTo, Listen, LogForm, LogTo, Overwrite, Password,
    Peers, PortRange, Room, Scanner, Secret, Url,
};
pub use whole::{ANONYMOUS, Config, RunsAs, anonymous_name};
