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
    let start = out.len();
    out.extend_from_slice(name);
    if may_end_line(name) {
        let new = out.get_mut(start..).unwrap_or_default();
        let ends = new.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n' | 0));
        ends.for_each(|byte| *byte = b'?');
    }
}

/// Returns whether a name contains a control character up to CR. Looks at eight bytes at once.
fn may_end_line(name: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let (eights, rest) = name.as_chunks::<8>();
    let is_low = |eight: &[u8; 8]| {
        let eight = u64::from_ne_bytes(*eight);
        // this has a top bit if any byte is below 14
        eight.wrapping_sub(14 * ONES) & !eight & (128 * ONES) != 0
    };
    eights.iter().any(is_low) || rest.iter().any(|&byte| byte < 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_would_end_the_line_are_shown_as_question_marks_wherever_they_are() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut name = vec![b'\xff'; length];
                    name[at] = byte;
                    let mut out = b"\n".to_vec();
                    push_name(&name, &mut out);
                    if matches!(byte, b'\r' | b'\n' | 0) {
                        name[at] = b'?';
                    }
                    assert_eq!(out, [b"\n", &name[..]].concat());
                }
            }
        }
    }
}
