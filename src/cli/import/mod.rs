//! `ftpd import`: users and settings of other servers as settings of this one.
//!
//! Text in, text out: what has an equal here is taken over, the rest stands in the result as a
//! comment, and a line that cannot be read is reported with its number and left out.

mod users;
mod vsftpd;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Arguments, FAILED, Stop, Word, complain, say};
use crate::config::edit;

/// What became of a file.
#[derive(Debug, Default)]
struct Imported {
    /// The settings.
    text: String,
    /// Lines that were left out, and why.
    faults: Vec<(usize, String)>,
}

/// The files that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of the pyftpdlib tutorial: `user password permission home_directory`.
    Tutorial,
    /// `pureftpd.passwd`.
    PureFtpd,
    /// An `AuthUserFile` of `ProFTPD`.
    ProFtpd,
    /// `vsftpd.conf`.
    Vsftpd,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Tutorial, Self::PureFtpd, Self::ProFtpd, Self::Vsftpd];

    fn name(self) -> &'static str {
        match self {
            Self::Tutorial => "a user.conf of pyftpdlib's tutorial",
            Self::PureFtpd => "a pureftpd.passwd of Pure-FTPd",
            Self::ProFtpd => "an AuthUserFile of ProFTPD",
            Self::Vsftpd => "a vsftpd.conf",
        }
    }

    /// Whether a line looks like one of these.
    fn has(self, line: &str) -> bool {
        let colons = line.matches(':').count();
        match self {
            Self::Tutorial => line.split_whitespace().count() == 4,
            // how many depends on the version
            Self::PureFtpd => colons > 6 && !line.starts_with(':'),
            Self::ProFtpd => colons == 6 && !line.starts_with(':'),
            Self::Vsftpd => {
                let key = line.split_once('=').map_or("", |(key, _)| key);
                let in_key =
                    |byte: u8| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte);
                key.contains('_') && key.bytes().all(in_key)
                    || ["listen", "isolate"].contains(&key)
            }
        }
    }

    /// What most of the lines look like.
    fn of(lines: &[(usize, &str)]) -> Option<Self> {
        let count = |kind: Self| lines.iter().filter(|(_, line)| kind.has(line)).count();
        let counted = Self::ALL.map(|kind| (count(kind), kind));
        let most = counted.iter().map(|(count, _)| *count).max().filter(|&most| most > 0)?;
        let mut best = counted.iter().filter(|(count, _)| *count == most);
        best.next().filter(|_| best.next().is_none()).map(|(_, kind)| *kind)
    }
}

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let file = match arguments.next()? {
        Some(Word::Value(file)) => PathBuf::from(file),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => return Err(Stop::Misuse("expected a file".to_owned())),
    };
    arguments.end()?;
    let shown = file.display();
    let bytes = read(&file).map_err(|why| Stop::Failed(format!("{shown}: {why}")))?;
    let (kind, imported) = import(&bytes).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        Stop::Failed(format!("{shown} is none of these: {known}"))
    })?;
    for (line, why) in &imported.faults {
        complain(&format!("{shown}:{line}: {why}; left out"));
    }
    let name = kind.name();
    let name = name.split_once(' ').map_or(name, |(_, name)| name);
    say(format!("; Made by 'ftpd import' of a {name}.\n\n{}", imported.text).trim_end());
    Ok(if imported.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

#[expect(clippy::disallowed_methods, reason = "a file of another server's settings")]
fn read(file: &std::path::Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(file)
}

/// Recognises a file and turns it into settings; nothing if it is none that is known.
fn import(bytes: &[u8]) -> Option<(Kind, Imported)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut faults = Vec::new();
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        match std::str::from_utf8(line).map(|line| line.trim_end_matches('\r')) {
            Ok(line) if line.contains(char::is_control) && !line.contains('\t') => {
                faults.push((number, "holds control characters".to_owned()));
            }
            Ok(line) if line.trim().is_empty() || line.trim_start().starts_with('#') => {}
            Ok(line) => lines.push((number, line)),
            Err(_) => faults.push((number, "is not UTF-8".to_owned())),
        }
    }
    let kind = Kind::of(&lines)?;
    let mut imported = match kind {
        Kind::Tutorial => users::tutorial(&lines),
        Kind::PureFtpd => users::pure_ftpd(&lines),
        Kind::ProFtpd => users::pro_ftpd(&lines),
        Kind::Vsftpd => vsftpd::import(&lines),
    };
    imported.faults.append(&mut faults);
    imported.faults.sort();
    Some((kind, imported))
}

/// Lines of a section that grows.
#[derive(Debug, Default)]
struct Section {
    text: String,
}

impl Section {
    fn new(name: &str) -> Self {
        Self { text: format!("[{name}]\n") }
    }

    /// `key = value`; a value that cannot stand there becomes a comment.
    // this and the next two have many callers, and no hurry
    #[inline(never)]
    fn set(&mut self, key: &str, value: &str) {
        match edit::quoted(value) {
            // a String takes whatever is written to it
            Some(value) => drop(writeln!(self.text, "{key} = {value}")),
            None => self.no_equal(key),
        }
    }

    /// What cannot be taken over.
    #[inline(never)]
    fn no_equal(&mut self, what: &str) {
        self.note(&format!("no equal: {what}"));
    }

    #[inline(never)]
    fn note(&mut self, text: &str) {
        let tame = |letter: char| if letter.is_control() { ' ' } else { letter };
        let text: String = text.chars().map(tame).collect();
        let _ = writeln!(self.text, "; {text}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    const HASH: &str = "$5$saltsalt$RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B";

    /// The settings that come out, and the faults.
    fn imported(text: &str) -> (String, Vec<(usize, String)>) {
        let (_, imported) = import(text.as_bytes()).unwrap();
        (imported.text, imported.faults)
    }

    fn kind(text: &str) -> Option<Kind> {
        import(text.as_bytes()).map(|(kind, _)| kind)
    }

    #[test]
    fn each_kind_is_recognised() {
        let pure = format!("joe:{HASH}:500:101::/home/joe/./::::::::::::\n");
        let pro = format!("joe:{HASH}:500:101::/home/joe:/bin/false\n");
        assert_eq!(kind("# users\nhuang 12345 elr /home/huang\n"), Some(Kind::Tutorial));
        assert_eq!(kind(&pure), Some(Kind::PureFtpd));
        assert_eq!(kind(&pro), Some(Kind::ProFtpd));
        assert_eq!(kind("\n# x\nlisten=YES\nanonymous_enable=NO\n"), Some(Kind::Vsftpd));
        for none in ["", "# x\n", "hello\n", "[server]\nport = 1\n", "a b c d\na_b=c\n"] {
            assert_eq!(kind(none), None, "{none}");
        }
    }

    #[test]
    fn the_tutorials_users_come_with_all_that_they_had() {
        let (text, faults) = imported(
            "# user password permission home\r\nhuang 12;#45 elradfmwMT /home/huang\r\n\
             short 1 elr\nodd x elz /home/odd\nhash $1$a$b elr /srv\nhuang 2 e /x\n[x] y e /\n",
        );
        assert_eq!(
            text,
            "[user:huang]\npassword = 12;#45\nperm = elradfmwMT\nhome = /home/huang\n\n\
             ; left out: hash, whose password is a hash of an unknown kind\n\n"
        );
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7], "{faults:?}");
        assert!(faults[1].1.contains('z') && !faults[2].1.contains("$1$"), "{faults:?}");
    }

    #[test]
    fn pure_ftpd_users_keep_bandwidth_sessions_and_addresses() {
        let (text, faults) = imported(&format!(
            "joe:{HASH}:500:101:Joe:/srv/joe/./:307200:2097152:1:5:3:100:1048576:::192.168.1.0/24,10.0.0.1,box.example:10.9.9.9:0900-1800\n\
             old:Xa1b2c3d4e5f6:500:101::/srv/old/./::::::::::::\n\
             md5:$1$salt$YogkosCIrkoEoGzIPu7xf/:500:101::/srv/md5/./::::::::::::\n\
             locked:*:500:101::/srv/x/./::::::::::::\n\
             hosts:{HASH}:500:101::/srv/x/./::::::::::box.example::\n\
             deep:{HASH}:500:101::/srv/./deep::::::::::::\n\
             relative:{HASH}:500:101::srv::::::::::::\n\
             broken:{HASH}:500\n"
        ));
        for line in [
            // who was refused somewhere, or at some times, is not let in there for want of a word
            ";[user:joe]",
            ";perm = elradfmwMT",
            ";home = /srv/joe",
            ";max_upload = 307200",
            ";max_download = 2097152",
            ";max_per_user = 3",
            ";allow_from = 192.168.1.0/24, 10.0.0.1",
            "; no equal: authorized client box.example",
            "; no equal: upload ratio 1",
            "; no equal: download ratio 5",
            "; no equal: files quota 100",
            "; no equal: size quota 1048576",
            "; no equal: refused client IPs 10.9.9.9",
            "; no equal: time restrictions 0900-1800",
            "; left out: md5, whose password is a hash of an unknown kind",
            "; left out: old, whose password is a hash of an unknown kind",
            "home = /srv/deep",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(
            text.contains(&format!("password = {HASH}\n")) && !text.contains("[user:hosts]")
        );
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 7, 8], "{faults:?}");
    }

    #[test]
    fn proftpd_users_come_and_their_shells_do_not() {
        let (text, faults) = imported(&format!(
            "joe:{HASH}:500:101:Joe:/srv/joe:/bin/false\neve::500:101::/srv/eve:/bin/sh\n\
             shadow:x:1:1::/:/bin/sh\nroot:!{HASH}:0:0::/root:/bin/sh\nbad:{HASH}:1:1:/x\n"
        ));
        assert!(
            text.contains("[user:joe]\n") && text.contains("; no equal: shell /bin/false\n")
        );
        assert_eq!(text.matches("[user:").count(), 1, "{text}");
        assert_eq!(faults.len(), 4, "{faults:?}");
    }

    #[test]
    fn a_vsftpd_conf_is_taken_over_where_it_has_an_equal() {
        let (text, faults) = imported(
            "listen=YES\nlisten_port=2100\nlisten_address=192.0.2.1\nftpd_banner=Hello; world\n\
             max_clients=50\nmax_per_ip=5\nidle_session_timeout=600\ndata_connection_timeout=120\n\
             local_enable=YES\nwrite_enable=YES\nlocal_umask=027\nlocal_max_rate=300000\n\
             pasv_min_port=40000\npasv_max_port=40100\npasv_address=ftp.example.org\n\
             connect_from_port_20=YES\nmax_login_fails=5\nxferlog_enable=YES\nxferlog_std_format=YES\n\
             xferlog_file=/var/log/xfer\npam_service_name=vsftpd\nlocal_root=/srv/ftp\n\
             anonymous_enable=NO\nuserlist_enable=YES\n",
        );
        assert_eq!(faults, []);
        for line in [
            "port = 2100",
            "ip = 192.0.2.1",
            "welcome_msg = Hello; world",
            "max_cons = 50",
            "max_per_ip = 5",
            "idle_timeout = 600",
            "data_timeout = 120",
            "umask = 027",
            "max_upload = 300000",
            "max_download = 300000",
            "passive_ports = 40000-40100",
            "masquerade_address = ftp.example.org",
            "active_port = 20",
            "max_login_attempts = 5",
            "transfer_log = /var/log/xfer",
            "; no equal: pam_service_name=vsftpd",
            "; no equal: userlist_enable=YES",
            "perm = elradfmwMT",
            "home = /srv/ftp",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("enable_anonymous = on"), "{text}");
    }

    #[test]
    fn vsftpd_protection_is_never_less_than_it_was() {
        let (text, _) = imported(
            "ssl_enable=YES\nrsa_cert_file=/c.pem\nrsa_private_key_file=/k.pem\nlisten_port=990\n\
             implicit_ssl=YES\nlocal_enable=YES\n",
        );
        for line in [
            "tls_cert = /c.pem",
            "tls_key = /k.pem",
            "tls_required = on",
            "tls_resume = require",
            "tls_implicit_port = 990",
            "umask = 077",
            "perm = elr",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let (text, _) = imported(
            "ssl_enable=YES\nrsa_cert_file=/c.pem\nforce_local_logins_ssl=NO\nrequire_ssl_reuse=NO\n",
        );
        assert!(text.contains("tls_required = data\ntls_resume = prefer\n"), "{text}");
        let (text, _) =
            imported("anonymous_enable=YES\nanon_upload_enable=YES\nlocal_enable=NO\n");
        assert!(text.contains(
            "enable_anonymous = on\nanonymous_path = /srv/ftp\nanonymous_perm = elr\n"
        ));
        let (text, _) = imported(
            "anonymous_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_root=/pub\n\
             anon_mkdir_write_enable=YES\nlocal_enable=NO\n",
        );
        assert!(text.contains("anonymous_path = /pub\nanonymous_perm = elmw\n"), "{text}");
        assert!(text.contains("; no equal: anon_world_readable_only"), "{text}");
        let (text, _) = imported(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_address6=::\nanonymous_enable=YES\n\
             write_enable=YES\nanon_upload_enable=YES\ndownload_enable=NO\ndirlist_enable=NO\n",
        );
        assert!(text.contains("ip = 127.0.0.1\n") && text.contains("anonymous_perm = ew\n"));
        let (text, faults) =
            imported("anonymous_enable=YES\nsecure_email_list_enable=YES\ntcp_wrappers=YES\n");
        assert!(!text.contains("enable_anonymous = on"), "{text}");
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3], "{faults:?}");
        let (text, _) = imported("listen=YES\nlocal_enable=YES\n");
        assert!(
            !text.contains("enable_anonymous = on") && text.contains("; anonymous_enable is")
        );
    }

    #[test]
    fn odd_lines_of_a_vsftpd_conf_are_reported() {
        let (_, faults) = imported(
            "listen=YES\nlocal_umask = 022\nanonymous_enable=maybe\nlisten_port=x\nnonsense\n\
             max_per_ip=-1\nlocal_umask=99999\nidle_session_timeout=\npasv_min_port=40000\n\
             pasv_max_port=1\n",
        );
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9], "{faults:?}");
    }

    /// Whatever comes in, what comes out has no fault but homes that are not there.
    fn comes_out_good(text: &[u8]) -> Result<(), TestCaseError> {
        let Some((_, Imported { text, .. })) = import(text) else { return Ok(()) };
        let Err(faults) = config::of_text(&text) else { return Ok(()) };
        for fault in faults {
            let key = fault.place.key.as_deref();
            let nobody = fault.fault == config::Fault::NobodyCanLogIn;
            let is_home = [Some("home"), Some("anonymous_path")].contains(&key);
            prop_assert!(is_home || nobody, "{fault}\n{text}");
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
            rows in proptest::collection::vec((0..vsftpd::KEYS.len(), "YES|NO|[0-9]{1,5}|[ -~]{0,8}"), 0..12),
        ) {
            let tls = ["ssl_enable", "rsa_cert_file", "rsa_private_key_file", "ca_certs_file"];
            let rows = rows.iter().map(|(at, value)| (vsftpd::KEYS[*at], value));
            let rows = rows.filter(|(key, _)| {
                // whose files would have to be there
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
}
