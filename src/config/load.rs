//! Reads the files into a draft, checks it, and makes the configuration.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::draft::Draft;
use super::error::{ConfigError, Fault, Location};
use super::explain::Explained;
use super::ini::Document;
use super::origin::Origin;
use super::settings::{Server, User};
use super::tls::{CertificateSource, TlsSettings};
use super::view::View;
use super::whole::Config;
use super::{anonymous, checks, elsewhere, folders, ini, keep, sections, shared};

/// Reads and checks the settings in a file, in the files of its `users_file` and in the environment.
///
/// # Errors
///
/// All faults, in the order of the lines.
pub fn load(origin: &Origin) -> Result<Config, Vec<ConfigError>> {
    finish(read(origin, &View::default())?, Homes::Exist)
}

/// Reads and checks the settings like [`load`], or, if `late_homes` is set, like [`load_to_serve`].
/// Returns the values in force as well.
///
/// # Errors
///
/// All faults, in the order of the lines.
pub fn load_explained(
    origin: &Origin,
    late_homes: bool,
) -> Result<(Config, Vec<Explained>), Vec<ConfigError>> {
    let draft = Draft { explained: Some(Vec::new()), ..Draft::new(origin, 0) };
    let homes = if late_homes { Homes::MayCome } else { Homes::Exist };
    whole(read_into(draft, origin, &View::default())?, homes)
}

/// Reads and checks the settings for a server. A home that does not exist is not a fault here, because
/// its disk may be mounted later; it is listed in [`Config::absent`].
///
/// # Errors
///
/// All other faults, in the order of the lines.
pub fn load_to_serve(origin: &Origin) -> Result<Config, Vec<ConfigError>> {
    finish(read(origin, &View::default())?, Homes::MayCome)
}

/// Reads and checks the settings as if the file `edited` had the content `bytes`.
///
/// # Errors
///
/// All faults that the edited settings would have.
pub fn load_edited(
    origin: &Origin,
    edited: &Path,
    bytes: &[u8],
) -> Result<Config, Vec<ConfigError>> {
    finish(read(origin, &View::edited(edited, bytes))?, Homes::Exist)
}

/// Reads and checks settings from a text instead of a file.
///
/// # Errors
///
/// All faults, in the order of the lines.
pub fn of_text(text: &str) -> Result<Config, Vec<ConfigError>> {
    let mut draft = Draft::new(&Origin::file(Path::new("settings")), 0o600);
    sections::take(&mut draft, ini::read(text.as_bytes()));
    finish(draft, Homes::Exist)
}

/// Whether homes must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Homes {
    /// All homes must exist.
    Exist,
    /// Homes may be missing, because they may appear later.
    MayCome,
}

fn read(origin: &Origin, source: &View<'_>) -> Result<Draft, Vec<ConfigError>> {
    read_into(Draft::new(origin, 0), origin, source)
}

/// Reads the files and the environment into a draft.
fn read_into(
    mut draft: Draft,
    origin: &Origin,
    source: &View<'_>,
) -> Result<Draft, Vec<ConfigError>> {
    let document = match &origin.file {
        None => Document::default(),
        Some(file) => {
            let (bytes, mode) = source.read(file).map_err(|why| {
                let fault = Fault::Unreadable(why.to_string());
                vec![draft.error((Location::default(), fault))]
            })?;
            draft.files = vec![(file.clone(), mode)];
            // this frees the memory, because a file with many users is large
            ini::read(&bytes)
        }
    };
    sections::take(&mut draft, document);
    sections::take_users(&mut draft, source);
    sections::take_environment(&mut draft);
    Ok(draft)
}

fn finish(draft: Draft, homes: Homes) -> Result<Config, Vec<ConfigError>> {
    whole(draft, homes).map(|(config, _)| config)
}

/// Checks the draft as a whole, and makes the configuration. Returns the values in force, if the draft
/// was to note them.
fn whole(mut draft: Draft, homes: Homes) -> Result<(Config, Vec<Explained>), Vec<ConfigError>> {
    anonymous::add(&mut draft);
    let mut warnings = folders::add(&mut draft);
    warnings.extend(checks::all(&mut draft));
    warnings.extend(keep::check(&mut draft));
    elsewhere::check(&mut draft);
    shared::check(&mut draft);
    let asks = draft.server.elsewhere.is_on();
    let is_empty = draft.users.is_empty() && !draft.server.anonymous.enabled && !asks;
    if is_empty && !user_was_meant(&draft) {
        draft.faults.push((Location::default(), Fault::NobodyCanLogIn));
    }
    draft.faults.sort_by_key(|(place, _)| (place.file, place.line));
    draft.faults.dedup();
    let may_come = |(_, fault): &(Location, Fault)| {
        homes == Homes::MayCome && matches!(fault, Fault::Absent(..))
    };
    // if there is any other fault, missing homes are reported as well
    let is_good = draft.faults.iter().all(may_come);
    let faults = std::mem::take(&mut draft.faults);
    let absent: Vec<_> = faults.into_iter().map(|fault| draft.error(fault)).collect();
    if !is_good {
        return Err(absent);
    }
    let explained = draft.explained.take().unwrap_or_default();
    Ok((config(draft, warnings, absent), explained))
}

/// Makes the configuration from a draft without faults.
fn config(draft: Draft, warnings: Vec<String>, absent: Vec<ConfigError>) -> Config {
    let users = draft.users.into_iter().map(|named| (named.name, Arc::new(named.user)));
    let (server, rules) = (draft.server, draft.rules);
    let tls = tls_settings(&server);
    let (texts, folder, for_all) = (draft.texts, draft.folder, draft.for_all);
    let users: HashMap<String, Arc<User>> = users.collect();
    let common = folders::for_all("", &for_all, &rules.folder, &folder);
    let common = common.iter().map(|folder| folder.rules.gate.clone());
    let common_gates = std::iter::once(rules.folder.gate.clone()).chain(common).collect();
    let strangers_need_tls = rules.tls.required.control
        || users.values().any(|user| user.rules.tls.required.control);
    Config {
        server,
        rules,
        users,
        tls,
        strangers_need_tls,
        warnings,
        absent,
        texts,
        folder,
        for_all,
        common_gates,
    }
}

/// Returns whether one of the faults may be the reason why there are no users.
fn user_was_meant(draft: &Draft) -> bool {
    draft.faults.iter().any(|(place, _)| {
        place.section.as_deref() != Some("server")
            || ["enable_anonymous", "users_file"].map(Some).contains(&place.key.as_deref())
    })
}

/// Gathers the settings of TLS. Returns `None` if there is no certificate.
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
