//! The trash: what is deleted or replaced goes there, clients do not see it, and it comes back as it
//! was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::client::Client;
use crate::server::{Server, Setup, run};

/// The usual server, with a trash.
pub(crate) fn setup() -> Setup {
    Server::setup().user("trash = on")
}

/// The versions in the trash of a folder: the path that each had, and its content, in the order in
/// which they came.
pub(crate) fn versions(top: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.join(".ftpd-trash")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default().to_owned();
            if !name.starts_with(".ftpd-trash-") {
                folders.push(path);
                continue;
            }
            let had = folder.strip_prefix(top.join(".ftpd-trash")).unwrap();
            let content = fs::read(&path).unwrap_or_else(|_| b"(no file)".to_vec());
            found.insert(name, (had.display().to_string(), content));
        }
    }
    found.into_values().collect()
}

pub(crate) fn version(path: &str, content: &str) -> (String, Vec<u8>) {
    (path.to_owned(), content.as_bytes().to_vec())
}

#[test]
fn what_is_deleted_or_replaced_lies_in_the_trash() {
    let server = setup().start();
    let home = server.home();
    let mut bob = Client::bob(&server);
    fs::create_dir_all(home.join("a/b")).unwrap();
    server.put("a/b/file", "one");
    let inode = home.join("a/b/file").metadata().unwrap().ino();
    bob.cmd("DELE a/b/file", 250);
    assert!(!server.has("a/b/file"));
    bob.upload("STOR a/b/file", b"two");
    bob.upload("STOR a/b/file", b"three");
    server.put("other", "other");
    bob.cmd("RNFR other", 350);
    bob.cmd("RNTO a/b/file", 250);
    assert_eq!(server.get("a/b/file"), b"other");
    assert!(!server.has("other"));
    bob.upload("APPE a/b/file", b" more");
    assert_eq!(server.get("a/b/file"), b"other more");
    bob.cmd("REST 3", 350);
    bob.upload("STOR a/b/file", b"EN");
    assert_eq!(server.get("a/b/file"), b"othEN");
    symlink("nowhere", home.join("link")).unwrap();
    bob.cmd("DELE link", 250);
    bob.cmd("MKD empty", 257);
    bob.cmd("RMD empty", 250);
    let wanted = [
        version("a/b/file", "one"),
        version("a/b/file", "two"),
        version("a/b/file", "three"),
        version("a/b/file", "other"),
        version("a/b/file", "other more"),
        version("link", "(no file)"),
        version("empty", "(no file)"),
    ];
    assert_eq!(versions(&home), wanted);
    let trash = home.join(".ftpd-trash");
    assert_eq!(trash.metadata().unwrap().mode() & 0o7777, 0o700);
    let folder = trash.join("a/b/file");
    assert_eq!(folder.metadata().unwrap().mode() & 0o7777, 0o700);
    let mut inodes = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().ino_of());
    assert!(inodes.any(|own| own == inode), "the file itself was moved");
    server.wait_for_log("moved to the trash: ");
}

trait InodeOf {
    fn ino_of(&self) -> u64;
}

impl InodeOf for fs::DirEntry {
    fn ino_of(&self) -> u64 {
        self.path().symlink_metadata().unwrap().ino()
    }
}

#[test]
fn without_the_key_nothing_is_kept_and_a_folder_may_do_without() {
    let server = Server::start();
    server.put("a", "a");
    let mut bob = Client::bob(&server);
    bob.upload("STOR a", b"b");
    bob.cmd("DELE a", 250);
    assert!(!server.has(".ftpd-trash"));

    let server = setup().section("[folder:/tmp]\ntrash = off").start();
    fs::create_dir(server.home().join("tmp")).unwrap();
    symlink("tmp", server.home().join("way")).unwrap();
    for file in ["a", "tmp/b", "tmp/c", "tmp/d"] {
        server.put(file, file);
    }
    let mut bob = Client::bob(&server);
    for file in ["a", "tmp/b", "way/c"] {
        bob.cmd(&format!("DELE {file}"), 250);
    }
    bob.upload("STOR tmp/d", b"new");
    assert_eq!(versions(&server.home()), [version("a", "a")]);
}

#[test]
fn clients_neither_see_the_trash_nor_use_its_name() {
    let server = setup().start();
    let home = server.home();
    fs::create_dir(home.join("dir")).unwrap();
    symlink(".ftpd-trash", home.join("way")).unwrap();
    symlink("../.ftpd-trash/a", home.join("dir/way")).unwrap();
    server.put("a", "text");
    let mut bob = Client::bob(&server);
    bob.cmd("DELE a", 250);
    let before = versions(&home);
    assert_eq!(before.len(), 1);
    let file = fs::read_dir(home.join(".ftpd-trash/a")).unwrap().next().unwrap().unwrap();
    let version = format!(".ftpd-trash/a/{}", file.file_name().to_str().unwrap());
    for command in ["LIST", "LIST -a", "NLST -a", "MLSD", "NLST .ftpd*", "LIST .f*", "STAT ."] {
        let text = if command.starts_with("STAT") {
            bob.tell(command, 213)
        } else {
            bob.download(command)
        };
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("ftpd-trash/") && !text.contains(" .ftpd-trash"), "{text}");
    }
    for name in [".ftpd-trash", ".FTPD-Trash", "dir/../.ftpd-trash", "./.ftpd-trash/", "way"] {
        bob.cmd(&format!("CWD {name}"), 550);
        bob.cmd(&format!("RMD {name}/a"), 550);
        bob.cmd(&format!("RNFR {name}/a"), 550);
        bob.cmd(&format!("SITE CHMOD 777 {name}/a"), 550);
        bob.cmd(&format!("MLST {name}/a"), 550);
        bob.cmd(&format!("MFMT 20200101000000 {name}/a"), 550);
    }
    bob.cmd("CWD dir/way", 550);
    for path in [&version, "way/a", &version.replace(".ftpd-trash/", "way/")] {
        bob.cmd(&format!("SIZE {path}"), 550);
        bob.cmd(&format!("DELE {path}"), 550);
        assert!((500..=553).contains(&bob.exchange(&format!("RETR {path}"), b"").0));
        assert!((500..=553).contains(&bob.exchange(&format!("STOR {path}"), b"x").0));
        assert!((500..=553).contains(&bob.exchange(&format!("APPE {path}"), b"x").0));
    }
    for name in [".ftpd-trash", ".ftpd-trash-1000", "dir/.FTPD-TRASH", ".ftpd-tra\u{17f}h"] {
        bob.cmd(&format!("MKD {name}"), 553);
        bob.cmd("RNFR dir", 350);
        bob.cmd(&format!("RNTO {name}"), 553);
        assert_eq!(bob.exchange(&format!("STOR {name}"), b"x").0, 553);
    }
    for path in [".ftpd-trash", "way", ".ftpd-trash-1000"] {
        bob.cmd(&format!("RMD {path}"), 550);
    }
    assert_eq!(versions(&home), before);
    // a link is deleted as a link
    bob.cmd("DELE way", 250);
    assert_eq!(versions(&home).len(), 2);
}

#[test]
fn reserved_names_are_neither_deleted_nor_moved_to_the_trash() {
    for trash in ["on", "off"] {
        let server = Server::setup().user(&format!("trash = {trash}")).start();
        let home = server.home();
        fs::create_dir_all(home.join("dir/.ftpd-trash")).unwrap();
        fs::create_dir(home.join(".ftpd-trash-1000")).unwrap();
        server.put(".ftpd-part-of-another-server", "part");
        let mut bob = Client::bob(&server);
        for path in [".ftpd-trash-1000", ".ftpd-trash-1000/", "dir/.ftpd-trash"] {
            let reply = bob.cmd(&format!("RMD {path}"), 550);
            assert!(reply.contains("No such"), "{reply}");
        }
        bob.cmd("DELE .ftpd-part-of-another-server", 550);
        assert!(server.has("dir/.ftpd-trash") && server.has(".ftpd-trash-1000"));
        assert!(server.has(".ftpd-part-of-another-server"));
    }
}

#[test]
fn a_folder_with_nothing_but_a_trash_is_not_removed() {
    for trash in ["on", "off"] {
        let server = Server::setup().user(&format!("trash = {trash}")).start();
        fs::create_dir_all(server.home().join("dir/.ftpd-trash/a")).unwrap();
        let mut bob = Client::bob(&server);
        assert!(bob.lines("NLST dir").is_empty());
        bob.cmd("RMD dir", 550);
        assert!(server.has("dir/.ftpd-trash/a"));
    }
}

#[test]
fn a_removed_folder_keeps_what_it_was_and_a_full_one_stays() {
    let server = setup().start();
    let dir = server.home().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o2751)).unwrap();
    let before = dir.metadata().unwrap();
    server.put("dir/file", "x");
    let mut bob = Client::bob(&server);
    bob.cmd("RMD dir", 550);
    bob.cmd("RMD dir/file", 550);
    bob.cmd("DELE dir", 550);
    bob.cmd("RMD /", 550);
    bob.cmd("DELE dir/file", 250);
    bob.cmd("RMD dir/", 250);
    let kept = fs::read_dir(server.home().join(".ftpd-trash/dir")).unwrap();
    let kept = kept
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().as_bytes().starts_with(b".ftpd-trash-"));
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept.len(), 1);
    let after = kept[0].metadata().unwrap();
    assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
}

#[test]
fn names_of_one_file_and_other_things_are_renamed_as_ever() {
    let server = setup().start();
    let home = server.home();
    server.put("one", "text");
    fs::hard_link(home.join("one"), home.join("two")).unwrap();
    fs::create_dir_all(home.join("dir")).unwrap();
    fs::create_dir_all(home.join("full/x")).unwrap();
    fs::create_dir_all(home.join("empty")).unwrap();
    let mut bob = Client::bob(&server);
    for (from, to, code) in [
        ("one", "two", 250),
        ("dir", "two", 550),
        ("two", "dir", 550),
        ("dir", "full", 550),
        ("dir", "empty", 250),
        ("two", "one/", 550),
        ("one", "/", 550),
        ("empty", "fresh", 250),
        ("one", "three", 250),
    ] {
        bob.cmd(&format!("RNFR {from}"), 350);
        bob.cmd(&format!("RNTO {to}"), code);
    }
    assert_eq!(server.get("two"), b"text");
    assert_eq!(server.get("three"), b"text");
    assert_eq!(versions(&home), []);
}

#[test]
fn what_would_be_changed_in_place_is_refused_before_the_transfer() {
    let server = setup().start();
    let home = server.home();
    server.put("one", "text");
    fs::hard_link(home.join("one"), home.join("two")).unwrap();
    let mut bob = Client::bob(&server);
    let mut refused = |command: &str| {
        let (code, text, _) = bob.exchange(command, b"new");
        assert_eq!(code, 553, "{command}: {text}");
    };
    // if files can be cloned here, there is nothing to refuse
    if !clones(&home) {
        refused("STOR one");
        refused("APPE one");
        server.wait_for_log("it has 2 hard links");
        let line = server.wait_for_log("cannot be kept in the trash");
        assert!(line.contains("cannot clone files"), "{line}");
    }
    // nothing is left of the attempts
    assert_eq!(server.get("two"), b"text");
    assert_eq!(versions(&home), []);
    // one that may be deleted, and is then replaced
    bob.cmd("DELE two", 250);
    assert_eq!(versions(&home), [version("two", "text")]);
}

/// Whether the files of a folder can be cloned.
fn clones(folder: &Path) -> bool {
    let cp = std::process::Command::new("cp")
        .args(["--reflink=always"])
        .args([folder.join("one"), folder.join("clone")])
        .output()
        .unwrap();
    let _ = fs::remove_file(folder.join("clone"));
    cp.status.success()
}

#[test]
fn overwriting_that_is_forbidden_stays_so() {
    let server = setup().user("overwrite = no").start();
    server.put("a", "old");
    server.put("b", "other");
    let mut bob = Client::bob(&server);
    assert_eq!(bob.exchange("STOR a", b"new").0, 553);
    bob.cmd("RNFR b", 350);
    bob.cmd("RNTO a", 553);
    assert_eq!(versions(&server.home()), []);
    assert_eq!(server.get("a"), b"old");
    bob.cmd("DELE a", 250);
    assert_eq!(versions(&server.home()), [version("a", "old")]);
}

#[test]
fn what_cannot_go_to_the_trash_stays() {
    let server = setup().start();
    let home = server.home();
    fs::write(home.join(".ftpd-trash"), "in the way").unwrap();
    fs::create_dir(home.join("dir")).unwrap();
    server.put("a", "old");
    server.put("b", "other");
    let mut bob = Client::bob(&server);
    bob.cmd("DELE a", 550);
    bob.cmd("RMD dir", 550);
    assert_eq!(bob.exchange("STOR a", b"new").0, 553);
    bob.cmd("RNFR b", 350);
    bob.cmd("RNTO a", 553);
    assert_eq!((server.get("a"), server.get("b")), (b"old".to_vec(), b"other".to_vec()));
    assert!(server.has("dir"));
    server.wait_for_log("DELE");
    let line = server.wait_for_log("cannot be moved to the trash");
    assert!(line.contains("not a directory"), "{line}");
    // a new name needs no trash
    bob.upload("STOR c", b"new");
    // and ftpd why says the same
    for (path, action, wanted) in [
        ("a", "delete", "no: cannot be moved to the trash: not a directory"),
        ("dir", "delete", "no: cannot be moved to the trash: not a directory"),
        ("a", "rename", "yes"),
        ("a", "write", "no: the old version cannot be kept in the trash: not a directory"),
        ("new", "write", "yes"),
    ] {
        let (_, out, _) = run(&["why", "bob", path, action], server.dir());
        assert!(out.trim_end().ends_with(wanted), "{path}: {out}");
    }
    fs::remove_file(home.join(".ftpd-trash")).unwrap();
    let (_, out, _) = run(&["why", "bob", "a", "delete"], server.dir());
    assert!(out.trim_end().ends_with("yes") && !server.has(".ftpd-trash"), "{out}");
    bob.cmd("DELE a", 250);
    let (_, out, _) = run(&["why", "bob", "b", "delete"], server.dir());
    assert!(out.trim_end().ends_with("yes"), "{out}");
}

#[test]
fn a_trash_without_atomic_uploads_is_a_fault_with_both_places() {
    let check = |server: &str, user: &str, folder: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let usual = "password = secret\nhome = home";
        let text = format!("[server]\n{server}\n[user:bob]\n{usual}\n{user}\n{folder}\n");
        fs::write(dir.path().join("ftpd.ini"), text).unwrap();
        run(&["check"], dir.path())
    };
    for (server, user, folder, wanted) in [
        ("trash = on\natomic_uploads = off", "", "", "ftpd.ini:2: [server] trash: "),
        ("trash = on", "atomic_uploads = off", "", "[server] trash: "),
        ("atomic_uploads = off", "trash = on", "", "[user:bob] trash: "),
        ("", "trash = on\natomic_uploads = off", "", "[user:bob] trash: "),
        ("", "atomic_uploads = off", "[folder:/x]\ntrash = on", "[folder:/x] trash: "),
    ] {
        let (code, out, err) = check(server, user, folder);
        assert_ne!(code, 0, "{server} {user} {folder}: {out}{err}");
        assert!(err.contains(wanted) && err.contains("atomic_uploads is off"), "{err}");
        assert_eq!(err.matches("trash:").count(), 1, "{err}");
    }
    for (server, user) in [
        ("trash = on", "trash = off\natomic_uploads = off"),
        ("atomic_uploads = off", "trash = on\natomic_uploads = on"),
        ("trash_for = 1h", "trash = on\ntrash_for = 0"),
    ] {
        let (code, out, err) = check(server, user, "");
        assert_eq!(code, 0, "{server} {user}: {out}{err}");
    }
    for bad in ["30", "59m", "-1d"] {
        let (code, _, err) = check(&format!("trash_for = {bad}"), "", "");
        assert!(code != 0 && err.contains("[server] trash_for: "), "{err}");
    }
}

/// Everything in a folder but the trash: kind, owner, mode and size or text of each path, and the
/// modification time of everything but the folders that are not empty.
pub(crate) fn tree(top: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let name = path.file_name().unwrap().as_bytes();
            if name.starts_with(b".ftpd-trash") {
                continue;
            }
            let content = if meta.is_dir() {
                folders.push(path.clone());
                format!("{:?}", fs::read_dir(&path).unwrap().count())
            } else if meta.is_symlink() {
                format!("{}", fs::read_link(&path).unwrap().display())
            } else {
                format!("{:?} {}", fs::read(&path).unwrap(), meta.ino())
            };
            let is_full = meta.is_dir() && content != "0";
            let time = (!is_full).then(|| (meta.mtime(), meta.mtime_nsec()));
            let about = (meta.mode(), meta.uid(), meta.gid(), content, time);
            let below = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_owned();
            found.insert(below, format!("{about:?}"));
        }
    }
    found
}

/// Fills a home with folders, empty ones as well, links, odd names, modes, owners and times.
pub(crate) fn fill(home: &Path) {
    use std::ffi::OsStr;
    use std::os::unix::fs::{chown, lchown};
    let dirs = ["plain/deep/er", "empty", "mode", "odd \"name\" ", "plain/none"];
    for dir in dirs {
        fs::create_dir_all(home.join(dir)).unwrap();
    }
    let names: [&[u8]; 7] = [
        b"a",
        b"plain/b.txt",
        b"plain/deep/er/c",
        b"odd \"name\" /d\xff\xfe",
        b"mode/-rf",
        b"mode/\xc3\xa9",
        b" ",
    ];
    for (number, name) in (0_u32..).zip(names) {
        let path = home.join(OsStr::from_bytes(name));
        fs::write(&path, "x".repeat(1000 * usize::try_from(number).unwrap())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | number)).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let time =
            std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000 + u64::from(number), 7);
        file.set_modified(time).unwrap();
        if rustix::process::geteuid().is_root() && number > 3 {
            chown(&path, Some(4000 + number), Some(5000)).unwrap();
        }
    }
    symlink("b.txt", home.join("plain/link")).unwrap();
    symlink("../nowhere", home.join("mode/dangling")).unwrap();
    if rustix::process::geteuid().is_root() {
        lchown(home.join("plain/link"), Some(4100), Some(5100)).unwrap();
        chown(home.join("empty"), Some(4200), Some(5200)).unwrap();
    }
    fs::set_permissions(home.join("empty"), fs::Permissions::from_mode(0o1751)).unwrap();
    let status = std::process::Command::new("touch")
        .args(["-h", "-d", "2001-02-03 04:05:06.789"])
        .args([home.join("plain/link"), home.join("empty"), home.join("plain/none")])
        .status();
    assert!(status.unwrap().success());
}

/// Removes a tree as clients do: the files of each folder, and then the folder.
fn remove_tree(client: &mut Client, top: &Path, below: &Path) {
    for entry in fs::read_dir(top.join(below)).unwrap() {
        let name = entry.unwrap().file_name();
        if name.as_bytes().starts_with(b".ftpd-trash") {
            continue;
        }
        let path = below.join(name);
        let verb: &[u8] = if top.join(&path).symlink_metadata().unwrap().is_dir() {
            remove_tree(client, top, &path);
            b"RMD /"
        } else {
            b"DELE /"
        };
        client.tell([verb, path.as_os_str().as_bytes()].concat(), 250);
    }
}

fn ftpd(server: &Server, words: &[&str]) -> (i32, String, String) {
    run(&[&["trash"], words].concat(), server.dir())
}

#[test]
fn a_removed_tree_comes_back_as_it_was() {
    for runs in [true, false] {
        let mut server = setup().start();
        let home = server.home();
        fill(&home);
        let before = tree(&home);
        let mut bob = Client::bob(&server);
        remove_tree(&mut bob, &home, Path::new(""));
        assert_eq!(tree(&home), BTreeMap::new());
        // several versions of one path: the newest one comes back
        for content in ["one", "two", "three"] {
            bob.upload("STOR many", content.as_bytes());
        }
        bob.cmd("DELE many", 250);
        if !runs {
            server.signal("TERM");
            server.wait_for_exit();
        }
        let (code, out, err) = ftpd(&server, &["list", "bob"]);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(out.lines().count(), 1 + before.len() + 3, "{out}");
        assert!(out.contains(r#""/odd \"name\" /d\xff\xfe""#), "{out}");
        let (code, out, err) = ftpd(&server, &["restore", "bob", "--all"]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert_eq!(out, format!("{} files or directories restored\n", before.len() + 1));
        assert_eq!(server.get("many"), b"three");
        fs::remove_file(home.join("many")).unwrap();
        assert_eq!(tree(&home), before);
        let left = versions(&home);
        assert_eq!(left, [version("many", "one"), version("many", "two")]);
        // what is empty in the trash is removed
        assert_eq!(fs::read_dir(home.join(".ftpd-trash")).unwrap().count(), 1);
        let (code, out, _) = ftpd(&server, &["restore", "bob", "/many"]);
        assert_eq!((code, out.as_str()), (0, "1 file or directory restored\n"));
        assert_eq!(server.get("many"), b"two");
        let (code, out, _) = ftpd(&server, &["empty", "bob"]);
        assert_eq!((code, out.as_str()), (0, "removed 1 file (3 B) and 0 directories\n"));
        assert_eq!(ftpd(&server, &["list", "bob"]).1, "the trash is empty\n");
        if runs {
            server.wait_for_log("restored from the trash: ");
            let (_, out, _) = run(&["stats", "--json"], server.dir());
            let stats: serde_json::Value = serde_json::from_str(&out).unwrap();
            let all = before.len() as u64;
            for (name, count) in [
                ("trash_moved", all + 3),
                ("trash_restored", all + 2),
                ("trash_removed_files", 1),
                ("trash_removed_bytes", 3),
            ] {
                let found = stats["stats"].get(name).or_else(|| stats.get(name));
                assert_eq!(
                    found.and_then(serde_json::Value::as_u64),
                    Some(count),
                    "{name}: {out}"
                );
            }
            server.wait_for_log("removed from the trash: 3 bytes, deleted ");
        }
    }
}

#[test]
fn one_file_comes_back_with_the_folders_above_it() {
    let server = setup().start();
    let home = server.home();
    fs::create_dir_all(home.join("a/b")).unwrap();
    fs::set_permissions(home.join("a"), fs::Permissions::from_mode(0o2750)).unwrap();
    let mode = home.join("a").metadata().unwrap().mode();
    server.put("a/b/file", "text");
    server.put("a/other", "text");
    let mut bob = Client::bob(&server);
    for line in ["DELE a/b/file", "DELE a/other", "RMD a/b", "RMD a"] {
        bob.cmd(line, 250);
    }
    let (code, out, err) = ftpd(&server, &["restore", "bob", "a/b/file"]);
    assert_eq!((code, out.as_str()), (0, "3 files or directories restored\n"), "{err}");
    assert_eq!(server.get("a/b/file"), b"text");
    assert_eq!(home.join("a").metadata().unwrap().mode(), mode);
    assert_eq!(versions(&home), [version("a/other", "text")]);
    // by way of a link, as the client saw it
    symlink("a", home.join("way")).unwrap();
    bob.cmd("DELE way/b/file", 250);
    let (code, out, err) = ftpd(&server, &["restore", "bob", "/way/b/file"]);
    assert_eq!((code, out.as_str()), (0, "1 file or directory restored\n"), "{err}");
    // without the folder in the trash, one is made
    for line in ["DELE a/b/file", "RMD a/b"] {
        bob.cmd(line, 250);
    }
    assert_eq!(ftpd(&server, &["restore", "bob", "/a/b/"]).0, 0);
    fs::remove_dir(home.join("a/b")).unwrap();
    assert_eq!(ftpd(&server, &["restore", "bob", "/a/b/file"]).0, 0);
    assert_eq!(home.join("a/b").metadata().unwrap().mode() & 0o7777, 0o2755);
    let (code, _, err) = ftpd(&server, &["restore", "bob", "/a/b/file"]);
    assert!(code != 0 && err.contains("nothing of this name"), "{err}");
}

#[test]
fn the_path_of_a_deleted_file_may_lead_through_a_link_to_a_folder_that_is_gone() {
    let server = setup().start();
    let home = server.home();
    fs::create_dir_all(home.join("real/dir")).unwrap();
    symlink("real", home.join("link")).unwrap();
    server.put("real/dir/file", "text");
    let mut bob = Client::bob(&server);
    bob.cmd("DELE link/dir/file", 250);
    bob.cmd("RMD link/dir", 250);
    let (code, out, err) = ftpd(&server, &["restore", "bob", "/link/dir/file"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(server.get("real/dir/file"), b"text");
}

#[test]
fn what_could_not_be_found_again_for_its_long_path_is_not_deleted() {
    let server = setup().start();
    let mut bob = Client::bob(&server);
    let (folder, name) = ("d".repeat(250), "f".repeat(250));
    for _ in 0..16 {
        bob.cmd(&format!("MKD {folder}"), 257);
        bob.cmd(&format!("CWD {folder}"), 250);
    }
    bob.upload("STOR short", b"short");
    bob.upload("STOR other", b"long");
    bob.cmd("RNFR other", 350);
    bob.cmd(&format!("RNTO {name}"), 250);
    bob.cmd(&format!("MKD {folder}"), 257);
    // with the names above it, the path has more than 4095 bytes
    bob.cmd(&format!("DELE {name}"), 550);
    bob.cmd(&format!("RMD {folder}"), 550);
    bob.cmd("RNFR short", 350);
    bob.cmd(&format!("RNTO {name}"), 553);
    assert!(bob.lines("NLST").contains(&name));
    bob.cmd("DELE short", 250);
    let (code, out, err) = ftpd(&server, &["restore", "bob", "--all"]);
    assert_eq!((code, out.as_str()), (0, "1 file or directory restored\n"), "{err}");
    assert!(bob.lines("NLST").contains(&"short".to_owned()));
}

#[test]
fn what_is_in_the_place_of_a_deleted_file_stays_and_is_named() {
    let server = setup().start();
    let home = server.home();
    for path in ["file", "dir", "link", "in/file", "twice"] {
        fs::create_dir_all(home.join("in")).unwrap();
        server.put(path, "old");
    }
    let mut bob = Client::bob(&server);
    for path in ["file", "dir", "link", "in/file", "twice"] {
        bob.cmd(&format!("DELE {path}"), 250);
    }
    bob.cmd("RMD in", 250);
    server.put("file", "now");
    server.put("in", "now");
    fs::create_dir(home.join("dir")).unwrap();
    symlink("file", home.join("link")).unwrap();
    let before = versions(&home);
    let (code, out, err) = ftpd(&server, &["restore", "bob", "file"]);
    assert_eq!((code, out.as_str()), (1, "0 files or directories restored\n"));
    assert!(err.contains("\"/file\": a file of 3 bytes is in its place"), "{err}");
    let (code, out, err) = ftpd(&server, &["restore", "bob", "--all"]);
    assert_eq!((code, out.as_str()), (1, "1 file or directory restored\n"), "{err}");
    for line in [
        "\"/file\": a file of 3 bytes is in its place",
        "\"/dir\": a directory is in its place",
        "\"/link\": a link is in its place",
        "\"/in\": a file of 3 bytes is in its place",
    ] {
        assert!(err.contains(line), "{line}: {err}");
    }
    assert!(
        err.contains("\"/in/file\": ") && err.contains("in\\\" is not a directory"),
        "{err}"
    );
    assert_eq!(server.get("file"), b"now");
    assert_eq!(versions(&home).len(), before.len() - 1);
    // as JSON, for programs
    let (_, out, _) = ftpd(&server, &["list", "bob", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(list["deleted"].as_array().unwrap().len(), before.len() - 1);
    assert_eq!(list["deleted"][0]["kind"], "file");
    let (code, out, _) = ftpd(&server, &["empty", "bob", "in", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(out.trim(), r#"{"bytes":3,"directories":1,"failed":0,"files":1}"#);
}

#[test]
fn the_words_of_the_command_are_checked() {
    let server = setup().start();
    for words in [
        &[][..],
        &["list"],
        &["list", "bob", "x"],
        &["restore", "bob"],
        &["restore", "bob", "x", "--all"],
        &["empty", "bob", "--all"],
        &["forget", "bob"],
        &["list", "bob", "--most"],
    ] {
        let (code, _, err) = ftpd(&server, words);
        assert!(code != 0 && !err.is_empty(), "{words:?}");
    }
    let (code, _, err) = ftpd(&server, &["list", "nobody"]);
    assert!(code != 0 && err.contains("there is no user 'nobody'"), "{err}");
}
