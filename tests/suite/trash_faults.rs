//! The trash where things go wrong or are unusual: several file systems in one home, a killed server,
//! failing calls, sessions at the same time, other system users.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::server::{Server, run};
use crate::tracer::{self, Fault, Tracer};
use crate::trash::{setup, version, versions};

/// A user who is not root.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn ftpd(server: &Server, words: &[&str]) -> (i32, String, String) {
    run(&[&["trash"], words].concat(), server.dir())
}

/// Folders of a home on which something is mounted until the end of the test.
struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// Mounts with these arguments of mount(8). Returns whether that was possible.
    fn add(&mut self, arguments: &[&str], on: &Path) -> bool {
        fs::create_dir_all(on).unwrap();
        let output = Command::new("mount").args(arguments).arg(on).output().unwrap();
        if output.status.success() {
            self.0.push(on.to_owned());
        } else {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(path).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn each_file_system_in_a_home_has_a_trash_of_its_own() {
    let server = setup().start();
    let home = server.home();
    let mut mounts = Mounts(Vec::new());
    let (usb, bound) = (home.join("media/usb 1"), home.join("bound"));
    fs::create_dir_all(home.join("origin/sub")).unwrap();
    let origin = home.join("origin");
    if !mounts.add(&["-t", "tmpfs", "test"], &usb)
        || !mounts.add(&["--bind", origin.to_str().unwrap()], &bound)
    {
        return;
    }
    fs::create_dir(usb.join("dir")).unwrap();
    for path in ["here", "media/usb 1/there", "media/usb 1/dir/there", "bound/sub/file"] {
        server.put(path, path);
    }
    let mut bob = Client::bob(&server);
    for path in ["here", "media/usb 1/there", "media/usb 1/dir/there", "bound/sub/file"] {
        bob.cmd(&format!("DELE {path}"), 250);
    }
    bob.cmd("RMD media/usb 1/dir", 250);
    bob.cmd("RMD media/usb 1", 550);
    assert_eq!(versions(&home), [version("here", "here")]);
    let on_usb = [
        version("there", "media/usb 1/there"),
        version("dir/there", "media/usb 1/dir/there"),
        version("dir", "(no file)"),
    ];
    assert_eq!(versions(&usb), on_usb);
    assert_eq!(versions(&bound), [version("sub/file", "bound/sub/file")]);
    // a rename does not lead to another file system, and keeps both
    server.put("one", "one");
    server.put("media/usb 1/two", "two");
    bob.cmd("RNFR one", 350);
    bob.cmd("RNTO media/usb 1/two", 550);
    assert_eq!(
        (server.get("one"), server.get("media/usb 1/two")),
        (b"one".to_vec(), b"two".to_vec())
    );
    bob.upload("STOR media/usb 1/two", b"new");
    let (code, out, err) = ftpd(&server, &["list", "bob"]);
    assert_eq!((code, out.lines().count()), (0, 1 + 6), "{out}{err}");
    let (code, out, _) = ftpd(&server, &["empty", "bob", "/media/usb 1/two"]);
    assert_eq!((code, out.as_str()), (0, "removed 1 file (3 B) and 0 directories\n"));
    let (code, out, err) = ftpd(&server, &["restore", "bob", "/media/usb 1/dir/there"]);
    assert_eq!((code, out.as_str()), (0, "2 files or directories restored\n"), "{err}");
    let (code, out, err) = ftpd(&server, &["restore", "bob", "--all"]);
    assert_eq!((code, out.as_str()), (0, "3 files or directories restored\n"), "{err}");
    for path in ["here", "media/usb 1/there", "media/usb 1/dir/there", "bound/sub/file"] {
        assert_eq!(server.get(path), path.as_bytes());
    }
    // everything above a mount point is emptied with what is mounted there
    bob.cmd("DELE media/usb 1/there", 250);
    let (code, out, _) = ftpd(&server, &["empty", "bob", "media"]);
    assert_eq!((code, out.as_str()), (0, "removed 1 file (17 B) and 0 directories\n"));
}

#[test]
fn kill_9_at_any_moment_loses_no_version() {
    let mut server = Server::setup().user("trash = on").start();
    let home = server.home();
    let mut state = 7_u64;
    let (mut number, mut stored) = (0_u32, 0);
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    // as many as it takes for the kills to have been of use
    for round in 0..1000_u32 {
        if stored > 150 && round >= 60 {
            break;
        }
        let mut client = Client::bob(&server);
        let mut sure = Vec::new();
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                // uploads, renames and deletions of one name, as long as the server is there
                loop {
                    number += 1;
                    let name = if number % 3 == 0 { "other" } else { "file" };
                    let Some(address) = client.try_passive() else { return };
                    let Ok(mut data) = TcpStream::connect(address) else { return };
                    let content = format!("version {number}");
                    if !client.try_send(&format!("STOR {name}"))
                        || client.try_code() != Some(150)
                    {
                        return;
                    }
                    let _ = data.write_all(content.as_bytes());
                    let _ = data.shutdown(Shutdown::Write);
                    if client.try_code() != Some(226) {
                        return;
                    }
                    sure.push(content);
                    let lines: &[&str] = match number % 6 {
                        3 => &["RNFR other", "RNTO file"],
                        5 => &["DELE file"],
                        _ => &[],
                    };
                    for line in lines {
                        if !client.try_send(line) || client.try_code().is_none() {
                            return;
                        }
                    }
                }
            });
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // the server is killed at a random moment
            thread::sleep(Duration::from_micros(state % (3000 << (round % 5))));
            server.kill();
            worker.join().unwrap();
        });
        stored += sure.len();
        wanted.extend(sure);
        let mut found: BTreeSet<String> = BTreeSet::new();
        let kept = versions(&home).into_iter().map(|(_, content)| content);
        let here = ["file", "other"].map(|name| fs::read(home.join(name)).ok());
        for content in kept.chain(here.into_iter().flatten()) {
            found.insert(String::from_utf8(content).unwrap());
        }
        let lost: Vec<_> = wanted.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");
        server.start_again();
    }
    eprintln!("{stored} versions");
    assert!(stored > 100, "{stored}");
}

#[test]
fn sessions_that_replace_one_file_at_once_lose_none_of_their_versions() {
    let server = setup().start();
    let home = server.home();
    let clients: Vec<_> = (0..6).map(|_| Client::bob(&server)).collect();
    thread::scope(|scope| {
        for (at, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                for round in 0..30 {
                    client.upload("STOR file", format!("{at} {round}").as_bytes());
                    if round % 10 == at {
                        let _ = client.ask("DELE file");
                    }
                }
            });
        }
    });
    let mut found: Vec<_> = versions(&home).into_iter().map(|(_, content)| content).collect();
    found.extend(fs::read(home.join("file")).ok());
    found.sort();
    let mut wanted: Vec<_> = (0..6)
        .flat_map(|at| (0..30).map(move |round| format!("{at} {round}").into_bytes()))
        .collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

/// Carries out `work` while a call of the sessions fails each time. Returns whether it did.
fn failing(server: &Server, call: &str, error: &'static str, work: impl FnOnce()) -> bool {
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call fails");
        return false;
    }
    let threads = tracer::threads(server.pid(), &["session-"]);
    let fault = Fault { call: call.to_owned(), nth: None, error };
    let tracer = Tracer::attach(&threads, "", Some(&fault), &server.dir().join("trace"));
    work();
    !tracer.end().injected.is_empty()
}

#[test]
fn where_names_cannot_be_exchanged_the_old_version_gets_a_second_name() {
    for sync in ["off", "on"] {
        let server = setup().user(&format!("sync_uploads = {sync}")).start();
        let home = server.home();
        server.put("file", "one");
        server.put("other", "two");
        let mut bob = Client::bob(&server);
        // as on NFS: the call knows no flags
        if !failing(&server, "renameat2", "EINVAL", || {
            bob.upload("STOR file", b"three");
            bob.cmd("RNFR other", 350);
            bob.cmd("RNTO file", 250);
            bob.cmd("DELE file", 250);
            bob.upload("STOR file", b"four");
        }) {
            return;
        }
        let wanted = ["one", "three", "two"].map(|content| version("file", content));
        assert_eq!(versions(&home), wanted);
        assert_eq!(server.get("file"), b"four");
        // and as where there are no links either: the old version stays
        let done = failing(&server, "linkat", "EOPNOTSUPP", || {
            let (code, text, _) = bob.exchange("STOR file", b"five");
            assert_eq!(code, 553, "{text}");
        });
        assert!(done);
        assert_eq!(server.get("file"), b"four");
        assert_eq!(versions(&home), wanted);
    }
}

#[test]
fn a_failing_call_leaves_the_file_or_has_it_in_the_trash() {
    for (call, error) in [
        ("mkdirat", "ENOSPC"),
        ("renameat2", "EXDEV"),
        ("renameat2", "ENOSPC"),
        ("renameat2", "EIO"),
        ("statx", "EIO"),
        ("openat", "EMFILE"),
    ] {
        let server = setup().start();
        server.put("file", "old");
        fs::create_dir(server.home().join("dir")).unwrap();
        let mut bob = Client::bob(&server);
        let mut codes = Vec::new();
        let done = failing(&server, call, error, || {
            codes.push(bob.ask("DELE file").0);
            codes.push(bob.ask("RMD dir").0);
            codes.push(bob.exchange("STOR file", b"new").0);
        });
        if !done && call != "statx" {
            return;
        }
        let kept = versions(&server.home());
        let old = version("file", "old");
        let here = server.has("file").then(|| server.get("file"));
        assert!(
            here.as_deref() == Some(b"old") || kept.contains(&old),
            "{call} {error}: {codes:?}"
        );
        if error == "ENOSPC" {
            assert_eq!(codes, [452, 452, 452], "{call}");
        }
        assert!(server.has("dir") || codes[1] == 250, "{call} {error}: {codes:?}");
    }
}

#[test]
fn a_session_that_acts_as_another_user_has_a_trash_of_its_own() {
    if !is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let ann = "[user:ann]\npassword = a\nperm = elradfmw\nhome = home\ntrash = on";
    let server = setup()
        .home_of(NOBODY)
        .user(&format!("run_as = {NOBODY}:{NOBODY}"))
        .section(ann)
        .start();
    let home = server.home();
    for path in ["bobs", "anns", "secret"] {
        server.put(path, path);
    }
    fs::create_dir_all(home.join("dir")).unwrap();
    chown(home.join("dir"), Some(NOBODY), Some(NOBODY)).unwrap();
    // a folder that its owner may not write to
    fs::set_permissions(home.join("dir"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut bob = Client::bob(&server);
    bob.cmd("DELE bobs", 250);
    bob.cmd("RMD dir", 250);
    let mut ann = Client::login(&server, "ann", "a");
    ann.cmd("DELE anns", 250);
    let trash = home.join(format!(".ftpd-trash-{NOBODY}"));
    let meta = trash.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (NOBODY, 0o700));
    assert!(trash.join("bobs").is_dir());
    assert_eq!(versions(&home), [version("anns", "anns")]);
    let (code, out, err) = ftpd(&server, &["list", "bob"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    let (code, out, err) = ftpd(&server, &["restore", "bob", "--all"]);
    assert_eq!((code, out.as_str()), (0, "2 files or directories restored\n"), "{err}");
    assert_eq!(server.get("bobs"), b"bobs");
    let dir = home.join("dir").metadata().unwrap();
    assert_eq!((dir.uid(), dir.mode() & 0o7777), (NOBODY, 0o555));
    // a trash that somebody else has made is not used
    fs::remove_dir_all(home.join(".ftpd-trash")).unwrap();
    fs::create_dir(home.join(".ftpd-trash")).unwrap();
    chown(home.join(".ftpd-trash"), Some(4000), Some(4000)).unwrap();
    ann.cmd("DELE secret", 550);
    server.wait_for_log("belongs to uid 4000, not 0");
    assert!(server.has("secret"));
}

#[test]
fn what_root_may_and_its_users_may_not_comes_back_without_a_server() {
    if !is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let mut server =
        setup().home_of(NOBODY).user(&format!("run_as = {NOBODY}:{NOBODY}")).start();
    fs::create_dir(server.home().join("dir")).unwrap();
    server.put("dir/file", "text");
    for path in ["dir", "dir/file"] {
        chown(server.home().join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut bob = Client::bob(&server);
    bob.cmd("DELE dir/file", 250);
    fs::remove_dir(server.home().join("dir")).unwrap();
    server.kill();
    let (code, out, err) = ftpd(&server, &["restore", "bob", "dir/file"]);
    assert_eq!((code, out.as_str()), (0, "1 file or directory restored\n"), "{err}");
    let made = server.home().join("dir").metadata().unwrap();
    assert_eq!((made.uid(), made.gid()), (NOBODY, NOBODY));
}

#[test]
fn what_an_overlay_has_below_goes_to_the_trash_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut mounts = Mounts(Vec::new());
    let at = |name: &str| dir.path().join(name);
    if !mounts.add(&["-t", "tmpfs", "test"], &at("layers")) {
        return;
    }
    for layer in ["layers/lower/dir", "layers/upper", "layers/work"] {
        fs::create_dir_all(at(layer)).unwrap();
    }
    fs::set_permissions(at("layers/lower/dir"), fs::Permissions::from_mode(0o2751)).unwrap();
    let mut time = Command::new("touch");
    time.args(["-d", "2001-02-03"]).arg(at("layers/lower/dir"));
    assert!(time.status().unwrap().success());
    for file in ["one", "two"] {
        fs::write(at("layers/lower").join(file), file).unwrap();
    }
    let layers = format!(
        "lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work",
        at("layers").display()
    );
    if !mounts.add(&["-t", "overlay", "test", "-o", &layers], &at("home")) {
        return;
    }
    let home = at("home");
    let eve = "[user:eve]\npassword = e\nperm = elradfmwMT\ntrash = on\nhome = ";
    let server = Server::setup().section(&format!("{eve}{}", home.display())).start();
    let mut eve = Client::login(&server, "eve", "e");
    let about = |path: &Path| {
        let meta = path.metadata().unwrap();
        (meta.mode(), meta.uid(), meta.mtime())
    };
    let before = about(&home.join("dir"));
    eve.upload("STOR one", b"new");
    eve.cmd("DELE two", 250);
    eve.cmd("RMD dir", 250);
    let wanted = [version("one", "one"), version("two", "two"), version("dir", "(no file)")];
    assert_eq!(versions(&home), wanted);
    let (code, out, err) = ftpd(&server, &["restore", "eve", "/dir"]);
    assert_eq!((code, out.as_str()), (0, "1 file or directory restored\n"), "{err}");
    assert_eq!(about(&home.join("dir")), before);
}

/// Makes a file system of this kind in a file, and mounts it.
fn disk(mounts: &mut Mounts, kind: &str, dir: &Path) -> Option<PathBuf> {
    let (image, on) = (dir.join("image"), dir.join("mounted"));
    fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
    let made = Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image).output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: no {kind} to be had");
        return None;
    }
    let image = image.to_str().unwrap();
    mounts.add(&["-o", "loop", image], &on).then_some(on)
}

#[test]
fn where_files_can_be_cloned_what_is_changed_in_place_is_kept() {
    for kind in ["btrfs", "xfs"] {
        let dir = tempfile::tempdir().unwrap();
        let mut mounts = Mounts(Vec::new());
        let Some(home) = disk(&mut mounts, kind, dir.path()) else { continue };
        let eve = "[user:eve]\npassword = e\nperm = elradfmwMT\ntrash = on\nhome = ";
        let server = Server::setup().section(&format!("{eve}{}", home.display())).start();
        let mut eve = Client::login(&server, "eve", "e");
        fs::write(home.join("one"), "old").unwrap();
        fs::set_permissions(home.join("one"), fs::Permissions::from_mode(0o640)).unwrap();
        chown(home.join("one"), Some(4000), Some(5000)).unwrap();
        fs::hard_link(home.join("one"), home.join("two")).unwrap();
        let before = home.join("one").metadata().unwrap();
        // one that never begins leaves nothing
        let _ = eve.passive_address("EPSV");
        eve.upload("STOR one", b"new");
        eve.upload("APPE two", b"er");
        assert_eq!(fs::read(home.join("one")).unwrap(), b"newer");
        assert_eq!(versions(&home), [version("one", "old"), version("two", "new")]);
        let kept = fs::read_dir(home.join(".ftpd-trash/one")).unwrap().next().unwrap().unwrap();
        let kept = kept.metadata().unwrap();
        let about = |meta: &fs::Metadata| {
            (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec())
        };
        assert_eq!(about(&kept), about(&before));
        // an append to a file with one name
        fs::write(home.join("log"), "line 1\n").unwrap();
        eve.upload("APPE log", b"line 2\n");
        assert_eq!(versions(&home)[2], version("log", "line 1\n"));
        if kind == "btrfs" {
            let sub = home.join("sub");
            let made =
                Command::new("btrfs").args(["subvolume", "create"]).arg(&sub).output().unwrap();
            assert!(made.status.success());
            fs::write(sub.join("file"), "text").unwrap();
            eve.cmd("DELE sub/file", 250);
            assert_eq!(versions(&sub), [version("file", "text")]);
            let (code, out, err) = ftpd(&server, &["restore", "eve", "/sub/file"]);
            assert_eq!((code, out.as_str()), (0, "1 file or directory restored\n"), "{err}");
        }
    }
}

#[test]
fn lftp_removes_mirrors_and_overwrites_and_everything_comes_back() {
    let Ok(found) = Command::new("lftp").arg("--version").output() else {
        eprintln!("skipped: lftp is not installed");
        return;
    };
    assert!(found.status.success());
    let server = setup().start();
    let home = server.home();
    crate::trash::fill(&home);
    let before = crate::trash::tree(&home);
    let up = server.dir().join("up");
    fs::create_dir_all(up.join("plain/deep")).unwrap();
    for path in ["a", "plain/b.txt", "plain/deep/new"] {
        fs::write(up.join(path), format!("new {path}")).unwrap();
    }
    let lftp = |commands: &str| {
        let address = server.address();
        let script = format!(
            "set cmd:fail-exit on; set net:max-retries 2; set net:timeout 20; set ftp:ssl-allow no; \
             set xfer:clobber on; open -u bob,secret -p {} {}; {commands}",
            address.port(),
            address.ip()
        );
        let mut lftp = Command::new("lftp");
        lftp.args(["--norc", "-c", &script]).env("HOME", server.dir()).env("LC_ALL", "C.UTF-8");
        let output = lftp.current_dir(server.dir()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{commands}: {text}");
    };
    // removes what `up` does not have, and replaces what it has
    lftp("mirror -R --delete --ignore-time up /");
    assert_eq!(server.get("plain/b.txt"), b"new plain/b.txt");
    assert!(!server.has("mode"));
    // the whole tree goes, the new files as well
    lftp("rm -r a plain");
    assert!(crate::trash::tree(&home).is_empty());
    let (code, _, err) = ftpd(&server, &["restore", "bob", "--all"]);
    assert_eq!((code, err.as_str()), (0, ""));
    // the newest version of what was replaced is that of `up`; the one before is put back
    for path in ["a", "plain/b.txt", "plain/deep/new"] {
        assert_eq!(server.get(path), format!("new {path}").into_bytes());
        fs::remove_file(home.join(path)).unwrap();
    }
    let (code, _, err) = ftpd(&server, &["restore", "bob", "--all"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(crate::trash::tree(&home), before);
    assert!(!home.join(".ftpd-trash/a").exists());
}
