//! Names in the trash: those of the versions, and that of the trash itself.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::rights::Ids;
use crate::vfs::tree::names::TRASH;

/// When something came to the trash, and a number that distinguishes what came at the same time. The
/// order is that of coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::vfs) struct Stamp {
    /// Nanoseconds since 1970.
    nanos: u64,
    number: u32,
}

impl Stamp {
    /// Returns a stamp for now, later than all others of this process even if the clock is set back.
    pub(in crate::vfs) fn now() -> Self {
        static LATEST: AtomicU64 = AtomicU64::new(0);
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let latest = LATEST.fetch_max(now, Ordering::Relaxed);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { nanos: now.max(latest), number }
    }

    /// Returns the name of the version.
    pub(in crate::vfs) fn name(self) -> Vec<u8> {
        let digits = format!("-{:016x}-{:08x}", self.nanos, self.number);
        [TRASH, digits.as_bytes()].concat()
    }

    /// Reads the name of a version. Returns `None` if it is not one that a server writes.
    pub(in crate::vfs) fn parse(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name.strip_prefix(TRASH)?.strip_prefix(b"-")?).ok()?;
        let (nanos, number) = text.split_once('-')?;
        let nanos = u64::from_str_radix(nanos, 16).ok()?;
        let stamp = Self { nanos, number: u32::from_str_radix(number, 16).ok()? };
        (stamp.name() == name).then_some(stamp)
    }

    /// Returns when the version came to the trash.
    pub(in crate::vfs) fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.nanos)
    }
}

/// Returns the name of the trash of sessions that act as this user; `None`: as the server's own.
pub(in crate::vfs) fn name_of_trash(ids: Option<&Ids>) -> Vec<u8> {
    match ids {
        None => TRASH.to_vec(),
        Some(ids) => [TRASH, format!("-{}", ids.uid).as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::tree::names::is_reserved;

    #[test]
    fn names_sort_by_time_and_are_read_back() {
        let stamps: Vec<_> = (0..1000).map(|_| Stamp::now()).collect();
        let names: Vec<_> = stamps.iter().map(|stamp| stamp.name()).collect();
        for (stamp, name) in stamps.iter().zip(&names) {
            assert_eq!(Stamp::parse(name), Some(*stamp));
            assert!(is_reserved(name) && name.len() < 60);
        }
        assert!(stamps.is_sorted() && names.is_sorted());
        let age = SystemTime::now().duration_since(stamps[0].time()).unwrap();
        assert!(age < Duration::from_secs(60));
    }

    #[test]
    fn other_names_are_no_versions() {
        for name in [
            ".ftpd-trash",
            ".ftpd-trash-1000",
            ".ftpd-trash-0-0",
            ".ftpd-trash-0000000000000001-0000000A",
            ".ftpd-trash-+000000000000001-0000000a",
            ".ftpd-trash-0000000000000001-0000000a-",
            ".FTPD-trash-0000000000000001-0000000a",
        ] {
            assert_eq!(Stamp::parse(name.as_bytes()), None, "{name}");
        }
        assert!(Stamp::parse(b".ftpd-trash-0000000000000001-0000000a").is_some());
    }
}
