//! Names of part files. The name of a part identifies the user and the file, so that the part
//! is found again, even after a restart.
//!
//! `.ftpd-part-MARK-TAG.NAME~`: the mark is a hash of the user and the file's name, the tag
//! says whether an upload writes to it, and the file's own name follows if there is room. The
//! tilde keeps programs that wait for `*.jpg` from picking up a part.

use ring::digest::{Context, SHA256};

use crate::vfs::tree::names::PART_PREFIX;

/// Longest name of a file that fits into the name of its part, which has at most 255 bytes.
const ROOM: usize = 190;

/// Hash of a user and the name of a file in its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::vfs) struct Mark([u8; 12]);

impl Mark {
    /// The smallest mark.
    pub(in crate::vfs) const FIRST: Self = Self([0; 12]);
    /// The largest mark.
    pub(in crate::vfs) const LAST: Self = Self([0xff; 12]);

    /// Makes the mark of a user's uploads under a name.
    pub(in crate::vfs) fn new(owner: &[u8], name: &[u8]) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in [owner, name] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut mark = [0; 12];
        mark.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(mark)
    }
}

/// Which upload writes to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vfs) enum Tag {
    /// No upload writes to the part: its upload has failed, and may be resumed.
    Dead,
    /// An upload writes to the part while its server runs: the number of the server, and the
    /// number of the upload, which is odd if the part is never resumed.
    Active(u32, u64),
}

/// The name of a part, split into its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::vfs) struct PartName {
    pub(in crate::vfs) mark: Mark,
    pub(in crate::vfs) tag: Tag,
    /// The file's own name; empty if it is too long.
    pub(in crate::vfs) name: Vec<u8>,
}

impl PartName {
    /// Makes a name for a part of the file `name`.
    pub(in crate::vfs) fn new(mark: Mark, tag: Tag, name: &[u8]) -> Self {
        let name = if name.len() > ROOM { Vec::new() } else { name.to_owned() };
        Self { mark, tag, name }
    }

    /// Returns the name of the part with another tag.
    pub(in crate::vfs) fn tagged(&self, tag: Tag) -> Self {
        Self { tag, ..self.clone() }
    }

    /// Whether the part is never resumed. Such a part begins as a copy of the file for an
    /// append, and must not mix the data of two appends.
    pub(in crate::vfs) fn is_lone(&self) -> bool {
        matches!(self.tag, Tag::Active(_, upload) if upload & 1 == 1)
    }

    /// Returns the number of the upload that writes to the part; 0 if none does.
    pub(in crate::vfs) fn upload(&self) -> u64 {
        match self.tag {
            Tag::Dead => 0,
            Tag::Active(_, upload) => upload,
        }
    }

    /// Returns the name as it appears in the directory.
    pub(in crate::vfs) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(255);
        out.extend_from_slice(PART_PREFIX);
        push_hex(self.mark.0, &mut out);
        out.push(b'-');
        match self.tag {
            Tag::Dead => out.push(b'0'),
            Tag::Active(server, upload) => {
                push_hex(server.to_be_bytes(), &mut out);
                // no leading zeros, but at least one digit
                let unused = (upload.leading_zeros() / 4).min(15) as usize;
                let before = out.len();
                push_hex(upload.to_be_bytes(), &mut out);
                out.drain(before..before + unused);
            }
        }
        out.push(b'.');
        out.extend_from_slice(&self.name);
        out.push(b'~');
        out
    }

    /// Parses the name of a file. Returns `None` if it is not the name of a part.
    pub(in crate::vfs) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(PART_PREFIX)?.strip_suffix(b"~")?;
        let (mark, rest) = rest.split_at_checked(24)?;
        let rest = rest.strip_prefix(b"-")?;
        let dot = rest.iter().position(|&byte| byte == b'.')?;
        let (tag, name) = (rest.get(..dot)?, rest.get(dot + 1..)?.to_owned());
        let digits =
            |text: &[u8]| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
        let mut own = [0; 12];
        for (byte, pair) in own.iter_mut().zip(mark.chunks(2)) {
            *byte = u8::try_from(digits(pair)?).ok()?;
        }
        let tag = if tag == b"0" {
            Tag::Dead
        } else {
            let (server, upload) = tag.split_at_checked(8)?;
            Tag::Active(u32::try_from(digits(server)?).ok()?, digits(upload)?)
        };
        let part = Self { mark: Mark(own), tag, name };
        // digits that no server writes, such as capital letters, would name another file
        (part.bytes() == bytes).then_some(part)
    }
}

/// Returns the name of an active part. This function and [`reread_part_name`] are for the fuzz
/// targets.
#[doc(hidden)]
pub fn write_part_name(owner: &[u8], name: &[u8], server: u32, upload: u64) -> Vec<u8> {
    PartName::new(Mark::new(owner, name), Tag::Active(server, upload), name).bytes()
}

/// Reads the name of a part and writes it again; `None` if it is not one.
#[doc(hidden)]
pub fn reread_part_name(bytes: &[u8]) -> Option<Vec<u8>> {
    PartName::parse(bytes).map(|name| name.bytes())
}

/// Appends two hexadecimal digits for each byte.
fn push_hex<const N: usize>(bytes: [u8; N], out: &mut Vec<u8>) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' - 10 + half };
    let pairs = bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    out.extend_from_slice(pairs.as_flattened());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vfs::tree::names::is_reserved;

    #[test]
    fn long_names_stay_out_and_the_part_fits_a_directory() {
        let mark = Mark::new(b"bob", b"x");
        for (len, kept) in [(190, 190), (191, 0), (255, 0)] {
            let part = PartName::new(mark, Tag::Active(u32::MAX, u64::MAX), &vec![b'x'; len]);
            assert_eq!(part.name.len(), kept);
            assert!(part.bytes().len() <= 255);
        }
    }

    #[test]
    fn a_name_has_the_form_that_earlier_servers_wrote() {
        let part = |tag| PartName::new(Mark([0xab; 12]), tag, b"x").bytes();
        let mark = "ab".repeat(12);
        for upload in [0, 1, 0xf, 0x10, 0x123, u64::MAX] {
            let expected = format!(".ftpd-part-{mark}-0000002a{upload:x}.x~");
            assert_eq!(part(Tag::Active(42, upload)), expected.as_bytes());
        }
        assert_eq!(part(Tag::Dead), format!(".ftpd-part-{mark}-0.x~").as_bytes());
    }

    #[test]
    fn a_name_that_no_server_writes_is_not_a_part() {
        let mark = "ab".repeat(12);
        for other in [
            format!(".ftpd-part-{}-0.x~", mark.to_uppercase()),
            format!(".ftpd-part-{mark}-0000002A1.x~"),
            format!(".ftpd-part-{mark}-0000002a01.x~"),
            format!(".ftpd-part-{mark}-+000002a1.x~"),
        ] {
            assert_eq!(PartName::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_mark_binds_user_and_name() {
        let mark = Mark::new(b"bob", b"photo");
        assert_ne!(mark, Mark::new(b"bobp", b"hoto"));
        assert_ne!(mark, Mark::new(b"ann", b"photo"));
        assert_eq!(mark, Mark::new(b"bob", b"photo"));
    }

    #[test]
    fn reserved_names_are_so_in_any_case() {
        assert!(is_reserved(b".ftpd-part-x") && is_reserved(b".FTPD-Part-"));
        assert!(!is_reserved(b".ftpd-part") && !is_reserved(b"x.ftpd-part-"));
    }

    proptest! {
        #[test]
        fn a_name_is_read_back(name in prop::collection::vec(any::<u8>(), 0..190), n: u64) {
            let mark = Mark::new(b"bob", &name);
            for tag in [Tag::Dead, Tag::Active(7, n)] {
                let part = PartName::new(mark, tag, &name);
                prop_assert!(is_reserved(&part.bytes()));
                prop_assert_eq!(PartName::parse(&part.bytes()), Some(part));
            }
        }

        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let _ = PartName::parse(&[PART_PREFIX, &bytes].concat());
        }
    }
}
