//! The reader of variables of the environment: whatever they are called, no key is set twice, the order
//! does not matter, and no fault shows a value.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use ftpd::config::{Environment, KEYS};

/// Checks one environment, whose variables end with a NUL as in `/proc/PID/environ`.
pub(super) fn check(data: &[u8]) {
    let mut all: Vec<(OsString, OsString)> = data
        .split(|&byte| byte == 0)
        .filter_map(|variable| {
            let at = variable.iter().position(|&byte| byte == b'=').filter(|at| *at > 0)?;
            let own = |part: &[u8]| OsString::from_vec(part.to_vec());
            Some((own(&variable[..at]), own(&variable[at + 1..])))
        })
        .collect();
    // a process has each variable once
    all.sort();
    all.dedup_by(|one, other| one.0 == other.0);
    let environment = Environment::of(all.clone());
    let (rows, faults) = (environment.rows(), environment.complaints());
    for (at, (section, key, value)) in rows.iter().enumerate() {
        assert!(section == "server" || section.starts_with("user:"), "{section}");
        let is_known = KEYS.iter().any(|known| known.name == key);
        assert!(is_known || section == "server", "[{section}] {key}");
        assert!(!value.contains(['\n', '\r']), "{value:?}");
        let twice = rows[..at].iter().any(|row| (&row.0, &row.1) == (section, key));
        assert!(!twice, "[{section}] {key} was read twice");
    }
    for fault in &faults {
        assert!(fault.starts_with("FTPD_") && !fault.contains(char::is_control), "{fault:?}");
        assert!(!fault.contains("hidden"), "{fault:?}");
    }
    let ours = |name: &OsString| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"FTPD_SERVER_") || name.starts_with(b"FTPD_USER_")
    };
    assert!(rows.len() <= all.iter().filter(|(name, _)| ours(name)).count());
    all.reverse();
    let reversed = Environment::of(all);
    assert_eq!((rows, faults), (reversed.rows(), reversed.complaints()));
}
