//! Tests of importing whole files.

mod settings;
mod users;
mod vsftpd;

use proptest::prelude::*;

use super::format::Format;
use super::import;
use super::section::Imported;
use super::vsftpd::keys::KEYS;
use crate::config;

const HASH: &str = "$5$saltsalt$RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B";

/// Returns the imported settings and the faults.
fn imported(text: &str) -> (String, Vec<(usize, String)>) {
    let (_, imported) = import(text.as_bytes()).unwrap();
    (imported.text, imported.faults)
}

fn kind(text: &str) -> Option<Format> {
    import(text.as_bytes()).map(|(kind, _)| kind)
}

#[test]
fn each_kind_is_recognised() {
    let pure = format!("joe:{HASH}:500:101::/home/joe/./::::::::::::\n");
    let pro = format!("joe:{HASH}:500:101::/home/joe:/bin/false\n");
    assert_eq!(kind("# users\nhuang 12345 elr /home/huang\n"), Some(Format::Tutorial));
    assert_eq!(kind(&pure), Some(Format::PureFtpd));
    assert_eq!(kind(&pro), Some(Format::ProFtpd));
    assert_eq!(kind("\n# x\nlisten=YES\nanonymous_enable=NO\n"), Some(Format::Vsftpd));
    for none in ["", "# x\n", "hello\n", "[server]\nport = 1\n", "a b c d\na_b=c\n"] {
        assert_eq!(kind(none), None, "{none}");
    }
}

fn has(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| line == wanted)
}

fn lines(faults: &[(usize, String)]) -> Vec<usize> {
    faults.iter().map(|(line, _)| *line).collect()
}

/// Checks that the result of any input has no fault except for homes that do not exist.
fn comes_out_good(text: &[u8]) -> Result<(), TestCaseError> {
    let Some((_, Imported { text, .. })) = import(text) else { return Ok(()) };
    let Err(faults) = config::of_text(&text) else { return Ok(()) };
    for fault in faults {
        let key = fault.place.key.as_deref();
        let nobody = fault.fault == config::Fault::NobodyCanLogIn;
        prop_assert!(key == Some("home") || nobody, "{fault}\n{text}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn users_of_any_look_come_out_as_good_settings(
        rows in proptest::collection::vec(
            ("[a-z\\[\\];#]{0,3}", "(\\$[156y]\\$)?[!-~]{0,6}", "[elrz]{0,3}", "[/a-z\"\\[ ]{0,6}"),
            0..8,
        ),
    ) {
        let line = |(name, password, perm, home): &(String, String, String, String)| {
            format!("{name} {password} {perm} {home}\n")
        };
        comes_out_good(rows.iter().map(line).collect::<String>().as_bytes())?;
        let line = |(name, password, perm, home): &(String, String, String, String)| {
            format!("{name}:{HASH}:1:1:{perm}:/{home}:{perm}:7:::3:::::{password}:::\n")
        };
        comes_out_good(rows.iter().map(line).collect::<String>().as_bytes())?;
    }

    #[test]
    fn any_vsftpd_conf_comes_out_as_good_settings(
        rows in proptest::collection::vec((0..KEYS.len(), "YES|NO|[0-9]{1,5}|[ -~]{0,8}"), 0..12),
    ) {
        let tls = ["ssl_enable", "rsa_cert_file", "rsa_private_key_file", "ca_certs_file"];
        let rows = rows.iter().map(|(at, value)| (KEYS[*at], value));
        let rows = rows.filter(|(key, _)| {
            // the files that these keys name would have to exist
            !tls.contains(key) && !key.contains("log_file") && !key.starts_with("xferlog")
        });
        let rows: Vec<_> = rows.map(|(key, value)| format!("{key}={value}")).collect();
        comes_out_good(format!("listen=YES\n{}\n", rows.join("\n")).as_bytes())?;
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        import(&bytes);
    }
}
