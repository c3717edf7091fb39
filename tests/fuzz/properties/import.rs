//! `ftpd import`: the settings that come out can be read, hold nobody who was not in the file, and
//! are the same for files with line ends of either kind.

use ftpd::cli::import_text;
use ftpd::config::{self, Fault};

/// The user that stands for those of the system, until the administrator names them.
const PLACEHOLDER: &str = "nobody-yet";

/// Checks one file, of whichever server it is.
pub(super) fn check(data: &[u8]) {
    let imported = import_text(data);
    if !data.contains(&b'\r') {
        let mut dos = Vec::with_capacity(data.len() * 2);
        for &byte in data {
            dos.extend_from_slice(if byte == b'\n' {
                b"\r\n"
            } else {
                std::slice::from_ref(&byte)
            });
        }
        assert_eq!(imported, import_text(&dos), "the kind of line end matters");
    }
    let Some((text, faults)) = imported else { return };
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(faults.iter().all(|line| (1..=lines).contains(line)), "{faults:?} of {lines}");
    assert!(
        text.len() <= 16384 + 64 * data.len(),
        "{} bytes out of {}",
        text.len(),
        data.len()
    );
    check_users(&text, data);
    check_settings(&text);
}

/// A user of the result was one in the source, or a placeholder that nobody can log in as.
fn check_users(text: &str, data: &[u8]) {
    let source = String::from_utf8_lossy(data);
    for line in text.lines() {
        let name = line.strip_prefix("[user:").and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = name {
            let known = name == PLACEHOLDER || source.contains(name);
            assert!(known, "[user:{name}] comes from nowhere");
        }
    }
}

/// Only what the machine lacks can be wrong with the result.
fn check_settings(text: &str) {
    let (rows, faults) = config::rows(text.as_bytes());
    assert_eq!(faults, 0, "{text}");
    let mut of_placeholder =
        rows.iter().filter(|row| row.0.strip_prefix("user:") == Some(PLACEHOLDER)).peekable();
    let is_off = |(_, key, value, _): &(String, String, String, usize)| {
        key == "enabled" && value == "off"
    };
    assert!(of_placeholder.peek().is_none() || of_placeholder.any(is_off), "{text}");
    for fault in config::of_text(text).err().unwrap_or_default() {
        let key = fault.place.key.as_deref().unwrap_or_default();
        let of_machine = ["home", "log_file", "transfer_log", "user"].contains(&key)
            || key.starts_with("tls_")
            || fault.fault == Fault::NobodyCanLogIn;
        assert!(of_machine, "{fault}\n{text}");
    }
}
