//! Attacks to which other servers fell, as far as no other file has a test of them. The table of
//! all these attacks is in `.github/SECURITY.md`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::{Server, eventually, run};

/// Links such as `/proc/self/root` lead to an open file, whatever their text says, and
/// `/proc/self/mem` is the memory of the server.
#[test]
fn a_home_in_proc_leads_to_no_other_file() {
    let own = "[user:eve]\npassword = apple\nperm = elradfmwMT\nhome = /proc";
    let server = Server::setup().section(own).start();
    fs::write(server.dir().join("secret"), "outside").unwrap();
    let mut client = Client::login(&server, "eve", "apple");
    let pid = server.pid();
    for place in ["self/root", "self/cwd", "thread-self/root"] {
        client.cmd(&format!("CWD {place}"), 550);
        client.cmd(&format!("MLST {place}/etc/passwd"), 550);
    }
    client.cmd(&format!("CWD {pid}/root/etc"), 550);
    let mut paths =
        vec!["self/root/etc/passwd", "self/exe", "self/fd/0", "self/mem", "self/environ"];
    // the size of these files is not 0
    paths.extend(
        ["kcore", "config.gz"].iter().filter(|name| Path::new("/proc").join(name).exists()),
    );
    for path in paths {
        for verb in ["RETR", "STOR", "APPE"] {
            let (code, text, bytes) = client.exchange(&format!("{verb} {path}"), b"poison");
            assert!(code == 550 && bytes.is_empty(), "{verb} {path}: {text}");
        }
    }
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// `ProFTPD` copied the file to the other file system, and followed links that came in between.
#[test]
fn a_rename_to_another_file_system_copies_nothing() {
    let server = Server::start();
    let disk = server.home().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "ftpd-test"]).arg(&disk).status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("not tested: this user may not mount");
        return;
    }
    let _mounted = Mounted(&disk);
    fs::write(server.dir().join("victim"), "outside").unwrap();
    std::os::unix::fs::symlink(server.dir().join("victim"), disk.join("link")).unwrap();
    server.put("file", "text");
    let mut client = Client::bob(&server);
    for target in ["disk/new", "disk/link"] {
        client.cmd("RNFR file", 350);
        client.cmd(&format!("RNTO {target}"), 550);
    }
    assert_eq!(server.get("file"), b"text");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 1);
    assert_eq!(fs::read(server.dir().join("victim")).unwrap(), b"outside");
}

/// A matcher that tries every division of the name would need longer than the age of the world.
#[test]
fn patterns_of_many_stars_are_matched_at_once() {
    let server = Server::start();
    let name = "a".repeat(250);
    for number in 0..50 {
        server.put(&format!("{name}{number}"), "");
    }
    let mut client = Client::bob(&server);
    let started = Instant::now();
    for pattern in ["*a".repeat(100) + "b", "a*".repeat(100) + "b", "?*".repeat(100) + "b"] {
        for verb in ["NLST", "LIST", "STAT"] {
            let (_, text, bytes) = client.exchange(&format!("{verb} {pattern}"), b"");
            assert!(bytes.is_empty() && !text.contains("aaaa0"), "{verb}: {text}");
        }
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn directives_of_printf_in_a_name_are_logged_as_they_are() {
    let server = Server::setup().server("transfer_log = xfer.log").start();
    let mut client = Client::bob(&server);
    for name in ["%s%n%x%p.%1000000d", "{}{0}{:?}", "$(id)`id`;id"] {
        client.upload(&format!("STOR {name}"), b"text");
        assert_eq!(server.get(name), b"text");
        assert!(server.wait_for_log("STOR").contains("complete"));
        server.wait_for_log(name);
        let transfers = || fs::read_to_string(server.dir().join("xfer.log")).unwrap();
        eventually("the transfer is logged", || transfers().contains(name));
    }
}

/// A limit that is checked first and counted later lets through all that come in between.
#[test]
fn many_logins_at_once_get_no_more_than_max_per_user() {
    const MANY: usize = 24;
    let server = Server::setup().server("max_per_user = 3").start();
    for _ in 0..3 {
        let together = Barrier::new(MANY);
        let answers: Vec<_> = thread::scope(|scope| {
            let log_in = || {
                let mut client = Client::connect(&server);
                client.cmd("USER bob", 331);
                together.wait();
                let (code, _) = client.ask("PASS secret");
                // nobody leaves before all have their answers
                together.wait();
                code
            };
            let clients: Vec<_> = (0..MANY).map(|_| scope.spawn(log_in)).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let inside = answers.iter().filter(|code| **code == 230).count();
        assert_eq!(inside, 3, "{answers:?}");
        assert!(answers.iter().all(|code| [230, 421].contains(code)), "{answers:?}");
        eventually("all seats are free", || {
            let (_, out, _) = run(&["who"], server.dir());
            !out.contains("bob")
        });
    }
}

/// In a server that forks, a child whose program cannot be started went on as a second server.
#[test]
fn a_program_that_cannot_be_started_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("gone");
    fs::copy("/bin/true", &program).unwrap();
    let server = Server::setup().server(&format!("on_upload = {}", program.display())).start();
    fs::remove_file(&program).unwrap();
    let mut client = Client::bob(&server);
    for _ in 0..5 {
        client.upload("STOR a", b"x");
    }
    eventually("all have failed", || server.log().matches("cannot be started").count() == 5);
    assert!(server.starter().is_some());
    eventually("no child is left", || server.programs().is_empty());
    client.cmd("NOOP", 200);
}

#[test]
fn an_empty_password_in_the_settings_lets_nobody_in() {
    let server = Server::start();
    let ini = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&ini).unwrap();
    for empty in ["password =", "password = \"\""] {
        fs::write(&ini, text.replacen("password = secret", empty, 1)).unwrap();
        let (code, _, err) = run(&["check"], server.dir());
        assert_eq!(code, 78, "{empty}: {err}");
        assert!(err.contains("[user:bob] password"), "{err}");
    }
}
