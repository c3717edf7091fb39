//! `ftpd cert`: shows the certificate of the server, so that users can compare it.

use std::process::ExitCode;

use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use super::settings::load;
use super::unit::server_user;
use crate::rights;
use crate::tls;

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    let (origin, mut config) = load(arguments.end()?.as_deref())?;
    if let Some(tls) =
        config.tls.as_mut().filter(|tls| rights::is_root() && tls.owner.is_none())
    {
        tls.owner = server_user(&origin);
    }
    let settings = config.tls.as_ref();
    let settings = settings.ok_or_else(|| {
        Stop::Failed("the settings name no certificate; set tls_cert".to_owned())
    })?;
    let identity = tls::load(settings).map_err(|why| Stop::Failed(why.to_string()))?;
    Ok(say(&format!(
        "{}\nvalid until {}\nSHA-256 {}",
        identity.files(),
        identity.ends(),
        identity.fingerprint()
    )))
}
