//! Words that several sections of the result share.

/// The user that vsftpd takes for anonymous users and guests unless it is told another one.
pub(super) const FTP: &str = "ftp";

/// Returns the value of `tls_required` for protected logins and protected data.
pub(super) fn required(logins: bool, data: bool) -> &'static str {
    match (logins, data) {
        (true, true) => "on",
        (true, false) => "control",
        (false, true) => "data",
        (false, false) => "off",
    }
}
