//! File names in listings, and the lines that consist of names only.

use crate::vfs::Entry;

/// Appends one line of NLST. `prefix` is the directory as the client sent it, so that the line
/// can be used as a pathname (RFC 1123 §4.1.2.7).
pub fn name_line(prefix: &[u8], entry: &Entry, out: &mut Vec<u8>) {
    push_name(prefix, out);
    push_name(&entry.name, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the heading of a directory in a recursive listing, as `ls -R` prints it.
pub fn folder_line(base: &[u8], below: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
    push_name(base, out);
    out.push(b'/');
    push_name(below, out);
    out.extend_from_slice(b":\r\n");
}

/// Appends a name. Bytes that would end the line become `?`.
pub(super) fn push_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(|&byte| match byte {
        b'\r' | b'\n' | 0 => b'?',
        other => other,
    }));
}
