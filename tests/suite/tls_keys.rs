//! The forms of `tls_cert` and `tls_key`, and the messages about files that cannot be used.
//!
//! The forms of keys are those that the program `openssl` writes. Without it, a test says on
//! standard error what it did not test, and passes.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::program::{BOB, Program, folder, write};
use crate::server::{PATIENCE, run};

/// Runs `openssl` in a folder, which must succeed; `false` if it is not installed.
fn openssl(dir: &Path, line: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(line.split(' ')).current_dir(dir).stdin(Stdio::null());
    let Ok(output) = command.output() else {
        // print even if the test passes and its output is captured
        let _ = writeln!(io::stderr(), "tls_keys: openssl is not installed, nothing tested");
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {line}\n{said}");
    true
}

/// A folder with an authority `ca.pem` and one below it, `int.pem`.
fn authorities() -> Option<TempDir> {
    let dir = folder("");
    let at = dir.path();
    fs::write(at.join("int.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    fs::write(at.join("leaf.ext"), "subjectAltName=DNS:localhost\n").unwrap();
    let new = "req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=ca";
    openssl(at, &format!("{new} -keyout ca.key -out ca.pem")).then_some(())?;
    openssl(at, "req -newkey rsa:2048 -nodes -subj /CN=int -keyout int.key -out int.csr");
    sign(at, "int", "ca", "int.ext");
    Some(dir)
}

fn sign(at: &Path, name: &str, by: &str, extensions: &str) {
    let by = format!("-CA {by}.pem -CAkey {by}.key -CAcreateserial -days 9");
    openssl(
        at,
        &format!("x509 -req -in {name}.csr {by} -extfile {extensions} -out {name}.pem"),
    );
}

/// Makes `leaf.pem` and `chain.pem` for an existing key.
fn certify(at: &Path, key: &str) {
    openssl(at, &format!("req -new -key {key} -subj /CN=localhost -out leaf.csr"));
    sign(at, "leaf", "int", "leaf.ext");
    let chain = ["leaf.pem", "int.pem"].map(|file| fs::read(at.join(file)).unwrap()).concat();
    fs::write(at.join("chain.pem"), chain).unwrap();
}

fn ini(lines: &str) -> String {
    format!("[server]\nip = 127.0.0.1\nport = 0\n{lines}\n{BOB}")
}

/// Says AUTH TLS, trusting `ca.pem` alone, and gives the certificates that the server shows.
fn shake(
    address: SocketAddr,
    authority: &Path,
) -> Result<Vec<CertificateDer<'static>>, io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut clear = BufReader::new(stream);
    let mut reply = String::new();
    clear.read_line(&mut reply)?;
    clear.get_mut().write_all(b"AUTH TLS\r\n")?;
    clear.read_line(&mut reply)?;
    assert!(reply.contains("\n234 "), "{reply}");
    let name = "localhost".try_into().unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tls = BufReader::new(StreamOwned::new(tls, clear.into_inner()));
    tls.get_mut().write_all(b"NOOP\r\n")?;
    reply.clear();
    tls.read_line(&mut reply)?;
    assert!(reply.starts_with("200 "), "{reply}");
    let shown = tls.get_ref().conn.peer_certificates().unwrap();
    Ok(shown.iter().map(|one| one.clone().into_owned()).collect())
}

#[test]
fn keys_of_all_usual_kinds_and_forms_serve_with_their_chain() {
    let Some(dir) = authorities() else { return };
    let at = dir.path().to_owned();
    for (kind, make, form, head) in [
        ("RSA", "genpkey -algorithm RSA -out KEY", "", "BEGIN PRIVATE KEY"),
        (
            "RSA",
            "genpkey -algorithm RSA -out key.0",
            "rsa -in key.0 -traditional -out KEY",
            "BEGIN RSA PRIVATE KEY",
        ),
        ("P-256", "ecparam -name prime256v1 -genkey -noout -out KEY", "", "BEGIN EC PRIVATE"),
        ("P-256", "ecparam -name prime256v1 -genkey -out KEY", "", "BEGIN EC PARAMETERS"),
        (
            "P-256",
            "ecparam -name prime256v1 -genkey -noout -out key.0",
            "pkcs8 -topk8 -nocrypt -in key.0 -out KEY",
            "BEGIN PRIVATE KEY",
        ),
        ("P-384", "ecparam -name secp384r1 -genkey -noout -out KEY", "", "BEGIN EC PRIVATE"),
        ("Ed25519", "genpkey -algorithm ed25519 -out KEY", "", "BEGIN PRIVATE KEY"),
    ] {
        let what = format!("{kind}, {head}");
        openssl(&at, &make.replace("KEY", "site.key"));
        if !form.is_empty() {
            openssl(&at, &form.replace("KEY", "site.key"));
        }
        fs::set_permissions(at.join("site.key"), PermissionsExt::from_mode(0o600)).unwrap();
        let text = fs::read_to_string(at.join("site.key")).unwrap();
        assert!(text.starts_with(&format!("-----{head}")), "{what}\n{text}");
        certify(&at, "site.key");
        let of = |file: &str| at.join(file).display().to_string();
        let lines = format!("tls_cert = {}\ntls_key = {}", of("chain.pem"), of("site.key"));
        write(&at, ini(&lines));
        let (code, out, err) = run(&["check"], &at);
        assert_eq!((code, err.as_str()), (0, ""), "{what}: {out}");
        let fingerprint = {
            let made = Command::new("openssl")
                .args(["x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256"])
                .current_dir(&at)
                .output()
                .unwrap();
            let text = String::from_utf8(made.stdout).unwrap();
            text.trim().split('=').nth(1).unwrap().to_owned()
        };
        let (code, out, err) = run(&["cert"], &at);
        assert_eq!((code, err.as_str()), (0, ""), "{what}");
        assert!(out.contains(&format!("\nSHA-256 {fingerprint}\n")), "{what}: {out}");
        let mut server = Program::start(&ini(&lines), &[]);
        server.wait_for("stderr", &fingerprint);
        let address = server.address("stderr");
        let shown = shake(address, &at.join("ca.pem"));
        let shown = shown.unwrap_or_else(|why| panic!("{what}: {why}"));
        let file = CertificateDer::pem_file_iter(at.join("chain.pem")).unwrap();
        let chain: Vec<_> = file.map(Result::unwrap).collect();
        assert_eq!((shown.len(), &shown), (2, &chain), "{what}");
    }
}

#[test]
fn a_client_cannot_trust_a_certificate_whose_chain_is_left_out() {
    let Some(dir) = authorities() else { return };
    let at = dir.path().to_owned();
    openssl(&at, "ecparam -name prime256v1 -genkey -noout -out site.key");
    certify(&at, "site.key");
    write(&at, ini("tls_cert = leaf.pem\ntls_key = site.key"));
    let mut server = Program::start_in(dir, &[]);
    let address = server.address("stderr");
    let why = shake(address, &at.join("ca.pem")).unwrap_err();
    assert!(why.to_string().contains("UnknownIssuer"), "{why}");
    server.wait_for("stderr", "TLS handshake failed: received fatal alert: UnknownCA");
}

#[test]
fn one_file_may_hold_the_key_and_the_chain() {
    let Some(dir) = authorities() else { return };
    let at = dir.path().to_owned();
    openssl(&at, "ecparam -name prime256v1 -genkey -noout -out site.key");
    certify(&at, "site.key");
    let both = ["site.key", "chain.pem"].map(|file| fs::read(at.join(file)).unwrap()).concat();
    fs::write(at.join("both.pem"), both).unwrap();
    fs::set_permissions(at.join("both.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    write(&at, ini("tls_cert = both.pem\ntls_key = both.pem"));
    assert_eq!(run(&["check"], &at).2, "");
    let mut server = Program::start_in(dir, &[]);
    let address = server.address("stderr");
    assert_eq!(shake(address, &at.join("ca.pem")).unwrap().len(), 2);
}

#[test]
fn keys_that_cannot_be_used_are_named_with_the_reason() {
    let dir = folder("");
    let at = dir.path();
    if !openssl(at, "genpkey -algorithm RSA -out site.key") {
        return;
    }
    let new = "req -x509 -days 9 -subj /CN=localhost";
    openssl(at, &format!("{new} -key site.key -out site.pem"));
    openssl(at, "genpkey -algorithm RSA -out other.key");
    openssl(at, "pkcs8 -topk8 -in site.key -passout pass:x -out locked8.key");
    openssl(at, "rsa -in site.key -traditional -aes128 -passout pass:x -out locked1.key");
    openssl(at, "ecparam -name secp521r1 -genkey -noout -out p521.key");
    openssl(at, &format!("{new} -key p521.key -out p521.pem"));
    let path = |file: &str| at.join(file).display().to_string();
    let locked = "has a passphrase; remove it (openssl pkey)";
    for (cert, key, said) in [
        (
            "site.pem",
            "other.key",
            format!("tls_key {}: is not the key of tls_cert", path("other.key")),
        ),
        ("site.pem", "locked8.key", format!("tls_key {}: {locked}", path("locked8.key"))),
        ("site.pem", "locked1.key", format!("tls_key {}: {locked}", path("locked1.key"))),
        (
            "site.pem",
            "site.pem",
            format!("tls_key {}: contains no private key", path("site.pem")),
        ),
        (
            "site.key",
            "site.key",
            format!("tls_cert {}: contains no certificate", path("site.key")),
        ),
        (
            "p521.pem",
            "p521.key",
            format!("tls_key {}: cannot be used; use RSA of 2048 to 4096", path("p521.key")),
        ),
    ] {
        write(at, ini(&format!("tls_cert = {cert}\ntls_key = {key}")));
        for arguments in [&["check"][..], &["cert"], &[]] {
            let (code, out, err) = run(arguments, at);
            assert_eq!((code, out.as_str()), (78, ""), "{arguments:?} {cert} {key}: {err}");
            let wanted = format!("ftpd.ini: [server] {said}");
            assert!(err.starts_with(&wanted), "{arguments:?}: {err}is not {wanted}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
}

/// A certificate made without `openssl`, good from one year to another.
fn of_years(at: &Path, from: i32, to: i32) {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    fs::write(at.join("site.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(at.join("site.key"), pair.serialize_pem()).unwrap();
    fs::set_permissions(at.join("site.key"), PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn dates_and_modes_are_warned_of_by_check_and_at_the_start() {
    let dir = folder(ini("tls_cert = site.pem\ntls_key = site.key"));
    let at = dir.path().to_owned();
    let of = |file: &str| at.join(file).display().to_string();
    of_years(&at, 2020, 2090);
    assert_eq!(run(&["check"], &at), (0, "ftpd.ini: good, 1 user\n".into(), String::new()));
    fs::set_permissions(at.join("site.key"), PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(run(&["check"], &at).2, "", "a group may read it");

    fs::set_permissions(at.join("site.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let (code, _, err) = run(&["check"], &at);
    let readable =
        format!("tls_key {}: others can read it; run chmod 600 on it", of("site.key"));
    assert_eq!((code, err), (0, format!("warning: ftpd.ini: [server] {readable}\n")));

    of_years(&at, 2080, 2090);
    let early = format!("tls_cert {}: is not valid yet", of("site.pem"));
    let (code, _, err) = run(&["check"], &at);
    assert_eq!((code, err), (0, format!("warning: ftpd.ini: [server] {early}\n")));

    of_years(&at, 2020, 2021);
    let late = format!("tls_cert {}: has expired", of("site.pem"));
    let (code, _, err) = run(&["check"], &at);
    assert_eq!((code, err), (0, format!("warning: ftpd.ini: [server] {late}\n")));
    assert!(run(&["cert"], &at).1.contains("\nvalid until 2021-01-01\n"));

    fs::set_permissions(at.join("site.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let mut server = Program::start_in(dir, &[]);
    for warning in [late, readable] {
        let line = server.wait_for("stderr", &warning);
        assert!(line.contains(" WARN "), "{line}");
    }
    server.address("stderr");
}

#[test]
fn files_and_keys_that_do_not_go_together_are_faults() {
    let dir = folder("");
    let at = dir.path();
    of_years(at, 2020, 2090);
    fs::create_dir(at.join("dir")).unwrap();
    fs::write(at.join("empty"), "").unwrap();
    let empty = at.join("empty").display().to_string();
    let below = at.join("empty/tls").display().to_string();
    let user = |line: &str| format!("{BOB}{line}\n");
    for (server, bob, said) in [
        ("tls_cert = site.pem", BOB.to_owned(), ":4: [server] tls_key: is missing".to_owned()),
        (
            "tls_cert = site.pem\ntls_key =",
            BOB.to_owned(),
            ":5: [server] tls_key: is missing".to_owned(),
        ),
        (
            "tls_cert = dir\ntls_key = site.key",
            BOB.to_owned(),
            ":4: [server] tls_cert: 'dir' is not a file".to_owned(),
        ),
        (
            "tls_cert = site.pem\ntls_key = dir",
            BOB.to_owned(),
            ":5: [server] tls_key: 'dir' is not a file".to_owned(),
        ),
        (
            "tls_cert = site.pem\ntls_key = gone",
            BOB.to_owned(),
            ":5: [server] tls_key: 'gone' cannot be read: No such file".to_owned(),
        ),
        (
            "tls_cert = empty\ntls_key = site.key",
            BOB.to_owned(),
            format!(": [server] tls_cert {empty}: contains no certificate"),
        ),
        (
            "tls_cert = auto\ntls_key = site.key",
            BOB.to_owned(),
            ":5: [server] tls_key: 'site.key' has no effect with tls_cert = auto".to_owned(),
        ),
        (
            "tls_cert = auto\ntls_client_ca = empty",
            BOB.to_owned(),
            format!(": [server] tls_client_ca {empty}: contains no certificate"),
        ),
        (
            "tls_cert = auto\ntls_dir = empty/tls",
            BOB.to_owned(),
            format!(": [server] tls_dir {below}: cannot be written to"),
        ),
        (
            "tls_cert = auto",
            user("tls_client = CN=bob"),
            ":5: [user:bob] tls_client: 'CN=bob' needs a tls_client_ca in [server]".to_owned(),
        ),
        (
            "tls_cert =",
            user("tls_client = CN=bob"),
            ":5: [user:bob] tls_client: needs a tls_cert".to_owned(),
        ),
        (
            "tls_cert =",
            user("tls_required = control"),
            ":5: [user:bob] tls_required: needs a tls_cert".to_owned(),
        ),
        (
            "tls_implicit_port = 990",
            BOB.to_owned(),
            ":4: [server] tls_implicit_port: needs a tls_cert".to_owned(),
        ),
    ] {
        write(at, format!("[server]\nip = 127.0.0.1\nport = 0\n{server}\n{bob}"));
        for arguments in [&["check"][..], &[]] {
            let (code, out, err) = run(arguments, at);
            assert_eq!((code, out.as_str()), (78, ""), "{arguments:?} {server}: {err}");
            assert!(err.starts_with(&format!("ftpd.ini{said}")), "{err}is not {said}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
    assert!(!at.join("ftpd-tls").exists(), "a key was made for settings that are at fault");
    let same = "tls_cert = auto\ntls_implicit_port = 2121";
    write(at, format!("[server]\nport = 2121\n{same}\n{BOB}"));
    let (code, _, err) = run(&["check"], at);
    let said = "ftpd.ini:4: [server] tls_implicit_port: '2121' is the control port";
    assert!(code == 78 && err.starts_with(said), "{err}");
}
