//! `ftpd import`: users and settings of other servers as settings of this one.
//!
//! Text in, text out: what has an equal here is taken over, the rest stands in the result as a
//! comment, and a line that cannot be read is reported with its number and left out. The result is
//! never more open than the source: what would be, for want of an equal, is a comment as a whole.

mod python;
mod settings;
mod users;
mod vsftpd;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::arguments::{Arguments, Word};
use super::outcome::{FAILED, Stop};
use super::print::{complain, say};
use crate::config::edit;
use crate::rights::{self, Ids};

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
    /// The `settings.py` of the pyftpdlib tutorial.
    Settings,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Tutorial, Self::PureFtpd, Self::ProFtpd, Self::Vsftpd, Self::Settings];

    fn name(self) -> &'static str {
        match self {
            Self::Tutorial => "a user.conf of pyftpdlib's tutorial",
            Self::PureFtpd => "a pureftpd.passwd of Pure-FTPd",
            Self::ProFtpd => "an AuthUserFile of ProFTPD",
            Self::Vsftpd => "a vsftpd.conf",
            Self::Settings => "a settings.py of pyftpdlib's tutorial",
        }
    }

    /// Whether a line looks like one of these.
    fn has(self, line: &str) -> bool {
        let colons = line.matches(':').count();
        if self != Self::Settings && settings::has(line) {
            return false;
        }
        match self {
            Self::Settings => settings::has(line),
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
        // such as one of this server's own
        let has_sections = lines.iter().any(|(_, line)| line.starts_with('['));
        let count = |kind: Self| {
            let is_other = kind == Self::Settings && has_sections;
            lines.iter().filter(|(_, line)| !is_other && kind.has(line)).count()
        };
        let counted = Self::ALL.map(|kind| (count(kind), kind));
        let most = counted.iter().map(|(count, _)| *count).max().filter(|&most| most > 0)?;
        let mut best = counted.iter().filter(|(count, _)| *count == most);
        best.next().filter(|_| best.next().is_none()).map(|(_, kind)| *kind)
    }
}

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut files = Vec::new();
    while let Some(word) = arguments.next()? {
        match word {
            Word::Value(file) => files.push(file),
            flag @ Word::Flag(_) => return Err(flag.unexpected()),
        }
    }
    if files.is_empty() {
        return Err(Stop::Misuse("expected a file".to_owned()));
    }
    let mut all = Vec::new();
    for file in files {
        // the tutorial's server has one file for its settings and one for its users
        let kinds: Vec<Kind> = all.iter().map(|(_, kind, _)| *kind).collect();
        if !matches!(kinds[..], [] | [Kind::Settings | Kind::Tutorial]) {
            return Err(Word::Value(file).unexpected());
        }
        let path = PathBuf::from(&file);
        let shown = path.display();
        let bytes = read(&path).map_err(|why| Stop::Failed(format!("{shown}: {why}")))?;
        let (kind, imported) = import(&bytes).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::name).join(", ");
            Stop::Failed(format!("{shown} is none of these: {known}"))
        })?;
        let fits = match kinds[..] {
            [] => true,
            [first] => first != kind && matches!(kind, Kind::Settings | Kind::Tutorial),
            _ => false,
        };
        if !fits {
            return Err(Word::Value(file).unexpected());
        }
        all.push((path, kind, imported));
    }
    let mut text = String::new();
    for (file, kind, imported) in &all {
        for (line, why) in &imported.faults {
            complain(&format!("{}:{line}: {why}; left out", file.display()));
        }
        let name = kind.name();
        let name = name.split_once(' ').map_or(name, |(_, name)| name);
        let _ = write!(text, "; Made by 'ftpd import' of a {name}.\n\n{}", imported.text);
    }
    let done = say(text.trim_end());
    let is_whole = all.iter().all(|(_, _, imported)| imported.faults.is_empty());
    Ok(if is_whole { done } else { ExitCode::from(FAILED) })
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
        Kind::Vsftpd => vsftpd::import(&lines, system_user),
        Kind::Settings => settings::import(&lines),
    };
    imported.faults.append(&mut faults);
    imported.faults.sort();
    Some((kind, imported))
}

/// Imports a text: the settings, and the numbers of the lines that were left out. This is the
/// import as the fuzz targets see it.
#[doc(hidden)]
pub fn import_text(bytes: &[u8]) -> Option<(String, Vec<usize>)> {
    let (_, imported) = import(bytes)?;
    Some((imported.text, imported.faults.into_iter().map(|(line, _)| line).collect()))
}

/// The home of a user of this system, or why there is no such user to become.
fn system_user(name: &str) -> Result<PathBuf, String> {
    Ids::of(name, None)?;
    rights::home_of(name).ok_or_else(|| "has no home".to_owned())
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

    /// All of it as a comment, so that nobody is let in by it.
    fn held(&self) -> String {
        let held = self.text.lines().map(|line| match line.strip_prefix("; ") {
            Some(_) => format!("{line}\n"),
            None => format!(";{line}\n"),
        });
        held.collect()
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
            "; run_as = 500:101",
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
            "user = nobody",
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
        assert!(!text.contains("[anonymous]"), "{text}");
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
        assert!(text.contains("\n[anonymous]\n") && has(&text, "perm = elr"), "{text}");
        let (text, _) = imported(
            "anonymous_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_root=/pub\n\
             anon_mkdir_write_enable=YES\nlocal_enable=NO\n",
        );
        for line in [
            "home = /pub",
            "perm = elrmw",
            "umask = 077",
            "world_readable_only = on",
            "allow_overwrite = off",
        ] {
            assert!(has(&text, line), "{line}\n{text}");
        }
        let (text, _) = imported(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_address6=::\nanonymous_enable=YES\n\
             write_enable=YES\nanon_upload_enable=YES\ndownload_enable=NO\ndirlist_enable=NO\n",
        );
        assert!(has(&text, "ip = 127.0.0.1") && has(&text, "perm = ew"), "{text}");
        let (text, faults) =
            imported("anonymous_enable=YES\nsecure_email_list_enable=YES\ntcp_wrappers=YES\n");
        assert!(!has(&text, "[anonymous]") && has(&text, ";[anonymous]"), "{text}");
        assert_eq!(lines(&faults), [2, 3], "{faults:?}");
        let (text, _) = imported("listen=YES\nlocal_enable=YES\n");
        assert!(!text.contains("[anonymous]") && text.contains("; anonymous_enable is"));
    }

    fn has(text: &str, wanted: &str) -> bool {
        text.lines().any(|line| line == wanted)
    }

    fn lines(faults: &[(usize, String)]) -> Vec<usize> {
        faults.iter().map(|(line, _)| *line).collect()
    }

    #[test]
    fn what_vsftpd_refuses_anonymous_users_is_not_open_to_them() {
        // by a list, whoever is on it
        for (conf, wanted) in [
            ("userlist_enable=YES\nuserlist_deny=NO\n", &[2, 3][..]),
            ("userlist_enable=YES\n", &[2]),
            ("userlist_enable=YES\nuserlist_deny=YES\n", &[2]),
            ("deny_email_enable=YES\n", &[2]),
            ("cmds_allowed=USER,PASS\n", &[2]),
            ("cmds_denied=DELE\n", &[2]),
            ("deny_file={*.mp3}\n", &[2]),
            ("hide_file={secret*}\n", &[2]),
            ("hide_ids=YES\n", &[2]),
            ("pasv_enable=NO\n", &[2]),
            ("port_enable=NO\n", &[2]),
            ("user_config_dir=/etc/vsftpd.d\n", &[2]),
            ("ssl_enable=YES\nrequire_cert=YES\n", &[3]),
            ("download_enable=maybe\n", &[2]),
            ("anon_umask=x\n", &[2]),
            ("no_such_key=YES\n", &[2]),
            ("anon_root=pub\n", &[2]),
        ] {
            let (text, faults) = imported(&format!("anonymous_enable=YES\n{conf}"));
            assert_eq!(lines(&faults), wanted, "{conf}{faults:?}");
            assert!(!has(&text, "[anonymous]") && has(&text, ";[anonymous]"), "{text}");
        }
        // and what leaves them as they are
        for conf in [
            "userlist_enable=NO\nuserlist_deny=NO\n",
            "pasv_enable=YES\nport_enable=YES\n",
            "ssl_enable=YES\nrequire_cert=YES\nca_certs_file=/ca.pem\n",
            "banner_file=/etc/banner\naccept_timeout=60\ncheck_shell=NO\n",
        ] {
            let (text, faults) = imported(&format!("anonymous_enable=YES\n{conf}"));
            assert!(faults.is_empty() && has(&text, "[anonymous]"), "{faults:?}\n{text}");
        }
    }

    #[test]
    fn what_vsftpd_keeps_its_strangers_to_has_an_equal() {
        let anonymous = |conf: &str| {
            let (text, faults) = imported(&format!("anonymous_enable=YES\n{conf}"));
            assert_eq!(faults, []);
            text[text.find("[anonymous]").unwrap()..].to_owned()
        };
        let text = anonymous("anon_max_rate=5000\nlocal_max_rate=9000\n");
        assert!(has(&text, "max_upload = 5000") && has(&text, "max_download = 5000"), "{text}");
        // each takes bits away
        for (conf, umask) in [
            ("", "077"),
            ("anon_umask=022\n", "022"),
            ("anon_umask=022\nfile_open_mode=0640\n", "026"),
            ("anon_umask=022\nchown_uploads=YES\n", "066"),
            ("anon_umask=022\nchown_uploads=YES\nchown_upload_mode=0644\n", "022"),
        ] {
            let text = anonymous(conf);
            assert!(has(&text, &format!("umask = {umask}")), "{conf}{text}");
        }
        let other = "write_enable=YES\nanon_upload_enable=YES\nanon_other_write_enable=YES\n\
            anon_world_readable_only=NO\n";
        let text = anonymous(other);
        assert!(has(&text, "perm = elrdfw") && !text.contains("_only"), "{text}");
        assert!(!text.contains("allow_overwrite"), "{text}");
        // what becomes another user's there is nobody's here
        let text = anonymous(&format!("{other}chown_uploads=YES\n"));
        assert!(has(&text, "perm = elrw") && has(&text, "world_readable_only = on"), "{text}");
        assert!(has(&text, "allow_overwrite = off"), "{text}");
        for (conf, wanted) in [
            ("ssl_enable=YES\n", "off"),
            ("ssl_enable=YES\nforce_anon_logins_ssl=YES\n", "control"),
            ("ssl_enable=YES\nforce_anon_data_ssl=YES\n", "data"),
            ("ssl_enable=YES\nimplicit_ssl=YES\nforce_anon_data_ssl=YES\n", "on"),
        ] {
            assert!(has(&anonymous(conf), &format!("tls_required = {wanted}")), "{conf}");
        }
        let (text, faults) = imported(
            "local_enable=YES\nlocal_umask=022\nfile_open_mode=0600\nsyslog_enable=YES\n\
             vsftpd_log_file=/var/log/x\nlog_ftp_protocol=YES\ndirmessage_enable=YES\n\
             delete_failed_uploads=YES\n",
        );
        assert_eq!(faults, []);
        for line in [
            "umask = 066",
            "log_file = syslog",
            "log_level = debug",
            "folder_message = on",
            "keep_parts = 0",
        ] {
            assert!(has(&text, line), "{line}\n{text}");
        }
        // on its own port it speaks no clear text
        let (text, _) = imported(
            "ssl_enable=YES\nimplicit_ssl=YES\nforce_local_logins_ssl=NO\n\
             force_local_data_ssl=NO\nvalidate_cert=YES\nca_certs_file=/ca.pem\nssl_tlsv1_2=NO\n",
        );
        for line in [
            "tls_implicit_port = 21",
            "port = 2121",
            "tls_required = control",
            "tls_client_ca = /ca.pem",
            "tls_client_cert = optional",
            "tls_min_version = 1.3",
        ] {
            assert!(has(&text, line), "{line}\n{text}");
        }
    }

    #[test]
    fn guests_have_the_rights_that_vsftpd_gives_them() {
        let conf = "local_enable=YES\nguest_enable=YES\nwrite_enable=YES\n\
            user_sub_token=%u\nlocal_root=/srv/jail/%u\n";
        let (text, faults) = imported(conf);
        assert_eq!(faults, []);
        for line in [
            "home = /srv/jail/{user}",
            "perm = elr",
            "umask = 077",
            "world_readable_only = on",
            "allow_overwrite = off",
            "enabled = off",
        ] {
            assert!(has(&text, line), "{line}\n{text}");
        }
        let (text, _) = imported(&format!("{conf}virtual_use_local_privs=YES\n"));
        assert!(has(&text, "perm = elradfmwMT") && !text.contains("allow_overwrite"), "{text}");
        // a token that is none of ours is no name
        for conf in ["local_root=/srv/$USER\n", "local_root=srv\n", "local_root=/srv/{user}\n"]
        {
            let (text, faults) = imported(&format!("local_enable=YES\n{conf}"));
            assert_eq!(lines(&faults), [2], "{conf}");
            assert!(has(&text, ";[template:local]"), "{text}");
        }
        let (text, _) =
            imported("local_enable=YES\nlocal_root=/srv/$USER\nuser_sub_token=$USER\n");
        assert!(has(&text, "home = /srv/{user}"), "{text}");
    }

    #[test]
    fn root_is_given_up_for_whom_vsftpd_names() {
        for (conf, user, wanted) in [
            ("local_enable=YES\n", "nobody", &[][..]),
            ("local_enable=YES\nnopriv_user=daemon\n", "daemon", &[]),
            (
                "anonymous_enable=YES\nanon_root=/\nftp_username=daemon\nnopriv_user=bin\n",
                "daemon",
                &[],
            ),
            ("anonymous_enable=YES\nanon_root=/\nftp_username=no-such-user\n", "nobody", &[3]),
            ("local_enable=YES\nnopriv_user=root\n", "nobody", &[2]),
        ] {
            let (text, faults) = imported(conf);
            assert_eq!(lines(&faults), wanted, "{conf}{faults:?}");
            assert!(has(&text, &format!("user = {user}")), "{text}");
        }
        let (text, _) = imported("local_enable=YES\nrun_as_launching_user=YES\n");
        assert!(!text.contains("\nuser = "), "{text}");
    }

    #[test]
    fn the_tutorials_settings_are_those_of_the_same_server() {
        let settings = "# -*- coding: utf-8 -*-\nimport os\nip = '0.0.0.0'\nport = '2121'\n\
            # comment\nmax_upload = 300 * 1024\nmax_download = 500 * 1024  # per second\n\
            max_cons = 150\nmax_per_ip = 10\npassive_ports = (2000, 2200)\n\
            enable_anonymous = 'on'\nenable_logging = False\nloging_name = 'pyftp.log'\n\
            masquerade_address = \"\"\nwelcome_msg = 'Welcome to my ftp'\n\
            anonymous_path = '/srv'\n";
        assert_eq!(kind(settings), Some(Kind::Settings));
        let (text, faults) = imported(settings);
        assert_eq!(faults, []);
        for line in [
            "ip = 0.0.0.0",
            "port = 2121",
            "max_upload = 307200",
            "max_download = 512000",
            "max_cons = 150",
            "max_per_ip = 10",
            "passive_ports = 2000-2200",
            "enable_logging = off",
            "; log_file = pyftp.log",
            "welcome_msg = Welcome to my ftp",
            "[anonymous]",
            "home = /srv",
        ] {
            assert!(has(&text, line), "{line}\n{text}");
        }
        assert!(text.contains("the wrong way round") && !text.contains("masquerade"), "{text}");
        // a limit that cannot be read lets nobody in without it
        let (text, faults) =
            imported("enable_anonymous = 'on'\nanonymous_path = '/srv'\nmax_cons = many()\n");
        assert_eq!(lines(&faults), [3]);
        assert!(!has(&text, "[anonymous]") && has(&text, ";[anonymous]"), "{text}");
        let (text, faults) = imported(
            "ip = ''\nport = 70000\nmax_cons = os.cpu_count()\npassive_ports = 5\n\
             enable_anonymous = 'maybe'\nenable_logging = True\nlogging_name = 'x.log'\n\
             max_upload = -1\nmasquerade_address = '0.0.0.0'\nother = 7\nnonsense\n",
        );
        assert_eq!(lines(&faults), [2, 3, 4, 5, 8, 9, 11], "{faults:?}");
        for line in
            ["ip = 0.0.0.0", "enable_logging = on", "log_file = x.log", "; no equal: other = 7"]
        {
            assert!(has(&text, line), "{line}\n{text}");
        }
        assert!(!text.contains("[anonymous]"), "{text}");
        // a file of vsftpd is none of these, and the other way round
        assert_eq!(kind("max_per_ip=5\nlisten=YES\n"), Some(Kind::Vsftpd));
        assert_eq!(kind("max_per_ip=5\n"), Some(Kind::Vsftpd));
        assert_eq!(kind("passive_ports = (2000, 2200)\n"), Some(Kind::Settings));
        assert_eq!(kind("max_upload=300*1024\nport='1'\n"), Some(Kind::Settings));
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
