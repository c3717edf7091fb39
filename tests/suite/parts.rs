//! Parts of uploads as a test sees them on the disk, and uploads that break off. The suite and the
//! test of file systems share this file.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::client::{Client, reset};
use crate::server::eventually;

/// The prefix of all names of parts.
pub(crate) const PART: &[u8] = b".ftpd-part-";

/// The parts in a directory on disk, with their sizes.
pub(crate) fn parts(dir: &Path) -> Vec<(Vec<u8>, u64)> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().as_bytes().to_vec();
        // one that has gone meanwhile is none
        if let (true, Ok(meta)) = (name.starts_with(PART), entry.metadata()) {
            parts.push((name, meta.len()));
        }
    }
    parts.sort();
    parts
}

/// Waits until a part in a directory has this size.
pub(crate) fn arrived(dir: &Path, size: usize) {
    eventually(&format!("a part of {size} bytes"), || {
        parts(dir).iter().any(|part| part.1 == size as u64)
    });
}

/// Waits until a directory has no parts.
pub(crate) fn no_parts(dir: &Path) {
    eventually("no parts are left", || parts(dir).is_empty());
}

/// Makes all parts of a directory some days old.
pub(crate) fn make_old(dir: &Path) {
    let at = SystemTime::now() - Duration::from_secs(5 * 24 * 3600);
    for (name, _) in parts(dir) {
        let file = File::options().write(true).open(dir.join(OsStr::from_bytes(&name)));
        file.unwrap().set_modified(at).unwrap();
    }
}

/// Begins an upload that brings a part to this size, and leaves it there.
pub(crate) fn hang(
    client: &mut Client,
    line: impl AsRef<[u8]>,
    bytes: &[u8],
    dir: &Path,
    size: usize,
) -> TcpStream {
    let mut data = client.passive();
    client.tell(line, 150);
    data.write_all(bytes).unwrap();
    arrived(dir, size);
    data
}

/// An upload into a home that breaks off when all of this has arrived.
pub(crate) fn break_off(
    client: &mut Client,
    line: impl AsRef<[u8]>,
    bytes: &[u8],
    home: &Path,
) {
    let data = hang(client, line, bytes, home, bytes.len());
    reset(data);
    client.expect(426);
}

/// Sends REST and uploads the remaining bytes.
pub(crate) fn resume(client: &mut Client, at: usize, line: &str, bytes: &[u8]) {
    client.cmd(&format!("REST {at}"), 350);
    client.upload(line, bytes);
}

/// Pseudo-random bytes from a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
