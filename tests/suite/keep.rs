//! Retention: `keep_for`, `keep_bytes`, `keep_files` and `min_free`, the delay of new rules, what is
//! in use, and room for uploads.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::client::Client;
use crate::clients::Tool;
use crate::hostile::SmallDisk;
use crate::metrics::{get, web};
use crate::parts::{PART, hang, noise};
use crate::server::{Server, eventually, run};

/// Settings under which retention removes files of any age. Rules wait for `ftpd keep --now`.
const ANY_AGE: &str = "keep_grace = 0\n";

/// Settings under which retention waits for nothing.
const AT_ONCE: &str = "keep_grace = 0\nkeep_delay = 0\n";

/// Runs `ftpd keep`, and returns its answer.
fn keep(server: &Server, arguments: &[&str]) -> Value {
    let all = [&["keep", "--json"], arguments].concat();
    let (code, out, err) = run(&all, server.dir());
    assert_eq!(code, 0, "{out}{err}\n{}", server.log());
    serde_json::from_str(&out).unwrap()
}

/// Lets retention run now, and returns the names of the files that it removed, in order.
fn now(server: &Server) -> Vec<String> {
    names(&keep(server, &["--now"]))
}

fn names(answer: &Value) -> Vec<String> {
    let path = |file: &Value| PathBuf::from(file["path"].as_str().unwrap());
    let name = |file: &Value| path(file).file_name().unwrap().to_str().unwrap().to_owned();
    answer["files"].as_array().unwrap().iter().map(name).collect()
}

/// Makes files one after the other, so that the first is the oldest.
fn fill(home: &Path, names: &[&str]) {
    for name in names {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"0123456789").unwrap();
        // the system stamps files with the time of its last tick
        let stamp = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let probe = home.join("probe");
        eventually("the clock ticks", || {
            fs::write(&probe, "").unwrap();
            stamp(&probe) > stamp(&path)
        });
        let _ = fs::remove_file(probe);
    }
}

/// Returns the paths of all files and directories below a home.
fn all(home: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![home.to_owned()];
    while let Some(dir) = todo.pop() {
        // the server may have removed it meanwhile
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let slash = if path.is_dir() && !path.is_symlink() { "/" } else { "" };
            let below = path.strip_prefix(home).unwrap().to_str().unwrap();
            found.push(format!("{below}{slash}"));
            if !slash.is_empty() {
                todo.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_oldest_files_go_while_there_are_too_many() {
    let server = Server::setup().server(ANY_AGE).user("keep_files = 2").start();
    fill(&server.home(), &["a", "sub/b", "c", "d"]);
    let dry = keep(&server, &["--dry-run"]);
    assert_eq!(names(&dry), ["a", "b"]);
    assert_eq!(dry["files"][0]["rule"], "keep_files = 2");
    assert_eq!(dry["files"][0]["bytes"], 10);
    assert_eq!(dry["rules"][0]["files"], 2);
    assert_eq!(all(&server.home()), ["a", "c", "d", "sub/", "sub/b"]);
    assert_eq!(now(&server), ["a", "b"]);
    assert_eq!(all(&server.home()), ["c", "d"]);
    let path = server.home().join("sub/b");
    let line = format!("{path:?} removed: 10 bytes, ");
    assert!(server.wait_for_log(&line).contains("s old, by keep_files = 2"));
    assert_eq!(now(&server), Vec::<String>::new());
}

#[test]
fn the_oldest_files_go_while_they_have_too_many_bytes() {
    let server = Server::setup().server(ANY_AGE).user("keep_bytes = 25").start();
    fill(&server.home(), &["a", "b", "c", "d"]);
    assert_eq!(now(&server), ["a", "b"]);
    let (_, out, _) = run(&["stats", "--json"], server.dir());
    let stats: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(stats["keep_removed_files"], 2, "{out}");
    assert_eq!(stats["keep_removed_bytes"], 20, "{out}");
}

/// A file system in a file, with a file that was stored long ago and one that was stored now.
struct OldFiles(tempfile::TempDir);

impl OldFiles {
    fn make() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let script = "
            truncate -s 8M image; mkfs.ext4 -q image; mkdir mounted
            mount -o loop image mounted; echo old > mounted/old; echo young > mounted/young
            mkdir mounted/archive; echo old > mounted/archive/kept; umount mounted
            for file in old archive/kept; do
                debugfs -w -R \"set_inode_field /$file ctime 20200101\" image 2>/dev/null
            done
            mount -o loop image mounted";
        let mut shell = Command::new("sh");
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let made =
            shell.args(["-ec", script]).env("PATH", path).current_dir(dir.path()).output();
        let made = made.unwrap();
        let disk = Self(dir);
        if !made.status.success() {
            eprintln!("skipped: {}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        Some(disk)
    }

    fn home(&self) -> PathBuf {
        self.0.path().join("mounted")
    }
}

impl Drop for OldFiles {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.home()).output();
    }
}

#[test]
fn files_that_were_stored_long_ago_go_and_no_client_can_make_them_older() {
    let Some(disk) = OldFiles::make() else { return };
    let home = disk.home();
    let user = format!("home = {}\nkeep_for = 24h", home.display());
    let server = Server::setup()
        .server(AT_ONCE)
        .user(&user)
        .section("[folder:/archive]\nkeep_for = 0")
        .start();
    let mut client = Client::bob(&server);
    client.cmd("MFMT 20010101000000 young", 213);
    let gone = keep(&server, &["--now"]);
    // the pass at the start may have come first
    assert!(names(&gone).iter().all(|name| name == "old"), "{gone}");
    server.wait_for_log("removed: 4 bytes, ");
    let left = all(&home);
    assert!(left.contains(&"young".to_owned()) && left.contains(&"archive/kept".to_owned()));
    assert!(!left.contains(&"old".to_owned()), "{left:?}");
}

#[test]
fn each_folder_has_its_own_rules_and_takes_part_in_no_other() {
    let server = Server::setup()
        .server(&format!("{ANY_AGE}keep_files = 2"))
        .section("[folder:/archive]\nkeep_files = 0\n[folder:bob:/cam]\nkeep_files = 1")
        .section("[folder:/odd]\nmax_file_size = 1")
        .start();
    let home = server.home();
    fill(&home, &["archive/1", "archive/2", "cam/1", "a", "odd/b", "cam/x/2", "c", "d"]);
    assert_eq!(now(&server).len(), 3);
    let left =
        ["archive/", "archive/1", "archive/2", "c", "cam/", "cam/x/", "cam/x/2", "d", "odd/"];
    assert_eq!(all(&home), left, "a folder with a section stays");
}

#[test]
fn links_go_as_links_and_special_files_and_parts_stay() {
    let server = Server::setup().server(ANY_AGE).user("keep_files = 1").start();
    let home = server.home();
    fs::create_dir(server.dir().join("out")).unwrap();
    fs::write(server.dir().join("out/file"), "x").unwrap();
    symlink("../out", home.join("link")).unwrap();
    symlink("../out/file", home.join("file")).unwrap();
    let pipe = home.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut client = Client::bob(&server);
    client.cmd("TYPE I", 200);
    let _data = hang(&mut client, "STOR b", b"some", &home, 4);
    fill(&home, &["a"]);
    let mut gone = now(&server);
    gone.sort();
    assert_eq!(gone, ["file", "link"]);
    assert!(server.dir().join("out/file").exists());
    assert!(pipe.exists());
    let left = all(&home);
    assert!(left.iter().any(|name| name.as_bytes().starts_with(PART)), "{left:?}");
}

#[test]
fn what_is_in_use_stays_and_no_younger_file_goes_for_it() {
    let server = Server::setup().server(ANY_AGE).user("keep_files = 1").start();
    let home = server.home();
    fill(&home, &["big", "here/file", "inplace", "c"]);
    // it takes no room, so that nobody asks whether its room becomes free while other tests write
    fs::File::create(home.join("big")).unwrap().set_len(64 << 20).unwrap();
    fs::hard_link(home.join("inplace"), home.join("z")).unwrap();
    fill(&home, &["here/file", "d"]);
    let mut reader = Client::bob(&server);
    reader.cmd("TYPE I", 200);
    let data = reader.passive();
    reader.cmd("RETR big", 150);
    let mut walker = Client::bob(&server);
    walker.cmd("CWD here", 250);
    let gone = now(&server);
    assert!(!gone.contains(&"big".to_owned()), "{gone:?}");
    let left = all(&home);
    assert!(left.contains(&"here/".to_owned()), "it is a working directory: {left:?}");
    assert!(left.contains(&"d".to_owned()), "{left:?}");
    walker.cmd("CWD /", 250);
    drop(data);
    reader.expect_in(226..427);
    assert!(now(&server).contains(&"big".to_owned()));
}

#[test]
fn a_file_that_an_upload_writes_to_directly_stays() {
    let server =
        Server::setup().server(ANY_AGE).user("keep_files = 1\natomic_uploads = off").start();
    let home = server.home();
    let mut client = Client::bob(&server);
    client.cmd("TYPE I", 200);
    let data = client.passive();
    client.cmd("STOR old", 150);
    eventually("the file is there", || home.join("old").exists());
    fill(&home, &["young"]);
    assert_eq!(now(&server), Vec::<String>::new());
    drop(data);
    client.expect(226);
    assert_eq!(now(&server).len(), 1);
}

#[test]
fn what_was_in_use_before_there_were_rules_stays() {
    let server = Server::setup().server(AT_ONCE).start();
    let home = server.home();
    fill(&home, &["big", "here/file", "a"]);
    fs::write(home.join("big"), vec![b'x'; 64 << 20]).unwrap();
    fill(&home, &["here/file", "b", "c"]);
    let (mut reader, mut walker) = (Client::bob(&server), Client::bob(&server));
    reader.cmd("TYPE I", 200);
    let data = reader.passive();
    reader.cmd("RETR big", 150);
    walker.cmd("CWD here", 250);
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[user:bob]", "[user:bob]\nkeep_files = 2")).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    eventually("the pass is over", || !home.join("here/file").exists());
    now(&server);
    assert_eq!(all(&home), ["b", "big", "c", "here/"]);
    drop(data);
    reader.expect_in(226..427);
}

#[test]
fn what_was_stored_a_moment_ago_stays() {
    let server = Server::setup().server("keep_delay = 0").user("keep_files = 1").start();
    fill(&server.home(), &["a", "sub/b", "c"]);
    assert_eq!(now(&server), Vec::<String>::new());
    assert_eq!(all(&server.home()), ["a", "c", "sub/", "sub/b"]);
}

#[test]
fn a_new_rule_says_what_it_would_remove_and_waits() {
    let mut server = Server::setup()
        .server("keep_grace = 0")
        .user("keep_files = 2")
        .start_with(|dir| fill(&dir.join("home"), &["a", "b", "c"]));
    let said = "keep_files = 2 in \"";
    server.wait_for_log(said);
    assert!(
        server
            .wait_for_log("is new: it would remove 1 files with 10 bytes")
            .contains("keep --now")
    );
    let dry = keep(&server, &[]);
    assert!(dry["rules"][0]["begins"].is_string(), "{dry}");
    assert_eq!(names(&dry), ["a"]);
    // it still waits after a restart, and the log says nothing again
    server.restart("TERM");
    assert_eq!(all(&server.home()), ["a", "b", "c"]);
    assert_eq!(now(&server), ["a"]);
    assert!(!server.log().contains(said), "{}", server.log());
    assert!(keep(&server, &[])["rules"][0]["begins"].is_null());
    server.restart("TERM");
    assert!(keep(&server, &[])["rules"][0]["begins"].is_null(), "and no longer");
    let (code, out, _) = run(&["keep"], server.dir());
    assert_eq!(code, 0);
    assert!(out.contains("keep_files = 2: 0 files, 0 bytes"), "{out}");
}

#[test]
fn the_thread_runs_only_while_there_are_rules() {
    let server = Server::setup().server(AT_ONCE).start();
    let runs = || server.threads().contains(&"keep".to_owned());
    assert!(!runs());
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[user:bob]", "[user:bob]\nkeep_files = 1")).unwrap();
    fill(&server.home(), &["a", "b"]);
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    eventually("the pass removes the older file", || all(&server.home()) == ["b"]);
    assert!(runs());
    fs::write(&file, text).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    eventually("the thread ends", || !runs());
}

#[test]
fn without_a_server_keep_looks_by_itself() {
    let server = Server::setup().server(ANY_AGE).user("keep_files = 1").start();
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(server.dir().join("ftpd.ini")).unwrap();
    fs::write(dir.path().join("ftpd.ini"), text).unwrap();
    fs::create_dir(dir.path().join("home")).unwrap();
    fill(&dir.path().join("home"), &["a", "b"]);
    let (code, out, err) = run(&["keep", "--json"], dir.path());
    assert_eq!(code, 0, "{err}");
    assert_eq!(names(&serde_json::from_str(&out).unwrap()), ["a"]);
    assert_eq!(run(&["keep", "--now"], dir.path()).0, 1);
    assert_eq!(run(&["keep", "--now", "--dry-run"], dir.path()).0, 2);
    assert_eq!(all(&dir.path().join("home")), ["a", "b"]);
}

#[test]
fn room_is_made_before_an_upload_begins() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 30%", disk.user());
    let server = Server::setup().server(AT_ONCE).section(&user).start();
    let mut client = Client::login(&server, "eve", "e");
    client.cmd("TYPE I", 200);
    for number in 0..30_u8 {
        client.upload(&format!("STOR {number:02}"), &noise(u64::from(number), 100_000));
    }
    client.cmd("ALLO 500000", 200);
    client.upload("STOU", &noise(30, 100_000));
    client.upload("APPE 31", &noise(31, 100_000));
    let left = all(disk.path());
    assert!(left.iter().any(|name| name == "29"), "{left:?}");
    assert!(!left.iter().any(|name| name == "00"), "{left:?}");
    let newest = fs::read(disk.path().join("31")).unwrap();
    assert!(newest == noise(31, 100_000));
    assert!(server.log().contains("by min_free = 30%"));
    let (_, out, _) = run(&["stats", "--json"], server.dir());
    let stats: Value = serde_json::from_str(&out).unwrap();
    assert!(stats["keep_made_room"].as_u64() > Some(5), "{out}");
}

#[test]
fn nothing_goes_for_an_allo_that_no_room_would_suffice_for() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 10%", disk.user());
    let server = Server::setup().server(AT_ONCE).section(&user).start();
    let mut client = Client::login(&server, "eve", "e");
    fill(disk.path(), &["a", "b"]);
    fs::write(disk.path().join("ballast"), noise(1, 600_000)).unwrap();
    for bytes in ["1000000", "99999999", "18446744073709551615"] {
        client.cmd(&format!("ALLO {bytes}"), 452);
    }
    assert_eq!(all(disk.path()), ["a", "b", "ballast"]);
    client.cmd("ALLO 900000", 200);
    assert_eq!(all(disk.path()), [""; 0]);
}

#[test]
fn a_min_free_of_more_than_the_disk_removes_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 2M", disk.user());
    let server = Server::setup().server(AT_ONCE).section(&user).start();
    fill(disk.path(), &["a"]);
    let (code, _, err) = run(&["keep", "--now"], server.dir());
    assert!(code == 1 && err.contains("more than the file system has"), "{err}");
    let mut client = Client::login(&server, "eve", "e");
    let _data = client.passive();
    client.cmd("STOR b", 452);
    assert_eq!(all(disk.path()), ["a"]);
}

#[test]
fn a_dry_run_lists_each_file_once_and_no_other_than_go() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 60%\nkeep_files = 3", disk.user());
    let server = Server::setup().server(ANY_AGE).section(&user).start();
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        fs::write(disk.path().join(name), noise(number as u64, 100_000)).unwrap();
        fill(disk.path(), &["tick"]);
        fs::remove_file(disk.path().join("tick")).unwrap();
    }
    assert_eq!(names(&keep(&server, &["--dry-run"])), ["a", "b"]);
    assert_eq!(now(&server), ["a", "b"]);
    assert_eq!(all(disk.path()), ["c", "d", "e"]);
}

#[test]
fn the_status_page_shows_the_free_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 30%", disk.user());
    let server = Server::setup().server("metrics_listen = 127.0.0.1:0").section(&user).start();
    let status: Value = serde_json::from_str(&get(web(&server), "/status.json")).unwrap();
    let room = &status["room"][0];
    assert_eq!(room["folder"], disk.path().to_str().unwrap());
    assert_eq!(room["free"], 1 << 20);
    assert_eq!(room["wanted"], (1 << 20) / 100 * 30);
}

#[test]
fn an_upload_is_452_before_the_150_if_nothing_may_go() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 90%\n[folder:/sub]\nmin_free = 0", disk.user());
    let server = Server::setup().server("keep_delay = 0").section(&user).start();
    fs::create_dir(disk.path().join("sub")).unwrap();
    fs::write(disk.path().join("young"), noise(1, 200_000)).unwrap();
    let mut client = Client::login(&server, "eve", "e");
    client.cmd("TYPE I", 200);
    let _data = client.passive();
    for command in ["STOR a", "APPE a", "STOU a", "ALLO 1"] {
        client.cmd(command, 452);
    }
    assert_eq!(all(disk.path()), ["sub/", "young"]);
    client.upload("STOR sub/a", b"x");
    server.wait_for_log("less free space than min_free");
}

#[test]
fn room_is_made_when_the_disk_is_full_in_the_middle() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 5%", disk.user());
    let server = Server::setup().server(AT_ONCE).section(&user).start();
    let mut client = Client::login(&server, "eve", "e");
    fill(disk.path(), &["a", "b", "c"]);
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        fs::write(disk.path().join(name), noise(number, 300_000)).unwrap();
    }
    for kind in ["I", "A"] {
        client.cmd(&format!("TYPE {kind}"), 200);
        client.upload(&format!("STOR big{kind}"), &vec![b'x'; 800_000]);
        assert_eq!(fs::read(disk.path().join(format!("big{kind}"))).unwrap().len(), 800_000);
    }
    // more than the disk has
    client.cmd("TYPE I", 200);
    let mut data = client.passive();
    client.cmd("STOR huge", 150);
    // the server stops reading when it has no place for it
    let _ = data.write_all(&vec![b'x'; 4 << 20]);
    drop(data);
    client.expect(452);
    assert!(!all(disk.path()).iter().any(|name| name.contains("huge")));
}

#[test]
fn files_whose_room_does_not_become_free_stop_a_pass() {
    let Some(disk) = SmallDisk::mount() else { return };
    disk.remount("remount,size=64m");
    let home = disk.path().join("home");
    let spare = disk.path().join("spare");
    fs::create_dir(&spare).unwrap();
    fs::create_dir(&home).unwrap();
    for number in 0..300 {
        let path = home.join(format!("{number:03}"));
        fs::write(&path, noise(number, 10_000)).unwrap();
        fs::hard_link(&path, spare.join(format!("{number:03}"))).unwrap();
    }
    let user = format!("home = {}\nkeep_files = 1", home.display());
    let server = Server::setup().server(AT_ONCE).user(&user).start();
    server.wait_for_log("less than half of what it removed became free");
    let left = all(&home).len();
    assert!((1..300).contains(&left), "one batch went: {left}");
    assert_eq!(all(&spare).len(), 300);
}

#[test]
fn another_file_system_in_a_home_is_left_alone_unless_it_has_a_section() {
    let Some(disk) = SmallDisk::mount() else { return };
    let home = tempfile::tempdir().unwrap();
    for folder in ["usb", "own", "usb/deep"] {
        fs::create_dir_all(home.path().join(folder)).unwrap();
    }
    let mount = |folder: &str| {
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(disk.path()).arg(home.path().join(folder));
        assert!(mount.status().unwrap().success());
    };
    fill(disk.path(), &["1", "2"]);
    let user = format!("home = {}\nkeep_files = 1", home.path().display());
    let server = Server::setup()
        .server(ANY_AGE)
        .user(&user)
        .section("[folder:/own]\nkeep_bytes = 15")
        .start();
    fill(home.path(), &["a", "b"]);
    mount("usb");
    let gone = keep_any(&server);
    assert!(!gone.contains(&"1".to_owned()), "{gone:?}");
    server.wait_for_log("something is mounted there");
    mount("own");
    assert_eq!(keep_any(&server), ["1"]);
    for folder in ["usb", "own"] {
        let _ = Command::new("umount").arg("-l").arg(home.path().join(folder)).status();
    }
}

/// Lets retention run now, whatever the exit status.
fn keep_any(server: &Server) -> Vec<String> {
    let (_, out, _) = run(&["keep", "--json", "--now"], server.dir());
    names(&serde_json::from_str(&out).unwrap())
}

#[test]
fn the_trash_goes_before_any_other_file() {
    let server = Server::setup().server(ANY_AGE).user("keep_files = 4\ntrash = on").start();
    let home = server.home();
    fill(&home, &["a", "b", "c", "d", "e"]);
    let mut client = Client::bob(&server);
    for name in ["d", "e"] {
        client.cmd(&format!("DELE {name}"), 250);
    }
    let trashed =
        |name: &str| all(&home).iter().any(|path| path.contains(&format!("/{name}/")));
    assert!(trashed("d") && trashed("e"));
    assert_eq!(names(&keep(&server, &[])), Vec::<String>::new());
    assert_eq!(now(&server), Vec::<String>::new());
    assert!(!trashed("d") && trashed("e"), "{:?}", all(&home));
    fill(&home, &["f", "g"]);
    assert_eq!(now(&server), ["a"]);
    assert!(!trashed("e"));
    let left = all(&home);
    assert!(["b", "c", "f", "g"].iter().all(|name| left.contains(&(*name).to_owned())));
}

#[test]
fn room_is_made_in_the_trash_first() {
    let Some(disk) = SmallDisk::mount() else { return };
    let user = format!("{}\nmin_free = 30%\ntrash = on", disk.user());
    let server = Server::setup().server(AT_ONCE).section(&user).start();
    let mut client = Client::login(&server, "eve", "e");
    client.cmd("TYPE I", 200);
    client.upload("STOR old", &noise(1, 300_000));
    client.upload("STOR trashed", &noise(2, 300_000));
    client.cmd("DELE trashed", 250);
    client.upload("STOR a", &noise(3, 200_000));
    client.upload("STOR b", &noise(4, 200_000));
    let left = all(disk.path());
    for name in ["a", "b", "old"] {
        assert!(left.contains(&name.to_owned()), "{left:?}");
    }
    assert!(!left.iter().any(|name| name.contains("trashed")), "{left:?}");
}

/// The number of uploads of 1 MiB to a disk of 64 MiB.
const MANY: usize = 500;

/// Starts a server with a home of 64 MiB, lets `upload` make many uploads of 1 MiB, and checks that the
/// newest are there and whole.
fn never_fills(
    min_free: &str,
    tool: &'static str,
    upload: impl Fn(&Tool, SocketAddr, &[PathBuf]),
) {
    let (Some(disk), Some(tool)) = (SmallDisk::mount(), Tool::find(tool)) else { return };
    disk.remount("remount,size=64m");
    let user = format!("{}\nmin_free = {min_free}", disk.user());
    let server = Server::setup().server("keep_grace = 0\n").section(&user).start();
    now(&server);
    let name = |number: usize| format!("{number:03}.bin");
    let paths: Vec<_> = (0..MANY)
        .map(|number| tool.put(&name(number), noise(u64::try_from(number).unwrap(), 1 << 20)))
        .collect();
    upload(&tool, server.address(), &paths);
    let left = all(disk.path());
    assert!((40..=64).contains(&left.len()), "{left:?}");
    let newest: Vec<_> = (MANY - left.len()..MANY).map(name).collect();
    assert_eq!(left, newest);
    for (name, path) in left.iter().zip(&paths[MANY - left.len()..]) {
        assert!(fs::read(disk.path().join(name)).unwrap() == fs::read(path).unwrap(), "{name}");
    }
}

#[test]
fn curl_never_fills_a_small_disk() {
    never_fills("10%", "curl", |curl, server, paths| {
        // one process each: curl pauses between uploads over one connection
        for path in paths {
            let to = format!("ftp://eve:e@{server}/");
            curl.run(["-sS", "-T", path.to_str().unwrap(), &to]).ok();
        }
    });
}

#[test]
fn busybox_never_fills_a_small_disk() {
    never_fills("512K", "busybox", |busybox, server, paths| {
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        for path in paths {
            let name = path.file_name().unwrap().to_str().unwrap();
            let path = path.to_str().unwrap();
            let login = ["ftpput", "-u", "eve", "-p", "e", "-P", &port, &host, name, path];
            busybox.run(login).ok();
        }
    });
}

#[test]
fn kill_9_in_the_middle_of_a_pass_loses_nothing_that_no_rule_names() {
    let mut server = Server::setup().server(ANY_AGE).user("keep_files = 100").start();
    let home = server.home();
    // empty, or a pass stops if other tests fill the disk meanwhile
    for number in 0..2999 {
        fs::create_dir_all(home.join(format!("{}", number / 100))).unwrap();
        fs::write(home.join(format!("{}/{number}", number / 100)), "").unwrap();
    }
    fill(&home, &["29/2999", "young"]);
    let dir = server.dir().to_owned();
    let asks = std::thread::spawn(move || run(&["keep", "--now"], &dir));
    eventually("the pass has begun", || !home.join("0/0").exists());
    server.kill();
    asks.join().unwrap();
    let count = || all(&home).iter().filter(|path| !path.ends_with('/')).count();
    assert!(count() >= 100);
    let empty = |name: &String| fs::read_dir(home.join(name)).unwrap().next().is_none();
    let emptied: Vec<_> =
        all(&home).into_iter().filter(|name| name.ends_with('/') && empty(name)).collect();
    server.start_again();
    // the delay has ended before
    eventually("the pass goes on after the start", || count() == 100);
    assert!(home.join("young").exists() && home.join("29/2999").exists());
    // the directories of the files that went just before the end stay
    let stay = [&["29/".to_owned()], &emptied[..]].concat();
    eventually("the other directories go", || {
        all(&home).iter().all(|path| !path.ends_with('/') || stay.contains(path))
    });
}

/// Returns what `ftpd check` says about these settings, in a folder with the homes `home` and
/// `home/in`.
fn check(settings: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("home/in")).unwrap();
    symlink("home/in", dir.path().join("link")).unwrap();
    fs::write(dir.path().join("ftpd.ini"), settings).unwrap();
    let (_, out, err) = run(&["check"], dir.path());
    out + &err
}

#[test]
fn no_rule_may_reach_the_home_of_another_user_or_files_of_the_server() {
    let user = |name: &str, home: &str, lines: &str| {
        format!("[user:{name}]\npassword = x\nperm = elr\nhome = {home}\n{lines}\n")
    };
    let (outer, inner) = (user("bob", "home", ""), user("eve", "link", ""));
    let contains = "contains the home of user 'eve', whose files the rules of retention";
    let same = "is also the home of user 'bob', for whom other rules of retention";
    for (settings, fault) in [
        (format!("{outer}{inner}"), None),
        (user("bob", "home", "keep_files = 1") + &inner, Some(contains)),
        (format!("[server]\nmin_free = 5%\n{outer}{inner}"), Some(contains)),
        (
            user("bob", "home", "keep_files = 1") + &inner + "[folder:bob:/IN]\nkeep_files = 0",
            None,
        ),
        (format!("{outer}{inner}[folder:bob:/in/x]\nkeep_for = 1d"), Some(contains)),
        (format!("{outer}{inner}[folder:bob:/other]\nkeep_for = 1d"), None),
        (outer.clone() + &user("eve", "link", "keep_files = 1"), None),
        (user("bob", "home", "keep_for = 2d") + &user("eve", "home", "keep_for = 48h"), None),
        (user("bob", "home", "keep_for = 2d") + &user("eve", "home", ""), Some(same)),
        (user("bob", ".", "keep_for = 2d"), Some("contains the settings (")),
        (
            format!(
                "[server]\nstate_dir = home/state\n{}",
                user("bob", "home", "keep_for = 2d")
            ),
            Some("contains state_dir ("),
        ),
    ] {
        let said = check(&settings);
        match fault {
            Some(fault) => assert!(said.contains(fault), "{settings}\n{said}"),
            None => assert!(!said.contains("retention"), "{settings}\n{said}"),
        }
    }
    let without = format!("[server]\nstate_dir =\nkeep_files = 1\n{outer}");
    assert!(check(&without).contains("keep_delay begins anew at each start"));
}
