//! Finding and reading the settings.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::outcome::Stop;
use super::print::complain;
use crate::auth;
use crate::config::{self, Config, ConfigError, Environment, Explained, Origin};
use crate::events;
use crate::tls;

/// The settings files that are tried if none is named.
const FILES: [&str; 2] = ["ftpd.ini", "/etc/ftpd.ini"];

/// Finds the settings and reads them as the server does: a home that does not exist is not a
/// fault. Faults are printed.
pub(super) fn load(file: Option<&Path>) -> Result<(Origin, Config), Stop> {
    let origin = origin(file)?;
    let config = printed(read(&origin))?;
    Ok((origin, config))
}

/// Prints the faults of settings.
pub(super) fn printed<T>(read: Result<T, Vec<String>>) -> Result<T, Stop> {
    read.map_err(|faults| {
        for fault in faults {
            complain(&fault);
        }
        Stop::BadConfig
    })
}

/// Returns where the settings come from: the environment, and the file that was named, or else the
/// first of the usual files that exists. There need not be a file if the environment sets a key.
pub(super) fn origin(named: Option<&Path>) -> Result<Origin, Stop> {
    if let Some(origin) = origin_if_there(named) {
        return Ok(origin);
    }
    let [here, system] = FILES;
    complain(&format!("ftpd: neither {here} nor {system} exists; use --config FILE"));
    complain("to serve a directory now, without settings: ftpd share DIR");
    Err(Stop::BadConfig)
}

/// Returns the origin of settings in this file, or in the environment alone.
pub(super) fn origin_of(file: Option<&OsStr>) -> Origin {
    let environment = Arc::new(Environment::of(std::env::vars_os()));
    Origin { file: file.map(PathBuf::from), environment }
}

/// Returns the origin like [`origin`], but prints nothing if there is none.
pub(super) fn origin_if_there(named: Option<&Path>) -> Option<Origin> {
    let environment = Arc::new(Environment::of(std::env::vars_os()));
    let there = || FILES.iter().map(Path::new).find(|file| file.exists());
    let file = named.or_else(there).map(Path::to_owned);
    (file.is_some() || !environment.is_empty()).then_some(Origin { file, environment })
}

/// Returns the settings file, for a subcommand that changes it.
pub(super) fn file_of(origin: &Origin) -> Result<&Path, Stop> {
    let none = "there is no settings file to change, only variables of the environment; \
                use --config FILE";
    origin.file.as_deref().ok_or_else(|| Stop::Failed(none.to_owned()))
}

/// Reads the settings as the server does, and checks the files of TLS; or returns all faults.
pub(super) fn read(origin: &Origin) -> Result<Config, Vec<String>> {
    with_tls(origin, config::load_to_serve(origin))
}

/// Reads the settings like [`read`], but a home that does not exist is a fault as well.
pub(super) fn read_strictly(origin: &Origin) -> Result<Config, Vec<String>> {
    with_tls(origin, config::load(origin))
}

/// Reads the settings like [`read`], or, if `late_homes` is not set, like [`read_strictly`]. Returns the
/// values in force as well.
pub(super) fn read_explained(
    origin: &Origin,
    late_homes: bool,
) -> Result<(Config, Vec<Explained>), Vec<String>> {
    let mut values = Vec::new();
    let loaded = config::load_explained(origin, late_homes).map(|(config, all)| {
        values = all;
        config
    });
    Ok((with_tls(origin, loaded)?, values))
}

fn with_tls(
    origin: &Origin,
    loaded: Result<Config, Vec<ConfigError>>,
) -> Result<Config, Vec<String>> {
    let printed =
        |faults: Vec<ConfigError>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut config = loaded.map_err(printed)?;
    let file = origin.shown().display();
    // the texts begin with the name of a key
    let place = |what: String| {
        let (key, rest) = what.split_once(' ').unwrap_or((&what, ""));
        match origin.environment.of_server(key) {
            Some(variable) => format!("{variable} {rest}"),
            None => format!("{file}: [server] {what}"),
        }
    };
    let checked = config.tls.as_ref().map(tls::check).transpose();
    let warnings = checked.map_err(|why| vec![place(why.to_string())])?;
    config.warnings.extend(warnings.into_iter().flatten().map(place));
    auth::check(&config).map_err(|why| vec![place(why)])?;
    events::check(&config).map_err(|why| vec![place(why)])?;
    Ok(config)
}
