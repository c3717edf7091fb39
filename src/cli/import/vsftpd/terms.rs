//! Values that several sections of the result share.

/// The system user that vsftpd uses for anonymous users and guests unless a key names another
/// one.
pub(super) const FTP: &str = "ftp";

/// Returns the value of `tls_required`, given whether logins and data must be protected.
pub(super) fn required(logins: bool, data: bool) -> &'static str {
    match (logins, data) {
        (true, true) => "on",
        (true, false) => "control",
        (false, true) => "data",
        (false, false) => "off",
    }
}
