//! Kinds of value that are written as one of several words.

use log::LevelFilter;

use super::parse::switch;
use super::value_kind::{Refused, ValueKind, texts, words};
use crate::config::confine::Confine;
use crate::config::hook::{Occasion, Occasions};
use crate::config::tls::{ClientCertificate, Resume, TlsRequired, TlsVersion};
use crate::config::value::{AuthProtocol, LogForm, Overwrite};

/// On or off, in one of four spellings.
pub(in crate::config) const SWITCH: ValueKind<bool> =
    texts("on or off", |given| Ok(switch(given.text)?));

/// What an upload or a rename does to a file that has the name already.
pub(in crate::config) const OVERWRITE: ValueKind<Overwrite> =
    words(&[("yes", Overwrite::Yes), ("no", Overwrite::No), ("rename", Overwrite::Rename)]);

/// The same as a switch, its older form; `None` if the text is empty.
pub(in crate::config) const OLD_OVERWRITE: ValueKind<Option<Overwrite>> =
    texts("on or off", |given| {
        if given.text.is_empty() {
            return Ok(None);
        }
        Ok(Some(if switch(given.text)? { Overwrite::Yes } else { Overwrite::No }))
    });

/// The least severe level that is logged.
pub(in crate::config) const LEVEL: ValueKind<LevelFilter> = texts("log level", |given| {
    let why = |_| "is not one of error, warn, info, debug, trace".to_owned();
    Ok(given.text.parse().map_err(why)?)
});

/// The format of the lines of the log.
pub(in crate::config) const LOG_FORM: ValueKind<LogForm> =
    words(&[("text", LogForm::Text), ("json", LogForm::Json)]);

/// How `auth_program` is asked.
pub(in crate::config) const AUTH_PROTOCOL: ValueKind<AuthProtocol> =
    words(&[("json", AuthProtocol::Json), ("extauth", AuthProtocol::Extauth)]);

/// Whether an upload that was not judged is accepted.
pub(in crate::config) const GATE_FAIL: ValueKind<bool> =
    words(&[("closed", false), ("open", true)]);

/// Whether LIST shows local time.
pub(in crate::config) const LIST_TIME: ValueKind<bool> =
    words(&[("utc", false), ("local", true)]);

/// Kinds of events.
pub(in crate::config) const EVENT_KINDS: ValueKind<Occasions> =
    texts("comma-separated kinds of events", |given| event_kinds(given.text));

/// Whether the kernel confines the process.
pub(in crate::config) const CONFINE: ValueKind<Confine> =
    words(&[("auto", Confine::Auto), ("off", Confine::Off), ("require", Confine::Require)]);

/// Which connections must use TLS.
pub(in crate::config) const TLS_REQUIRED: ValueKind<TlsRequired> = words(&[
    ("off", TlsRequired { control: false, data: false }),
    ("control", TlsRequired { control: true, data: false }),
    ("data", TlsRequired { control: false, data: true }),
    ("on", TlsRequired { control: true, data: true }),
]);

/// The lowest version of TLS that is accepted.
pub(in crate::config) const TLS_VERSION: ValueKind<TlsVersion> =
    words(&[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)]);

/// Whether data connections must resume a TLS session.
pub(in crate::config) const RESUME: ValueKind<Resume> =
    words(&[("require", Resume::Require), ("prefer", Resume::Prefer), ("off", Resume::Off)]);

/// Whether a client must present a certificate.
pub(in crate::config) const CLIENT_CERTIFICATE: ValueKind<ClientCertificate> = words(&[
    ("required", ClientCertificate::Required),
    ("optional", ClientCertificate::Optional),
]);

fn event_kinds(text: &str) -> Result<Occasions, Refused> {
    let mut kinds = Occasions::default();
    for word in text.split(',').map(str::trim) {
        let is_it = |kind: &&Occasion| kind.name().eq_ignore_ascii_case(word);
        let Some(kind) = Occasion::ALL.iter().find(is_it) else {
            let names = Occasion::ALL.map(Occasion::name).join(", ");
            return Err(Refused::Part(word.to_owned(), format!("is not one of {names}")));
        };
        kinds.add(*kind);
    }
    Ok(kinds)
}
