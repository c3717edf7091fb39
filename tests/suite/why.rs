//! `ftpd why`, and the same sentence in the log.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::client::Client;
use crate::server::{Server, run};

/// A user who is not root.
const NOBODY: u32 = 65534;

fn why(server: &Server, words: &[&str]) -> (i32, String) {
    let arguments = [&["why"], words].concat();
    let (code, out, _) = run(&arguments, server.dir());
    (code, out)
}

/// Asks as a user who is not root.
fn why_as_nobody(server: &Server, path: &str, action: &str) -> String {
    let output = Command::new("setpriv")
        .args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string()])
        .args(["--clear-groups", env!("CARGO_BIN_EXE_ftpd"), "why", "bob", path, action])
        .current_dir(server.dir())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_allowed_action_is_a_yes_with_the_real_path() {
    let server = Server::start();
    server.put("a b", "text");
    let real = server.home().join("a b");
    let (code, out) = why(&server, &["bob", "/a b"]);
    let lines: Vec<_> = out.lines().collect();
    let wanted = ["read", "write", "list", "delete", "rename"];
    assert_eq!((code, lines.len()), (0, wanted.len()), "{out}");
    for (line, action) in lines.iter().zip(wanted) {
        assert_eq!(*line, format!("{action} \"{}\": yes", real.display()));
    }
    // the command has changed nothing
    assert_eq!(server.get("a b"), b"text");
    let (code, out) = why(&server, &["bob", "new", "write"]);
    assert_eq!(code, 0, "{out}");
    assert!(!server.has("new"));
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

#[test]
fn directories_that_would_be_made_are_reckoned_with() {
    let server = Server::setup()
        .user("make_parents = on")
        .section("[user:eve]\npassword = secret\nhome = home\nperm = elrw\nmake_parents = on")
        .section("[folder:/no]\nmake_parents = off")
        .start();
    for (user, path, action, wanted) in [
        ("bob", "a/b/c", "write", "yes"),
        ("bob", "a/b/c", "mkdir", "yes"),
        ("bob", "no/a/b/c", "write", "no such file"),
        ("eve", "a/b/c", "write", "letter 'm'"),
    ] {
        let (_, out) = why(&server, &[user, path, action]);
        assert!(out.contains(wanted), "{user} {action}: {out}");
    }
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

#[test]
fn a_missing_letter_is_named_as_in_the_log() {
    let server = Server::setup().user("perm = elr").start();
    server.put("file", "text");
    let (code, out) = why(&server, &["bob", "file", "delete"]);
    let sentence = "the user lacks the permission letter 'd'";
    assert_eq!(code, 1);
    assert!(out.ends_with(&format!("no: {sentence}\n")), "{out}");
    Client::bob(&server).cmd("DELE file", 550);
    assert!(server.wait_for_log("DELE").contains(sentence));
    assert_eq!(why(&server, &["bob", "file", "read"]).0, 0);
}

#[test]
fn refusals_of_the_tree_are_worded_as_by_the_server() {
    let server = Server::start();
    fs::create_dir_all(server.home().join("full/inner")).unwrap();
    symlink("/etc/passwd", server.home().join("out")).unwrap();
    // the C library's words
    let too_long = std::io::Error::from_raw_os_error(36).to_string();
    for (path, action, sentence) in [
        ("missing", "read", "no such file or directory"),
        ("out", "read", "leads out of the user's home"),
        ("full", "read", "is a directory"),
        ("full", "delete", "directory is not empty"),
        ("/", "delete", "is the root"),
        ("full", "mkdir", "exists already"),
        ("missing/x", "write", "no such file or directory"),
        ("../../etc/passwd", "read", "no such file or directory"),
        (&"x".repeat(256), "mkdir", &too_long),
    ] {
        let (code, out) = why(&server, &["bob", path, action]);
        assert_eq!(code, 1, "{path} {action}: {out}");
        assert!(out.ends_with(&format!("no: {sentence}\n")), "{path} {action}: {out}");
    }
}

#[test]
fn a_missing_right_of_the_file_system_is_named_with_owner_and_mode() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let server = Server::setup().run_as(NOBODY).start();
    let home = server.home();
    let put = |name: &str, mode: u32, owner: u32| {
        let path = home.join(name);
        if name.ends_with('/') {
            fs::create_dir(&path).unwrap();
        } else {
            fs::write(&path, "text").unwrap();
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
    };
    put("shut/", 0o700, 0);
    put("shut/file", 0o644, 0);
    put("kept/", 0o755, 0);
    put("kept/file", 0o600, 0);
    put("sticky/", 0o1777, 0);
    put("sticky/file", 0o666, 0);
    put("own", 0o644, NOBODY);
    let real = |name: &str| home.join(name).display().to_string();
    let may_not = |what: &str, name: &str, mode: &str| {
        format!("uid {NOBODY} may not {what} {} (mode {mode}, owner 0:0)", real(name))
    };
    let sticky = format!(
        "the directory {} is sticky, and {} belongs to uid 0",
        real("sticky"),
        real("sticky/file")
    );
    let mut client = Client::bob(&server);
    for (path, action, command, sentence) in [
        ("shut/file", "read", "RETR", may_not("enter the directory", "shut", "700")),
        ("kept/file", "read", "RETR", may_not("read the file", "kept/file", "600")),
        ("shut", "list", "MLSD", may_not("list the directory", "shut", "700")),
        ("kept/new", "write", "STOR", may_not("write to the directory", "kept", "755")),
        ("kept/file", "delete", "DELE", may_not("write to the directory", "kept", "755")),
        ("sticky/file", "delete", "DELE", sticky.clone()),
    ] {
        let out = why_as_nobody(&server, path, action);
        assert!(out.ends_with(&format!("no: {sentence}\n")), "{path} {action}: {out}");
        if matches!(command, "RETR" | "STOR" | "MLSD") {
            client.passive();
        }
        client.cmd(&format!("{command} {path}"), 550);
        let line = server.wait_for_log(&format!("{command} \"{}\"", real(path)));
        assert!(line.ends_with(&sentence), "{line}");
    }
    // of a rename, what is to be renamed counts, and then the place where it is to go
    for (from, to, sentence) in [
        ("sticky/file", "sticky/other", sticky),
        ("kept/file", "sticky/another", may_not("write to the directory", "kept", "755")),
        ("own", "kept/other", may_not("write to the directory", "kept", "755")),
    ] {
        client.cmd(&format!("RNFR {from}"), 350);
        client.cmd(&format!("RNTO {to}"), 550);
        let line = server.wait_for_log(&format!("RNTO \"{}\"", real(to)));
        assert!(line.ends_with(&sentence), "{line}");
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_taken_for_what_it_may_be() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let server = Server::setup().run_as(NOBODY).start();
    let put = |name: &str, mode: u32| {
        let path = server.home().join(name);
        fs::create_dir(&path).unwrap();
        if mode & 0o111 == 0 {
            fs::write(path.join("file"), "").unwrap();
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    };
    put("blind", 0o311);
    put("shut", 0o644);
    let ask = |path| why_as_nobody(&server, path, "delete");
    let (blind, shut) = (ask("blind"), ask("shut"));
    assert!(blind.ends_with(": yes\n"), "{blind}");
    assert!(shut.ends_with(": no: directory is not empty\n"), "{shut}");
    let mut client = Client::bob(&server);
    client.cmd("RMD blind", 250);
    client.cmd("RMD shut", 550);
}

#[test]
fn nonsense_is_refused_before_anything_is_looked_at() {
    let server = Server::start();
    for words in [&["bob"][..], &[], &["bob", "x", "eat"], &["bob", "x", "read", "y"]] {
        assert_eq!(why(&server, words).0, 2, "{words:?}");
    }
    let (code, _, err) = run(&["why", "eve", "x"], server.dir());
    assert_eq!(code, 1);
    assert!(err.contains("there is no user 'eve'"), "{err}");
}

/// Only the running server knows what its sandbox holds.
#[test]
fn the_running_server_answers_and_without_it_the_settings() {
    let mut server = Server::start();
    server.put("file", "text");
    fs::rename(server.home(), server.dir().join("away")).unwrap();
    fs::create_dir(server.home()).unwrap();
    server.put("file", "text");
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    let (code, _) = client.ask("PASS secret");
    let (answer, _, err) = run(&["why", "bob", "file", "read"], server.dir());
    // without Landlock there is nothing to see
    assert_eq!(answer == 0, code == 230, "{err}");
    if code != 230 {
        assert!(err.contains("mounted or made after the server started"), "{err}");
    }
    server.kill();
    let (code, out, err) = run(&["why", "bob", "file", "read"], server.dir());
    assert!(code == 0 && out.ends_with(": yes\n"), "{out}{err}");
}

#[test]
fn why_answers_by_the_settings_in_effect_until_a_reload() {
    let server = Server::start();
    server.put("file", "text");
    let ini = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&ini).unwrap();
    fs::write(&ini, text.replace("perm = elradfmwMT", "perm = el")).unwrap();
    assert_eq!(why(&server, &["bob", "file", "read"]).0, 0);
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    assert_eq!(why(&server, &["bob", "file", "read"]).0, 1);
    // names are bytes
    assert_eq!(why(&server, &["bob", "\u{e9}\n", "mkdir"]).0, 1);
}

#[test]
fn without_a_server_the_unit_names_the_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let dir = crate::program::folder(crate::program::BOB);
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("home/file"), "").unwrap();
    let file = dir.path().join("home/file");
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
    let units = dir.path().join("units");
    fs::create_dir(&units).unwrap();
    let ini = dir.path().join("ftpd.ini");
    let text =
        format!("[Service]\nUser=nobody\nExecStart=/x/ftpd --config {}\n", ini.display());
    fs::write(units.join("ftpd.service"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(["why", "bob", "file", "read"])
        .current_dir(dir.path())
        .env("SYSTEMD_UNIT_PATH", &units)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains(&format!("uid {NOBODY} may not read the file")), "{out}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_user_who_may_not_open_the_socket_is_told_so() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let server = Server::setup().start();
    for path in ["", "ftpd-state"] {
        fs::set_permissions(server.dir().join(path), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let ini = server.dir().join("ftpd.ini");
    for (mode, words) in [
        (0o644, &["who"][..]),
        (0o644, &["reload"]),
        (0o644, &["kick", "bob"]),
        (0o600, &["who"]),
    ] {
        fs::set_permissions(&ini, PermissionsExt::from_mode(mode)).unwrap();
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(env!("CARGO_BIN_EXE_ftpd"))
            .args(words)
            .current_dir(server.dir())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.contains("permission denied; try sudo"), "{words:?}: {err}");
    }
}
