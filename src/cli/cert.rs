//! `ftpd cert`: the certificate that clients are shown, so that they can compare.

use std::path::Path;
use std::process::ExitCode;

use super::{FAILED, complain, load, say};
use crate::tls::Identity;

pub(super) fn run(file: Option<&Path>) -> ExitCode {
    let config = match load(file) {
        Ok((_, config)) => config,
        Err(code) => return code,
    };
    let Some(settings) = &config.tls else {
        complain("ftpd: there is no certificate; set tls_cert");
        return ExitCode::from(FAILED);
    };
    match Identity::load(settings) {
        Ok(identity) => say(&format!(
            "{}\nvalid until {}\nSHA-256 {}",
            identity.files(),
            identity.ends(),
            identity.fingerprint()
        )),
        Err(why) => {
            complain(&format!("ftpd: {why}"));
            ExitCode::from(FAILED)
        }
    }
}
