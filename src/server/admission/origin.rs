//! The origin of a client: the address or network for which bans, `max_per_ip` and the limits
//! of log lines count clients together.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::BanRules;

/// The origin of a client: an IPv4 address, or an IPv6 /64, which usually belongs to one
/// customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::server) struct Origin(IpAddr);

impl Origin {
    /// The origin that an address belongs to.
    pub(in crate::server) fn of(address: IpAddr) -> Self {
        const FIRST_64: u128 = !0 << 64;
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & FIRST_64).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Reads an address, or an origin as `Display` prints it.
    pub(in crate::server) fn parse(text: &str) -> Option<Self> {
        let address = |text: &str| text.parse::<IpAddr>().ok().map(|it| it.to_canonical());
        match text.split_once('/') {
            None => address(text),
            Some((v6, "64")) => address(v6).filter(IpAddr::is_ipv6),
            Some((v4, "32")) => address(v4).filter(IpAddr::is_ipv4),
            Some(_) => None,
        }
        .map(Self::of)
    }

    /// Whether the origin is exempt from bans.
    pub(in crate::server) fn is_exempt(self, rules: &BanRules) -> bool {
        rules.exempt.iter().any(|peers| peers.contain(self.0))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_printed() {
        for (text, printed) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::/64", "2001:db8::/64"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), printed, "{text}");
        }
        for text in ["", "bob", "192.0.2.0/24", "2001:db8::/48", "192.0.2.7/64"] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
