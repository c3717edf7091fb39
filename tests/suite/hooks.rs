//! `on_upload` and the other hooks: programs that are started by an event.

use std::io::Write;
use std::thread;

use crate::client::{Client, reset};
use crate::server::Server;

/// A server on which each upload starts this program.
fn on_upload(program: &str) -> Server {
    Server::setup().server(&format!("on_upload = {program}")).start()
}

/// What `env` has printed to the log.
fn variable(server: &Server, hook: &str, name: &str) -> String {
    let line = server.wait_for_log(&format!("]: {name}="));
    assert!(line.contains(&format!(" {hook}[")), "{line}");
    line.split_once(&format!("{name}=")).unwrap().1.to_owned()
}

#[test]
fn a_hook_is_told_all_about_the_upload_and_finds_it_in_place() {
    let server = on_upload("/usr/bin/env");
    server.put("dir/x", "");
    let mut client = Client::bob(&server);
    client.cmd("CWD dir", 250);
    client.upload("STOR a b", b"12345");
    let told = |name: &str| variable(&server, "on_upload", name);
    assert_eq!(told("FTPD_PATH"), server.home().join("dir/a b").display().to_string());
    assert_eq!(told("FTPD_VIRTUAL_PATH"), "/dir/a b");
    assert_eq!(told("FTPD_USER"), "bob");
    assert_eq!(told("FTPD_ADDRESS"), "127.0.0.1");
    assert_eq!(told("FTPD_SIZE"), "5");
    assert!(told("FTPD_SECONDS").parse::<f64>().unwrap() < 30.0);
    assert_eq!(told("FTPD_RESULT"), "complete");
    assert_eq!(told("FTPD_EVENT"), "upload");
    let line = server.wait_for_log("STOR \"");
    assert!(line.contains("complete"), "{line}");
}

#[test]
fn the_size_of_a_resumed_or_appended_file_is_its_whole_size() {
    let server = on_upload("/usr/bin/env");
    server.put("a", "12345");
    Client::bob(&server).upload("APPE a", b"67");
    assert_eq!(variable(&server, "on_upload", "FTPD_SIZE"), "7");
}

#[test]
fn a_hook_gets_nothing_of_the_server_s_environment() {
    let server = Server::setup()
        .env("FTPD_TEST_SECRET", "hidden")
        .env("FTPD_USER_ANNA_PASSWORD", "hidden")
        .env("FTPD_USER_ANNA_HOME", "home")
        .server("on_upload = /bin/sh -c \"env; umask; pwd; echo over\"")
        .start();
    Client::bob(&server).upload("STOR a", b"x");
    server.wait_for_log("]: over");
    let log = server.log();
    assert!(!log.contains("hidden") && log.contains("]: PATH="), "{log}");
    assert!(log.contains("]: 0022") && log.contains("]: /\n"), "{log}");
}

#[test]
fn arguments_are_words_and_no_shell_reads_them_or_the_name() {
    let server = on_upload("/bin/echo \"two  words\" $FTPD_PATH `id` \"\" end");
    let mut client = Client::bob(&server);
    client.upload("STOR $(touch x);`touch y` 'z\"", b"x");
    let line = server.wait_for_log("on_upload[");
    assert!(line.ends_with("]: two  words $FTPD_PATH `id`  end"), "{line}");
    assert!(!server.has("x") && !server.has("y"));
    let server = on_upload("/usr/bin/env");
    Client::bob(&server).upload("STOR \u{1b}[2J\u{e4}\"", b"x");
    let line = variable(&server, "on_upload", "FTPD_VIRTUAL_PATH");
    assert_eq!(line, "/\\x1b[2J\u{e4}\\\"", "escaped in the log");
}

#[test]
fn a_failed_upload_starts_nothing() {
    let server = on_upload("/bin/echo ran");
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(b"x").unwrap();
    reset(data);
    client.expect(426);
    client.cmd("REST 9", 350);
    client.passive_address("EPSV");
    client.cmd("STOR a", 554);
    // one that is whole comes after it
    client.upload("STOR b", b"x");
    server.wait_for_log("]: ran");
    client.cmd("QUIT", 221);
    server.wait_for_log("]: ran");
    assert_eq!(server.log().matches("]: ran").count(), 1);
}

#[test]
fn every_occasion_starts_its_own_program() {
    let keys = ["on_download", "on_delete", "on_rename", "on_login"];
    let lines: Vec<_> = keys.iter().map(|key| format!("{key} = /usr/bin/env")).collect();
    let server = Server::setup().user(&lines.join("\n")).start();
    server.put("a", "123");
    let mut client = Client::bob(&server);
    let told = |hook: &str, name: &str, value: &str| {
        let wanted = format!("]: {name}={value}");
        let line = server.wait_for_log(&wanted);
        assert!(line.contains(&format!(" {hook}[")) && line.ends_with(&wanted), "{line}");
    };
    told("on_login", "FTPD_EVENT", "login");
    told("on_login", "FTPD_PATH", server.home().to_str().unwrap());
    client.download("RETR a");
    told("on_download", "FTPD_EVENT", "download");
    told("on_download", "FTPD_SIZE", "3");
    told("on_download", "FTPD_RESULT", "complete");
    client.cmd("RNFR a", 350);
    client.cmd("RNTO b", 250);
    told("on_rename", "FTPD_EVENT", "rename");
    told("on_rename", "FTPD_VIRTUAL_FROM", "/a");
    told("on_rename", "FTPD_VIRTUAL_PATH", "/b");
    told("on_rename", "FTPD_FROM", server.home().join("a").to_str().unwrap());
    client.cmd("DELE b", 250);
    told("on_delete", "FTPD_EVENT", "delete");
    client.upload("STOR c", b"x");
    assert!(!server.log().contains("on_upload["));
}

#[test]
fn a_download_that_fails_is_told_as_failed() {
    let server = Server::setup().server("on_download = /usr/bin/env").start();
    server.put("a", vec![0; 32 << 20]);
    let mut client = Client::bob(&server);
    let data = client.passive();
    client.cmd("RETR a", 150);
    client.cmd("ABOR", 426);
    client.expect(226);
    drop(data);
    let result = variable(&server, "on_download", "FTPD_RESULT");
    assert_eq!(result, "failed: aborted by the client");
}

#[test]
fn no_more_run_at_once_than_hook_workers_and_none_is_lost_or_delays_a_reply() {
    let server = Server::setup()
        .server("hook_workers = 1\nhook_timeout = 0")
        .server("on_upload = /bin/sh -c \"echo begin; sleep 0.05; echo end\"")
        .start();
    let mut client = Client::bob(&server);
    for number in 0..10 {
        client.upload(&format!("STOR {number}"), b"x");
    }
    let ends = || server.log().matches("]: end").count();
    assert!(ends() < 10, "the replies did not wait for the programs");
    crate::server::eventually("all have run", || ends() == 10);
    let log = server.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("on_upload[")).collect();
    for (at, line) in said.iter().enumerate() {
        assert!(line.ends_with(["]: begin", "]: end"][at % 2]), "{log}");
    }
}

/// The process number of a child that a program has started and printed.
fn child_of_program(server: &Server) -> String {
    let line = server.wait_for_log("]: child ");
    line.split("child ").nth(1).unwrap().to_owned()
}

/// Checks that the program was ended by the signal that asks for it, and its child as well.
fn ended_with(server: &Server, child: &str) {
    let line = server.wait_for_log("on_upload \"/bin/sh\": ");
    assert!(line.contains("signal: 15"), "{line}");
    crate::server::eventually("its child is gone", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn a_program_that_runs_for_too_long_is_ended_with_all_that_it_has_started() {
    let server = Server::setup()
        .server("hook_timeout = 1")
        .server("on_upload = /bin/sh -c \"sleep 77 & echo child $!; wait; exit 0\"")
        .start();
    Client::bob(&server).upload("STOR a", b"x");
    let child = child_of_program(&server);
    server.wait_for_log("runs for too long and is ended");
    ended_with(&server, &child);
}

#[test]
fn a_program_that_does_not_heed_the_signal_is_killed() {
    let server = Server::setup()
        .server("hook_timeout = 1")
        .server("on_upload = /bin/sh -c \"trap '' TERM; while :; do sleep 1; done\"")
        .start();
    Client::bob(&server).upload("STOR a", b"x");
    let line = server.wait_for_log("on_upload \"/bin/sh\": ");
    assert!(line.contains("signal: 9"), "{line}");
}

#[test]
fn a_program_that_leaves_something_behind_in_the_background_is_done_all_the_same() {
    let server = on_upload("/bin/sh -c \"sleep 20 & echo left; exit 3\"");
    Client::bob(&server).upload("STOR a", b"x");
    let line = server.wait_for_log("on_upload \"/bin/sh\": ");
    assert!(line.contains("exit status: 3"), "{line}");
    server.wait_for_log("]: left");
}

#[test]
fn what_a_program_prints_without_end_is_bounded() {
    let server = on_upload("/bin/sh -c \"yes | head -n 3000; head -c 5000 /dev/zero\"");
    Client::bob(&server).upload("STOR a", b"x");
    server.wait_for_log("prints more than 1000 lines");
    let mut client = Client::bob(&server);
    client.upload("STOR b", b"x");
    client.cmd("QUIT", 221);
}

#[test]
fn what_a_program_has_started_is_ended_even_if_it_does_not_heed_the_signal() {
    let stubborn =
        "(trap '' TERM; echo child $(sh -c 'echo $PPID'); while :; do sleep 1; done)";
    let server = Server::setup()
        .server("hook_timeout = 1")
        .server(&format!("on_upload = /bin/sh -c \"{stubborn} & wait\""))
        .start();
    Client::bob(&server).upload("STOR a", b"x");
    let child = child_of_program(&server);
    ended_with(&server, &child);
}

#[test]
fn a_program_that_prints_without_end_is_ended_when_its_time_is_over() {
    let server =
        Server::setup().server("hook_timeout = 1").server("on_upload = /usr/bin/yes").start();
    Client::bob(&server).upload("STOR a", b"x");
    let line = server.wait_for_log("on_upload \"/usr/bin/yes\": ");
    assert!(line.contains("signal: 15"), "{line}");
}

#[test]
fn a_background_process_of_a_program_may_print_without_end() {
    let server = on_upload("/bin/sh -c \"yes & exit 3\"");
    Client::bob(&server).upload("STOR a", b"x");
    let line = server.wait_for_log("on_upload \"/bin/sh\": ");
    assert!(line.contains("exit status: 3"), "{line}");
}

#[test]
fn a_program_that_was_removed_is_named_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone");
    std::fs::copy("/bin/true", &path).unwrap();
    let server = on_upload(path.to_str().unwrap());
    std::fs::remove_file(&path).unwrap();
    Client::bob(&server).upload("STOR a", b"x");
    let line = server.wait_for_log("cannot be started");
    assert!(line.contains("on_upload") && line.contains("/gone cannot"), "{line}");
}

#[test]
fn a_stopping_server_lets_its_programs_end_within_the_grace() {
    let mut server = Server::setup()
        .server("hook_workers = 1")
        .server("on_upload = /bin/sh -c \"sleep 0.2; echo end\"")
        .start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"x");
    client.upload("STOR b", b"x");
    server.signal("TERM");
    assert!(server.wait_for_exit().success());
    crate::server::eventually("both have run", || server.log().matches("]: end").count() == 2);

    let mut server = Server::setup()
        .server("hook_workers = 1\nshutdown_grace = 0\nhook_timeout = 0")
        .server("on_upload = /bin/sleep 60")
        .start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"x");
    client.upload("STOR b", b"x");
    server.signal("TERM");
    assert!(server.wait_for_exit().success());
    server.wait_for_log("hook programs are not run");
}

#[test]
fn many_uploads_from_many_sessions_run_their_programs_all() {
    let server = on_upload("/bin/echo ran");
    thread::scope(|scope| {
        for session in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for number in 0..10 {
                    client.upload(&format!("STOR {session}-{number}"), b"x");
                }
            });
        }
    });
    crate::server::eventually("all have run", || server.log().matches("]: ran").count() == 40);
}

/// What each program of these tests does before it ends: it waits until `gate` is there.
const AT_THE_GATE: &str = "while [ ! -e gate ]; do sleep 0.01; done";

/// A server with one worker, whose programs of bob wait at the gate, and eve, whose do not.
/// Bob's queue is full: one program runs and 256 wait.
fn with_full_queue(hooks: &str) -> (Server, Client) {
    // the home is not known yet, but its part of the environment is
    let script = format!("cd ${{FTPD_PATH%/home*}}; {AT_THE_GATE}; echo ran $FTPD_EVENT");
    let program = format!("/bin/sh -c \"{script}\"");
    let eve = "[user:eve]\npassword = apple\nperm = elradfmw\nhome = home\n\
               on_upload = /bin/echo of eve";
    let server = Server::setup()
        .server("hook_workers = 1\nhook_timeout = 0\ndata_timeout = 1\nshutdown_grace = 0")
        .user(&format!("on_upload = {program}\n{}", hooks.replace("GATED", &program)))
        .section(eve)
        .start();
    let mut client = Client::bob(&server);
    let own = 257 - usize::from(hooks.contains("on_login"));
    for number in 0..own {
        client.upload(&format!("STOR {}", number % 3), b"x");
        if number == 0 {
            // the first program runs before the others wait
            crate::server::eventually("a program runs", || !server.programs().is_empty());
        }
    }
    (server, client)
}

/// Opens the gate, so that running and queued programs end.
fn open_gate(server: &Server) {
    std::fs::write(server.dir().join("gate"), "").unwrap();
}

fn ran(server: &Server, what: &str) -> usize {
    server.log().matches(&format!("]: {what}\n")).count()
}

#[test]
fn a_user_with_a_full_queue_waits_before_the_150_and_others_do_not() {
    let (server, mut client) = with_full_queue("");
    let data = client.passive();
    let asked = std::time::Instant::now();
    client.cmd("STOR more", 450);
    assert!(asked.elapsed() >= std::time::Duration::from_secs(1), "data_timeout");
    assert!(!server.has("more"));
    drop(data);
    server.wait_for_log("commands of bob wait for them");
    assert!(server.wait_for_log("STOR \"").contains("complete"));
    server.wait_for_log("refused: too many events of this user are waiting");
    // his other sessions as well, and every way to upload
    let mut other = Client::bob(&server);
    for command in ["APPE more", "STOU"] {
        other.passive();
        other.cmd(command, 450);
    }
    other.cmd("NOOP", 200);
    // what has no program goes on
    other.download("RETR 0");
    other.cmd("MKD dir", 257);
    let mut eve = Client::login(&server, "eve", "apple");
    eve.upload("STOR eve", b"x");
    // room comes while he waits
    let mut data = client.passive();
    client.send("STOR more");
    open_gate(&server);
    client.expect(150);
    data.write_all(b"late").unwrap();
    drop(data);
    client.expect(226);
    crate::server::eventually("nothing is lost", || ran(&server, "ran upload") == 258);
    assert_eq!(server.get("more"), b"late");
    let log = server.log();
    let turns: Vec<_> =
        log.lines().filter(|line| line.contains("]: ran") || line.contains("of eve")).collect();
    let eves = turns.iter().position(|line| line.contains("of eve")).unwrap();
    assert!(eves <= 2, "her turn comes next: {eves}");
}

#[test]
fn every_other_occasion_waits_for_room_as_well_and_is_not_carried_out_without() {
    let hooks = "on_download = GATED\non_delete = GATED\non_rename = GATED\non_login = GATED";
    let (server, mut client) = with_full_queue(hooks);
    client.passive();
    client.cmd("RETR 0", 450);
    client.cmd("DELE 0", 450);
    client.cmd("RNFR 1", 350);
    client.cmd("RNTO new", 450);
    assert!(server.has("0") && server.has("1") && !server.has("new"));
    let mut other = Client::connect(&server);
    other.cmd("USER bob", 331);
    other.cmd("PASS secret", 421);
    // a wrong password tells nothing of it
    let mut other = Client::connect(&server);
    other.cmd("USER bob", 331);
    other.cmd("PASS wrong", 530);
    // what fails at once for other reasons still does
    client.cmd("RNTO new", 503);
    open_gate(&server);
    client.cmd("DELE 0", 250);
    client.cmd("RNFR 1", 350);
    client.cmd("RNTO new", 250);
    client.download("RETR 2");
    Client::bob(&server);
    for (event, count) in
        [("upload", 256), ("delete", 1), ("rename", 1), ("download", 1), ("login", 2)]
    {
        crate::server::eventually(event, || ran(&server, &format!("ran {event}")) == count);
    }
}

#[test]
fn a_client_that_waits_for_room_in_the_queue_is_heard() {
    let (mut server, mut client) = with_full_queue("");
    let ini = server.dir().join("ftpd.ini");
    let text = std::fs::read_to_string(&ini).unwrap();
    std::fs::write(&ini, text.replace("data_timeout = 1", "data_timeout = 0")).unwrap();
    let (code, _, err) = crate::server::run(&["reload"], server.dir());
    assert_eq!(code, 0, "{err}");
    drop(client);
    client = Client::bob(&server);
    client.passive();
    client.send("STOR more");
    client.cmd("STAT", 211);
    client.cmd("ABOR", 450);
    client.expect(226);
    // kicked
    client.passive();
    client.send("STOR more");
    client.cmd("STAT", 211);
    assert_eq!(crate::server::run(&["kick", "bob"], server.dir()).0, 0);
    client.expect(450);
    client.expect(421);
    // gone
    let mut client = Client::bob(&server);
    client.passive();
    client.send("STOR more");
    client.cmd("STAT", 211);
    drop(client);
    crate::server::eventually("the session has ended", || {
        crate::server::run(&["who"], server.dir()).1.lines().count() == 1
    });
    // stopped
    let mut client = Client::bob(&server);
    client.passive();
    client.send("STOR more");
    client.cmd("STAT", 211);
    server.signal("TERM");
    client.expect(450);
    client.expect(421);
    assert!(server.wait_for_exit().success());
    assert!(!server.has("more"));
}
