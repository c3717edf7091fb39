//! Events for hook programs, and the environment that describes an event to them.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::queue::Owner;
use crate::config::Occasion;
use crate::rights::Ids;

/// An event that a hook program is run for.
#[derive(Debug)]
pub struct Happening<'a> {
    /// The kind of event.
    pub occasion: Occasion,
    /// The name of the user.
    pub user: &'a str,
    /// The owner of the queue that the event waits in.
    pub owner: &'a Owner,
    /// The user of the system that the program runs as; `None` is the server's user.
    pub ids: Option<&'a Arc<Ids>>,
    /// The client's address.
    pub address: IpAddr,
    /// The file, or the home for a login: its real path, and its path as the client sees it.
    pub path: (&'a Path, &'a [u8]),
    /// For a rename: the old path, as for `path`.
    pub from: Option<(&'a Path, &'a [u8])>,
    /// For a transfer: the size of an uploaded file or the number of bytes sent, the duration,
    /// and the reason if it failed.
    pub transfer: Option<(u64, Duration, Option<&'a str>)>,
}

impl Happening<'_> {
    /// Returns the environment of the program, except for `PATH`.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let bytes = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let mut all = vec![
            ("FTPD_EVENT", self.occasion.name().into()),
            ("FTPD_USER", self.user.into()),
            ("FTPD_ADDRESS", self.address.to_string().into()),
            ("FTPD_PATH", self.path.0.into()),
            ("FTPD_VIRTUAL_PATH", bytes(self.path.1)),
        ];
        if let Some((real, path)) = self.from {
            all.push(("FTPD_FROM", real.into()));
            all.push(("FTPD_VIRTUAL_FROM", bytes(path)));
        }
        let result = match self.transfer {
            Some((size, took, why)) => {
                all.push(("FTPD_SIZE", size.to_string().into()));
                all.push(("FTPD_SECONDS", format!("{:.3}", took.as_secs_f64()).into()));
                why.map_or_else(|| "complete".to_owned(), |why| format!("failed: {why}"))
            }
            None => "done".to_owned(),
        };
        all.push(("FTPD_RESULT", result.into()));
        all
    }
}
