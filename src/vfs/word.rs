//! Words of the server's own files, and the id of the boot, which tells whether what a file says of
//! other files can be trusted.

/// Writes spaces, control characters and `%` as `%XX`, so that they do not end a word.
pub(in crate::vfs) fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte <= b' ' || byte == b'%' {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

/// Reads a word as [`escaped`] writes it.
pub(in crate::vfs) fn unescaped(word: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// Returns the kernel's id of the current boot.
#[expect(clippy::disallowed_methods, reason = "not a served file")]
pub(in crate::vfs) fn boot() -> String {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    String::from_utf8_lossy(&id).trim().to_owned()
}
