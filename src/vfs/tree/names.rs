//! The names in a directory, read from the system in large blocks, and which names are
//! reserved.

use std::ffi::CStr;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::RawDir;

use crate::vfs::error::FsError;

/// Beginning of all reserved names. Clients may not use them, in upper or lower case: some file
/// systems ignore case.
const RESERVED: &[u8] = b".ftpd-";

/// Prefix of the name of each part of an upload.
pub(in crate::vfs) const PART_PREFIX: &[u8] = b".ftpd-part-";

/// Prefix of the names of the files that lock something against other servers (`shared_storage`). It
/// begins like that of parts, so that it is reserved, and no part has such a name.
pub(in crate::vfs) const LOCK_PREFIX: &[u8] = b".ftpd-part-lock-";

/// Name of the file at the top of a tree that holds what servers share of its quota (`shared_storage`).
pub(in crate::vfs) const QUOTA_FILE: &[u8] = b".ftpd-part-quota~";

/// Name of the directory that keeps what was deleted. With a hyphen after it, it is also the prefix of
/// the names of such directories of other users, and of the names of deleted files in them.
pub(in crate::vfs) const TRASH: &[u8] = b".ftpd-trash";

/// Whether a name is reserved for parts of uploads, for locks or for the trash.
#[inline]
pub(in crate::vfs) fn is_reserved(name: &[u8]) -> bool {
    // most names differ in their first letter
    match name.first() {
        Some(b'f' | b'F') => is_short_name_of_trash(name),
        Some(b'.' | 0x80..) => begins_as_reserved(|| folded(name)),
        _ => false,
    }
}

/// Whether a name is reserved for parts of uploads, or for locks.
pub(in crate::vfs) fn is_part(name: &[u8]) -> bool {
    let start = name.get(..PART_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PART_PREFIX))
}

/// Whether a name is that of a file that locks something.
pub(in crate::vfs) fn is_lock(name: &[u8]) -> bool {
    name.starts_with(LOCK_PREFIX)
}

/// Whether a name is that of a file by which servers agree, which does not count for a quota.
pub(in crate::vfs) fn is_between_servers(name: &[u8]) -> bool {
    is_lock(name) || name == QUOTA_FILE
}

fn begins_as_reserved<L: Iterator<Item = char>>(letters: impl Fn() -> L) -> bool {
    let begins = |prefix: &[u8]| {
        let mut rest = letters();
        let is_so = prefix.iter().all(|&byte| rest.next() == Some(char::from(byte)));
        is_so.then(|| rest.next())
    };
    begins(RESERVED).is_some()
        && (begins(PART_PREFIX).is_some() || matches!(begins(TRASH), Some(None | Some('-'))))
}

/// Returns the letters of a name as file systems compare them that ignore case: without those that
/// they ignore, and with `s` and `k` for the two letters beyond ASCII that they take for these.
fn folded(name: &[u8]) -> impl Iterator<Item = char> + '_ {
    let letters = name.utf8_chunks().flat_map(|chunk| {
        let invalid = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().chain(invalid)
    });
    let is_ignored = |letter: char| {
        IGNORED.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(letter)))
    };
    letters.filter(move |letter| !is_ignored(*letter)).map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    })
}

/// The letters that comparisons without regard to case ignore (`Default_Ignorable_Code_Point` of
/// Unicode).
const IGNORED: [(u32, u32); 17] = [
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfff8),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
];

/// Whether a name is one that FAT may give to a trash besides its own: `FTPD-T~1`, or `FT12AB~1` if
/// there are many such names.
fn is_short_name_of_trash(name: &[u8]) -> bool {
    if name.len() != 8 {
        return false;
    }
    let Some((stem, [b'~', digit])) = name.split_at_checked(6) else {
        return name.eq_ignore_ascii_case(b"ftpd-tra");
    };
    let is_numbered = stem.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"ft"))
        && stem.get(2..).is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit));
    digit.is_ascii_digit() && (stem.eq_ignore_ascii_case(b"ftpd-t") || is_numbered)
}

/// Reader of the names in a directory.
pub(in crate::vfs) struct Names {
    dir: OwnedFd,
    /// Buffer that the system fills.
    block: Vec<MaybeUninit<u8>>,
    /// The names of the last block, each followed by a NUL.
    found: Vec<u8>,
    /// Where in `found` the next name begins.
    at: usize,
    /// Whether the end of the directory was reached.
    over: bool,
}

/// Size of a block in bytes.
const BLOCK: usize = 32 << 10;

impl Names {
    /// Starts reading the names in a directory, which must be open for reading.
    pub(in crate::vfs) fn new(dir: OwnedFd) -> Self {
        Self { dir, block: Vec::new(), found: Vec::new(), at: 0, over: false }
    }

    /// Returns the directory and the next name; `None` at the end of the directory.
    pub(in crate::vfs) fn next(&mut self) -> Result<Option<(BorrowedFd<'_>, &CStr)>, FsError> {
        while self.at >= self.found.len() {
            if self.over {
                return Ok(None);
            }
            self.read()?;
        }
        let rest = self.found.get(self.at..).unwrap_or_default();
        let name = CStr::from_bytes_until_nul(rest).unwrap_or_default();
        self.at += name.count_bytes() + 1;
        Ok(Some((self.dir.as_fd(), name)))
    }

    /// Whether the remaining names are all reserved for parts.
    pub(in crate::vfs) fn are_parts(&mut self) -> Result<bool, FsError> {
        while let Some((_, name)) = self.next()? {
            if !is_part(name.to_bytes()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there are no more names.
    pub(in crate::vfs) fn are_none(&mut self) -> Result<bool, FsError> {
        Ok(self.next()?.is_none())
    }

    /// Reads one block, without `.` and `..`.
    fn read(&mut self) -> Result<(), FsError> {
        self.block.resize(BLOCK, MaybeUninit::uninit());
        self.found.clear();
        self.at = 0;
        let mut entries = RawDir::new(&self.dir, &mut self.block);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes_with_nul();
            if !matches!(name, b".\0" | b"..\0") {
                self.found.extend_from_slice(name);
            }
            if entries.is_buffer_empty() {
                return Ok(());
            }
        }
        self.over = true;
        Ok(())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("dir", &self.dir)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_that_a_file_system_takes_for_a_reserved_name_is_free() {
        for name in [
            ".ftpd-trash",
            ".FTPD-Trash",
            ".ftpd-trash-1000",
            ".ftpd-trash-0-0",
            ".ftpd-tra\u{17f}h",
            ".FTPD-TRA\u{17f}H-7",
            ".ftpd\u{ad}-trash",
            "\u{200b}.ftpd-trash",
            ".ftpd-trash\u{feff}",
            ".ftpd-part-\u{e9}",
            ".ftpd-\u{2060}part-x",
            "FTPD-T~1",
            "ftpd-t~9",
            "FT0A1B~1",
            "FTPD-TRA",
        ] {
            assert!(is_reserved(name.as_bytes()), "{name:?}");
        }
        for name in [
            ".ftpd-trashy",
            ".ftpd-tras",
            ".ftpd-",
            ".ftpd-trash\u{e9}",
            "ftpd-trash",
            "x.ftpd-trash",
            "\u{e9}.ftpd-trash",
            "FTPD-X~1",
            "FTPD-T~12",
            "FTPDOC~1",
            "",
        ] {
            assert!(!is_reserved(name.as_bytes()), "{name:?}");
        }
        assert!(!is_reserved(b".ftpd-tra\xff\xffh"));
    }
}
