//! The kinds of value a key can have: how each is read from text, and how it is described.
//!
//! A function here takes the trimmed text and gives the value, or says what is wrong with
//! the text in words that follow it: `'many' is not a whole number`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::day::Day;
use super::hash::Hash;
use super::perm::PermSet;

/// Why a text is not a value, in words that follow the quoted text.
pub(super) type Refused = String;

/// What a user's password is compared with. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The password itself.
    Clear(String),
    /// What was made of it.
    Hash(Hash),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// How many ports that are.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Whether a port lies inside.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// An address or name with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Without the brackets of IPv6.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
}

/// How the lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl LogForm {
    /// The words of the key.
    pub(super) const WORDS: [&str; 2] = ["text", "json"];

    /// By one of them.
    pub(super) fn of(word: &str) -> Self {
        if word == "json" { Self::Json } else { Self::Text }
    }
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// A file.
    File(PathBuf),
    /// The system's log, at this socket or the usual one.
    Syslog(Option<PathBuf>),
}

/// Peers that `masquerade_except` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// The word `local`: loopback, private and link-local addresses.
    Local,
    /// An address or a prefix.
    Prefix(IpNet),
}

impl Peers {
    /// Whether an address is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Prefix(prefix), _) => prefix.contains(&address),
            (Self::Local, IpAddr::V4(v4)) => {
                v4.is_loopback() || v4.is_private() || v4.is_link_local()
            }
            (Self::Local, IpAddr::V6(v6)) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        }
    }
}

pub(super) fn number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Refused> {
    let number = whole(text).ok_or_else(|| "is not a whole number".to_owned())?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("is not between {} and {}", range.start(), range.end()))
    }
}

/// Digits alone: `parse` would take a sign.
fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The digits of a number with one of some units behind it, and how many ones the unit is.
fn scaled<'t>(text: &'t str, units: &[(char, u64)]) -> (&'t str, u64) {
    let unit = units.iter().find_map(|(unit, says)| Some((text.strip_suffix(*unit)?, *says)));
    unit.unwrap_or((text, 1))
}

pub(super) fn switch(text: &str) -> Result<bool, Refused> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Ok(true),
        "off" | "no" | "false" | "0" => Ok(false),
        _ => Err("is neither on nor off".to_owned()),
    }
}

/// Bytes per second; 0 or empty is no limit.
pub(super) fn rate(text: &str) -> Result<Option<NonZeroU64>, Refused> {
    let refused = || "is not a size such as 300K, 10M or 1G".to_owned();
    let lower = text.to_ascii_lowercase();
    let size = lower.strip_suffix("/s").unwrap_or(&lower).trim_end();
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, unit) = scaled(size, &[('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)]);
    let count = whole(digits.trim_end()).ok_or_else(refused)?;
    let bytes = count.checked_mul(unit).ok_or_else(refused)?;
    Ok(NonZeroU64::new(bytes))
}

/// A duration; 0 or empty is no limit.
pub(super) fn time(text: &str) -> Result<Option<Duration>, Refused> {
    let refused = || "is not a duration such as 300, 90s, 5m, 1h or 1d".to_owned();
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, unit) = scaled(&lower, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]);
    let count = whole(digits.trim_end()).ok_or_else(refused)?;
    let seconds = count.checked_mul(unit).filter(|&seconds| seconds <= LONGEST);
    let seconds = seconds.ok_or_else(|| "is longer than a year".to_owned())?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// A year in seconds: deadlines are sums, and this keeps them far from overflow.
const LONGEST: u64 = 365 * 24 * 3600;

pub(super) fn ports(text: &str) -> Result<PortRange, Refused> {
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

pub(super) fn perm(text: &str) -> Result<PermSet, Refused> {
    PermSet::parse(text).map_err(|letter| {
        format!("has the unknown permission letter '{}'", letter.escape_debug())
    })
}

/// Permission bits to leave out, in octal.
pub(super) fn umask(text: &str) -> Result<u32, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mask = u32::from_str_radix(text, 8).ok().filter(|&mask| digits && mask <= 0o777);
    mask.ok_or_else(|| "is not an octal mask between 000 and 777".to_owned())
}

/// Where to listen; empty or 0 is nowhere. A port alone is one of the loopback address: to be
/// reached from elsewhere takes an address that says so.
pub(super) fn listen(text: &str) -> Result<Option<Listen>, Refused> {
    let refused = || "is neither a port nor of the form address:port".to_owned();
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = whole(port).and_then(|port| u16::try_from(port).ok()).ok_or_else(refused)?;
    let host = match host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().map(|v6| v6.to_string()).ok(),
        None if host.is_empty() => Some("127.0.0.1".to_owned()),
        None => self::host(host).ok().flatten(),
    };
    Ok(Some(Listen { host: host.ok_or_else(refused)?, port }))
}

/// The system's log, unless the text is the name of a file.
pub(super) fn syslog(text: &str, folder: &Path) -> Option<LogTo> {
    match text.split_once(':').unwrap_or((text, "")) {
        (word, "") if word.eq_ignore_ascii_case("syslog") => Some(LogTo::Syslog(None)),
        (word, at) if word.eq_ignore_ascii_case("syslog") => {
            Some(LogTo::Syslog(Some(folder.join(at))))
        }
        _ => None,
    }
}

/// An IPv4 address or a host name; empty is none.
pub(super) fn host(text: &str) -> Result<Option<String>, Refused> {
    if text.is_empty() {
        Ok(None)
    } else if is_host_name(text) && !is_broken_address(text) {
        Ok(Some(text.to_owned()))
    } else {
        Err("is neither an IPv4 address nor a host name".to_owned())
    }
}

/// A day of the calendar; empty is none.
pub(super) fn day(text: &str) -> Result<Option<Day>, Refused> {
    let day = (!text.is_empty()).then(|| Day::parse(text));
    day.map(|day| day.ok_or_else(|| "is not a day such as 2026-12-31".to_owned())).transpose()
}

/// An IPv4 address that clients can connect to, or a host name; empty is none.
pub(super) fn reachable_host(text: &str) -> Result<Option<String>, Refused> {
    let host = host(text)?;
    match text.parse::<Ipv4Addr>() {
        Ok(address) if !is_reachable(address) => {
            Err("is an address that no client can connect to".to_owned())
        }
        Ok(_) | Err(_) => Ok(host),
    }
}

/// Whether it may be the address of one host.
fn is_reachable(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // "this network", groups, and what is reserved, with the address of all hosts
    first != 0 && !address.is_multicast() && first < 240
}

/// Letters, digits and hyphens, with dots between the labels (RFC 1123 §2.1); and underscores,
/// which some networks have.
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

/// Whether a text is an address or the name of a host, to listen on.
pub(super) fn listening(text: &str) -> Result<(), Refused> {
    // a link-local address may have its interface behind it
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

/// No name ends in a number (RFC 3696 §2), so this is an IPv4 address with a slip of the pen.
fn is_broken_address(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    // which the C library takes for an address as well
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = is_decimal
        || hexadecimal
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_number && text.parse::<IpAddr>().is_err()
}

/// The parts of a comma-separated list.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The words of a command. Double quotes keep the spaces between them.
pub(super) fn words(text: &str) -> Result<Vec<String>, Refused> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (None::<String>, false);
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() && !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    if quoted {
        Err("has a quotation mark without its other one".to_owned())
    } else {
        Ok(words)
    }
}

pub(super) fn prefixes(text: &str) -> Result<Vec<IpNet>, Refused> {
    list(text).map(prefix).collect()
}

pub(super) fn peers(text: &str) -> Result<Vec<Peers>, Refused> {
    let peers = |part: &str| match part {
        word if word.eq_ignore_ascii_case("local") => Ok(Peers::Local),
        other => prefix(other).map(Peers::Prefix),
    };
    list(text).map(peers).collect()
}

fn prefix(part: &str) -> Result<IpNet, Refused> {
    let address = || part.parse::<IpAddr>().map(IpNet::from);
    let prefix = part.parse().or_else(|_| address()).map_err(|_| {
        "is not a list of addresses and prefixes such as 192.168.1.0/24, ::1".to_owned()
    })?;
    canonical(prefix).ok_or_else(|| {
        "has a prefix of IPv4 addresses in the form of IPv6 that is shorter than /96".to_owned()
    })
}

/// Clients that come by IPv4 are compared by their IPv4 addresses, so `::ffff:10.0.0.0/104` is
/// 10.0.0.0/8. Nothing where IPv4 addresses are meant and less than they have in common is given.
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

/// A password in clear text, or a hash of one.
pub(super) fn password(text: &str) -> Result<Password, &'static str> {
    if text.is_empty() {
        return Err("is empty; nobody may log in without a password");
    }
    match Hash::read(text) {
        None => Ok(Password::Clear(text.to_owned())),
        Some(hash) => hash.map(Password::Hash),
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
    fn sizes_are_1024_based_and_may_say_per_second() {
        for (text, bytes) in [
            ("300K", 300 << 10),
            ("300k/s", 300 << 10),
            ("10M/s", 10 << 20),
            ("1 G", 1 << 30),
            ("512", 512),
        ] {
            assert_eq!(rate(text), Ok(NonZeroU64::new(bytes)), "{text}");
        }
        for text in ["", "0", "0K", "0/s"] {
            assert_eq!(rate(text), Ok(None), "{text}");
        }
        for text in ["K", "/s", "-1", "1.5M", "1T", "99999999999G", "300 K B"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_take_seconds_minutes_hours_and_days() {
        assert_eq!(time("90"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(time("90s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(time("5M"), Ok(Some(Duration::from_secs(300))));
        assert_eq!(time("1 h"), Ok(Some(Duration::from_secs(3600))));
        assert_eq!(time("1d"), Ok(Some(Duration::from_secs(86_400))));
        assert_eq!(time("0m"), Ok(None));
        assert_eq!(time(""), Ok(None));
        for text in ["m", "1w", "-1", "1.5h", "18446744073709551615h", "9999h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_keep_the_spaces_of_an_argument() {
        let words = |text| words(text).unwrap();
        assert_eq!(words("/bin/x -a  b"), ["/bin/x", "-a", "b"]);
        assert_eq!(words("x \"a b\" \"\" c\" \"d"), ["x", "a b", "", "c d"]);
        assert!(super::words("x \"a").is_err());
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
    fn the_word_syslog_is_no_file() {
        let log = |text| syslog(text, Path::new("/etc"));
        assert_eq!((log("syslog"), log("Syslog:")), (log("SYSLOG"), log("syslog")));
        assert_eq!(log("syslog"), Some(LogTo::Syslog(None)));
        assert_eq!(log("syslog:/run/log"), Some(LogTo::Syslog(Some("/run/log".into()))));
        assert_eq!(log("syslog:log"), Some(LogTo::Syslog(Some("/etc/log".into()))));
        for file in ["", "./syslog", "syslog.1", "/var/log/syslog", "ftpd.log"] {
            assert_eq!(log(file), None, "{file}");
        }
    }

    #[test]
    fn masks_are_octal() {
        assert_eq!(umask("022"), Ok(0o022));
        assert_eq!(umask("77"), Ok(0o077));
        for text in ["", "8", "+22", "1000", "0x1"] {
            assert!(umask(text).is_err(), "{text}");
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
        assert!(prefixes("::ffff:10.0.0.0/95").unwrap_err().contains("shorter than /96"));
        for text in ["::/0", "::1", "2001:db8::/32", "64:ff9b::10.0.0.1"] {
            assert!(prefixes(text).unwrap().iter().all(|net| net.addr().is_ipv6()), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        assert_eq!(format!("{:?}", password("secret").unwrap()), "***");
    }
}
