//! Part names and the journal of parts: what is written is read again as it was, and what is
//! read is written again as it was.

use ftpd::vfs::{
    VirtualPath, reread_journal, reread_part_name, write_journal_line, write_part_name,
};

const PREFIX: &[u8] = b".ftpd-part-";

/// The longest name in a directory.
const LONGEST: usize = 255;

/// Checks the input as a name, as parts of one, as a journal and as directories to be noted.
pub(super) fn check(data: &[u8]) {
    for name in [data.to_vec(), [PREFIX, data].concat()] {
        if let Some(again) = reread_part_name(&name) {
            assert_eq!(again, name, "one part has two names");
        }
    }
    check_written_name(data);
    check_journal(data);
    check_written_journal(data);
}

fn check_written_name(data: &[u8]) {
    let Some((numbers, rest)) = data.split_first_chunk::<12>() else { return };
    let [a, b, c, d, upload @ ..] = *numbers;
    let (server, upload) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(upload));
    let owner_end = rest.len().min(usize::from(a & 7));
    let (owner, name) = rest.split_at(owner_end);
    let name = &name[..name.len().min(LONGEST)];
    let part = write_part_name(owner, name, server, upload);
    assert!(part.len() <= LONGEST && part.starts_with(PREFIX) && part.ends_with(b"~"));
    assert_eq!(reread_part_name(&part).as_ref(), Some(&part));
}

fn check_journal(data: &[u8]) {
    let (_, lines) = reread_journal(data);
    assert!(lines.len() < data.split(|&byte| byte == b'\n').count());
    let head = b"ftpd-parts 0000002a boot\n".to_vec();
    let again = [&[head][..], &lines].concat().concat();
    assert_eq!(reread_journal(&again), (Some(42), lines), "a directory has two lines");
}

/// Homes and paths, each ended by a byte of zero, and the last line cut short.
fn check_written_journal(data: &[u8]) {
    let words: Vec<_> = data.split(|&byte| byte == 0).collect();
    let lines = words.chunks_exact(2).map(|pair| {
        let path = VirtualPath::root().join(pair[1]);
        write_journal_line(pair[0], &path)
    });
    let lines: Vec<_> = lines.collect();
    let mut journal = b"ftpd-parts 00000007 boot\n".to_vec();
    for line in &lines {
        assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
        journal.extend_from_slice(line);
    }
    assert_eq!(reread_journal(&journal), (Some(7), lines.clone()));
    // a crash cuts the last line short: the others are read
    if let Some(last) = lines.last() {
        let cut = usize::from(data.first().copied().unwrap_or_default()) % last.len() + 1;
        let (_, read) = reread_journal(&journal[..journal.len() - cut]);
        let whole = lines.len() - 1;
        assert!(read.len() >= whole && read[..whole] == lines[..whole]);
    }
}
