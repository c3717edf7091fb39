//! Hashes of passwords in the key `password`: the schemes, their syntax, and how costly a hash may
//! be. The module `auth` checks passwords against these hashes.

use std::time::Duration;

/// A well-formed hash of a known scheme. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    scheme: Scheme,
    text: String,
}

/// The scheme that a hash was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `$argon2id$`, which `ftpd passwd` makes.
    Argon2id,
    /// `$y$`, the default of Debian and related systems.
    Yescrypt,
    /// `$6$` and `$5$`.
    ShaCrypt,
    /// `$2b$`, `$2y$` and `$2a$`.
    Bcrypt,
}

/// Why a hash was refused. The text does not contain the hash.
pub(super) type Refused = &'static str;

/// Maximum memory of one check in KiB. `password_workers` checks may run at once.
const MOST_MEMORY: u32 = 128 << 10;

/// Maximum of memory in KiB multiplied by passes; a check at this maximum takes several seconds.
/// `pure-pw` of Pure-FTPd chooses the costs of a hash by the time they take, and some of its hashes
/// reach half of this.
const MOST_WORK: u64 = 1 << 23;

/// Measured time of an Argon2id check, in nanoseconds for each KiB and pass.
const ARGON2ID: u64 = 500;

/// Measured time of a bcrypt check of cost 0 in nanoseconds; each step of the cost doubles it.
const BCRYPT: u64 = 60_000;

/// Maximum number of rounds of SHA-crypt.
const MOST_ROUNDS: u32 = 1_000_000;
/// Maximum cost of bcrypt.
const MOST_COST: u32 = 14;

const TOO_COSTLY: Refused = "is a hash that takes too much time or memory to check; \
    make one with 'ftpd passwd'";
const MALFORMED: Refused = "is a malformed hash; make one with 'ftpd passwd'";
const UNKNOWN: Refused = "is a hash of an unknown kind; expected clear text, $argon2id$, $y$, \
    $6$, $5$ or $2b$ (make one with 'ftpd passwd')";

/// Prefixes of hashes that are not supported.
const OTHERS: [&str; 14] = [
    "$1$", "$2$", "$2x$", "$3$", "$7$", "$8$", "$gy$", "$P$", "$H$", "$S$", "$md5", "$sha1$",
    "$apr1$", "$argon2",
];

impl Hash {
    /// Reads a hash; `None` if the text does not look like one.
    pub(super) fn read(text: &str) -> Option<Result<Self, Refused>> {
        let known = [
            ("$argon2id$", Scheme::Argon2id, argon2id as fn(&str) -> Result<(), Refused>),
            ("$y$", Scheme::Yescrypt, yescrypt),
            ("$6$", Scheme::ShaCrypt, |rest| sha_crypt(rest, 86)),
            ("$5$", Scheme::ShaCrypt, |rest| sha_crypt(rest, 43)),
            ("$2b$", Scheme::Bcrypt, bcrypt),
            ("$2y$", Scheme::Bcrypt, bcrypt),
            ("$2a$", Scheme::Bcrypt, bcrypt),
        ];
        for (prefix, scheme, check) in known {
            if let Some(rest) = text.strip_prefix(prefix) {
                let hash = || Self { scheme, text: text.to_owned() };
                return Some(check(rest).map(|()| hash()));
            }
        }
        // a locked password, as in shadow(5), is not clear text either
        let bare = text.trim_start_matches(['!', '*']);
        let is_locked =
            bare.len() < text.len() && (bare.is_empty() || Self::read(bare).is_some());
        let is_other = OTHERS.iter().any(|prefix| text.starts_with(prefix)) || is_likely(text);
        (is_locked || is_other).then_some(Err(UNKNOWN))
    }

    /// Reads a hash.
    ///
    /// # Errors
    ///
    /// When the hash is malformed or not supported. The text does not contain the hash.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Self::read(text).unwrap_or(Err(UNKNOWN))
    }

    /// Returns the scheme that the hash was made with.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Estimates how long a check takes on a typical machine.
    pub(super) fn estimate(&self) -> Duration {
        let field = |text: &str, name: &str| {
            text.split(['$', ',']).find_map(|part| part.strip_prefix(name).and_then(digits))
        };
        let nanoseconds = match self.scheme {
            Scheme::Argon2id => {
                let cost = |name| u64::from(field(&self.text, name).unwrap_or_default());
                cost("m=") * cost("t=") * ARGON2ID
            }
            Scheme::Bcrypt => {
                let cost = self.text.split('$').nth(2).and_then(digits).unwrap_or_default();
                BCRYPT << cost.min(MOST_COST)
            }
            // always short, because memory and rounds are limited
            Scheme::Yescrypt | Scheme::ShaCrypt => 0,
        };
        Duration::from_nanos(nanoseconds)
    }

    /// Returns the text of the hash, to check a password or to write the hash to a file.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Returns whether a text would be read as a password in clear text.
pub fn may_be_clear_text(text: &str) -> bool {
    !text.is_empty() && Hash::read(text).is_none()
}

/// Returns whether a text looks like a hash: it is long and has parts separated by `$`. If a hash
/// were read as clear text, anybody who has seen it could log in with it.
fn is_likely(text: &str) -> bool {
    let in_hash = |byte: u8| byte.is_ascii_alphanumeric() || b"./+=,-_$".contains(&byte);
    let parts = text.strip_prefix('$').map_or(0, |rest| rest.split('$').count());
    text.len() >= 30 && parts >= 3 && text.bytes().all(in_hash)
}

/// Checks what follows the prefix of an Argon2id hash: `v=19$m=19456,t=2,p=1$salt$hash`.
fn argon2id(rest: &str) -> Result<(), Refused> {
    let parts: Vec<_> = rest.split('$').collect();
    let ["v=19", costs, salt, hash] = parts[..] else { return Err(MALFORMED) };
    let costs: Vec<_> = costs.split(',').collect();
    let [memory, passes, lanes] = costs[..] else { return Err(MALFORMED) };
    let cost = |text: &str, name: &str| {
        text.strip_prefix(name).and_then(whole).filter(|&cost| cost > 0).ok_or(MALFORMED)
    };
    let (memory, passes, lanes) =
        (cost(memory, "m=")?, cost(passes, "t=")?, cost(lanes, "p=")?);
    if lanes > 64 || u64::from(memory) < 8 * u64::from(lanes) {
        return Err(MALFORMED);
    }
    if memory > MOST_MEMORY || u64::from(memory) * u64::from(passes) > MOST_WORK {
        return Err(TOO_COSTLY);
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    part(salt, 11..=64, is_base64)?;
    part(hash, 22..=86, is_base64)
}

/// Checks what follows the prefix of a yescrypt hash: `j9T$salt$hash`. The first part is three
/// letters of settings, as libxcrypt writes them.
fn yescrypt(rest: &str) -> Result<(), Refused> {
    let parts: Vec<_> = rest.split('$').collect();
    let [settings, salt, hash] = parts[..] else { return Err(MALFORMED) };
    let &[b'j', size, block] = settings.as_bytes() else { return Err(MALFORMED) };
    let value = |letter: u8| CRYPT.iter().position(|&other| other == letter);
    // a value above 47 would have a second letter
    let value = |letter: u8| value(letter).filter(|&value| value <= 47).ok_or(MALFORMED);
    let (size, block) = (value(size)? + 1, value(block)? + 1);
    if size < 10 || block < 8 {
        return Err(MALFORMED);
    }
    if size > 20 || (block << size) / 8 > MOST_MEMORY as usize {
        return Err(TOO_COSTLY);
    }
    part(salt, 1..=86, is_crypt)?;
    part(hash, 43..=43, is_crypt)
}

/// Checks what follows the prefix of a SHA-crypt hash: `[rounds=5000$]salt$hash`.
fn sha_crypt(rest: &str, length: usize) -> Result<(), Refused> {
    let parts: Vec<_> = rest.split('$').collect();
    let (rounds, salt, hash) = match parts[..] {
        [salt, hash] => (None, salt, hash),
        [rounds, salt, hash] => (Some(rounds), salt, hash),
        _ => return Err(MALFORMED),
    };
    if let Some(rounds) = rounds {
        let rounds = rounds.strip_prefix("rounds=").and_then(whole).ok_or(MALFORMED)?;
        if rounds < 1000 {
            return Err(MALFORMED);
        }
        if rounds > MOST_ROUNDS {
            return Err(TOO_COSTLY);
        }
    }
    part(salt, 1..=16, is_crypt)?;
    part(hash, length..=length, is_crypt)
}

/// Checks what follows the prefix of a bcrypt hash: `12$`, then 22 letters of salt and 31 of hash.
fn bcrypt(rest: &str) -> Result<(), Refused> {
    let (cost, both) = rest.split_once('$').ok_or(MALFORMED)?;
    let cost = Some(cost).filter(|cost| cost.len() == 2).and_then(digits).ok_or(MALFORMED)?;
    if cost < 4 {
        return Err(MALFORMED);
    }
    if cost > MOST_COST {
        return Err(TOO_COSTLY);
    }
    part(both, 53..=53, is_crypt)
}

/// The base-64 alphabet of crypt(3), in the order of the values.
const CRYPT: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn is_crypt(byte: u8) -> bool {
    CRYPT.contains(&byte)
}

fn part(
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(u8) -> bool,
) -> Result<(), Refused> {
    if length.contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(MALFORMED)
    }
}

/// Reads a number that consists only of digits and does not begin with 0.
fn whole(text: &str) -> Option<u32> {
    digits(text).filter(|_| !text.starts_with('0'))
}

fn digits(text: &str) -> Option<u32> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<Refused> {
        Hash::read(text).and_then(Result::err)
    }

    #[test]
    fn what_looks_like_no_hash_is_none() {
        for text in ["secret", "$", "$$", "$money$", "$10", "x$6$", "$12$5", "!secret", "*s"] {
            assert_eq!(Hash::read(text), None, "{text}");
        }
    }

    #[test]
    fn each_kind_is_known_and_not_shown() {
        let hash43 = "RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B";
        let hash86 = hash43.repeat(2);
        for (text, scheme) in [
            (format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ${hash43}"), Scheme::Argon2id),
            (format!("$y$j9T$F5Jx5fExrKuPp53xLKQ..1${hash43}"), Scheme::Yescrypt),
            (format!("$6$saltsalt${hash86}"), Scheme::ShaCrypt),
            (format!("$6$rounds=1000$saltsalt${hash86}"), Scheme::ShaCrypt),
            (format!("$5$saltsalt${hash43}"), Scheme::ShaCrypt),
            (format!("$2b$12${hash43}1234567890"), Scheme::Bcrypt),
        ] {
            let hash = Hash::read(&text).unwrap().unwrap();
            assert_eq!((hash.scheme(), hash.expose()), (scheme, &*text));
            assert_eq!(format!("{hash:?}"), "***");
            // the hash cut short, and the hash with text after it
            let (cut, more) = (&text[..text.len() - 1], format!("{text}$x"));
            if scheme != Scheme::Argon2id {
                assert_eq!(refused(cut), Some(MALFORMED), "{cut}");
            }
            assert_eq!(refused(&more), Some(MALFORMED), "{more}");
            for locked in ["!", "*", "!!"] {
                assert_eq!(refused(&format!("{locked}{text}")), Some(UNKNOWN));
            }
        }
    }

    #[test]
    fn a_hash_without_an_end_would_fit_every_password_and_is_none() {
        for text in [
            "$y$j9T$salt$",
            "$y$j9T$salt",
            "$6$salt$",
            "$5$$",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$2b$12$",
        ] {
            assert_eq!(refused(text), Some(MALFORMED), "{text}");
        }
    }

    #[test]
    fn what_would_take_the_machine_is_refused() {
        let hash = "RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B";
        for text in [
            format!("$argon2id$v=19$m=1048576,t=1,p=1$c2FsdHNhbHQ${hash}"),
            format!("$argon2id$v=19$m=65536,t=129,p=1$c2FsdHNhbHQ${hash}"),
            format!("$y$jFT$salt${hash}"),
            format!("$y$jj.$salt${hash}").replace("j.", "j5"),
            format!("$5$rounds=999999999$salt${hash}"),
            format!("$2b$20${hash}1234567890"),
        ] {
            assert_eq!(refused(&text), Some(TOO_COSTLY), "{text}");
        }
        for text in [
            format!("$argon2id$v=19$m=7,t=1,p=1$c2FsdHNhbHQ${hash}"),
            format!("$argon2id$v=19$m=99999999999,t=1,p=1$c2FsdHNhbHQ${hash}"),
            format!("$argon2id$v=16$m=19456,t=1,p=1$c2FsdHNhbHQ${hash}"),
            format!("$y$j..$salt${hash}"),
            format!("$y$jzz$salt${hash}"),
            format!("$y$/9T$salt${hash}"),
            format!("$5$rounds=10$salt${hash}"),
            format!("$5$rounds=05000$salt${hash}"),
            format!("$5$seventeen-letters$salt${hash}"),
            format!("$2b$3${hash}12345678901"),
        ] {
            assert_eq!(refused(&text), Some(MALFORMED), "{text}");
        }
    }

    #[test]
    fn what_other_servers_make_is_taken_and_how_long_it_takes_is_known() {
        let estimate = |text: &str| Hash::read(text).unwrap().unwrap().estimate().as_millis();
        let hash = "RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B";
        let argon2id = |costs| estimate(&format!("$argon2id$v=19${costs}$c2FsdHNhbHQ${hash}"));
        assert!(argon2id("m=19456,t=2,p=1") < 100);
        for (costs, least) in [
            ("m=8192,t=255,p=1", 500),
            ("m=8192,t=511,p=1", 1000),
            ("m=8192,t=1024,p=1", 2000),
            ("m=131072,t=64,p=1", 2000),
        ] {
            assert!((least..10_000).contains(&argon2id(costs)), "{costs}");
        }
        let bcrypt = |cost: u32| estimate(&format!("$2b${cost:02}${hash}1234567890"));
        assert!(bcrypt(12) < 500 && bcrypt(14) > 500);
        for costs in ["m=8192,t=1025,p=1", "m=131073,t=1,p=1"] {
            let text = format!("$argon2id$v=19${costs}$c2FsdHNhbHQ${hash}");
            assert_eq!(refused(&text), Some(TOO_COSTLY), "{costs}");
        }
    }

    #[test]
    fn other_kinds_are_not_taken_for_clear_text() {
        for text in [
            "$1$salt$YogkosCIrkoEoGzIPu7xf/",
            "$7$CU..../....x$y",
            "$argon2i$v=19$m=4096,t=3,p=1$c2FsdA$aGFzaA",
            "$apr1$x$y",
            "$2x$12$abcdefghijklmnopqrstuv",
            "$pbkdf2-sha256$29000$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "!$1$salt$YogkosCIrkoEoGzIPu7xf/",
        ] {
            assert_eq!(refused(text), Some(UNKNOWN), "{text}");
        }
    }
}
