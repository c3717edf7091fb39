//! The process that starts programs for a server in a sandbox.

use std::fs;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use ring::digest::{SHA256, digest};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType, recv, sendmsg, socketpair,
};

use crate::client::Client;
use crate::server::{Server, eventually, run};

fn on_upload(program: &str) -> Server {
    Server::setup().server(&format!("on_upload = {program}")).start()
}

/// Returns whether a process of this number runs.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn signal(pid: &str, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap();
    assert!(status.success());
}

/// The settings of a server, with these lines in `[server]` instead of those with `on_`.
fn with_hooks(server: &Server, lines: &str) {
    let ini = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&ini).unwrap();
    let text: Vec<_> = text.lines().filter(|line| !line.starts_with("on_")).collect();
    let text = text.join("\n").replacen("[server]", &format!("[server]\n{lines}"), 1);
    // in one step, as an editor does
    fs::write(server.dir().join("new"), text).unwrap();
    fs::rename(server.dir().join("new"), &ini).unwrap();
}

#[test]
fn there_is_one_only_if_the_settings_name_a_program_and_it_has_a_name() {
    assert_eq!(Server::start().starter(), None);
    let server = on_upload("/bin/echo ran");
    let pid = server.starter().unwrap();
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let words = String::from_utf8(words).unwrap();
    let ini = server.dir().join("ftpd.ini");
    assert!(words.starts_with("ftpd\0start-programs\0"), "{words}");
    assert!(words.ends_with(&format!("{}\0", ini.display())), "{words}");
    // it holds no connection and no file of the server
    let client = Client::bob(&server);
    if let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) {
        let target = |file: fs::DirEntry| fs::read_link(file.path()).unwrap();
        let files: Vec<_> = files.map(|file| target(file.unwrap())).collect();
        let sockets = files.iter().filter(|file| file.to_string_lossy().contains("socket:"));
        // that of the server, twice, and two for the ends of programs
        assert!(sockets.count() <= 4, "{files:?}");
        let inside = files.iter().any(|file| file.starts_with(server.dir()));
        assert!(!inside, "{files:?}");
    }
    drop(client);
}

#[test]
fn it_ends_with_the_server_however_that_ends_and_its_programs_with_it() {
    let (meek, stubborn) = ("exec sleep 77", "trap '' TERM; while :; do sleep 0.1; done");
    for (how, program) in
        [("KILL", meek), ("KILL", stubborn), ("TERM", meek), ("INT", meek), ("QUIT", stubborn)]
    {
        let hook = format!("on_upload = /bin/sh -c \"echo child $$; {program}\"");
        let lines = "shutdown_grace = 0\nhook_timeout = 0";
        let mut server = Server::setup().server(lines).server(&hook).start();
        let starter = server.starter().unwrap();
        Client::bob(&server).upload("STOR a", b"x");
        let line = server.wait_for_log("]: child ");
        let program = line.split("child ").nth(1).unwrap().to_owned();
        assert!(runs(&starter) && runs(&program));
        server.signal(how);
        server.wait_for_exit();
        eventually("the process has ended", || !runs(&starter));
        eventually("the program has ended", || !runs(&program));
    }
}

#[test]
fn signals_to_all_processes_of_the_server_end_it_no_earlier() {
    let server = on_upload("/bin/echo ran");
    let starter = server.starter().unwrap();
    for name in ["INT", "TERM", "HUP", "QUIT", "USR1", "ALRM"] {
        signal(&starter, name);
    }
    Client::bob(&server).upload("STOR a", b"x");
    server.wait_for_log("]: ran");
    // it is in a session of its own, so no terminal reaches it
    let stat = fs::read_to_string(format!("/proc/{starter}/stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, starter);
}

#[test]
fn its_death_is_reported_and_the_server_goes_on_without_programs() {
    let server = Server::setup()
        .server("hook_timeout = 0")
        .server("on_upload = /bin/sh -c \"echo begun; sleep 77\"")
        .start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"x");
    server.wait_for_log("]: begun");
    signal(&server.starter().unwrap(), "KILL");
    // at once, and not when the next program is to be started
    let line = server.wait_for_log("the process that starts programs has ended: no program");
    assert!(line.contains("ERROR") && line.contains("signal: 9"), "{line}");
    server.wait_for_log("/sh\": the process that starts programs has ended");
    client.upload("STOR b", b"x");
    let line = server.wait_for_log("cannot be started: the process that starts programs");
    assert!(line.contains("ERROR on_upload"), "{line}");
    assert!(server.has("b"));
    // in a sandbox it cannot be started again, but all other settings can be changed
    let confined = server.log().contains("sandbox: enforced");
    with_hooks(&server, "on_upload = /bin/echo again");
    let (code, out, err) = run(&["reload"], server.dir());
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(err.contains("until the server is restarted"), confined, "{err}");
    Client::bob(&server).upload("STOR c", b"x");
    if confined {
        eventually("it fails as well", || {
            server.log().matches("cannot be started").count() == 2
        });
    } else {
        server.wait_for_log("]: again");
    }
}

#[test]
fn a_reload_adds_changes_and_removes_programs() {
    let programs = tempfile::tempdir().unwrap();
    let script = programs.path().join("script");
    fs::write(&script, "#!/bin/sh\necho of script $1\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let server = on_upload("/bin/echo first");
    Client::bob(&server).upload("STOR a", b"x");
    server.wait_for_log("]: first");
    let starter = server.starter();
    with_hooks(&server, &format!("on_upload = {} second", script.display()));
    let (code, out, err) = run(&["reload"], server.dir());
    assert_eq!(code, 0, "{out}{err}");
    Client::bob(&server).upload("STOR a", b"x");
    server.wait_for_log("]: of script second");
    // settings with a fault change nothing, however often they are read
    with_hooks(&server, "on_upload = /bin/echo third\non_fire = /bin/echo");
    for _ in 0..3 {
        assert_eq!(run(&["reload"], server.dir()).0, 78);
    }
    Client::bob(&server).upload("STOR a", b"x");
    eventually("the second one runs again", || {
        server.log().matches("]: of script second").count() == 2
    });
    // none, and then one again
    with_hooks(&server, "");
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::bob(&server).upload("STOR a", b"x");
    with_hooks(&server, "on_delete = /bin/echo fourth");
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::bob(&server).cmd("DELE a", 250);
    server.wait_for_log("]: fourth");
    let log = server.log();
    assert!(log.matches("]: of script").count() == 2 && !log.contains("third"), "{log}");
    assert_eq!(server.starter(), starter, "the same process");
}

#[test]
fn events_that_wait_during_a_reload_start_the_program_of_their_time() {
    let server = Server::setup()
        .server("hook_workers = 1\nhook_timeout = 0")
        .server("on_upload = /bin/sh -c \"while [ ! -e ${FTPD_PATH%/home*}/gate ]; do sleep 0.01; done; echo old\"")
        .start();
    let mut client = Client::bob(&server);
    for number in 0..3 {
        client.upload(&format!("STOR {number}"), b"x");
    }
    with_hooks(&server, "on_upload = /bin/echo new");
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::bob(&server).upload("STOR a", b"x");
    fs::write(server.dir().join("gate"), "").unwrap();
    server.wait_for_log("]: new");
    assert_eq!(server.log().matches("]: old").count(), 3);
}

#[test]
fn the_first_program_takes_a_restart_in_a_sandbox_and_a_reload_without_one() {
    for sandbox in ["sandbox = auto", "sandbox = off"] {
        let server = Server::setup().server(sandbox).start();
        let confined = server.log().contains("sandbox: enforced");
        with_hooks(&server, "on_upload = /bin/echo first");
        let (code, _, err) = run(&["reload"], server.dir());
        if confined {
            assert_eq!(code, 78, "{err}");
            assert!(err.contains("program /bin/echo: cannot be started, since"), "{err}");
            continue;
        }
        assert_eq!(code, 0, "{err}");
        Client::bob(&server).upload("STOR a", b"x");
        server.wait_for_log("]: first");
    }
}

#[test]
fn a_hook_of_a_user_from_elsewhere_runs_as_the_user_of_the_answer() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let auth = "auth_program = /bin/cat DIR/answer\nauth_homes = homes\nauth_perm = elradfmw\n\
                auth_cache = 0\non_upload = /bin/sh -c \"echo $(id -u) $(id -g) for $FTPD_USER\"";
    for (lines, user) in [("auth_run_as = on\nuser = nobody", "61001 61002"), ("", "0 0")] {
        let server = Server::setup().server(&format!("{auth}\n{lines}")).start_with(|dir| {
            let ini = dir.join("ftpd.ini");
            let text = fs::read_to_string(&ini).unwrap();
            fs::write(&ini, text.replace("DIR", dir.to_str().unwrap())).unwrap();
            let home = dir.join("homes/ann");
            fs::create_dir_all(&home).unwrap();
            std::os::unix::fs::chown(&home, Some(61_001), Some(61_002)).unwrap();
            let answer = "{\"accept\": true, \"run_as\": \"61001:61002\"}";
            fs::write(dir.join("answer"), answer).unwrap();
        });
        Client::login(&server, "ann", "x").upload("STOR file", b"x");
        server.wait_for_log(&format!("]: {user} for ann"));
    }
}

/// What a server under the control of a client might try.
mod attacked {
    use super::*;

    /// The process, and the server's end of its socket.
    struct Attacked(Child, OwnedFd);

    /// Fields of a message: each is its length and its bytes.
    fn fields(fields: &[&[u8]]) -> Vec<u8> {
        let field = |field: &&[u8]| [&(field.len() as u64).to_le_bytes()[..], field].concat();
        fields.iter().flat_map(field).collect()
    }

    fn send(socket: &OwnedFd, bytes: &[u8], beside: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(beside.is_empty() || control.push(SendAncillaryMessage::ScmRights(beside)));
        sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    fn hear(socket: &OwnedFd) -> String {
        let mut bytes = [0; 4096];
        let (read, _) = recv(socket, &mut bytes, RecvFlags::empty()).unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        socketpair(AddressFamily::UNIX, kind, flags, None).unwrap()
    }

    /// The only program of the table, with its arguments. It runs as the server's user.
    fn words() -> Vec<u8> {
        fields(&[b"other", b"/bin/sh", b"-c", b"echo ran; env"])
    }

    impl Attacked {
        fn start() -> Self {
            Self::start_with(&words())
        }

        /// Starts the process with this program.
        fn start_with(words: &[u8]) -> Self {
            let (socket, theirs) = pair();
            let mut command = Command::new(env!("CARGO_BIN_EXE_ftpd"));
            command.arg("start-programs").stdin(theirs);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            let child = command.spawn().unwrap();
            drop(command);
            let (reader, mut writer) = std::io::pipe().unwrap();
            send(&socket, &fields(&[b"table"]), &[reader.as_fd()]);
            writer.write_all(&fields(&[b"2", b"2", &fields(&[words, b"-"])])).unwrap();
            drop(writer);
            assert!(hear(&socket).contains("read"));
            Self(child, socket)
        }

        /// Asks for a program. Returns the answer, and what the program prints.
        fn ask(&self, digest: &[u8], variables: &[&[u8]]) -> (String, String) {
            self.ask_as(b"-", digest, variables)
        }

        /// Asks for a program that runs as this user.
        fn ask_as(&self, user: &[u8], digest: &[u8], variables: &[&[u8]]) -> (String, String) {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let (own, theirs) = pair();
            let message = fields(&[&[&b"start"[..], digest, user], variables].concat());
            let beside = [theirs.as_fd(), writer.as_fd(), writer.as_fd()];
            send(&self.1, &message, &beside);
            drop((writer, theirs));
            let answer = hear(&own);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            (answer, text)
        }

        /// Waits for the end, and returns what the process complains of.
        fn ends(mut self) -> String {
            drop(self.1);
            let mut text = String::new();
            self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(self.0.wait().unwrap().code(), Some(1), "{text}");
            text
        }
    }

    #[test]
    fn only_a_judge_is_given_a_file_and_only_by_an_absolute_path() {
        let part = 4;
        let judge = fields(&[b"judge", b"/bin/echo", b"judges"]);
        let attacked = Attacked::start_with(&judge);
        let known = digest(&SHA256, &judge);
        let (_, text) = attacked.ask(known.as_ref(), &[&[part], b"/srv/a b"]);
        assert_eq!(text, "judges /srv/a b\n");
        for variables in [&[&[part][..], b"--help"][..], &[&[part], b"a"], &[]] {
            let (answer, text) = attacked.ask(known.as_ref(), variables);
            assert!(answer.contains("failed") && text.is_empty(), "{answer}{text}");
        }
        let other = fields(&[b"other", b"/bin/echo", b"judges"]);
        let attacked = Attacked::start_with(&other);
        let known = digest(&SHA256, &other);
        let (_, text) = attacked.ask(known.as_ref(), &[&[part], b"/srv/a b"]);
        assert_eq!(text, "judges\n");
    }

    #[test]
    fn it_names_no_program_but_those_of_the_table() {
        let attacked = Attacked::start();
        let known = digest(&SHA256, &words());
        let (answer, text) = attacked.ask(known.as_ref(), &[&[1], b"bob"]);
        assert!(answer.contains("started") && text.starts_with("ran\n"), "{answer}{text}");
        assert!(text.contains("FTPD_USER=bob\n"), "{text}");
        // any other user, program or argument
        for user in [&b"1:1:1"[..], b"0:0:0", b"*", b"", b"root"] {
            let (answer, _) = attacked.ask_as(user, known.as_ref(), &[]);
            assert!(answer.contains("the settings do not name it"), "{answer}");
        }
        for other in [
            fields(&[b"other", b"/bin/sh", b"-c", b"echo other"]),
            fields(&[b"judge", b"/bin/sh", b"-c", b"echo ran; env"]),
            fields(&[b"other", b"/bin/sh"]),
            fields(&[b"/bin/id"]),
        ] {
            let (answer, text) = attacked.ask(digest(&SHA256, &other).as_ref(), &[]);
            assert!(answer.contains("the settings do not name it"), "{answer}");
            assert_eq!(text, "");
        }
        for digest in [&b""[..], b"/bin/sh", &words()] {
            assert!(attacked.ask(digest, &[]).0.contains("do not name it"));
        }
        // a value cannot end, and the next one begin, where it likes
        let (answer, _) = attacked.ask(known.as_ref(), &[&[1], b"bob\0LD_PRELOAD=/x"]);
        assert!(answer.contains("failed"), "{answer}");
        let mut attacked = attacked;
        drop(attacked.1);
        assert!(attacked.0.wait().unwrap().success());
    }

    #[test]
    fn it_ends_the_process_by_anything_that_is_no_message() {
        let known = digest(&SHA256, &words());
        let second = fields(&[b"table"]);
        let reload_without_socket = fields(&[b"reload"]);
        let variable = fields(&[b"start", known.as_ref(), b"-", &[200], b"value"]);
        let name = fields(&[b"start", known.as_ref(), b"-", b"LD_PRELOAD", b"/x"]);
        let odd = fields(&[b"start", known.as_ref(), b"-", &[1]]);
        let cut = &fields(&[b"start", known.as_ref(), b"-"])[..20];
        let long = vec![7; 100_000];
        for message in [
            &b"garbage"[..],
            &second,
            &reload_without_socket,
            &variable,
            &name,
            &odd,
            cut,
            &long,
        ] {
            let attacked = Attacked::start();
            let (_own, theirs) = pair();
            let beside: &[_] =
                if message == reload_without_socket { &[] } else { &[theirs.as_fd(); 3] };
            send(&attacked.1, message, beside);
            let text = attacked.ends();
            assert!(text.contains("the process that starts programs ends: "), "{text}");
        }
        // more file descriptors than any message has
        let attacked = Attacked::start();
        let (_own, theirs) = pair();
        send(&attacked.1, &fields(&[b"start", known.as_ref(), b"-"]), &[theirs.as_fd(); 8]);
        attacked.ends();
    }

    #[test]
    fn it_starts_no_more_programs_than_the_settings_allow() {
        let attacked = Attacked::start();
        let known = digest(&SHA256, &words());
        let mut held = Vec::new();
        // nobody reads what these print, so they do not end
        let (_reader, writer) = std::io::pipe().unwrap();
        let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        (&writer).write_all(&vec![0; size]).unwrap();
        for _ in 0..2 {
            let (own, theirs) = pair();
            let message = fields(&[b"start", known.as_ref(), b"-"]);
            send(&attacked.1, &message, &[theirs.as_fd(), writer.as_fd(), writer.as_fd()]);
            drop(theirs);
            assert!(hear(&own).contains("started"));
            held.push(own);
        }
        assert!(attacked.ask(known.as_ref(), &[]).0.contains("too many programs run"));
        // whoever closes the socket of a program ends it
        drop(held.pop());
        eventually("there is room again", || {
            attacked.ask(known.as_ref(), &[]).0.contains("started")
        });
    }
}
