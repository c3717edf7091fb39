//! Reads and checks the files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::draft::Draft;
use super::error::{ConfigError, Fault, Location};
use super::settings::{Server, User};
use super::tls::{CertificateSource, TlsSettings};
use super::view::View;
use super::whole::Config;
use super::{anonymous, checks, ini, sections};

/// Reads and checks a file, and those that it names for users.
///
/// # Errors
///
/// Every fault that was found, in the order of the lines.
pub fn load(file: &Path) -> Result<Config, Vec<ConfigError>> {
    load_from(file, &View::default(), Homes::Exist)
}

/// Reads and checks the files for a server: a home that does not exist is no fault, for the disk
/// that it lies on may come later. It is in [`Config::absent`].
///
/// # Errors
///
/// Every other fault that was found, in the order of the lines.
pub fn load_to_serve(file: &Path) -> Result<Config, Vec<ConfigError>> {
    load_from(file, &View::default(), Homes::MayCome)
}

/// The same as if one of the files held other bytes.
///
/// # Errors
///
/// Every fault that there would be.
pub fn load_edited(
    file: &Path,
    edited: &Path,
    bytes: &[u8],
) -> Result<Config, Vec<ConfigError>> {
    load_from(file, &View::edited(edited, bytes), Homes::Exist)
}

/// Reads and checks settings that stand in no file.
///
/// # Errors
///
/// Every fault that was found.
pub fn of_text(text: &str) -> Result<Config, Vec<ConfigError>> {
    let mut draft = Draft::new(Path::new("settings"), 0o600);
    sections::take(&mut draft, ini::read(text.as_bytes()));
    finish(draft, Homes::Exist)
}

/// What is expected of homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Homes {
    /// Each exists.
    Exist,
    /// Those that do not exist may do so later.
    MayCome,
}

fn load_from(file: &Path, source: &View<'_>, homes: Homes) -> Result<Config, Vec<ConfigError>> {
    let (bytes, mode) = source.read(file).map_err(|why| {
        let fault = Fault::Unreadable(why.to_string());
        vec![ConfigError { file: file.to_owned(), place: Location::default(), fault }]
    })?;
    let mut draft = Draft::new(file, mode);
    let document = ini::read(&bytes);
    // of a file with many users that is much
    drop(bytes);
    sections::take(&mut draft, document);
    sections::take_users(&mut draft, source);
    finish(draft, homes)
}

/// What only the whole file shows.
fn finish(mut draft: Draft, homes: Homes) -> Result<Config, Vec<ConfigError>> {
    anonymous::add(&mut draft);
    let warnings = checks::all(&mut draft);
    if draft.users.is_empty() && !draft.server.anonymous.enabled && !user_was_meant(&draft) {
        draft.faults.push((Location::default(), Fault::NobodyCanLogIn));
    }
    draft.faults.sort_by_key(|(place, _)| (place.file, place.line));
    draft.faults.dedup();
    let may_come = |(_, fault): &(Location, Fault)| {
        homes == Homes::MayCome && matches!(fault, Fault::Absent(..))
    };
    // with any other fault all are said in one go
    let is_good = draft.faults.iter().all(may_come);
    let faults = std::mem::take(&mut draft.faults);
    let absent: Vec<_> = faults.into_iter().map(|fault| draft.error(fault)).collect();
    if !is_good {
        return Err(absent);
    }
    let users = draft.users.into_iter().map(|named| (named.name, Arc::new(named.user)));
    let (server, rules) = (draft.server, draft.rules);
    let tls = tls_settings(&server);
    let (texts, folder) = (draft.texts, draft.folder);
    let users: HashMap<String, Arc<User>> = users.collect();
    let strangers_need_tls = rules.tls.required.control
        || users.values().any(|user| user.rules.tls.required.control);
    Ok(Config {
        server,
        rules,
        users,
        tls,
        strangers_need_tls,
        warnings,
        absent,
        texts,
        folder,
    })
}

/// Whether one of the faults may have cost a user, or the anonymous ones.
fn user_was_meant(draft: &Draft) -> bool {
    draft.faults.iter().any(|(place, _)| {
        place.section.as_deref() != Some("server")
            || ["enable_anonymous", "users_file"].map(Some).contains(&place.key.as_deref())
    })
}

/// Everything about TLS in one value.
fn tls_settings(server: &Server) -> Option<TlsSettings> {
    let wild = |host: &str| matches!(host, "0.0.0.0" | "::");
    let hosts = server.passive.masquerade_address.iter().chain(&server.listen.ip);
    let mut names: Vec<_> = hosts.filter(|host| !wild(host)).cloned().collect();
    names.push("localhost".to_owned());
    let settings = TlsSettings {
        certificate: server.tls.cert.clone(),
        once: false,
        key: server.tls.key.clone(),
        dir: server.tls.dir.clone().unwrap_or_default(),
        names,
        min_version: server.tls.min_version,
        resume: server.tls.resume,
        client_ca: server.tls.client_ca.clone(),
        client_cert: server.tls.client_cert,
        owner: server.process.user.clone(),
    };
    (settings.certificate != CertificateSource::None).then_some(settings)
}
