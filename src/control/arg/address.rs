//! Arguments of PORT, EPRT and EPSV: the address to connect to, or the protocol to use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::text::{number, words};
use crate::control::syntax::SyntaxError;

/// Reads `h1,h2,h3,h4,p1,p2` (RFC 959 §4.1.2).
pub(in crate::control) fn host_port(text: &[u8]) -> Result<SocketAddr, SyntaxError> {
    let text = words(text)?;
    let mut bytes = [0_u8; 6];
    let mut parts = text.split(',');
    for byte in &mut bytes {
        let part = parts.next().ok_or(SyntaxError::BadArgument)?.trim();
        let value = number(part.as_bytes()).ok().and_then(|value| u8::try_from(value).ok());
        *byte = value.ok_or(SyntaxError::BadArgument)?;
    }
    if parts.next().is_some() {
        return Err(SyntaxError::BadArgument);
    }
    let [a, b, c, d, high, low] = bytes;
    Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

/// Reads `|protocol|address|port|` (RFC 2428 §2).
pub(in crate::control) fn extended(text: &[u8]) -> Result<SocketAddr, SyntaxError> {
    let text = words(text)?;
    let delimiter = text.chars().next().filter(char::is_ascii_graphic);
    let delimiter = delimiter.ok_or(SyntaxError::BadArgument)?;
    let parts: Vec<_> = text.split(delimiter).collect();
    let ["", protocol, address, port, ""] = parts.as_slice() else {
        return Err(SyntaxError::BadArgument);
    };
    let address = match *protocol {
        "1" => address.parse().map(IpAddr::V4).map_err(|_| SyntaxError::BadArgument)?,
        "2" => address.parse().map(IpAddr::V6).map_err(|_| SyntaxError::BadArgument)?,
        other if number(other.as_bytes()).is_ok() => return Err(SyntaxError::UnknownProtocol),
        _ => return Err(SyntaxError::BadArgument),
    };
    let port = number(port.as_bytes()).ok().and_then(|port| u16::try_from(port).ok());
    Ok((address, port.ok_or(SyntaxError::BadArgument)?).into())
}

/// The argument of EPSV (RFC 2428 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// No argument, or the network protocol: 1 for IPv4, 2 for IPv6.
    Protocol(Option<u8>),
    /// `ALL`: the client will use no other command to set up data connections.
    All,
}

pub(in crate::control) fn extended_passive(text: &[u8]) -> Result<Extended, SyntaxError> {
    match text.trim_ascii() {
        b"1" => Ok(Extended::Protocol(Some(1))),
        b"2" => Ok(Extended::Protocol(Some(2))),
        all if all.eq_ignore_ascii_case(b"ALL") => Ok(Extended::All),
        other if number(other).is_ok() => Err(SyntaxError::UnknownProtocol),
        _ => Err(SyntaxError::BadArgument),
    }
}
