//! Kinds of value that are addresses, names of hosts and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::parse::whole;
use super::value_kind::{Refused, ValueKind, texts};
use crate::config::value::{
    Broker, EventsTo, Listen, Peers, PortRange, Secret, Url, mqtt_port,
};

/// Comma-separated addresses and host names to listen on.
pub(in crate::config) const HOSTS: ValueKind<Vec<String>> =
    texts("addresses or host names", |given| hosts(given.text));

/// An IPv4 address that clients can connect to, or a host name; none if the text is empty.
pub(in crate::config) const HOST: ValueKind<Option<String>> =
    texts("IPv4 address or host name", |given| Ok(reachable_host(given.text)?));

/// A port, or an address and a port; none if the text is empty or 0.
pub(in crate::config) const LISTEN: ValueKind<Option<Listen>> =
    texts("port or address:port", |given| Ok(listen(given.text)?));

/// A range of ports.
pub(in crate::config) const PORTS: ValueKind<PortRange> =
    texts("first-last", |given| Ok(ports(given.text)?));

/// Comma-separated addresses and prefixes.
pub(in crate::config) const PREFIXES: ValueKind<Vec<IpNet>> =
    texts("addresses and prefixes", |given| prefixes(given.text));

/// Comma-separated addresses, prefixes and the word `local`.
pub(in crate::config) const PEERS: ValueKind<Vec<Peers>> =
    texts("addresses and prefixes", |given| peers(given.text));

/// A URL that begins with http or https; none if the text is empty.
pub(in crate::config) const URL: ValueKind<Option<Url>> =
    texts("http:// or https:// URL", |given| {
        // a query may be a secret
        let hidden = Refused::Secret("is not a URL such as http://127.0.0.1:8080/login?key=x");
        url(given.text)
            .map_err(|why| if given.text.contains('?') { hidden } else { Refused::Text(why) })
    });

/// A URL that begins with http, https, mqtt or mqtts; none if the text is empty.
pub(in crate::config) const EVENTS: ValueKind<Option<EventsTo>> =
    texts("http://, https://, mqtt:// or mqtts:// URL", |given| {
        let to = (!given.text.is_empty()).then(|| events_to(given.text)).transpose();
        // a password or a query in it must not be shown
        let is_secret = given.text.contains(['@', '?']);
        to.map_err(|why| if is_secret { HIDDEN } else { Refused::Text(why) })
    });

const HIDDEN: Refused = Refused::Secret(
    "is not a URL such as mqtt://user:password@host/topic; other URLs take no user, and %2F means / in a \
     password",
);

/// Reads a URL. One with a user or a password is refused, because it would appear in the log.
fn url(text: &str) -> Result<Option<Url>, String> {
    const NO_URL: &str = "is not a URL such as http://127.0.0.1:8080/login";
    if text.is_empty() {
        return Ok(None);
    }
    let found = split(text, &[("http", false, 80), ("https", true, 443)]).ok_or(NO_URL)?;
    let Found { tls, login, host, port, target } = found;
    if login.is_some() {
        return Err("contains a user or a password, which is not supported".to_owned());
    }
    Ok(Some(Url { tls, host, port, target }))
}

/// Reads where events are sent to.
fn events_to(text: &str) -> Result<EventsTo, String> {
    const NO_URL: &str = "is not a URL such as https://host/path or mqtt://host/topic";
    let brokers = [("mqtt", false, mqtt_port(false)), ("mqtts", true, mqtt_port(true))];
    let Some(Found { tls, login, host, port, target }) = split(text, &brokers) else {
        let url = url(text).ok().flatten();
        return Ok(EventsTo::Http(url.ok_or(NO_URL)?));
    };
    let topic = decoded(target.trim_matches('/')).ok_or(NO_URL)?;
    if topic.contains(['+', '#', '\0']) || topic.len() > LONGEST_TOPIC {
        return Err("has a topic with +, # or too many characters".to_owned());
    }
    let user = login.map(|login| broker_user(login).ok_or(NO_URL)).transpose()?;
    let topic = if topic.is_empty() { "ftpd".to_owned() } else { topic };
    Ok(EventsTo::Mqtt(Broker { tls, host, port, topic, user }))
}

/// Reads the user and the password for a broker.
fn broker_user(login: &str) -> Option<(String, Option<Secret>)> {
    let (name, password) = match login.split_once(':') {
        Some((name, password)) => (name, Some(Secret(decoded(password)?))),
        None => (login, None),
    };
    Some((decoded(name).filter(|name| !name.is_empty())?, password))
}

/// Maximum length of a topic of the settings in bytes.
const LONGEST_TOPIC: usize = 1000;

/// Replaces `%` and two hexadecimal digits by the byte that they mean.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.contains('+'))?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parts of a URL.
struct Found<'t> {
    tls: bool,
    /// The user and the password.
    login: Option<&'t str>,
    host: String,
    port: u16,
    /// The path and the query, which begin with a slash.
    target: String,
}

/// Splits a URL into its parts, if it has one of these schemes; each says whether it means TLS, and its
/// usual port.
fn split<'t>(text: &'t str, schemes: &[(&str, bool, u16)]) -> Option<Found<'t>> {
    let (scheme, rest) = text.split_once("://")?;
    let (_, tls, usual) =
        schemes.iter().find(|(name, ..)| name.eq_ignore_ascii_case(scheme))?;
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains('#') {
        return None;
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, target) = rest.split_at(at);
    let (login, place) =
        place.rsplit_once('@').map_or((None, place), |(login, place)| (Some(login), place));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = whole(port).and_then(|port| u16::try_from(port).ok());
            (host, port.filter(|&port| port > 0)?)
        }
        _ => (place, *usual),
    };
    let host = match host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map(|v6| v6.to_string()).ok(),
        None => self::host(host).ok().flatten(),
    }?;
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some(Found { tls: *tls, login, host, port, target: format!("{slash}{target}") })
}

fn hosts(text: &str) -> Result<Vec<String>, Refused> {
    let hosts: Vec<_> = list(text).map(str::to_owned).collect();
    if hosts.is_empty() {
        return Err(Refused::Text("is not a list of addresses or host names".to_owned()));
    }
    for host in &hosts {
        listening(host).map_err(|why| Refused::Part(host.clone(), why))?;
    }
    Ok(hosts)
}

fn ports(text: &str) -> Result<PortRange, String> {
    let refused = || "is not a range of ports such as 50000-50200".to_owned();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| u16::try_from(whole(text.trim())?).ok().filter(|&port| port > 0);
    let range = PortRange {
        first: port(first).ok_or_else(refused)?,
        last: port(last).ok_or_else(refused)?,
    };
    if range.first > range.last {
        return Err("ends before it begins".to_owned());
    }
    Ok(range)
}

/// Reads a port, or an address and a port. Returns `None` for an empty text or 0. A port without an
/// address is opened on the loopback address, so that other hosts can reach it only if the
/// administrator names another address.
pub(super) fn listen(text: &str) -> Result<Option<Listen>, String> {
    let refused = || "is neither a port nor of the form address:port".to_owned();
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = whole(port).and_then(|port| u16::try_from(port).ok()).ok_or_else(refused)?;
    let host = match host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map(|v6| v6.to_string()).ok(),
        None if host.is_empty() => Some("127.0.0.1".to_owned()),
        None => self::host(host).ok().flatten(),
    };
    Ok(Some(Listen { host: host.ok_or_else(refused)?, port }))
}

/// Reads an IPv4 address or a host name. Returns `None` for an empty text.
fn host(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        Ok(None)
    } else if is_host_name(text) && !is_broken_address(text) {
        Ok(Some(text.to_owned()))
    } else {
        Err("is neither an IPv4 address nor a host name".to_owned())
    }
}

/// Reads an IPv4 address that clients can connect to, or a host name. Returns `None` for an empty
/// text.
pub(in crate::config) fn reachable_host(text: &str) -> Result<Option<String>, String> {
    let host = host(text)?;
    match text.parse::<Ipv4Addr>() {
        Ok(address) if !is_reachable(address) => {
            Err("is an address that no client can connect to".to_owned())
        }
        Ok(_) | Err(_) => Ok(host),
    }
}

/// Returns whether clients can connect to this address.
fn is_reachable(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // excludes "this network", multicast, and reserved addresses with the broadcast address
    first != 0 && !address.is_multicast() && first < 240
}

/// Returns whether a text can be a host name: letters, digits and hyphens, with dots between the
/// labels (RFC 1123 §2.1), and underscores, which some networks use.
fn is_host_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Checks that a text is an address or a host name to listen on.
fn listening(text: &str) -> Result<(), String> {
    // a link-local address may end with its interface, as in fe80::1%eth0
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    let address =
        address.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')).unwrap_or(address);
    if text.parse::<IpAddr>().is_ok() || address.parse::<Ipv6Addr>().is_ok() {
        Ok(())
    } else if is_broken_address(text) {
        Err("is not an IPv4 address".to_owned())
    } else if is_host_name(text) {
        Ok(())
    } else {
        Err("is neither an address nor a host name".to_owned())
    }
}

/// Returns whether a text ends in a number but is not an address. No host name ends in a number
/// (RFC 3696 §2), so the text is taken for a mistyped IPv4 address.
fn is_broken_address(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    // the C library reads hexadecimal numbers as addresses too
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = is_decimal
        || hexadecimal
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_number && text.parse::<IpAddr>().is_err()
}

/// Splits a comma-separated list.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn prefixes(text: &str) -> Result<Vec<IpNet>, Refused> {
    list(text).map(prefix).collect()
}

fn peers(text: &str) -> Result<Vec<Peers>, Refused> {
    let peers = |part: &str| match part {
        word if word.eq_ignore_ascii_case("local") => Ok(Peers::Local),
        other => prefix(other).map(Peers::Prefix),
    };
    list(text).map(peers).collect()
}

/// Reads an address or a prefix. A prefix with an address in it, such as `192.168.1.5/24`, is refused:
/// whoever has written it may have meant that address alone.
fn prefix(part: &str) -> Result<IpNet, Refused> {
    let address = || part.parse::<IpAddr>().map(IpNet::from);
    let prefix = part.parse().or_else(|_| address()).map_err(|_| {
        "is not a list of addresses and prefixes such as 192.168.1.0/24, ::1".to_owned()
    })?;
    let prefix = canonical(prefix)
        .ok_or_else(|| "has an IPv4-mapped IPv6 prefix that is shorter than /96".to_owned())?;
    let network = prefix.trunc();
    if network != prefix {
        let why = format!("names a host in a network; write {network}, or the address alone");
        return Err(Refused::Part(part.to_owned(), why));
    }
    Ok(prefix)
}

/// Converts an IPv4-mapped prefix to an IPv4 one, because the addresses of IPv4 clients are compared
/// as IPv4: `::ffff:10.0.0.0/104` is 10.0.0.0/8. Returns `None` for a mapped prefix shorter than /96.
fn canonical(prefix: IpNet) -> Option<IpNet> {
    const MAPPED: u8 = 96;
    match (prefix, prefix.addr().to_canonical()) {
        (IpNet::V6(v6), IpAddr::V4(v4)) => {
            let length = v6.prefix_len().checked_sub(MAPPED)?;
            Ipv4Net::new(v4, length).ok().map(IpNet::V4)
        }
        _ => Some(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_the_c_library_takes_for_addresses_are_no_names() {
        for text in ["0x7f000001", "0X7F.1", "127.1", "2130706433", "10.0.0.0x1"] {
            assert!(reachable_host(text).is_err(), "{text}");
        }
        assert!(reachable_host("0xide.example").is_ok());
    }

    #[test]
    fn both_ends_belong_to_a_port_range() {
        let range = ports("2000 - 2002").unwrap();
        assert_eq!(
            (range.count(), range.contains(2000), range.contains(2002)),
            (3, true, true)
        );
        assert_eq!(ports("7").unwrap().count(), 1);
        for text in ["", "2002-2000", "0-5", "1-65536", "a-b", "1-2-3"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_listens_on_loopback() {
        let listens = |host: &str, port| Ok(Some(Listen { host: host.to_owned(), port }));
        for (text, host) in [
            ("9121", "127.0.0.1"),
            (":9121", "127.0.0.1"),
            ("0.0.0.0:9121", "0.0.0.0"),
            ("[::]:9121", "::"),
            ("ftp.example.org:9121", "ftp.example.org"),
        ] {
            assert_eq!(listen(text), listens(host, 9121), "{text}");
        }
        assert_eq!(listen(":0"), listens("127.0.0.1", 0));
        assert_eq!((listen(""), listen("0")), (Ok(None), Ok(None)));
        for text in ["x", "127.0.0.1", "::1:80", "[::1]", "[x]:80", "a:70000", "a:-1", ":"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_word_local_means_addresses_that_are_not_routed() {
        let peers = peers("Local, 203.0.113.0/24").unwrap();
        let contain = |text: &str| {
            let address = text.parse().unwrap();
            peers.iter().any(|peers| peers.contain(address))
        };
        for inside in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd00::1", "203.0.113.7"]
        {
            assert!(contain(inside), "{inside}");
        }
        for outside in ["8.8.8.8", "2001:db8::1", "203.0.114.1"] {
            assert!(!contain(outside), "{outside}");
        }
    }

    #[test]
    fn ipv4_in_the_form_of_ipv6_is_ipv4() {
        for (text, same) in [
            ("::ffff:127.0.0.1", "127.0.0.1/32"),
            ("::ffff:7f00:1/128", "127.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(prefixes(text), prefixes(same), "{text}");
            assert_eq!(peers(text), peers(same), "{text}");
        }
        let Err(Refused::Text(why)) = prefixes("::ffff:10.0.0.0/95") else {
            panic!("accepted")
        };
        assert!(why.contains("shorter than /96"));
        for text in ["::/0", "::1", "2001:db8::/32", "64:ff9b::10.0.0.1"] {
            assert!(prefixes(text).unwrap().iter().all(|net| net.addr().is_ipv6()), "{text}");
        }
    }
}
