//! Uploads during faults: kill -9, full disks, races, restarts and odd file systems.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, reset};
use crate::hostile::SmallDisk;
use crate::parts::{PART, arrived, break_off, hang, make_old, noise, parts, resume};
use crate::server::{Server, eventually};
use crate::tls_client::{Tls, VERSIONS};

#[test]
fn a_full_disk_takes_back_what_was_appended_in_place() {
    let Some(disk) = SmallDisk::mount() else { return };
    let server = Server::setup().section(&disk.user()).start();
    let old = noise(1, 400_001);
    let path = disk.path().join("log");
    fs::write(&path, &old).unwrap();
    let mut client = Client::login(&server, "eve", "e");
    for more in [700_000, 4 << 20] {
        let mut data = client.passive();
        client.cmd("APPE log", 150);
        let _ = data.write_all(&noise(2, more));
        drop(data);
        client.expect(452);
        let now = fs::read(&path).unwrap();
        assert!(now == old, "{} bytes", now.len());
    }
}

/// The files of a home without parts, read from outside the server.
fn files(home: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(home).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().as_bytes().starts_with(PART) {
            let name = entry.file_name().to_str().unwrap().to_owned();
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn kill_9_at_any_moment_leaves_each_file_old_or_new() {
    let mut server = Server::start();
    let home = server.home();
    // sizes around the server's chunks, and one that takes a while
    let sizes = [1, 4096, 70_000, 300_000, 2_000_000];
    let content = |round: u64, at: usize| noise(round * 10 + at as u64, sizes[at]);
    let mut now: Vec<Vec<u8>> = (0..sizes.len()).map(|at| content(0, at)).collect();
    for (at, bytes) in now.iter().enumerate() {
        server.put(&at.to_string(), bytes);
    }
    let mut state = 1_u64;
    let (mut kept, mut replaced, mut broken) = (0, 0, 0);
    for round in 1..=200_u64 {
        let new: Vec<_> = (0..sizes.len()).map(|at| content(round, at)).collect();
        let clients: Vec<_> = (0..sizes.len()).map(|_| Client::bob(&server)).collect();
        let begun = Barrier::new(sizes.len() + 1);
        thread::scope(|scope| {
            for ((at, bytes), mut client) in new.iter().enumerate().zip(clients) {
                let begun = &begun;
                scope.spawn(move || {
                    begun.wait();
                    // the server may be gone at each step
                    let Some(address) = client.try_passive() else { return };
                    let Ok(mut data) = TcpStream::connect(address) else { return };
                    if client.try_send(&format!("STOR {at}")) {
                        let _ = data.write_all(bytes);
                    }
                    // as a client that goes on, and takes its end for a success
                    let _ = data.shutdown(Shutdown::Write);
                    client.try_end();
                });
            }
            begun.wait();
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // the server is killed at a random moment of the uploads, which take as long as the
            // disk does
            thread::sleep(Duration::from_micros(state % (6000 << (round % 5))));
            server.kill();
        });
        let found = files(&home);
        assert_eq!(found.len(), sizes.len(), "round {round}");
        for (name, bytes) in found {
            let at: usize = name.parse().unwrap();
            if bytes == new[at] {
                replaced += 1;
                now[at] = bytes;
            } else {
                kept += 1;
                assert!(bytes == now[at], "round {round}: {name} has {} bytes", bytes.len());
            }
        }
        broken += parts(&home).len();
        server.start_again();
        // what is left is dead parts, which nobody but bob is told of
        for (name, _) in parts(&home) {
            assert!(name.windows(3).any(|tag| tag == b"-0."), "{}", name.escape_ascii());
        }
    }
    let mut client = Client::bob(&server);
    assert_eq!(client.lines("NLST").len(), sizes.len());
    assert!(client.lines("LIST -a").iter().all(|line| !line.contains("part")));
    eprintln!("kept {kept}, replaced {replaced}, parts left {broken}");
    // else the kills came too early or too late to show anything
    assert!(kept > 20 && replaced > 20 && broken > 20, "{kept} {replaced} {broken}");
}

#[test]
fn an_upload_goes_on_after_the_server_s_end_by_sigterm_and_by_kill_9() {
    for signal in ["TERM", "KILL"] {
        let mut server = Server::setup().server("shutdown_grace = 0").start();
        let home = server.home();
        fs::create_dir(home.join("d e\u{e4}")).unwrap();
        let old = noise(1, 90_000);
        let new = noise(2, 50_000);
        server.put("a", &old);
        let mut dead = Client::bob(&server);
        break_off(&mut dead, "STOR dead", &new[..10_000], &home);
        let mut first = Client::bob(&server);
        let mut second = Client::bob(&server);
        let deep = home.join("d e\u{e4}");
        let _one = hang(&mut first, "STOR a", &new[..20_000], &home, 20_000);
        let _two = hang(&mut second, "STOR d e\u{e4}/b", &new[..30_000], &deep, 30_000);
        server.restart(signal);
        assert!(server.get("a") == old, "{signal}");
        let mut client = Client::bob(&server);
        for (name, size) in [("dead", 10_000), ("a", 20_000), ("d e\u{e4}/b", 30_000)] {
            assert_eq!(client.cmd(&format!("SIZE {name}"), 213), format!("213 {size}"));
            client.cmd(&format!("REST {}", size + 1), 350);
            let data = client.passive();
            let reply = client.cmd(&format!("STOR {name}"), 554);
            assert!(reply.contains(&size.to_string()), "{reply}");
            drop(data);
            resume(&mut client, size, &format!("STOR {name}"), &new[size..]);
            assert!(server.get(name) == new, "{signal} {name}");
        }
        assert_eq!(parts(&home), []);
        assert_eq!(parts(&deep), []);
    }
}

#[test]
fn a_server_that_stops_still_hears_that_its_client_is_gone() {
    for way in ["abor", "close", "reset"] {
        for command in ["STOR a", "APPE a"] {
            let mut server = Server::setup().server("shutdown_grace = 20").start();
            server.put("a", "old");
            let mut client = Client::bob(&server);
            let mut data = client.passive();
            client.cmd(command, 150);
            data.write_all(b"half").unwrap();
            eventually("it has arrived", || {
                server.get("a") == b"oldhalf"
                    || parts(&server.home()).iter().any(|part| part.1 >= 4)
            });
            server.signal("TERM");
            server.wait_for_log("shutting down");
            match way {
                "abor" => {
                    client.raw(b"ABOR\r\n");
                    drop(data);
                    client.expect(426);
                }
                "close" => {
                    drop(client);
                    server.wait_for_log("control connection lost");
                    drop(data);
                }
                _ => {
                    reset(client.stream().try_clone().unwrap());
                    drop(client);
                    server.wait_for_log("control connection lost");
                    drop(data);
                }
            }
            server.wait_for_exit();
            assert_eq!(server.get("a"), b"old", "{way} {command}");
        }
    }
}

#[test]
fn an_upload_in_a_directory_that_is_renamed_goes_on_after_a_crash() {
    let mut server = Server::setup().server("keep_parts = 1h").start();
    let home = server.home();
    fs::create_dir(home.join("d")).unwrap();
    let mut dead = Client::bob(&server);
    break_off(&mut dead, "STOR d/dead", b"12345", &home.join("d"));
    let mut client = Client::bob(&server);
    let _data = hang(&mut client, "STOR d/a", b"123", &home.join("d"), 3);
    dead.cmd("RNFR d", 350);
    dead.cmd("RNTO e", 250);
    assert_eq!(dead.cmd("SIZE e/dead", 213), "213 5");
    server.restart("KILL");
    let mut client = Client::bob(&server);
    assert_eq!(client.cmd("SIZE e/dead", 213), "213 5");
    assert_eq!(client.cmd("SIZE e/a", 213), "213 3");
    resume(&mut client, 3, "STOR e/a", b"45");
    assert_eq!(server.get("e/a"), b"12345");
    client.cmd("DELE e/dead", 250);
    assert_eq!(parts(&home.join("e")), []);
}

#[test]
fn an_append_that_the_server_s_end_cuts_off_is_not_gone_on_with() {
    let mut server = Server::start();
    let home = server.home();
    let mut client = Client::bob(&server);
    let _data = hang(&mut client, "APPE log", b"half a li", &home, 9);
    server.restart("KILL");
    assert!(!server.has("log"));
    let mut client = Client::bob(&server);
    client.cmd("SIZE log", 550);
    client.upload("APPE log", b"a line\n");
    assert_eq!(server.get("log"), b"a line\n");
    assert_eq!(parts(&home), []);
}

#[test]
fn a_thousand_parts_of_dead_sessions_cost_a_start_nothing() {
    let mut server = Server::setup().server("max_cons = 60").start();
    let home = server.home();
    // made by one real upload each, a directory for every hundred
    let mut client = Client::bob(&server);
    for dir in 0..10 {
        client.cmd(&format!("MKD d{dir}"), 257);
        for file in 0..100 {
            let mut data = client.passive();
            client.cmd(&format!("STOR d{dir}/f{file}"), 150);
            data.write_all(b"first").unwrap();
            while !client.cmd("STAT", 211).contains(": 5 bytes") {}
            client.raw(b"ABOR\r\n");
            client.expect(426);
            client.expect(226);
        }
    }
    let count = || -> Vec<usize> {
        (0..10).map(|dir| parts(&home.join(format!("d{dir}"))).len()).collect()
    };
    assert_eq!(count(), [100; 10]);
    // some are too old
    for dir in 0..5 {
        make_old(&home.join(format!("d{dir}")));
    }
    // what nobody has ever uploaded to is not looked at
    for dir in 0..2000 {
        fs::create_dir(home.join(format!("other{dir}"))).unwrap();
    }
    let sample = parts(&home.join("d7"))[0].0.clone();
    let stray = home.join("other1000").join(OsStr::from_bytes(&sample));
    fs::write(&stray, "x").unwrap();
    make_old(&home.join("other1000"));
    server.signal("KILL");
    server.wait_for_exit();
    let began = Instant::now();
    server.start_again();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(count(), [0, 0, 0, 0, 0, 100, 100, 100, 100, 100]);
    assert!(stray.exists());
    let line = server.wait_for_log("parts of failed uploads");
    assert!(line.contains("500 kept, 500 removed"), "{line}");
    let mut client = Client::bob(&server);
    for file in 0..100 {
        resume(&mut client, 5, &format!("STOR d8/f{file}"), b" second");
        assert_eq!(server.get(&format!("d8/f{file}")), b"first second");
    }
    assert_eq!(parts(&home.join("d8")), []);
    client.cmd("RMD d9", 250);
    // met by a listing, it goes
    client.lines("LIST other1000");
    assert!(!stray.exists());
}

#[test]
fn a_full_disk_costs_neither_the_old_version_nor_the_others() {
    let Some(disk) = SmallDisk::mount() else { return };
    let ann = disk.user().replace("user:eve", "user:ann");
    let server = Server::setup().section(&disk.user()).section(&ann).start();
    let home = disk.path();
    let old = noise(1, 200_000);
    fs::write(home.join("a"), &old).unwrap();
    let mut client = Client::login(&server, "eve", "e");
    let mut other = Client::login(&server, "ann", "e");
    for line in ["STOR a", "APPE a", "STOR new", "STOU", "REST"] {
        let mut running = other.passive();
        other.cmd("STOR small", 150);
        running.write_all(b"first ").unwrap();
        if line == "REST" {
            break_off(&mut client, "STOR a", &noise(2, 1000), home);
            client.cmd("REST 1000", 350);
        }
        let mut data = client.passive();
        client.cmd(if line == "REST" { "STOR a" } else { line }, 150);
        let _ = data.write_all(&noise(3, 4 << 20));
        drop(data);
        client.expect(452);
        assert!(fs::read(home.join("a")).unwrap() == old, "{line}");
        // the room is there again when the client hears of it: ann has a part, and no other is
        assert_eq!(parts(home).len(), 1, "{line}");
        running.write_all(&noise(4, 700_000)).unwrap();
        drop(running);
        other.expect(226);
        other.cmd("DELE small", 250);
        assert!(!home.join("new").exists() && !home.join("upload").exists());
        client.cmd("SIZE a", 213);
        assert!(client.download("RETR a") == old);
    }
}

#[test]
fn ten_uploads_to_one_name_leave_the_last_one_whole() {
    let ann = "[user:ann]\npassword = secret\nperm = elradfmwMT\nhome = home";
    let server = Server::setup().section(ann).start();
    let whole: Vec<_> = (0..10_usize).map(|n| noise(n as u64, 100_000 + 7000 * n)).collect();
    for turn in 0..5 {
        server.put("a", noise(99, 500_000));
        let mut all: Vec<_> = (0..10)
            .map(|n: usize| {
                let user = if n.is_multiple_of(2) { "bob" } else { "ann" };
                let mut client = Client::login(&server, user, "secret");
                let mut data = client.passive();
                client.cmd("STOR a", 150);
                data.write_all(&whole[n][..50_000]).unwrap();
                (n, client, data)
            })
            .collect();
        // they end in another order than they began, one after the other
        all.rotate_left(turn * 2 + 1);
        for (n, client, data) in &mut all {
            data.write_all(&whole[*n][50_000..]).unwrap();
            data.shutdown(Shutdown::Write).unwrap();
            client.expect(226);
            assert!(server.get("a") == whole[*n], "turn {turn}, {n}");
        }
        // and all of them at the same time
        let last: Vec<Vec<u8>> = thread::scope(|scope| {
            let run = |n: usize| {
                let (server, bytes) = (&server, &whole[n]);
                let user = if n.is_multiple_of(2) { "bob" } else { "ann" };
                move || {
                    let mut client = Client::login(server, user, "secret");
                    client.upload("STOR a", bytes);
                    server.get("a")
                }
            };
            let threads: Vec<_> = (0..10).map(|n| scope.spawn(run(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for seen in last.iter().chain([&server.get("a")]) {
            assert!(whole.contains(seen), "turn {turn}: {} bytes", seen.len());
        }
        assert_eq!(parts(&server.home()), []);
    }
}

#[test]
fn stor_and_appe_to_one_name_at_once_never_mix() {
    let ann = "[user:ann]\npassword = secret\nperm = elradfmwMT\nhome = home";
    let server = Server::setup().section(ann).start();
    // whole versions begin with V, and all that is added to them is records of one letter
    let version = |n: usize| [b"V".repeat(1000), vec![b"0123456789"[n]; 50_000]].concat();
    let record = |n: usize| vec![b"abcdefgh"[n]; 30_000];
    for turn in 0..5 {
        server.put("a", version(9));
        thread::scope(|scope| {
            for n in 0..8_usize {
                let server = &server;
                scope.spawn(move || {
                    let user = if n.is_multiple_of(3) { "bob" } else { "ann" };
                    let mut client = Client::login(server, user, "secret");
                    let (line, bytes) = if n.is_multiple_of(2) {
                        ("STOR a", version(n))
                    } else {
                        ("APPE a", record(n))
                    };
                    let (code, text, _) = client.exchange(line, &bytes);
                    // one that was replaced while it was added to is told so
                    let fine = code == 226 || (n % 2 == 1 && [450, 451].contains(&code));
                    assert!(fine, "{line}: {text}");
                });
            }
        });
        let found = server.get("a");
        let (head, rest) = found.split_at(51_000);
        assert!((0..10).any(|n| head == version(n)), "turn {turn}");
        assert_eq!(rest.len() % 30_000, 0, "turn {turn}");
        for piece in rest.chunks(30_000) {
            assert!((0..8).any(|n| piece == record(n)), "turn {turn}");
        }
        assert_eq!(parts(&server.home()), []);
    }
}

#[test]
fn readers_during_overwrites_have_one_version_whole() {
    let server = Server::setup().server("tls_cert = auto").start();
    let versions: Vec<_> =
        (0..4_usize).map(|n| noise(n as u64, 200_000 + 100_000 * n)).collect();
    server.put("a", &versions[0]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (server, versions, over) = (&server, &versions, &over);
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for turn in 0..40 {
                    client.upload("STOR a", &versions[(turn + writer) % 4]);
                }
                over.store(true, Ordering::Relaxed);
            });
        }
        for reader in 0..3 {
            let (server, versions, over) = (&server, &versions, &over);
            scope.spawn(move || {
                let tls = Tls::new(VERSIONS[1]);
                let mut client = if reader == 0 {
                    Client::secure_bob(server, &tls)
                } else {
                    Client::bob(server)
                };
                let mut count = 0;
                while count == 0 || !over.load(Ordering::Relaxed) {
                    let got = if reader == 0 {
                        client.secure_download(&tls, "RETR a")
                    } else {
                        client.download("RETR a")
                    };
                    assert!(versions.contains(&got), "{} bytes", got.len());
                    assert!(versions.contains(&server.get("a")));
                    count += 1;
                }
            });
        }
    });
}

#[test]
fn a_read_only_file_system_refuses_and_stays_as_it_was() {
    let Some(disk) = SmallDisk::mount() else { return };
    fs::write(disk.path().join("a"), "old").unwrap();
    disk.remount("remount,ro");
    let server = Server::setup().section(&disk.user()).start();
    let mut client = Client::login(&server, "eve", "e");
    for line in ["STOR a", "STOR new", "APPE a", "APPE new", "STOU", "MKD d", "DELE a"] {
        let (code, text, _) = client.exchange(line, b"x");
        assert_eq!(code, 550, "{line}: {text}");
    }
    client.cmd("REST 3", 350);
    let (code, text, _) = client.exchange("STOR a", b"x");
    assert_eq!(code, 550, "{text}");
    assert_eq!(client.download("RETR a"), b"old");
    disk.remount("remount,rw");
    // it becomes so in the middle of an upload: the kernel refuses while a file is open for
    // writing, so the part is broken off first and cannot be gone on with
    break_off(&mut client, "STOR a", b"first", disk.path());
    disk.remount("remount,ro");
    client.cmd("REST 5", 350);
    let (code, text, _) = client.exchange("STOR a", b"x");
    assert!([550, 554].contains(&code), "{text}");
    client.cmd("DELE a", 550);
    disk.remount("remount,rw");
    let mut client = Client::login(&server, "eve", "e");
    assert_eq!(client.download("RETR a"), b"old");
    assert_eq!(client.cmd("SIZE a", 213), "213 5");
    resume(&mut client, 5, "STOR a", b" second");
    assert_eq!(fs::read(disk.path().join("a")).unwrap(), b"first second");
}

/// A user number without an account, for a server that does not run as root.
const NOBODY: u32 = 65_534;

/// Whether a server can be started as somebody else.
fn may_be_nobody() -> bool {
    let id = NOBODY.to_string();
    let tried = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args([env!("CARGO_BIN_EXE_ftpd"), "--version"])
        .output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: the server cannot be run as another user");
    }
    may
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn without_the_right_to_make_files_the_one_in_place_is_written_to() {
    if !may_be_nobody() {
        return;
    }
    let server = Server::setup().run_as(NOBODY).start();
    let dir = server.home().join("d");
    fs::create_dir(&dir).unwrap();
    let path = server.put("d/a", "the old version");
    server.put("d/b", "not for us");
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    // the directory is root's
    set_mode(&dir, 0o755);
    let mut client = Client::bob(&server);
    client.upload("STOR d/a", b"new");
    assert_eq!(server.get("d/a"), b"new");
    let line = server.wait_for_log("written to in place");
    assert!(line.contains("no file can be made in its directory"), "{line}");
    client.upload("APPE d/a", b"er");
    resume(&mut client, 5, "STOR d/a", b"!");
    resume(&mut client, 1, "STOR d/a", b"EW");
    assert_eq!(server.get("d/a"), b"nEW");
    for line in ["STOR d/b", "APPE d/b", "STOR d/new", "APPE d/new", "STOU d/x", "DELE d/a"] {
        let (code, text, _) = client.exchange(line, b"x");
        assert_eq!(code, 550, "{line}: {text}");
    }
    assert_eq!(server.get("d/b"), b"not for us");
    // two at once take turns there
    let mut data = client.passive();
    client.cmd("STOR d/a", 150);
    data.write_all(b"first").unwrap();
    let mut second = Client::bob(&server);
    let mut other = second.passive();
    second.send("STOR d/a");
    second.expect_silence(Duration::from_millis(200));
    drop(data);
    client.expect(226);
    second.expect(150);
    other.write_all(b"2").unwrap();
    drop(other);
    second.expect(226);
    assert_eq!(server.get("d/a"), b"2");
    assert_eq!(parts(&dir), []);
    // a directory that cannot even be searched
    set_mode(&dir, 0o700);
    client.cmd("SIZE d/a", 550);
    let (code, text, _) = client.exchange("STOR d/a", b"x");
    assert_eq!(code, 550, "{text}");
}

#[test]
fn a_directory_that_cannot_be_read_is_not_synced_and_costs_no_upload() {
    if !may_be_nobody() {
        return;
    }
    let server = Server::setup().run_as(NOBODY).server("sync_uploads = on").start();
    let dir = server.home().join("inbox");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    set_mode(&dir, 0o333);
    Client::bob(&server).upload("STOR inbox/a", b"new");
    assert_eq!(server.get("inbox/a"), b"new");
    let line = server.wait_for_log("cannot sync the directory");
    assert!(line.contains("/inbox/a"), "{line}");
}

#[test]
fn in_a_sticky_directory_the_file_of_somebody_else_is_written_to_in_place() {
    if !may_be_nobody() {
        return;
    }
    let server = Server::setup().run_as(NOBODY).start();
    let dir = server.home().join("d");
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o1777);
    let path = server.put("d/a", "old");
    set_mode(&path, 0o666);
    let mut client = Client::bob(&server);
    client.upload("STOR d/a", b"new");
    assert_eq!(server.get("d/a"), b"new");
    assert_eq!(path.metadata().unwrap().uid(), 0);
    assert!(server.wait_for_log("written to in place").contains("sticky"));
    // one's own is replaced
    client.upload("STOR d/b", b"one");
    let before = dir.join("b").metadata().unwrap().ino();
    client.upload("STOR d/b", b"two");
    assert_ne!(dir.join("b").metadata().unwrap().ino(), before);
    assert_eq!(parts(&dir), []);
}

#[test]
fn the_group_of_a_replaced_file_of_somebody_else_does_not_open_it() {
    if !may_be_nobody() {
        return;
    }
    let server = Server::setup().run_as(NOBODY).start();
    let path = server.put("a", "old");
    set_mode(&path, 0o606);
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"new");
    let meta = path.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (NOBODY, 0o606));
}

/// A file system of this kind in a file, mounted.
struct LoopDisk {
    dir: tempfile::TempDir,
}

impl LoopDisk {
    fn mount(kind: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let mounted = dir.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        let run =
            |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
        let made = run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image))
            && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted));
        if !made {
            eprintln!("skipped: no {kind} to be had");
        }
        made.then_some(Self { dir })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// A folder on which a script mounts file systems, in `$D/mounted` and elsewhere below `$D`.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn by(script: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mounted")).unwrap();
        let mut shell = Command::new("sh");
        let output = shell.args(["-ec", script]).env("D", dir.path()).output().unwrap();
        // what was mounted before a failure is unmounted as well
        let mounted = Self(dir);
        if output.status.success() {
            return Some(mounted);
        }
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        None
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mounted")
    }

    fn server(&self) -> Server {
        let home = self.path();
        let eve = "[user:eve]\npassword = e\nperm = elradfmwMT\nhome = ";
        Server::setup().section(&format!("{eve}{}", home.display())).start()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("sh")
            .args(["-c", "umount -l $D/mounted/file $D/mounted $D/lower $D/upper"])
            .env("D", self.0.path())
            .stderr(Stdio::null())
            .status();
    }
}

#[test]
fn on_an_overlay_of_two_file_systems_files_are_replaced_as_a_whole() {
    let Some(disk) = Mounted::by(
        "mkdir $D/lower $D/upper; mount -t tmpfs test $D/lower; mount -t tmpfs test $D/upper
        mkdir $D/upper/files $D/upper/work; echo old > $D/lower/a
        mount -t overlay -o lowerdir=$D/lower,upperdir=$D/upper/files \
            -o workdir=$D/upper/work,xino=off test $D/mounted",
    ) else {
        return;
    };
    let server = disk.server();
    let mut client = Client::login(&server, "eve", "e");
    let path = disk.path().join("a");
    // once a file of the lower layer, then one of the upper layer
    for old in ["old\n", "new"] {
        let mut before = fs::File::open(&path).unwrap();
        break_off(&mut client, "STOR a", b"n", &disk.path());
        assert_eq!(fs::read_to_string(&path).unwrap(), old);
        resume(&mut client, 1, "STOR a", b"ew");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(std::io::read_to_string(&mut before).unwrap(), old);
    }
    client.upload("APPE a", b"er");
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    assert!(!server.log().contains("in place"), "{}", server.log());
}

#[test]
fn a_file_that_is_a_mount_point_is_written_to_in_place() {
    let script = "mount -t tmpfs test $D/mounted; cd $D/mounted; echo old > other; touch file
        mount --bind other file";
    let Some(disk) = Mounted::by(script) else { return };
    let server = disk.server();
    let mut client = Client::login(&server, "eve", "e");
    client.upload("STOR file", b"new");
    assert_eq!(fs::read(disk.path().join("other")).unwrap(), b"new");
    let line = server.wait_for_log("written to in place");
    assert!(line.contains("it is a mount point"), "{line}");
}

#[test]
fn mfmt_sets_the_time_of_a_file_on_libfuse_2() {
    // bindfs of Debian 12 uses it
    let Some(disk) = Mounted::by("mkdir $D/below; bindfs $D/below $D/mounted") else { return };
    let server = disk.server();
    let mut client = Client::login(&server, "eve", "e");
    client.upload("STOR a", b"text");
    let reply = client.cmd("MFMT 20010203040506 a", 213);
    assert!(reply.contains("Modify=20010203040506;"), "{reply}");
    assert_eq!(client.cmd("MDTM a", 213), "213 20010203040506");
}

#[test]
fn where_files_can_be_cloned_an_append_is_whole_or_not_there() {
    for kind in ["btrfs", "xfs"] {
        let Some(disk) = LoopDisk::mount(kind) else { continue };
        let home = disk.path();
        let eve =
            format!("[user:eve]\npassword = e\nperm = elradfmwMT\nhome = {}", home.display());
        let ann = eve.replace("eve", "ann");
        let mut server = Server::setup().section(&eve).section(&ann).start();
        let path = home.join("log");
        let old = noise(1, 30_000_001);
        fs::write(&path, &old).unwrap();
        set_mode(&path, 0o640);
        let mut client = Client::login(&server, "eve", "e");
        let inode = path.metadata().unwrap().ino();
        let mut data = client.passive();
        let began = Instant::now();
        client.cmd("APPE log", 150);
        data.write_all(b"one ").unwrap();
        arrived(&home, old.len() + 4);
        assert!(fs::read(&path).unwrap() == old, "not seen before the end");
        // another one waits for its turn, whoever's it is, and sees nothing
        let mut turns = Vec::new();
        for user in ["eve", "ann"] {
            let mut other = Client::login(&server, user, "e");
            assert_eq!(other.cmd("SIZE log", 213), "213 30000001");
            let data = other.passive();
            other.send("APPE log");
            turns.push((other, data));
        }
        turns[0].0.expect_silence(Duration::from_millis(200));
        drop(data);
        client.expect(226);
        // in whatever order
        thread::scope(|scope| {
            for (mut other, mut data) in turns {
                scope.spawn(move || {
                    other.expect(150);
                    data.write_all(b"two ").unwrap();
                    drop(data);
                    other.expect(226);
                });
            }
        });
        assert!(began.elapsed() < Duration::from_secs(5));
        let now = [&old[..], b"one two two "].concat();
        assert!(fs::read(&path).unwrap() == now);
        let meta = path.metadata().unwrap();
        assert_ne!(meta.ino(), inode);
        assert_eq!(meta.mode() & 0o7777, 0o640);
        // one that fails, and one that the server's end cuts off
        let data = hang(&mut client, "APPE log", b"broken", &home, now.len() + 6);
        reset(data);
        client.expect(426);
        assert_eq!(parts(&home), []);
        let _data = hang(&mut client, "APPE log", b"broken", &home, now.len() + 6);
        server.restart("KILL");
        assert!(fs::read(&path).unwrap() == now);
        let mut client = Client::login(&server, "eve", "e");
        assert_eq!(client.cmd("SIZE log", 213), format!("213 {}", now.len()));
        client.upload("APPE log", b"three");
        assert!(fs::read(&path).unwrap() == [&now[..], b"three"].concat());
        // into the middle, and beyond what is copied elsewhere
        client.cmd("REST 20000000", 350);
        let data = hang(&mut client, "STOR log", b"middle", &home, 20_000_006);
        assert!(fs::read(&path).unwrap() == [&now[..], b"three"].concat());
        drop(data);
        client.expect(226);
        assert!(fs::read(&path).unwrap() == [&old[..20_000_000], b"middle"].concat());
        assert_eq!(parts(&home), []);
    }
}
