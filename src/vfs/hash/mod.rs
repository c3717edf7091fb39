//! Checksums of files: computing them, remembering them, and how many are computed at once.
//!
//! A file is read by the session that asks, so this is work like a transfer: the caller can end it
//! between two pieces. Files must have been opened by the caller, who has checked that the user may
//! read them: whoever gets the checksum of one byte knows the byte.

pub(in crate::vfs) mod algorithm;
mod memory;
mod places;

use std::fs::File;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use rustix::fs::{Advice, Stat, fadvise, fstat};
use rustix::io::{Errno, pread};

pub use self::algorithm::Algorithm;
use self::algorithm::Hasher;
use self::memory::{Key, Memory};
use self::places::{Place, Places};
use super::error::{FsError, Heed};
use super::tree::entry::{Version, changed};

/// Size of the pieces in which files are read.
const PIECE: usize = 128 << 10;

/// How long a file must have been unchanged before its checksum is remembered. Within this time, a
/// change might leave both times as they are, since some file systems keep whole seconds only.
const SETTLED: Duration = Duration::from_secs(3);

/// Callback that is told how many bytes are done, and returns whether to continue.
pub type Told<'a> = dyn FnMut(u64) -> bool + 'a;

/// The checksums of a server: those that are being computed, and those that are remembered.
#[derive(Debug)]
pub struct Hashes {
    places: Places,
    memory: Memory,
}

/// A checksum that a client asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The bytes of the file.
    pub range: Range<u64>,
    /// How long to wait while others are computed.
    pub patience: Duration,
}

impl Hashes {
    /// Returns the checksums of a server that computes at most this number at once.
    pub fn new(most: usize) -> Self {
        Self { places: Places::new(most), memory: Memory::default() }
    }

    /// Waits for the right to work on a whole file, which ends when the result is dropped.
    pub(in crate::vfs) fn place(
        &self,
        owner: &[u8],
        patience: Duration,
        heed: &mut Heed<'_>,
    ) -> Result<Place<'_>, FsError> {
        self.places.take(owner, patience, heed)
    }

    /// Returns the checksum of a part of a file in hexadecimal digits. `owner` distinguishes the users,
    /// each of whom has one checksum computed at a time.
    pub(in crate::vfs) fn hash(
        &self,
        file: &File,
        wanted: &Wanted,
        owner: &[u8],
        told: &mut Told<'_>,
    ) -> Result<String, FsError> {
        let Wanted { algorithm, ref range, patience } = *wanted;
        let before = fstat(file)?;
        let key = Key::new(&before, algorithm, range);
        if let Some(known) = self.memory.find(&key) {
            return Ok(known);
        }
        let _place = self.places.take(owner, patience, &mut || told(0))?;
        let is_settled = is_settled(&before);
        let digest = compute(file, algorithm, range.clone(), told)?;
        if Version::of(&fstat(file)?) != Version::of(&before) {
            // the digest may be that of no version of the file
            return Err(FsError::Busy);
        }
        if is_settled && changed(&fstat(file)?) == changed(&before) {
            self.memory.keep(key, &digest);
        }
        Ok(digest)
    }
}

/// Whether the last change of a file is so long ago that another one would be seen in its times.
fn is_settled(stat: &Stat) -> bool {
    let since = SystemTime::now().duration_since(changed(stat));
    since.is_ok_and(|since| since >= SETTLED)
}

fn compute(
    file: &File,
    algorithm: Algorithm,
    range: Range<u64>,
    told: &mut Told<'_>,
) -> Result<String, FsError> {
    let mut hasher = Hasher::new(algorithm);
    let Range { start, end } = range;
    let mut offset = start;
    // only makes the system read ahead, so failures do not matter
    let _ = fadvise(file, start, None, Advice::Sequential);
    let left = |offset| usize::try_from(end.saturating_sub(offset)).unwrap_or(PIECE).min(PIECE);
    let mut piece = vec![0; left(start)];
    while offset < end {
        let bytes = match pread(file, piece.get_mut(..left(offset)).unwrap_or_default(), offset)
        {
            Err(Errno::INTR) => continue,
            // the file has become shorter
            Ok(0) => return Err(FsError::Busy),
            read => piece.get(..read?).unwrap_or_default(),
        };
        hasher.update(bytes);
        offset += bytes.len() as u64;
        if !told(offset - start) {
            return Err(FsError::Interrupted);
        }
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn wanted(algorithm: Algorithm, range: Range<u64>) -> Wanted {
        Wanted { algorithm, range, patience: Duration::ZERO }
    }

    #[test]
    fn known_texts_have_known_checksums() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"-abc-").unwrap();
        let hashes = Hashes::new(1);
        for (algorithm, of_abc, of_nothing) in [
            (Algorithm::Crc32, "352441c2", "00000000"),
            (
                Algorithm::Md5,
                "900150983cd24fb0d6963f7d28e17f72",
                "d41d8cd98f00b204e9800998ecf8427e",
            ),
            (
                Algorithm::Sha1,
                "a9993e364706816aba3e25717850c26c9cd0d89d",
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            ),
            (
                Algorithm::Sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
        ] {
            let hash = |range| {
                hashes.hash(&file, &wanted(algorithm, range), b"bob", &mut |_| true).unwrap()
            };
            assert_eq!(hash(1..4), of_abc);
            assert_eq!(hash(2..2), of_nothing);
        }
        let sha512 = wanted(Algorithm::Sha512, 1..4);
        let sha512 = hashes.hash(&file, &sha512, b"bob", &mut |_| true).unwrap();
        assert!(sha512.starts_with("ddaf35a193617abacc417349ae204131") && sha512.len() == 128);
    }

    #[test]
    fn a_file_that_is_shorter_than_its_range_or_changes_has_no_checksum() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let hashes = Hashes::new(1);
        let all = wanted(Algorithm::Md5, 0..4);
        let short = hashes.hash(&file, &all, b"bob", &mut |_| true);
        assert!(matches!(short, Err(FsError::Busy)), "{short:?}");
        let all = wanted(Algorithm::Md5, 0..3);
        let grow = file.try_clone().unwrap();
        let changed =
            hashes.hash(&file, &all, b"bob", &mut |_| (&grow).write_all(b"d").is_ok());
        assert!(matches!(changed, Err(FsError::Busy)), "{changed:?}");
        let ended = hashes.hash(&file, &all, b"bob", &mut |_| false);
        assert!(matches!(ended, Err(FsError::Interrupted)), "{ended:?}");
    }
}
