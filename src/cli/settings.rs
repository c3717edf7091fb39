//! Finding and reading the settings.

use std::path::{Path, PathBuf};

use super::outcome::Stop;
use super::print::complain;
use crate::config::{self, Config, ConfigError};
use crate::tls;

/// The settings files that are tried if none is named.
const FILES: [&str; 2] = ["ftpd.ini", "/etc/ftpd.ini"];

/// Finds the settings and reads them as the server does: a home that does not exist is not a
/// fault. Faults are printed.
pub(super) fn load(file: Option<&Path>) -> Result<(PathBuf, Config), Stop> {
    load_with(file, read)
}

/// Finds the settings and reads them with `read`. Faults are printed.
pub(super) fn load_with(file: Option<&Path>, read: Reader) -> Result<(PathBuf, Config), Stop> {
    let file = settings_file(file)?;
    match read(&file) {
        Ok(config) => Ok((file, config)),
        Err(faults) => {
            for fault in faults {
                complain(&fault);
            }
            Err(Stop::BadConfig)
        }
    }
}

/// Returns the settings file that was named, or else the first of the usual files that exists.
pub(super) fn settings_file(named: Option<&Path>) -> Result<PathBuf, Stop> {
    let there = || FILES.iter().map(Path::new).find(|file| file.exists());
    named.or_else(there).map(Path::to_owned).ok_or_else(|| {
        let [here, system] = FILES;
        complain(&format!("ftpd: neither {here} nor {system} exists; use --config FILE"));
        complain("to serve a directory now, without settings: ftpd share DIR");
        Stop::BadConfig
    })
}

/// Reads the settings in a file, or returns all faults.
pub(super) type Reader = fn(&Path) -> Result<Config, Vec<String>>;

/// Reads the settings as the server does, and checks the files of TLS; or returns all faults.
pub(super) fn read(file: &Path) -> Result<Config, Vec<String>> {
    with_tls(file, config::load_to_serve(file))
}

/// Reads the settings like [`read`], but a home that does not exist is a fault as well.
pub(super) fn read_strictly(file: &Path) -> Result<Config, Vec<String>> {
    with_tls(file, config::load(file))
}

fn with_tls(
    file: &Path,
    loaded: Result<Config, Vec<ConfigError>>,
) -> Result<Config, Vec<String>> {
    let printed =
        |faults: Vec<ConfigError>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut config = loaded.map_err(printed)?;
    let place = |what: String| format!("{}: [server] {what}", file.display());
    let checked = config.tls.as_ref().map(tls::check).transpose();
    let warnings = checked.map_err(|why| vec![place(why.to_string())])?;
    config.warnings.extend(warnings.into_iter().flatten().map(place));
    Ok(config)
}
