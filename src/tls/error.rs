//! The error type of this module.

use std::fmt;

/// What went wrong with TLS, as a text for the log or the administrator.
#[derive(Debug)]
pub struct TlsError(pub(super) String);

impl TlsError {
    pub(super) fn of(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
