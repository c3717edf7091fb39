//! A file of the outbox. Its first line says up to where its events were sent; each further line is an
//! event: a checksum, the time in seconds since 1970, and the JSON text that the receiver gets.
//!
//! The server that sends the events of a file holds a lock on it, which ends with the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::Deserialize;

use crate::log::escaped;

/// A file with events.
#[derive(Debug)]
pub(super) struct Segment {
    /// The name of the file as a number. Later files have greater ones.
    pub(super) name: u64,
    path: PathBuf,
    file: Arc<File>,
    /// Where the first event begins that was not sent yet.
    pub(super) sent: u64,
    /// Where the next event will begin.
    pub(super) end: u64,
    /// Number of events that were not sent yet.
    pub(super) waiting: u64,
    /// Number of lines that were no whole events when the file was taken over.
    pub(super) damaged: u64,
    /// Whether the name of the file is on the disk.
    pub(super) is_named: bool,
}

/// An event that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::events) struct Record {
    /// When it happened.
    pub(in crate::events) at: SystemTime,
    /// The JSON text.
    pub(in crate::events) json: Vec<u8>,
    /// Where it ends in the file.
    pub(in crate::events) end: u64,
}

impl Record {
    /// Returns the event as the log names it: its id and its kind.
    pub(in crate::events) fn name(&self) -> String {
        #[derive(Deserialize)]
        struct About {
            id: String,
            kind: String,
        }
        match serde_json::from_slice(&self.json) {
            Ok(About { id, kind }) => {
                format!("{} ({})", escaped(id.as_bytes()), escaped(kind.as_bytes()))
            }
            Err(_) => "an event".to_owned(),
        }
    }
}

/// What the first line begins with. The position of the first event that was not sent follows, in as many
/// digits as make the line [`HEAD`] bytes long.
const MAGIC: &str = "ftpd-events ";
const HEAD: u64 = 32;

/// Number of bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Age at which a file without a first line is one whose server has crashed before it wrote the line.
const BEGINNING: Duration = Duration::from_secs(10);

impl Segment {
    /// Creates and locks a file in a directory.
    #[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
    pub(super) fn create(dir: &Path, name: u64) -> io::Result<Self> {
        let path = dir.join(format!("{name:016x}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let segment = Self {
            name,
            path,
            file: Arc::new(file),
            sent: HEAD,
            end: HEAD,
            waiting: 0,
            damaged: 0,
            is_named: false,
        };
        if let Err(why) = segment.file.write_all_at(&head(HEAD), 0) {
            // on a full disk, each further event would leave one more such file
            segment.remove();
            return Err(why);
        }
        Ok(segment)
    }

    /// Opens and locks a file that an earlier server has left. Returns `None` if another server has locked
    /// it, or has only begun to make it. Such a beginning is removed if no server goes on with it.
    #[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
    pub(super) fn take_over(dir: &Path, name: u64) -> io::Result<Option<Self>> {
        let path = dir.join(format!("{name:016x}"));
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
        // some file systems have no locks
        if let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Ok(None);
        }
        let metadata = file.metadata()?;
        let end = metadata.len();
        if end < HEAD {
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            if age >= BEGINNING {
                fs::remove_file(&path)?;
            }
            return Ok(None);
        }
        let mut first = [0; 32];
        file.read_exact_at(&mut first, 0)?;
        // what was sent is sent again if the position is unknown
        let sent = position(&first).filter(|at| (HEAD..=end).contains(at)).unwrap_or(HEAD);
        let mut segment = Self {
            name,
            path,
            file: Arc::new(file),
            sent,
            end,
            waiting: 0,
            damaged: 0,
            is_named: true,
        };
        let reader = segment.reader();
        let mut at = sent;
        while let Some(Part { records, lines, behind }) = reader.read(at)? {
            let good = u64::try_from(records.len()).unwrap_or_default();
            segment.waiting += good;
            segment.damaged += lines.saturating_sub(good);
            at = behind;
        }
        Ok(Some(segment))
    }

    /// Appends an event.
    pub(super) fn append(&mut self, at: SystemTime, json: &[u8]) -> io::Result<()> {
        let line = line(at, json);
        if let Err(why) = self.file.write_all_at(&line, self.end) {
            // what was written of it is no event; otherwise the next one overwrites it
            let _ = self.file.set_len(self.end);
            return Err(why);
        }
        self.end += u64::try_from(line.len()).unwrap_or_default();
        self.waiting += 1;
        Ok(())
    }

    /// Returns the file, to read or sync it without the lock of the outbox.
    pub(super) fn reader(&self) -> Reader {
        Reader { file: Arc::clone(&self.file), end: self.end }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is where it was created.
    pub(super) fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    #[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
    pub(super) fn remove(&self) {
        if let Err(why) = fs::remove_file(&self.path)
            && why.kind() != io::ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {why}", self.path.display());
        }
    }
}

/// What was read at once.
pub(super) struct Part {
    pub(super) records: Vec<Record>,
    /// Number of lines, with those that are no events.
    pub(super) lines: u64,
    /// Where the next part begins.
    pub(super) behind: u64,
}

/// The file of a segment up to a certain length.
pub(super) struct Reader {
    file: Arc<File>,
    end: u64,
}

impl Reader {
    /// Reads the whole events in the next part of the file. What is no event is skipped. Returns `None` at
    /// the end of the file.
    pub(super) fn read(&self, from: u64) -> io::Result<Option<Part>> {
        let mut size = CHUNK;
        loop {
            let left = self.end.saturating_sub(from);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(size);
            if length == 0 {
                return Ok(None);
            }
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, from)?;
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            match bytes.get(..whole) {
                // a line that a crash has cut short
                _ if whole == 0 && length < size => {
                    return Ok(Some(Part { records: Vec::new(), lines: 1, behind: self.end }));
                }
                Some(text) if whole > 0 => {
                    let behind = from + u64::try_from(whole).unwrap_or_default();
                    let lines = text.split_inclusive(|&byte| byte == b'\n').count();
                    let lines = u64::try_from(lines).unwrap_or_default();
                    return Ok(Some(Part { records: records(text, from), lines, behind }));
                }
                _ => size *= 2,
            }
        }
    }

    /// Notes in the file up to where its events were sent.
    pub(super) fn note(&self, sent: u64) -> io::Result<()> {
        self.file.write_all_at(&head(sent), 0)
    }

    /// Brings the events to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn head(sent: u64) -> Vec<u8> {
    format!("{MAGIC}{sent:019}\n").into_bytes()
}

fn position(head: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(head).ok()?;
    text.strip_prefix(MAGIC)?.strip_suffix('\n')?.parse().ok()
}

fn line(at: SystemTime, json: &[u8]) -> Vec<u8> {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = [seconds.to_string().as_bytes(), b" ", json].concat();
    [format!("{:08x} ", crc32fast::hash(&text)).as_bytes(), &text, b"\n"].concat()
}

/// Reads lines, which begin at this position of the file.
fn records(lines: &[u8], from: u64) -> Vec<Record> {
    let mut at = from;
    let lines = lines.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter_map(|line| {
            at += u64::try_from(line.len()).unwrap_or_default();
            record(line, at)
        })
        .collect()
}

fn record(line: &[u8], end: u64) -> Option<Record> {
    let (sum, text) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum =
        u32::from_str_radix(std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?, 16).ok()?;
    if crc32fast::hash(text) != sum {
        return None;
    }
    let space = text.iter().position(|&byte| byte == b' ')?;
    let (seconds, json) = text.split_at_checked(space)?;
    let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Some(Record { at, json: json.get(1..)?.to_vec(), end })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "files of the test")]

    use super::*;

    fn all(segment: &Segment) -> Vec<String> {
        let (mut at, mut all) = (segment.sent, Vec::new());
        while let Some(part) = segment.reader().read(at).unwrap() {
            all.extend(
                part.records.into_iter().map(|one| String::from_utf8(one.json).unwrap()),
            );
            at = part.behind;
        }
        all
    }

    #[test]
    fn what_was_appended_is_read_back_by_the_next_server_from_where_this_one_has_sent() {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(dir.path(), 7).unwrap();
        let long = "x".repeat(3 * CHUNK);
        for json in ["one", "two", &long, "four"] {
            segment.append(SystemTime::now(), json.as_bytes()).unwrap();
        }
        assert_eq!(all(&segment), ["one", "two", &long, "four"]);
        assert!(Segment::take_over(dir.path(), 7).unwrap().is_none(), "it is locked");
        let records = segment.reader().read(HEAD).unwrap().unwrap().records;
        segment.reader().note(records[0].end).unwrap();
        drop(segment);
        let next = Segment::take_over(dir.path(), 7).unwrap().unwrap();
        assert_eq!((all(&next), next.waiting), (vec!["two".into(), long, "four".into()], 3));
    }

    #[test]
    fn what_is_damaged_or_cut_short_hides_no_other_event() {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(dir.path(), 7).unwrap();
        for json in ["one", "two", "three"] {
            segment.append(SystemTime::now(), json.as_bytes()).unwrap();
        }
        let end = segment.end;
        drop(segment);
        let path = dir.path().join(format!("{:016x}", 7));
        let whole = fs::read(&path).unwrap();
        for cut in usize::try_from(HEAD).unwrap()..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let next = Segment::take_over(dir.path(), 7).unwrap().unwrap();
            let found = all(&next);
            assert_eq!(next.damaged, u64::from(whole[cut - 1] != b'\n'), "{cut}");
            let lines = whole[32..cut].split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(found, ["one", "two", "three"][..lines]);
        }
        for at in usize::try_from(HEAD).unwrap()..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let next = Segment::take_over(dir.path(), 7).unwrap().unwrap();
            let found = all(&next);
            assert!(next.damaged > 0, "{at}");
            assert!(!found.is_empty() && found.iter().all(|one| one.len() >= 3), "{found:?}");
        }
        // an unknown position begins at the first event
        fs::write(&path, [&[0; 32], &whole[32..]].concat()).unwrap();
        let next = Segment::take_over(dir.path(), 7).unwrap().unwrap();
        assert_eq!((next.waiting, next.end), (3, end));
    }

    #[test]
    fn a_file_without_its_first_line_is_removed_unless_it_has_just_been_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("{:016x}", 7));
        fs::write(&path, "ftpd-ev").unwrap();
        assert!(Segment::take_over(dir.path(), 7).unwrap().is_none());
        assert!(path.exists(), "its server may be writing the line");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - 2 * BEGINNING).unwrap();
        assert!(Segment::take_over(dir.path(), 7).unwrap().is_none());
        assert!(!path.exists());
    }
}
