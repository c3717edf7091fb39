//! An attempt to log in: the name and password that the client has sent, and how it is connected.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A login to check.
pub struct Attempt<'a> {
    /// The name as the client has sent it.
    pub name: &'a [u8],
    /// The password.
    pub password: &'a [u8],
    /// The address of the client.
    pub from: IpAddr,
    /// The server's own end of the control connection.
    pub to: SocketAddr,
    /// The version of TLS; `None`: the control connection is not protected.
    pub tls: Option<&'static str>,
    /// The subject and the SHA-256 fingerprint of the client's certificate, if it has presented a valid
    /// one.
    pub certificate: Option<(String, String)>,
}

/// Does not show the password.
impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("from", &self.from).finish_non_exhaustive()
    }
}
