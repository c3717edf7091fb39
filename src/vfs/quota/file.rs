//! The file `quota` in `state_dir`: the count of each tree.
//!
//! The first line tells which server has written the file, in which boot of the system, and whether
//! that server has ended in order. If it has not, the counts are only estimates, and the trees are
//! read through again.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use super::count::Count;
use crate::rights;
use crate::vfs::word::{boot, escaped, unescaped};

/// The file of this server.
#[derive(Debug)]
pub(super) struct QuotaFile {
    /// The directory of the file (`state_dir`); `None`: there is no file.
    dir: Option<PathBuf>,
    /// The number of this server.
    server: u32,
    /// Whether the log already says that the file cannot be written.
    told: AtomicBool,
}

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The number of the server that has written it.
    pub(super) server: u32,
    /// Whether the counts are exact.
    pub(super) is_clean: bool,
    pub(super) counts: BTreeMap<PathBuf, Count>,
}

const NAME: &str = "quota";
const NEW: &str = "quota.new";

impl QuotaFile {
    /// Reads the file that an earlier server has left.
    pub(super) fn open(dir: Option<&Path>) -> (Self, Known) {
        let mut number = [0; 4];
        // if this fails, the number is 0, which only matters if two servers run at once
        let _ = rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty());
        let known = dir.and_then(|dir| read(&dir.join(NAME)).ok());
        let file = Self {
            dir: dir.map(Path::to_owned),
            server: u32::from_ne_bytes(number),
            told: AtomicBool::new(false),
        };
        (file, known.unwrap_or_default())
    }

    /// Returns the file of a server that records nothing.
    pub(super) fn none() -> Self {
        Self { dir: None, server: 0, told: AtomicBool::new(true) }
    }

    /// Writes the counts. `is_clean`: they are exact, and nothing changes any more. A file that
    /// another server has written since is then left alone.
    pub(super) fn write(&self, counts: &[(&Path, Count)], is_clean: bool) {
        let Some(dir) = &self.dir else { return };
        let others = || read(&dir.join(NAME)).is_ok_and(|known| known.server != self.server);
        let written = rights::as_server(|| {
            if is_clean && others() { Ok(()) } else { self.replace(dir, counts, is_clean) }
        });
        match written.and_then(|written| written) {
            Ok(()) => self.told.store(false, Ordering::Relaxed),
            Err(why) if !self.told.swap(true, Ordering::Relaxed) => {
                let dir = dir.display();
                log::warn!(
                    "state_dir {dir}: cannot write the file {NAME}: {why}; when the server starts \
                     again, all homes with a quota are counted again"
                );
            }
            Err(_) => {}
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
    fn replace(&self, dir: &Path, counts: &[(&Path, Count)], is_clean: bool) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let new = dir.join(NEW);
        // a file left by a crash, or a link planted to make the server write elsewhere
        let _ = fs::remove_file(&new);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&text(self.server, counts, is_clean))?;
        if is_clean {
            // or a loss of power could leave an empty file
            file.sync_data()?;
        }
        fs::rename(new, dir.join(NAME))
    }
}

#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
fn read(path: &Path) -> io::Result<Known> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes)?;
    Ok(parse(&bytes, &boot()))
}

fn text(server: u32, counts: &[(&Path, Count)], is_clean: bool) -> Vec<u8> {
    let state = if is_clean { "clean" } else { "open" };
    let mut text = format!("ftpd-quota {server:08x} {} {state}\n", boot()).into_bytes();
    for (path, Count { bytes, files }) in counts {
        text.extend_from_slice(format!("{bytes} {files} ").as_bytes());
        text.extend(escaped(path.as_os_str().as_bytes()));
        text.push(b'\n');
    }
    text
}

/// Reads the content of a file. Lines that cannot be read are left out, and then the counts are not
/// exact.
fn parse(bytes: &[u8], boot: &str) -> Known {
    let mut known = Known::default();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let head = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let words: Vec<_> = head.trim_end().split(' ').collect();
    let ["ftpd-quota", server, booted, state] = words[..] else { return known };
    known.server = u32::from_str_radix(server, 16).unwrap_or_default();
    known.is_clean = state == "clean" && !boot.is_empty() && booted == boot;
    for line in lines {
        match line_of(line) {
            Some((path, count)) => drop(known.counts.insert(path, count)),
            None => known.is_clean = false,
        }
    }
    known
}

fn line_of(line: &[u8]) -> Option<(PathBuf, Count)> {
    let mut words = line.strip_suffix(b"\n")?.split(|&byte| byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let count = Count { bytes: number()?, files: number()? };
    let path = unescaped(words.next()?)?;
    Some((PathBuf::from(OsStr::from_bytes(&path)), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_back_and_known_to_be_exact_only_after_an_end_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let count = Count { bytes: 7, files: 1 };
        let counts = [(Path::new("/srv/a b\n%"), count), (Path::new("/srv"), count)];
        let (file, known) = QuotaFile::open(Some(&state));
        assert_eq!(known, Known::default());
        file.write(&counts, false);
        let (next, known) = QuotaFile::open(Some(&state));
        assert!(!known.is_clean);
        assert_eq!(known.counts.get(Path::new("/srv/a b\n%")), Some(&count));
        file.write(&counts, true);
        assert!(QuotaFile::open(Some(&state)).1.is_clean);
        next.write(&counts[..1], false);
        file.write(&counts, true);
        let (_, known) = QuotaFile::open(Some(&state));
        assert_eq!(
            (known.is_clean, known.counts.len()),
            (false, 1),
            "it is the other server's"
        );
    }

    #[test]
    fn another_boot_or_a_torn_line_makes_the_counts_estimates() {
        let line = b"ftpd-quota 00000007 b clean\n5 2 /srv\n";
        assert!(parse(line, "b").is_clean);
        assert!(!parse(line, "c").is_clean && !parse(line, "").is_clean);
        let torn = parse(&line[..line.len() - 2], "b");
        assert!(!torn.is_clean && torn.counts.is_empty() && torn.server == 7);
        assert_eq!(parse(b"\xff\x00", "b"), Known::default());
    }
}
