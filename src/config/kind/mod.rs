//! The kinds of value that a key can have.
//!
//! A kind is a constant of type [`ValueKind`], which describes its values and reads them. No code
//! lists all kinds.

mod file;
mod name;
mod net;
mod number;
mod parse;
mod value_kind;
mod word;

pub(super) use file::{
    CERTIFICATE, ELSEWHERE, FILE, FILE_OR_FOLDER, FOLDER, HOME, JUDGE, LOG, PASSWORD_FILE,
    PROGRAM, READABLE, SCANNER, SOCKET,
};
pub(super) use name::{
    ACCOUNT, CHARSET, CLIENT_PATH, FILING, GROUP, PASSWORD, PATTERNS, PERM, RUN_AS, SECRET,
    TEXT,
};
pub(super) use net::{
    EVENTS, HOST, HOSTS, LISTEN, PEERS, PORTS, PREFIXES, URL, reachable_host,
};
pub(super) use number::{
    AGE, DAY, DIR_MODE, EVENTS_KEPT, EXPECTED, FILE_MODE, MASK, PATIENCE, PORT, RATE, ROOM,
    SIZE, TIME, count, limit, time,
};
pub(super) use value_kind::{Given, ValueKind};
pub(super) use word::{
    AUTH_PROTOCOL, CLIENT_CERTIFICATE, CONFINE, EVENT_KINDS, GATE_FAIL, LEVEL, LIST_TIME,
    LOG_FORM, OLD_OVERWRITE, OVERWRITE, RESUME, SWITCH, TLS_REQUIRED, TLS_VERSION,
};
