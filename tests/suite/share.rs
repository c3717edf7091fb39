//! `ftpd share`: a folder served without a settings file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::Client;
use crate::program::connect;
use crate::server::run;

/// A running share. It is ended on drop.
struct Share {
    child: Child,
    dir: TempDir,
    /// The output of the share, up to its last line.
    said: Vec<String>,
}

impl Share {
    fn start(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "text").unwrap();
        Self::start_in(dir, options)
    }

    /// A temporary folder inside the shared one would be shared as well.
    fn start_in(dir: TempDir, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .arg("share")
            .arg(dir.path())
            .args(["--ip", "127.0.0.1", "--port", "0"])
            .args(options)
            .env("TMPDIR", dir.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
            said.push(lines.next().expect("a last line").unwrap());
        }
        Self { child, dir, said }
    }

    fn url(&self) -> &str {
        self.said.iter().find_map(|line| line.trim().strip_prefix("ftp://")).expect("a URL")
    }

    fn address(&self) -> SocketAddr {
        let url = self.url().trim_end_matches('/');
        url.rsplit('@').next().unwrap().parse().unwrap()
    }

    /// Logs in as the URL says.
    fn client(&self) -> Client {
        let (login, _) = self.url().split_once('@').expect("a login");
        let (user, password) = login.split_once(':').unwrap();
        let mut client = connect(self.address());
        client.cmd(&format!("USER {user}"), 331);
        client.cmd(&format!("PASS {password}"), 230);
        client
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_share_can_be_read_with_its_password_only() {
    let share = Share::start(&[]);
    let mut client = share.client();
    assert_eq!(client.download("RETR file"), b"text");
    for command in ["DELE file", "MKD x", "STOR file", "RNFR file", "SITE CHMOD 600 file"] {
        client.cmd(command, 550);
    }
    for (user, password) in [("guest", "x"), ("guest", ""), ("anonymous", "x@y")] {
        let mut client = connect(share.address());
        client.cmd(&format!("USER {user}"), 331);
        client.cmd(&format!("PASS {password}"), 530);
    }
    assert_eq!(fs::read(share.dir.path().join("file")).unwrap(), b"text");
    assert_eq!(fs::read_dir(share.dir.path()).unwrap().count(), 1);
    let other = Share::start(&[]);
    assert_ne!(share.url().split('@').next(), other.url().split('@').next());
}

#[test]
fn it_can_be_written_to_when_that_was_asked_for() {
    let share = Share::start(&["--write", "--user", "anna"]);
    assert!(share.url().starts_with("anna:"), "{:?}", share.said);
    let mut client = share.client();
    client.upload("STOR new", b"more");
    assert_eq!(fs::read(share.dir.path().join("new")).unwrap(), b"more");
}

#[test]
fn everybody_may_come_when_that_was_asked_for() {
    for options in [&["--anonymous"][..], &["--user", "anonymous"]] {
        let share = Share::start(options);
        assert!(!share.url().contains('@'), "{:?}", share.said);
        assert!(share.said[0].ends_with(" to read, for everybody:"), "{:?}", share.said);
        let mut client = connect(share.address());
        client.cmd("USER anonymous", 331);
        client.cmd("PASS x@y", 230);
        assert_eq!(client.download("RETR file"), b"text");
        client.cmd("DELE file", 550);
    }
}

#[test]
fn with_tls_there_is_no_clear_text_and_nothing_stays_behind() {
    let mut share = Share::start(&["--tls"]);
    assert!(share.said.iter().any(|line| line.contains("certificate SHA-256 ")));
    let mut client = connect(share.address());
    client.cmd("USER guest", 530);
    let curl = Command::new("curl")
        .args(["-s", "-k", "--ssl-reqd", &format!("ftp://{}file", share.url())])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "text");
    let pid = share.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(share.child.wait().unwrap().success());
}

#[test]
fn the_key_is_nowhere_when_clients_come() {
    let share = Share::start_in(tempfile::tempdir().unwrap(), &["--tls"]);
    assert_eq!(fs::read_dir(share.dir.path()).unwrap().count(), 0);
}

#[test]
fn it_ends_with_its_terminal() {
    let mut share = Share::start(&[]);
    let pid = share.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert!(share.child.wait().unwrap().success());
}

#[test]
fn a_folder_that_cannot_be_shared_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for (arguments, code) in [
        (&["share", "missing"][..], 1),
        (&["share", "file", "--ip", "127.0.0.1"], 1),
        (&["share", "--port", "x"], 2),
        (&["share", "--ip", "nowhere"], 2),
        (&["share", ".", "."], 2),
        (&["share", "--user", "a\nb", "--ip", "127.0.0.1"], 1),
        // nobody is let in without a password who was not meant to be
        (&["share", "--user", "ftp", "--ip", "127.0.0.1"], 2),
        (&["share", "--user", "bob", "--anonymous", "--ip", "127.0.0.1"], 2),
    ] {
        let (is, _, err) = run(arguments, dir.path());
        assert_eq!(is, code, "{arguments:?}: {err}");
        assert!(err.starts_with("ftpd: "), "{err}");
    }
}

#[test]
fn a_share_ends_by_itself_after_its_time() {
    let mut share = Share::start(&["--for", "3s"]);
    assert!(share.said.last().unwrap().starts_with("It ends by itself after 0:00:03. "));
    let mut client = share.client();
    assert!(share.child.wait().unwrap().success());
    client.expect(421);
    for (time, fault) in [("0", "is no time"), ("soon", "is not a duration"), ("", "")] {
        let (code, out, err) = run(&["share", "--for", time], share.dir.path());
        assert_eq!((code, out.as_str()), (2, ""), "{time}: {err}");
        assert!(err.contains(fault), "{err}");
    }
}
