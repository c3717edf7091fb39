//! Two servers that serve the same homes (`shared_storage`). Most tests need no file system over a
//! network: the locks of a local one exclude two processes as well.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use crate::client::Client;
use crate::parts::{break_off, hang, make_old, noise, parts, resume};
use crate::quota::{self, upload, used};
use crate::server::{Server, eventually, run};
use crate::tracer;

/// Two servers with bob's home in common.
struct Pair {
    one: Server,
    two: Server,
    home: TempDir,
}

impl Pair {
    fn start() -> Self {
        Self::with("", "")
    }

    /// Starts two servers with more lines of `[server]` and of `[user:bob]`.
    fn with(server: &str, user: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let [one, two] = [(); 2].map(|()| serve(home.path(), server, user));
        Self { one, two, home }
    }

    fn clients(&self) -> [Client; 2] {
        [Client::bob(&self.one), Client::bob(&self.two)]
    }

    fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.path().join(name)).unwrap()
    }
}

fn serve(home: &Path, server: &str, user: &str) -> Server {
    Server::setup()
        .server("shared_storage = on")
        .server(server)
        .user(&format!("home = {}", home.display()))
        .user(user)
        .start()
}

/// The names in a directory.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Counts a tree as [`quota::walked`] does, without the file in which the servers keep their count.
fn walked(dir: &Path) -> (u64, u64) {
    let (bytes, files) = quota::walked(dir);
    let own = fs::metadata(dir.join(".ftpd-part-quota~")).unwrap().len();
    (bytes - own, files - 1)
}

/// The names of the files that lock something.
fn locks(dir: &Path) -> Vec<String> {
    names(dir).into_iter().filter(|name| name.starts_with(".ftpd-part-lock-")).collect()
}

/// Ends an upload that hangs, with more bytes.
fn end(client: &mut Client, mut data: std::net::TcpStream, bytes: &[u8]) {
    data.write_all(bytes).unwrap();
    drop(data);
    client.expect(226);
}

/// Two mounts of one directory by FUSE, each with a cache of its own, in the place of a file system of the
/// network. They are unmounted on drop.
struct Mounts(TempDir);

impl Mounts {
    /// Returns `None`, and says so, if FUSE or bindfs is missing here.
    fn new() -> Option<Self> {
        let mounts = Self(tempfile::tempdir().unwrap());
        for name in ["below", "one", "two"] {
            fs::create_dir(mounts.0.path().join(name)).unwrap();
        }
        for name in ["one", "two"] {
            let mut bindfs = Command::new("bindfs");
            bindfs.args(["--multithreaded", "--enable-lock-forwarding"]);
            bindfs.args(["below", name]).current_dir(mounts.0.path());
            if !bindfs.output().is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: bindfs cannot mount anything here");
                return None;
            }
        }
        Some(mounts)
    }

    fn pair(&self) -> (Server, Server, PathBuf) {
        let path = |name: &str| self.0.path().join(name);
        let [one, two] = ["one", "two"].map(|name| serve(&path(name), "", ""));
        (one, two, path("below"))
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for name in ["one", "two"] {
            let _ = Command::new("umount").arg("-l").arg(self.0.path().join(name)).status();
        }
    }
}

/// The machine that lists a file remembers its size for a second, and cut the next version there: 226 for a
/// part of the file.
#[test]
fn a_file_that_another_server_has_just_replaced_is_sent_whole() {
    let Some(mounts) = Mounts::new() else { return };
    let (one, two, _) = mounts.pair();
    let [mut first, mut second] = [&one, &two].map(Client::bob);
    for (old, new) in [(1000, 5000), (5000, 300)] {
        first.upload("STOR f", &vec![b'o'; old]);
        second.download("LIST");
        let new = vec![b'n'; new];
        first.upload("STOR f", &new);
        assert_eq!(second.download("RETR f"), new);
    }
}

#[test]
fn servers_with_a_mount_each_share_names_and_parts() {
    let Some(mounts) = Mounts::new() else { return };
    let (mut one, two, below) = mounts.pair();
    let [mut first, mut second] = [&one, &two].map(Client::bob);
    // the names are links, because FUSE cannot check and rename in one step
    thread::scope(|scope| {
        for (server, who) in [(&one, 1), (&two, 2)] {
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for number in 0..40 {
                    client.upload("STOU y", format!("{who} {number}").as_bytes());
                }
            });
        }
    });
    let mut stored = names(&below);
    // FUSE renames a file that is open, as NFS does, and removes it a moment later
    stored.retain(|name| !name.starts_with(".fuse_hidden"));
    let contents: BTreeSet<_> =
        stored.iter().map(|name| fs::read(below.join(name)).unwrap()).collect();
    assert_eq!((stored.len(), contents.len()), (80, 80), "{stored:?}");
    let mut data = first.passive();
    first.cmd("APPE log", 150);
    data.write_all(b"1").unwrap();
    eventually("a part", || parts(&below).iter().any(|part| part.1 == 1));
    second.exchange_refused("APPE log", b"2");
    end(&mut first, data, b"1");
    let bytes = noise(8, 200_000);
    break_off(&mut first, "STOR a", &bytes[..120_000], &below);
    eventually("the part is given up", || {
        second.ask("SIZE a") == (213, "213 120000".to_owned())
    });
    resume(&mut second, 120_000, "STOR a", &bytes[120_000..]);
    assert!(fs::read(below.join("a")).unwrap() == bytes);
    let _data = hang(&mut first, "STOR b", &bytes[..70_000], &below, 70_000);
    assert_eq!(second.ask("SIZE b").0, 550);
    one.kill();
    eventually("the part is free", || second.ask("SIZE b") == (213, "213 70000".to_owned()));
    resume(&mut second, 70_000, "STOR b", &bytes[70_000..]);
    assert!(fs::read(below.join("b")).unwrap() == bytes && parts(&below).is_empty());
}

#[test]
fn one_server_at_a_time_appends_to_a_file() {
    let pair = Pair::start();
    fs::write(pair.home.path().join("log"), "0").unwrap();
    let [mut one, mut two] = pair.clients();
    let mut data = one.passive();
    one.cmd("APPE log", 150);
    data.write_all(b"1").unwrap();
    eventually("the first byte", || pair.get("log") == b"01");
    two.exchange_refused("APPE log", b"2");
    end(&mut one, data, b"1");
    two.upload("APPE log", b"2");
    assert_eq!(pair.get("log"), b"0112");
}

#[test]
fn one_server_at_a_time_changes_a_copy_or_the_file_in_place() {
    let pair = Pair::start();
    let home = pair.home.path();
    let [mut one, mut two] = pair.clients();
    for links in [1, 2] {
        fs::write(home.join("a"), "0123456789").unwrap();
        if links == 2 {
            // with a second name, the file is changed in place
            fs::hard_link(home.join("a"), home.join("b")).unwrap();
        }
        one.cmd("REST 2", 350);
        let mut data = one.passive();
        one.cmd("STOR a", 150);
        data.write_all(b"x").unwrap();
        eventually("a byte", || {
            if links == 2 { pair.get("a").starts_with(b"01x") } else { parts(home).len() == 2 }
        });
        two.cmd("REST 4", 350);
        two.exchange_refused("STOR a", b"yy");
        end(&mut one, data, b"x");
        two.cmd("REST 4", 350);
        two.upload("STOR a", b"yy");
        assert_eq!(pair.get("a"), b"01xxyy");
        assert!(locks(home).is_empty(), "{:?}", names(home));
    }
}

#[test]
fn appends_from_both_servers_are_all_whole() {
    let pair = Pair::start();
    fs::write(pair.home.path().join("log"), "").unwrap();
    let append = |mut client: Client, letter: char| {
        for number in 0..40 {
            let line = format!("{}{number}\n", letter.to_string().repeat(3000));
            while client.exchange("APPE log", line.as_bytes()).0 != 226 {}
        }
    };
    thread::scope(|scope| {
        for (letter, server) in
            ['a', 'b', 'c', 'd'].into_iter().zip([&pair.one, &pair.two].repeat(2))
        {
            let client = Client::bob(server);
            scope.spawn(move || append(client, letter));
        }
    });
    let text = String::from_utf8(pair.get("log")).unwrap();
    assert_eq!(text.lines().count(), 160);
    for letter in ["a", "b", "c", "d"] {
        let own: Vec<_> = text.lines().filter(|line| line.starts_with(letter)).collect();
        let all = (0..40).map(|number| format!("{}{number}", letter.repeat(3000)));
        assert!(all.eq(own), "a line is torn or out of order");
    }
}

#[test]
fn names_that_stou_promises_are_promised_on_both_servers() {
    let pair = Pair::start();
    let [mut one, mut two] = pair.clients();
    let promised = |mark: &str| mark.strip_prefix("150 FILE: ").unwrap().to_owned();
    let first = one.passive();
    let mark = one.cmd("STOU x", 150);
    assert_eq!(promised(&mark), "x");
    assert_eq!(promised(&two.upload("STOU x", b"2")), "x.1");
    end(&mut one, first, b"1");
    assert_eq!((pair.get("x"), pair.get("x.1")), (b"1".to_vec(), b"2".to_vec()));
    assert_eq!(promised(&one.upload("STOU x", b"3")), "x.2");
}

#[test]
fn hundreds_of_new_names_from_both_servers_are_all_different() {
    let pair = Pair::with("", "overwrite = rename");
    let store = |mut client: Client, who: usize| {
        for number in 0..50 {
            let content = format!("{who} {number}");
            let mark = client.upload("STOU x", content.as_bytes());
            let name = mark.strip_prefix("150 FILE: ").unwrap();
            assert_eq!(client.download(&format!("RETR {name}")), content.as_bytes());
            client.upload("STOR y", content.as_bytes());
        }
    };
    thread::scope(|scope| {
        for who in 0..4 {
            let client = Client::bob([&pair.one, &pair.two][who % 2]);
            scope.spawn(move || store(client, who));
        }
    });
    let names = names(pair.home.path());
    assert_eq!(names.len(), 400, "{names:?}");
    let read = |front: &str| {
        let all = names.iter().filter(|name| name.starts_with(front));
        all.map(|name| pair.get(name)).collect::<BTreeSet<_>>().len()
    };
    assert_eq!((read("x"), read("y")), (200, 200));
}

#[test]
fn an_upload_that_broke_off_on_one_server_goes_on_at_the_other() {
    let pair = Pair::start();
    let home = pair.home.path();
    let [mut one, mut two] = pair.clients();
    let bytes = noise(1, 300_000);
    break_off(&mut one, "STOR a", &bytes[..200_000], home);
    eventually("the part is given up", || two.ask("SIZE a") == (213, "213 200000".to_owned()));
    assert!(two.lines("LIST").iter().any(|line| line.ends_with(" a")));
    resume(&mut two, 200_000, "STOR a", &bytes[200_000..]);
    assert!(pair.get("a") == bytes && parts(home).is_empty());
    one.cmd("DELE a", 250);
    // by APPE, after it was shown
    break_off(&mut two, "STOR a", &bytes[..100_000], home);
    eventually("the part is given up", || one.ask("SIZE a") == (213, "213 100000".to_owned()));
    one.upload("APPE a", &bytes[100_000..]);
    assert!(pair.get("a") == bytes && parts(home).is_empty());
    // what has gone on elsewhere and failed again is not what was shown here
    break_off(&mut one, "STOR b", &bytes[..1000], home);
    eventually("the part is given up", || two.ask("SIZE b") == (213, "213 1000".to_owned()));
    assert_eq!(one.cmd("SIZE b", 213), "213 1000");
    two.cmd("REST 1000", 350);
    let data = hang(&mut two, "STOR b", &bytes[1000..3000], home, 3000);
    crate::client::reset(data);
    two.expect(426);
    eventually("the part is given up", || one.ask("SIZE b") == (213, "213 3000".to_owned()));
    resume(&mut one, 3000, "STOR b", &bytes[3000..]);
    assert!(pair.get("b") == bytes && parts(home).is_empty());
}

#[test]
fn a_part_is_forgotten_when_its_user_stores_the_file_at_another_server() {
    let pair = Pair::start();
    let [mut one, mut two] = pair.clients();
    break_off(&mut one, "STOR a", &noise(1, 5000), pair.home.path());
    eventually("the part is given up", || one.ask("SIZE a") == (213, "213 5000".to_owned()));
    two.upload("STOR a", b"whole");
    for client in [&mut one, &mut two] {
        assert_eq!(client.cmd("SIZE a", 213), "213 5");
    }
    assert!(parts(pair.home.path()).is_empty());
}

#[test]
fn a_part_of_a_killed_server_is_forgotten_when_its_user_stores_the_file() {
    let mut pair = Pair::start();
    let home = pair.home.path().to_owned();
    let [mut one, mut two] = pair.clients();
    let _data = hang(&mut one, "STOR a", &noise(1, 5000), &home, 5000);
    pair.one.kill();
    two.upload("STOR a", b"whole");
    assert_eq!(two.cmd("SIZE a", 213), "213 5");
    assert!(parts(&home).is_empty());
}

#[test]
fn a_part_stays_when_the_attributes_of_the_file_in_place_are_changed() {
    let pair = Pair::start();
    let home = pair.home.path();
    let [mut one, mut two] = pair.clients();
    let bytes = noise(1, 5000);
    one.upload("STOR a", b"old");
    break_off(&mut one, "STOR a", &bytes[..3000], home);
    let is_shown = |client: &mut Client| client.ask("SIZE a") == (213, "213 3000".to_owned());
    eventually("the part is given up", || is_shown(&mut two));
    two.cmd("SITE CHMOD 600 a", 200);
    assert!(is_shown(&mut two) && is_shown(&mut one));
    two.cmd("MFMT 20200101000000 a", 213);
    assert!(is_shown(&mut two) && is_shown(&mut one));
    fs::hard_link(home.join("a"), home.join("b")).unwrap();
    assert!(is_shown(&mut two) && is_shown(&mut one));
    fs::remove_file(home.join("b")).unwrap();
    resume(&mut two, 3000, "STOR a", &bytes[3000..]);
    assert!(pair.get("a") == bytes && parts(home).is_empty());
}

#[test]
fn an_append_goes_on_with_a_part_whose_size_another_server_has_told() {
    let pair = Pair::start();
    let home = pair.home.path();
    let [mut one, mut two] = pair.clients();
    let bytes = noise(1, 5000);
    break_off(&mut one, "STOR a", &bytes[..3000], home);
    eventually("the part is given up", || one.ask("SIZE a") == (213, "213 3000".to_owned()));
    two.upload("APPE a", &bytes[3000..]);
    assert!(pair.get("a") == bytes && parts(home).is_empty());
    // the client may mean the file in place or the part
    break_off(&mut two, "STOR a", &bytes[..2000], home);
    eventually("the part is given up", || two.ask("SIZE a") == (213, "213 2000".to_owned()));
    let (code, text, _) = one.exchange("APPE a", &bytes[2000..]);
    assert_eq!(code, 554, "{text}");
    assert!(pair.get("a") == bytes && parts(home).len() == 1);
    one.cmd("SIZE a", 213);
    one.upload("APPE a", &bytes[2000..]);
    assert!(pair.get("a") == bytes && parts(home).is_empty());
}

#[test]
fn a_part_that_another_server_writes_to_again_cannot_be_deleted() {
    let pair = Pair::start();
    let home = pair.home.path();
    let [mut one, mut two] = pair.clients();
    let bytes = noise(1, 5000);
    break_off(&mut one, "STOR a", &bytes[..3000], home);
    eventually("the part is given up", || two.ask("SIZE a") == (213, "213 3000".to_owned()));
    one.cmd("REST 3000", 350);
    let data = hang(&mut one, "STOR a", &bytes[3000..4000], home, 4000);
    for client in [&mut Client::bob(&pair.one), &mut two] {
        client.cmd("DELE a", 450);
    }
    let (_, listed, _) = run(&["parts"], pair.two.dir());
    assert!(!listed.contains("/a"), "{listed}");
    end(&mut one, data, &bytes[4000..]);
    assert!(pair.get("a") == bytes && parts(home).is_empty());
}

#[test]
fn a_server_that_was_killed_between_two_names_of_a_file_leaves_one() {
    for comes_back in [false, true] {
        let mut pair = Pair::start();
        let home = pair.home.path().to_owned();
        let [mut one, mut two] = pair.clients();
        let _data = hang(&mut one, "STOR a", &noise(1, 3000), &home, 3000);
        pair.one.kill();
        let part = home.join(std::ffi::OsStr::from_bytes(&parts(&home)[0].0));
        fs::hard_link(part, home.join("a")).unwrap();
        if comes_back {
            pair.one.start_again();
        } else {
            assert_eq!(two.cmd("SIZE a", 213), "213 3000");
        }
        assert_eq!(names(&home), BTreeSet::from(["a".to_owned()]));
        two.cmd("DELE a", 250);
        assert_eq!(two.ask("SIZE a").0, 550);
        assert!(names(&home).is_empty());
    }
}

#[test]
fn no_server_keeps_the_parts_of_another_one_with_keep_parts_0() {
    let mut pair = Pair::with("keep_parts = 0", "");
    let home = pair.home.path().to_owned();
    let [mut one, mut two] = pair.clients();
    let _data = hang(&mut one, "STOR a", &noise(1, 3000), &home, 3000);
    pair.one.kill();
    assert_eq!(two.ask("SIZE a").0, 550);
    assert!(parts(&home).is_empty());
}

#[test]
fn a_lock_that_cannot_be_removed_is_used_again() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can act as two users");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mode = |mode| PermissionsExt::from_mode(mode);
    fs::set_permissions(home.path(), mode(0o1777)).unwrap();
    fs::write(home.path().join("log"), "").unwrap();
    fs::set_permissions(home.path().join("log"), mode(0o666)).unwrap();
    let at = home.path().display();
    let [mut one, two] = [(); 2].map(|()| {
        Server::setup()
            .server("shared_storage = on")
            .user(&format!("home = {at}\nrun_as = 61001:61001\nfile_mode = 666"))
            .section(&format!(
                "[user:eve]\npassword = x\nperm = elradfmw\nhome = {at}\nrun_as = 61002:61002"
            ))
            .start()
    });
    let mut bob = Client::bob(&one);
    let mut data = bob.passive();
    bob.cmd("APPE log", 150);
    data.write_all(b"x").unwrap();
    eventually("a lock", || locks(home.path()).len() == 1);
    one.kill();
    let mut eve = Client::login(&two, "eve", "x");
    for _ in 0..3 {
        eve.upload("APPE log", b"1");
    }
    Client::bob(&two).upload("APPE log", b"2");
    assert!(locks(home.path()).is_empty());
}

#[test]
fn uploads_of_a_killed_server_go_on_at_the_other() {
    let mut pair = Pair::start();
    let home = pair.home.path().to_owned();
    let bytes = noise(2, 400_000);
    let mut hanging = Vec::new();
    for number in 0..4 {
        let mut client = Client::bob(&pair.one);
        let size = 50_000 * (number + 1);
        let data = hang(&mut client, format!("STOR f{number}"), &bytes[..size], &home, size);
        hanging.push((client, data, number, size));
    }
    pair.one.kill();
    let mut two = Client::bob(&pair.two);
    for (_, _, number, size) in &hanging {
        assert_eq!(two.cmd(&format!("SIZE f{number}"), 213), format!("213 {size}"));
        resume(&mut two, *size, &format!("STOR f{number}"), &bytes[*size..]);
        assert!(pair.get(&format!("f{number}")) == bytes);
    }
    assert!(parts(&home).is_empty(), "{:?}", names(&home));
    // the killed server finds nothing of its own when it comes back
    pair.one.start_again();
    assert_eq!(names(&home).len(), 4);
}

#[test]
fn a_part_that_is_written_to_belongs_to_its_server() {
    let pair = Pair::start();
    let home = pair.home.path();
    let [mut one, mut two] = pair.clients();
    let bytes = noise(3, 100_000);
    let data = hang(&mut one, "STOR d", &bytes[..50_000], home, 50_000);
    assert_eq!(two.ask("SIZE d").0, 550);
    two.cmd("REST 50000", 350);
    two.exchange_refused("STOR d", b"x");
    // not even an old one is removed
    make_old(home);
    two.lines("LIST");
    assert_eq!(parts(home).len(), 1);
    end(&mut one, data, &bytes[50_000..]);
    assert!(pair.get("d") == bytes);
}

#[test]
fn directories_with_parts_are_removed_unless_a_server_writes_to_one() {
    let mut pair = Pair::start();
    let home = pair.home.path().to_owned();
    let [mut one, mut two] = pair.clients();
    one.cmd("MKD in", 257);
    let dir = home.join("in");
    let data = hang(&mut one, "STOR in/a", b"abc", &dir, 3);
    assert_eq!(two.ask("RMD in").0, 550);
    assert_eq!(parts(&dir).len(), 1);
    pair.one.kill();
    drop(data);
    fs::write(dir.join(".ftpd-part-lock-0123456789abcdef01234567~"), "").unwrap();
    two.cmd("RMD in", 250);
    assert!(!dir.exists());
}

#[test]
fn locks_that_a_crash_has_left_are_removed_when_they_are_met() {
    let pair = Pair::start();
    let home = pair.home.path();
    let left = home.join(".ftpd-part-lock-0123456789abcdef01234567~");
    fs::write(&left, "").unwrap();
    let mut two = Client::bob(&pair.two);
    assert!(two.lines("LIST").is_empty() && left.exists(), "it may be about to be locked");
    for line in ["SIZE", "DELE", "RETR", "STOR", "RNFR"] {
        let (code, text) =
            two.ask(&format!("{line} .ftpd-part-lock-0123456789abcdef01234567~"));
        assert!(code >= 500, "{line}: {text}");
    }
    make_old(home);
    assert!(two.lines("LIST").is_empty() && !left.exists());
}

#[test]
fn a_quota_holds_for_both_servers_together() {
    let pair = Pair::with("", "quota_bytes = 1M\nquota_files = 30");
    fs::write(pair.home.path().join("there"), noise(1, 100_000)).unwrap();
    for server in [&pair.one, &pair.two] {
        assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
    }
    let store = |mut client: Client, who: usize| {
        let mut stored = 0;
        for number in 0..20 {
            let line = format!("STOR {who}.{number}");
            let code = upload(&mut client, &line, &noise(2, 70_000));
            stored += u64::from(code == 226);
            if number % 3 == 2 && client.ask(&format!("DELE {who}.{}", number - 2)).0 == 250 {
                stored -= 1;
            }
        }
        stored
    };
    let stored: u64 = thread::scope(|scope| {
        let all = [0, 1, 2, 3].map(|who| {
            let client = Client::bob([&pair.one, &pair.two][who % 2]);
            scope.spawn(move || store(client, who))
        });
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    let (bytes, files) = walked(pair.home.path());
    assert_eq!((bytes, files), (100_000 + 70_000 * stored, stored + 1));
    assert!(bytes <= 1 << 20 && bytes > (1 << 20) - 2 * 70_000, "{bytes} in {files} files");
    for server in [&pair.one, &pair.two] {
        assert_eq!(used(server), (bytes, files));
    }
    // what one server has freed, the other one may use
    let [mut one, mut two] = pair.clients();
    let room = |client: &mut Client| client.cmd("AVBL /", 213);
    assert_eq!(room(&mut one), room(&mut two));
    one.cmd("DELE there", 250);
    assert_eq!(upload(&mut two, "STOR there", &noise(3, 100_000)), 226);
    assert_eq!(upload(&mut one, "STOR more", &noise(3, 100_000)), 552);
}

#[test]
fn files_that_both_servers_replace_and_rename_count_once() {
    let pair = Pair::with("", "quota_bytes = 100M");
    for server in [&pair.one, &pair.two] {
        used(server);
    }
    let store = |mut client: Client, who: usize| {
        for number in 0..60 {
            let size = (number * 7919 + who * 104_729) % 5000;
            client.upload(&format!("STOR f{}", number % 3), &noise(4, size));
            if number % 5 == who % 5 {
                let _ = client.ask("DELE f0");
                if client.ask("RNFR f1").0 == 350 {
                    let _ = client.ask("RNTO f2");
                }
            }
        }
    };
    thread::scope(|scope| {
        for who in 0..4 {
            let client = Client::bob([&pair.one, &pair.two][who % 2]);
            scope.spawn(move || store(client, who));
        }
    });
    for server in [&pair.one, &pair.two] {
        assert_eq!(used(server), walked(pair.home.path()));
    }
    drop(pair.one);
    let again = serve(pair.home.path(), "", "quota_bytes = 100M");
    assert_eq!(used(&again), walked(pair.home.path()));
}

#[test]
fn a_quota_is_right_again_after_a_server_was_killed() {
    let mut pair = Pair::with("", "quota_bytes = 1M");
    let home = pair.home.path().to_owned();
    for server in [&pair.one, &pair.two] {
        used(server);
    }
    let mut hanging = Vec::new();
    for number in 0..3 {
        let mut client = Client::bob(&pair.one);
        let data =
            hang(&mut client, format!("STOR f{number}"), &noise(5, 50_000), &home, 50_000);
        hanging.push((client, data));
    }
    assert_eq!(used(&pair.two), (150_000, 3));
    pair.one.kill();
    let mut two = Client::bob(&pair.two);
    resume(&mut two, 50_000, "STOR f0", &noise(6, 10));
    assert_eq!(upload(&mut two, "STOR big", &noise(7, 1 << 20)), 552);
    pair.one.start_again();
    for server in [&pair.one, &pair.two] {
        assert_eq!(used(server), walked(&home));
    }
}

#[test]
fn retention_of_both_servers_keeps_as_many_files_as_it_should() {
    let pair = Pair::with("keep_delay = 0\nkeep_grace = 0", "keep_files = 50");
    let home = pair.home.path();
    fs::write(home.join("f0"), "x").unwrap();
    let file = fs::File::open(home.join("f0")).unwrap();
    file.try_lock().unwrap();
    for number in 1..400 {
        fs::write(home.join(format!("f{number}")), "x").unwrap();
    }
    thread::scope(|scope| {
        for server in [&pair.one, &pair.two] {
            scope.spawn(|| assert_eq!(run(&["keep", "--now"], server.dir()).0, 0));
        }
    });
    eventually("the passes are over", || locks(home).is_empty());
    let left = names(home);
    // the youngest, and one that another server has locked, because it writes to it
    let young = (350..400).map(|number| format!("f{number}"));
    assert_eq!(left, young.chain(["f0".to_owned()]).collect());
}

#[test]
fn a_home_whose_locks_exclude_nobody_is_refused() {
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call fails");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let ini = format!(
        "[server]\nshared_storage = on\n[user:bob]\npassword = x\nperm = elw\nhome = {}\n",
        home.path().display()
    );
    let dir = crate::program::folder(&ini);
    let check = |inject: &str| {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=flock", "-e", inject]);
        command.args([env!("CARGO_BIN_EXE_ftpd"), "check", "--config", "ftpd.ini"]);
        let output = command.current_dir(dir.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (good, text) = check("inject=flock:delay_enter=1");
    assert!(good, "{text}");
    for (inject, why) in [
        ("inject=flock:retval=0", "a file can be locked there twice"),
        ("inject=flock:error=ENOLCK", "no file can be locked there: No locks available"),
    ] {
        let (good, text) = check(inject);
        let place = "ftpd.ini:2: [server] shared_storage: 'on' needs locks";
        assert!(!good && text.contains(place) && text.contains(why), "{text}");
        assert!(text.contains(&home.path().display().to_string()), "{text}");
    }
    assert!(names(home.path()).is_empty());
}

#[test]
fn a_home_in_which_no_file_can_be_made_does_not_answer_for_another_one() {
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call fails");
        return;
    }
    let homes = tempfile::tempdir().unwrap();
    let mode = |mode| PermissionsExt::from_mode(mode);
    fs::set_permissions(homes.path(), mode(0o755)).unwrap();
    for (name, bits) in [("closed", 0o555), ("open", 0o777)] {
        fs::create_dir(homes.path().join(name)).unwrap();
        fs::set_permissions(homes.path().join(name), mode(bits)).unwrap();
    }
    // root can make a file anywhere
    let run_as =
        if rustix::process::geteuid().is_root() { "run_as = 61001:61001\n" } else { "" };
    for order in [["closed", "open"], ["open", "closed"]] {
        let user = |name: &str| {
            let home = homes.path().join(name);
            format!(
                "[user:{name}]\npassword = x\nperm = elw\n{run_as}home = {}\n",
                home.display()
            )
        };
        let users: String = order.into_iter().map(user).collect();
        let dir = crate::program::folder(format!("[server]\nshared_storage = on\n{users}"));
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=flock"]);
        command.args(["-e", "inject=flock:error=ENOLCK", env!("CARGO_BIN_EXE_ftpd")]);
        command.args(["check", "--config", "ftpd.ini"]).current_dir(dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{order:?}");
        assert!(text.contains("/open: no file can be locked there"), "{text}");
    }
}

impl Client {
    /// Sends an upload that another server's upload keeps from beginning.
    fn exchange_refused(&mut self, line: &str, bytes: &[u8]) {
        let (code, text, _) = self.exchange(line, bytes);
        assert!(matches!(code, 450 | 554), "{line}: {text}");
    }
}
