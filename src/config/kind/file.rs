//! Kinds of value that are files and directories.

use std::io::ErrorKind::{NotADirectory, NotFound};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::name::password;
use super::net::listen;
use super::value_kind::{ValueKind, texts};
use crate::config::home;
use crate::config::hook::Program;
use crate::config::tls::CertificateSource;
use crate::config::value::{Listen, LogTo, Password, Scanner};
use crate::rights;

/// The home directory of a user. Whether it must exist depends on other keys of the user.
pub(in crate::config) const HOME: ValueKind<PathBuf> =
    texts("directory", |given| Ok(home::path(given.text, given.folder, given.user)?));

/// A directory whose path may contain the name of the user, or none if the text is empty. It need not
/// exist yet.
pub(in crate::config) const ELSEWHERE: ValueKind<Option<PathBuf>> =
    texts("directory", |given| {
        let is_set = !given.text.is_empty();
        let path = is_set.then(|| home::path(given.text, given.folder, given.user)).transpose();
        Ok(path?)
    });

/// A directory, or none if the text is empty. It need not exist yet.
pub(in crate::config) const FOLDER: ValueKind<Option<PathBuf>> =
    texts("directory", |given| Ok(given.path()));

/// A Unix socket, or none if the text is empty.
pub(in crate::config) const SOCKET: ValueKind<Option<PathBuf>> =
    texts("path", |given| Ok(given.path()));

/// A file to write to, or none if the text is empty. Its directory must exist.
pub(in crate::config) const FILE: ValueKind<Option<PathBuf>> =
    texts("file", |given| Ok(writable(given.text, given.folder)?));

/// A file to read, or none if the text is empty.
pub(in crate::config) const READABLE: ValueKind<Option<PathBuf>> = texts("file", |given| {
    let file = given.path().map(readable);
    Ok(file.transpose()?)
});

/// A file or directory that exists, or none if the text is empty.
pub(in crate::config) const FILE_OR_FOLDER: ValueKind<Option<PathBuf>> =
    texts("file or directory", |given| {
        let path = given.path();
        match path.as_ref().map(std::fs::metadata) {
            Some(Err(why)) => Err(format!("does not exist: {why}").into()),
            Some(Ok(_)) | None => Ok(path),
        }
    });

/// A file to write to, the system log, or standard error if the text is empty.
pub(in crate::config) const LOG: ValueKind<LogTo> = texts("file or syslog", |given| {
    if let Some(syslog) = syslog(given.text, given.folder) {
        return Ok(syslog);
    }
    Ok(writable(given.text, given.folder)?.map_or(LogTo::Stderr, LogTo::File))
});

/// A PEM file, the word `auto`, or no TLS if the text is empty.
pub(in crate::config) const CERTIFICATE: ValueKind<CertificateSource> =
    texts("file or auto", |given| {
        Ok(match given.path() {
            None => CertificateSource::None,
            Some(_) if given.text.eq_ignore_ascii_case("auto") => CertificateSource::Auto,
            Some(file) => CertificateSource::File(readable(file)?),
        })
    });

/// A file whose first line is a password, or none if the text is empty. In a template the file is not read,
/// because its path may contain the name of the user.
pub(in crate::config) const PASSWORD_FILE: ValueKind<Option<(PathBuf, Password)>> =
    texts("file", |given| {
        let Some(user) = given.user.filter(|_| !given.text.is_empty()) else { return Ok(None) };
        let file = given.folder.join(home::expanded(given.text, user));
        let line = first_line(&file)?;
        match password(&line) {
            Ok(password) => Ok(Some((file, password))),
            Err(why) => Err(format!("contains a password that {why}").into()),
        }
    });

/// A program with its arguments, or none if the text is empty.
pub(in crate::config) const PROGRAM: ValueKind<Option<Arc<Program>>> =
    texts("program and arguments", |given| {
        let program = (!given.text.is_empty()).then(|| program(given.text, given.folder));
        Ok(program.transpose()?.map(Arc::new))
    });

/// A program that judges uploads, with its arguments; none if the text is empty.
pub(in crate::config) const JUDGE: ValueKind<Option<Arc<Program>>> =
    texts("program and arguments", |given| {
        let program = (!given.text.is_empty()).then(|| program(given.text, given.folder));
        Ok(program.transpose()?.map(|program| Arc::new(Program { judges: true, ..program })))
    });

/// A virus scanner, or none if the text is empty.
pub(in crate::config) const SCANNER: ValueKind<Option<Scanner>> =
    texts("clamd:/SOCKET or clamd:HOST:PORT", |given| {
        let text = given.text;
        let scanner =
            (!text.is_empty()).then(|| scanner(text, given.folder).ok_or_else(not_one));
        Ok(scanner.transpose()?)
    });

fn not_one() -> String {
    "is not of the form clamd:/run/clamav/clamd.ctl or clamd:host:3310".to_owned()
}

/// Reads the address of a scanner. What contains a slash is a socket.
fn scanner(text: &str, folder: &Path) -> Option<Scanner> {
    let (kind, at) = text.split_once(':')?;
    if !kind.eq_ignore_ascii_case("clamd") {
        return None;
    }
    if at.contains('/') {
        return Some(Scanner::Local(folder.join(at)));
    }
    let (host, port) = at.rsplit_once(':').filter(|(host, _)| !host.is_empty())?;
    let Listen { host, port } = listen(&format!("{host}:{port}")).ok()??;
    (port > 0).then_some(Scanner::Remote(host, port))
}

fn writable(text: &str, folder: &Path) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let path = folder.join(text);
    if path.is_dir() {
        return Err("is a directory; expected a file".to_owned());
    }
    let parent = path.parent().unwrap_or(folder);
    match parent.metadata() {
        Ok(parent) if parent.is_dir() => Ok(Some(path)),
        Err(why) if !matches!(why.kind(), NotFound | NotADirectory) => {
            Err(format!("is in a directory that cannot be examined: {why}"))
        }
        _ => Err("is not in an existing directory".to_owned()),
    }
}

/// Maximum length of a secret in a file.
const LONGEST_SECRET: u64 = 64 << 10;

/// Reads the first line of a file with a secret. A fault does not show what the file contains.
fn first_line(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    rights::open(file)
        .and_then(|file| file.take(LONGEST_SECRET + 1).read_to_end(&mut bytes))
        .map_err(|why| format!("cannot be read: {why}"))?;
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if u64::try_from(line.len()).is_ok_and(|len| len > LONGEST_SECRET) {
        return Err("has a first line of more than 64 KiB".to_owned());
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8 text")?;
    if line.is_empty() {
        return Err("has an empty first line; expected a password".to_owned());
    }
    Ok(line.to_owned())
}

fn readable(path: PathBuf) -> Result<PathBuf, String> {
    if std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        return Err("is not a file".to_owned());
    }
    match rights::open(&path) {
        Ok(_) => Ok(path),
        Err(why) => Err(format!("cannot be read: {why}")),
    }
}

/// Reads `syslog` or `syslog:SOCKET`. Returns `None` for any other text, which is the name of a
/// file.
fn syslog(text: &str, folder: &Path) -> Option<LogTo> {
    match text.split_once(':').unwrap_or((text, "")) {
        (word, "") if word.eq_ignore_ascii_case("syslog") => Some(LogTo::Syslog(None)),
        (word, at) if word.eq_ignore_ascii_case("syslog") => {
            Some(LogTo::Syslog(Some(folder.join(at))))
        }
        _ => None,
    }
}

/// Reads a program with its arguments. The program must exist and be executable, so that a typo is
/// found before the program is needed.
fn program(text: &str, folder: &Path) -> Result<Program, String> {
    let mut words = words(text)?.into_iter();
    let path = folder.join(words.next().unwrap_or_default());
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
            Ok(Program { path, args: words.collect(), judges: false })
        }
        Ok(_) => Err("is not an executable file".to_owned()),
        Err(why) => Err(format!("is not a program: {why}")),
    }
}

/// Splits a command into words. Spaces between double quotes are kept.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (None::<String>, false);
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() && !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    if quoted { Err("has an unclosed quotation mark".to_owned()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_the_spaces_of_an_argument() {
        let words = |text| words(text).unwrap();
        assert_eq!(words("/bin/x -a  b"), ["/bin/x", "-a", "b"]);
        assert_eq!(words("x \"a b\" \"\" c\" \"d"), ["x", "a b", "", "c d"]);
        assert!(super::words("x \"a").is_err());
    }

    #[test]
    fn a_scanner_is_a_socket_or_a_host_with_a_port() {
        let read = |text| scanner(text, Path::new("/etc"));
        let local = |path: &str| Some(Scanner::Local(path.into()));
        let remote = |host: &str, port| Some(Scanner::Remote(host.to_owned(), port));
        assert_eq!(read("clamd:/run/c.ctl"), local("/run/c.ctl"));
        assert_eq!(read("Clamd:./c.ctl"), local("/etc/./c.ctl"));
        assert_eq!(read("clamd:av.lan:3310"), remote("av.lan", 3310));
        assert_eq!(read("clamd:[::1]:3310"), remote("::1", 3310));
        for text in ["/run/c.ctl", "clamd", "clamd:", "clamd:3310", "clamd::3310", "clamd:a:0"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        for text in ["clamd:/run/c.ctl", "clamd:av.lan:3310", "clamd:[::1]:3310"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_word_syslog_is_no_file() {
        let log = |text| syslog(text, Path::new("/etc"));
        assert_eq!((log("syslog"), log("Syslog:")), (log("SYSLOG"), log("syslog")));
        assert_eq!(log("syslog"), Some(LogTo::Syslog(None)));
        assert_eq!(log("syslog:/run/log"), Some(LogTo::Syslog(Some("/run/log".into()))));
        assert_eq!(log("syslog:log"), Some(LogTo::Syslog(Some("/etc/log".into()))));
        for file in ["", "./syslog", "syslog.1", "/var/log/syslog", "ftpd.log"] {
            assert_eq!(log(file), None, "{file}");
        }
    }
}
