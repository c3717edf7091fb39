//! Says from where an address can be reached.

use std::net::IpAddr;

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// `0.0.0.0` or `::`: it is no address.
    Unspecified,
    /// From the same machine.
    Loopback,
    /// From the same link.
    Link,
    /// From the same private network (RFC 1918, RFC 4193).
    Private,
    /// From within a provider's network (RFC 6598).
    Shared,
    /// From nowhere: multicast and reserved addresses.
    Nowhere,
    /// From everywhere.
    Public,
}

impl Reach {
    pub(super) fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if address.is_unspecified() {
            return Self::Unspecified;
        }
        if address.is_loopback() {
            return Self::Loopback;
        }
        if address.is_multicast() {
            return Self::Nowhere;
        }
        match address {
            IpAddr::V4(v4) if v4.is_link_local() => Self::Link,
            IpAddr::V4(v4) if v4.is_private() => Self::Private,
            IpAddr::V4(v4) => match v4.octets() {
                [0 | 240..=255, ..] => Self::Nowhere,
                [100, 64..=127, ..] => Self::Shared,
                _ => Self::Public,
            },
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::Link,
            IpAddr::V6(v6) if v6.is_unique_local() => Self::Private,
            IpAddr::V6(_) => Self::Public,
        }
    }

    /// Returns a word for messages; empty for an address that needs none.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Link => "link-local",
            Self::Private => "private",
            Self::Shared => "shared (carrier-grade NAT)",
            Self::Nowhere => "unroutable",
            Self::Public => "public",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_reach() {
        for (address, reach) in [
            ("0.0.0.0", Reach::Unspecified),
            ("::", Reach::Unspecified),
            ("127.0.0.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("169.254.1.1", Reach::Link),
            ("fe80::1", Reach::Link),
            ("10.0.0.1", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.0.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("100.64.0.1", Reach::Shared),
            ("0.1.2.3", Reach::Nowhere),
            ("224.0.0.1", Reach::Nowhere),
            ("255.255.255.255", Reach::Nowhere),
            ("203.0.113.1", Reach::Public),
            ("2001:db8::1", Reach::Public),
        ] {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }
}
