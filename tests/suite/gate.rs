//! Uploads that are judged before they are in place: `before_publish`, `scan` and `quarantine`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::clients::Tool;
use crate::parts::{break_off, no_parts, noise, parts};
use crate::program::{BOB, folder};
use crate::server::{Server, Setup, eventually, run};
use crate::tls_client::{Tls, VERSIONS};

/// The settings for a judge: a shell script without double quotes, to which `$0` is the file.
fn judged(script: &str) -> Setup {
    Server::setup().server(&format!("before_publish = /bin/sh -c \"{script}\""))
}

/// A script that says that it judges, and goes on when there is a file `go` beside the home.
const WAITS: &str = "home=$(dirname $FTPD_PATH); echo it judges >&2; \
                     while [ ! -e $home/../go ]; do sleep 0.02; done; ";

/// Lets a script that waits go on.
fn go(server: &Server) {
    fs::write(server.dir().join("go"), "").unwrap();
}

/// Sends a whole upload, and returns before it is answered.
fn send(client: &mut Client, command: &str, bytes: &[u8]) {
    let mut data = client.passive();
    client.cmd(command, 150);
    data.write_all(bytes).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
}

/// Uploads, and returns the reply, which must have this code.
fn upload(client: &mut Client, command: &str, bytes: &[u8], code: u16) -> String {
    send(client, command, bytes);
    client.expect(code)
}

#[test]
fn a_judge_finds_the_whole_file_and_is_told_all_about_it() {
    let server = judged("env >&2; echo \\$0=$0 has $(cat $0) >&2; echo ignored").start();
    server.put("dir/x", "");
    let mut client = Client::bob(&server);
    client.cmd("CWD dir", 250);
    upload(&mut client, "STOR a", b"12345", 226);
    assert_eq!(server.get("dir/a"), b"12345");
    let told = |name: &str| {
        let line = server.wait_for_log(&format!("]: {name}="));
        assert!(line.contains(" before_publish["), "{line}");
        line.split_once(&format!("{name}=")).unwrap().1.to_owned()
    };
    let folder = server.home().join("dir");
    assert_eq!(told("FTPD_EVENT"), "before_publish");
    assert_eq!(told("FTPD_PATH"), folder.join("a").display().to_string());
    assert_eq!(told("FTPD_VIRTUAL_PATH"), "/dir/a");
    assert_eq!(
        (told("FTPD_USER").as_str(), told("FTPD_ADDRESS").as_str()),
        ("bob", "127.0.0.1")
    );
    assert_eq!(told("FTPD_SIZE"), "5");
    let part = told("FTPD_PART");
    assert!(part.starts_with(&format!("{}/.ftpd-part-", folder.display())), "{part}");
    let line = server.wait_for_log("$0=");
    assert!(line.ends_with(&format!("$0={part} has 12345")), "{line}");
    assert!(!server.log().contains("FTPD_RESULT"));
}

#[test]
fn what_is_refused_is_550_with_the_first_line_and_leaves_nothing() {
    let script = "printf '\\n infected: \\033[31mx\\r\\n226 more\\n'; exit 1";
    let server = judged(script).start();
    server.put("old", "old version");
    let before = fs::metadata(server.home().join("old")).unwrap();
    let mut client = Client::bob(&server);
    let reply = upload(&mut client, "STOR old", b"new version", 550);
    assert_eq!(reply.trim_end(), "550 Refused: infected: ?[31mx");
    assert_eq!(server.get("old"), b"old version");
    assert_eq!(fs::metadata(server.home().join("old")).unwrap().ino(), before.ino());
    upload(&mut client, "STOR new", b"new", 550);
    upload(&mut client, "STOU", b"new", 550);
    upload(&mut client, "APPE old", b" and more", 550);
    client.cmd("SIZE new", 550);
    assert!(parts(&server.home()).is_empty());
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
    assert_eq!(server.get("old"), b"old version");
    let line = server.wait_for_log("judged and refused: infected");
    assert!(line.contains("WARN") && line.contains("/old"), "{line}");
    server.wait_for_log("failed: judged and refused: infected");
}

#[test]
fn nothing_is_visible_or_lost_and_nothing_is_sent_while_a_judge_decides() {
    let server = judged(&format!("{WAITS} exit 0")).server("data_timeout = 1").start();
    server.put("old", "old version");
    let mut client = Client::bob(&server);
    send(&mut client, "STOR old", b"new");
    server.wait_for_log("it judges");
    let (_, who, _) = run(&["who"], server.dir());
    assert!(who.contains("judging ") && who.contains("/old"), "{who}");
    let mut other = Client::bob(&server);
    other.cmd("SIZE old", 213);
    assert_eq!(other.download("RETR old"), b"old version");
    assert_eq!(other.lines("NLST"), ["old"]);
    client.raw(b"PWD\r\nNOOP\r\n");
    // longer than data_timeout
    client.expect_silence(Duration::from_millis(1500));
    assert_eq!(server.get("old"), b"old version");
    go(&server);
    client.expect(226);
    assert_eq!(server.get("old"), b"new");
    client.expect(257);
    client.expect(200);
    no_parts(&server.home());
    let line = server.wait_for_log("STOR \"");
    let seconds = line.split(" bytes in ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(seconds.parse::<f64>().unwrap() < 1.0, "the time to judge does not count: {line}");
}

#[test]
fn an_exit_status_other_than_0_and_1_is_no_verdict() {
    for (script, why) in [
        ("exit 2", "exit status: 2"),
        ("exit 126", "exit status: 126"),
        ("kill -9 $$", "signal: 9"),
        ("kill -1 $$", "signal: 1"),
    ] {
        let server = judged(script).start();
        let mut client = Client::bob(&server);
        upload(&mut client, "STOR a", b"12345", 451);
        assert!(!server.has("a"), "{script}");
        let line = server.wait_for_log("could not be judged, and is not accepted: ");
        assert!(line.contains("WARN") && line.contains(why), "{line}");
        let server = judged(script).user("gate_fail = open").start();
        Client::bob(&server).upload("STOR a", b"12345");
        assert_eq!(server.get("a"), b"12345");
        let line = server.wait_for_log("accepted without being judged: ");
        assert!(line.contains("WARN") && line.contains(why), "{line}");
    }
}

#[test]
fn a_judge_that_has_gone_is_no_verdict() {
    let server = Server::setup().server("before_publish = judge").start_with(|dir| {
        fs::copy("/bin/true", dir.join("judge")).unwrap();
    });
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"1");
    fs::remove_file(server.dir().join("judge")).unwrap();
    upload(&mut client, "STOR a", b"2", 451);
    assert_eq!(server.get("a"), b"1");
    server.wait_for_log("exit status: 127");
}

#[test]
fn without_an_answer_in_time_the_part_stays_for_another_attempt() {
    let server = judged(&format!("{WAITS} exit 0")).server("gate_timeout = 1").start();
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR a", b"12345", 451);
    server.wait_for_log("did not answer in time");
    assert!(!server.has("a"));
    // what is kept is the whole file, which the client sees and can go on with
    assert!(client.cmd("SIZE a", 213).starts_with("213 5"));
    go(&server);
    client.cmd("REST 5", 350);
    upload(&mut client, "STOR a", b"", 226);
    assert_eq!(server.get("a"), b"12345");
    no_parts(&server.home());
}

#[test]
fn abor_ends_the_wait_and_the_rest_can_be_resumed() {
    let server = judged(&format!("{WAITS} exit 0")).start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"12345");
    server.wait_for_log("it judges");
    client.send("ABOR");
    client.expect(426);
    client.expect(226);
    assert!(!server.has("a"));
    go(&server);
    client.cmd("REST 3", 350);
    upload(&mut client, "STOR a", b"45", 226);
    assert_eq!(server.get("a"), b"12345");
    no_parts(&server.home());
    // the judge that nobody waits for any more was ended
    eventually("no judge runs", || server.programs().is_empty());
}

#[test]
fn the_end_of_the_server_ends_the_wait() {
    let mut server = judged(&format!("{WAITS} exit 0")).server("shutdown_grace = 0").start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"12345");
    server.wait_for_log("it judges");
    server.signal("TERM");
    client.expect(426);
    assert!(server.wait_for_exit().success());
    assert!(!server.has("a"));
}

#[test]
fn an_upload_that_is_judged_when_the_server_dies_is_not_in_place_and_can_be_resumed() {
    let mut server = judged(&format!("{WAITS} exit 0")).start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"12345");
    server.wait_for_log("it judges");
    server.kill();
    go(&server);
    server.start_again();
    assert!(!server.has("a"));
    let mut client = Client::bob(&server);
    assert!(client.cmd("SIZE a", 213).starts_with("213 5"));
    client.cmd("REST 5", 350);
    upload(&mut client, "STOR a", b"", 226);
    assert_eq!(server.get("a"), b"12345");
    no_parts(&server.home());
}

#[test]
fn a_whole_upload_outlives_its_control_connection() {
    let server = judged(&format!("{WAITS} exit 0")).server("on_upload = /usr/bin/env").start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"12345");
    server.wait_for_log("it judges");
    drop(client);
    // other clients are served meanwhile, and the session looks at its connection
    Client::bob(&server).cmd("NOOP", 200);
    assert!(!server.has("a"));
    go(&server);
    server.wait_for_log("]: FTPD_RESULT=complete");
    assert_eq!(server.get("a"), b"12345");
    let line = server.wait_for_log("STOR \"");
    assert!(line.contains("complete"), "{line}");
}

#[test]
fn kick_ends_the_wait() {
    let server = judged(&format!("{WAITS} exit 0")).start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"12345");
    server.wait_for_log("it judges");
    assert_eq!(run(&["kick", "bob"], server.dir()).0, 0);
    client.expect(426);
    client.expect(421);
    client.expect_close();
    assert!(!server.has("a"));
    eventually("no judge runs", || server.programs().is_empty());
}

#[test]
fn an_upload_is_judged_as_the_whole_file_that_it_will_be() {
    let server = judged("grep -q bad $0 && exit 1; exit 0").start();
    server.put("log", "first bad");
    server.put("good", "first ");
    let mut client = Client::bob(&server);
    // what is appended is harmless by itself
    upload(&mut client, "APPE log", b" more", 550);
    assert_eq!(server.get("log"), b"first bad");
    upload(&mut client, "APPE good", b"b", 226);
    upload(&mut client, "APPE good", b"ad", 550);
    assert_eq!(server.get("good"), b"first b");
    client.cmd("REST 6", 350);
    upload(&mut client, "STOR good", b"better", 226);
    assert_eq!(server.get("good"), b"first better");
    break_off(&mut client, "STOR new", b"b", &server.home());
    client.cmd("REST 1", 350);
    upload(&mut client, "STOR new", b"ad", 550);
    assert!(!server.has("new") && parts(&server.home()).is_empty());
    break_off(&mut client, "STOR new", b"b", &server.home());
    client.cmd("REST 1", 350);
    upload(&mut client, "STOR new", b"ut", 226);
    assert_eq!(server.get("new"), b"but");
    client.cmd("TYPE A", 200);
    upload(&mut client, "STOR text", b"b\r\nad\r\n", 226);
    upload(&mut client, "STOR text", b"a bad\r\n", 550);
    assert_eq!(server.get("text"), b"b\nad\n");
}

#[test]
fn what_would_be_changed_in_place_is_553() {
    let server = judged("exit 0").start();
    server.put("a", "text");
    fs::hard_link(server.home().join("a"), server.home().join("b")).unwrap();
    let mut client = Client::bob(&server);
    for command in ["STOR a", "APPE a"] {
        client.passive();
        let reply = client.cmd(command, 553);
        assert!(reply.contains("without being judged"), "{reply}");
    }
    assert_eq!(server.get("b"), b"text");
}

#[test]
fn a_part_that_was_changed_while_it_was_judged_is_not_put_in_place() {
    for change in ["echo x >>$0", "mv $0 $0.x; cp -p $0.x $0; rm $0.x", "touch -d @1 $0"] {
        let server = judged(&format!("{change}; exit 0")).start();
        server.put("a", "old");
        let mut client = Client::bob(&server);
        let reply = upload(&mut client, "STOR a", b"new", 451);
        assert!(reply.contains("replaced meanwhile"), "{reply}");
        assert_eq!(server.get("a"), b"old", "{change}");
        assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
    }
}

#[test]
fn another_session_may_take_the_upload_over_while_it_is_judged() {
    let server = judged(&format!("{WAITS} exit 0")).start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"12345");
    server.wait_for_log("it judges");
    let mut other = Client::bob(&server);
    other.cmd("REST 5", 350);
    send(&mut other, "STOR a", b"6");
    eventually("both are judged", || server.log().matches("it judges").count() == 2);
    go(&server);
    client.expect(426);
    other.expect(226);
    assert_eq!(server.get("a"), b"123456");
    no_parts(&server.home());
}

#[test]
fn the_folders_that_were_made_for_what_is_refused_go_again() {
    let script = "grep -q bad $0 && exit 1; exit 0";
    let lines = "store_as = {year}/{name}\noverwrite = rename";
    let server = judged(script).user(lines).start();
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR a", b"bad", 550);
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
    for name in ["a", "a (1)"] {
        let reply = upload(&mut client, "STOR a", b"good", 226);
        assert!(reply.trim_end().ends_with(name), "{reply}");
    }
}

#[test]
fn a_quota_gets_back_what_is_refused() {
    let server = judged("exit 1").user("quota_bytes = 1000\nquota_files = 1").start();
    let mut client = Client::bob(&server);
    for _ in 0..3 {
        upload(&mut client, "STOR a", &[0; 800], 550);
    }
}

#[test]
fn users_share_the_turns_and_many_uploads_of_one_do_not_keep_another_waiting() {
    let anna =
        "[user:anna]\npassword = x\nhome = home/anna\nperm = elw\nbefore_publish = /bin/true\n";
    let server = judged(&format!("{WAITS} exit 0"))
        .server("gate_workers = 2")
        .section(anna)
        .start_with(|dir| fs::create_dir(dir.join("home/anna")).unwrap());
    let mut many: Vec<_> = (0..5).map(|_| Client::bob(&server)).collect();
    for (number, client) in many.iter_mut().enumerate() {
        send(client, &format!("STOR a{number}"), b"x");
    }
    server.wait_for_log("it judges");
    let mut other = Client::login(&server, "anna", "x");
    upload(&mut other, "STOR b", b"x", 226);
    // one is left for others at any time
    assert_eq!(server.log().matches("it judges").count(), 1);
    go(&server);
    for client in &mut many {
        client.expect(226);
    }
    eventually("all were judged", || server.log().matches("it judges").count() == 5);
}

#[test]
fn the_time_to_wait_for_a_turn_counts() {
    let server =
        judged(&format!("{WAITS} exit 0")).server("gate_workers = 1\ngate_timeout = 3").start();
    let (mut first, mut second) = (Client::bob(&server), Client::bob(&server));
    send(&mut first, "STOR a", b"x");
    server.wait_for_log("it judges");
    let began = Instant::now();
    send(&mut second, "STOR b", b"x");
    first.expect(451);
    second.expect(451);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[test]
fn verdicts_are_counted() {
    let server = judged("read -r code <$0; exit $code").server("quarantine = apart").start();
    let mut client = Client::bob(&server);
    for (code, reply) in
        [("0", 226), ("0", 226), ("1", 550), ("2", 451), ("1", 550), ("1", 550)]
    {
        upload(&mut client, "STOR a", format!("{code}\n").as_bytes(), reply);
    }
    let (code, text, _) = run(&["stats", "--json"], server.dir());
    assert_eq!(code, 0, "{text}");
    let stats = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let gate = serde_json::json!({"accepted": 2, "refused": 3, "unanswered": 1});
    assert_eq!(stats["gate"], gate, "{text}");
    let uploads = &stats["transfers"]["upload"];
    assert_eq!((&uploads["refused"], &uploads["unjudged"]), (&3.into(), &1.into()), "{text}");
}

#[test]
fn the_reason_is_sent_in_the_charset_of_the_client() {
    let server = judged("printf 'gr\\303\\266\\303\\237er'; exit 1")
        .user("charset = windows-1252")
        .start();
    let mut client = Client::bob(&server);
    send(&mut client, "STOR a", b"x");
    assert_eq!(client.expect_bytes(550), b"550 Refused: gr\xF6\xDFer");
}

#[test]
fn keys_that_contradict_a_gate_are_faults() {
    let faults = |lines: &str, more: &str| {
        let ini = format!("[server]\n{lines}\n{BOB}{more}");
        let dir = folder(&ini);
        let (code, _, err) = run(&["check"], dir.path());
        (code, err)
    };
    for gate in ["before_publish = /bin/true", "scan = clamd:/run/clamd.ctl"] {
        let key = gate.split(' ').next().unwrap();
        let needs = format!("{key}: 'on' needs atomic_uploads = on, but ");
        for (lines, more) in [
            (format!("{gate}\natomic_uploads = off"), String::new()),
            (gate.to_owned(), "atomic_uploads = off\n".to_owned()),
            ("atomic_uploads = off".to_owned(), format!("{gate}\n")),
            ("atomic_uploads = off".to_owned(), format!("[folder:/in]\n{gate}\n")),
        ] {
            let (code, err) = faults(&lines, &more);
            assert_eq!(code, 78, "{lines} {more}");
            assert!(err.contains(&needs), "{err}");
        }
        assert_eq!(faults(&format!("{gate}\nquarantine = apart"), "").0, 0);
    }
    for (lines, more) in [
        ("quarantine = home", ""),
        ("quarantine = home/apart", ""),
        ("quarantine = home/./apart/new", ""),
        ("", "quarantine = home/apart\n"),
        ("", "[folder:/in]\nquarantine = home/apart\n"),
        ("quarantine = other/apart", "[folder:/in]\nfrom = other\n"),
        ("quarantine = all/apart\nauth_program = /bin/true\nauth_homes = all", ""),
    ] {
        let (code, err) = faults(lines, more);
        assert!(code == 78 && err.contains(", where clients can see it"), "{code} {err}");
    }
}

#[test]
fn a_judge_of_a_user_from_elsewhere_runs_as_the_user_of_the_answer() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let lines = "auth_program = /bin/cat DIR/answer\nauth_homes = homes\nauth_perm = elradfmw\n\
                 auth_run_as = on\nuser = nobody";
    let folder = "[folder:/in]\nbefore_publish = /bin/sh -c \"id -u >&2; exit 1\"\n";
    let server = Server::setup().server(lines).section(folder).start_with(|dir| {
        let ini = dir.join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, text.replace("DIR", dir.to_str().unwrap())).unwrap();
        let home = dir.join("homes/ann");
        fs::create_dir_all(home.join("in")).unwrap();
        for folder in [&home, &home.join("in")] {
            std::os::unix::fs::chown(folder, Some(61_001), Some(61_002)).unwrap();
        }
        let answer = "{\"accept\": true, \"run_as\": \"61001:61002\"}";
        fs::write(dir.join("answer"), answer).unwrap();
    });
    let mut client = Client::login(&server, "ann", "x");
    upload(&mut client, "STOR a", b"x", 226);
    upload(&mut client, "STOR in/a", b"x", 550);
    server.wait_for_log("]: 61001");
}

#[test]
fn each_folder_has_its_own_gate_and_no_rename_or_copy_leads_around_it() {
    let server = Server::setup()
        .section(
            "[folder:/in]\nbefore_publish = /bin/false\n[folder:/in/free]\nbefore_publish =\n",
        )
        .start();
    for dir in ["in", "in/free", "out"] {
        fs::create_dir(server.home().join(dir)).unwrap();
    }
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR in/a", b"x", 550);
    for free in ["a", "out/a", "in/free/a"] {
        upload(&mut client, &format!("STOR {free}"), b"x", 226);
        client.cmd(&format!("RNFR {free}"), 350);
        client.cmd("RNTO in/a", 553);
        client.cmd(&format!("SITE CPFR {free}"), 350);
        client.cmd("SITE CPTO in/a", 550);
        client.cmd(&format!("SITE CPFR {free}"), 350);
        client.cmd("SITE CPTO out/copy", 250);
    }
    client.cmd("RNFR out", 350);
    client.cmd("RNTO in/out", 553);
    // not even an empty directory, in which a file may appear at this moment
    client.cmd("MKD empty", 257);
    client.cmd("RNFR empty", 350);
    client.cmd("RNTO in/empty", 553);
    client.cmd("RNFR empty", 350);
    client.cmd("RNTO out/empty", 250);
    client.cmd("RNFR a", 350);
    client.cmd("RNTO out/b", 250);
    // within a folder, and from one to another with the same judge
    server.put("in/b", "x");
    client.cmd("RNFR in/b", 350);
    client.cmd("RNTO in/c", 250);
    assert!(!server.has("in/a") && parts(&server.home().join("in")).is_empty());
}

/// The same judge is not enough: in one of the folders a file may lie that was not judged at all.
#[test]
fn no_file_moves_from_a_gate_that_fails_open_behind_one_that_fails_closed() {
    let gate = "before_publish = /bin/sh -c \"exit 7\"";
    let server = Server::setup()
        .section(&format!(
            "[folder:/open]\n{gate}\ngate_fail = open\n[folder:/closed]\n{gate}\n"
        ))
        .start();
    for dir in ["open", "closed"] {
        fs::create_dir(server.home().join(dir)).unwrap();
    }
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR open/a", b"x", 226);
    client.cmd("MKD open/d", 257);
    for name in ["a", "d"] {
        client.cmd(&format!("RNFR open/{name}"), 350);
        client.cmd(&format!("RNTO closed/{name}"), 553);
    }
    // what lies there was judged
    server.put("closed/b", "x");
    client.cmd("RNFR closed/b", 350);
    client.cmd("RNTO open/b", 250);
    assert!(!server.has("closed/a") && !server.has("closed/d"));
}

#[test]
fn a_folder_from_elsewhere_has_a_gate_of_its_own() {
    let script = "echo $(cat $0) for $FTPD_PATH >&2; grep -q bad $0 && exit 1; exit 0";
    let section = format!(
        "[folder:/other]\nfrom = elsewhere\nperm = elrw\nbefore_publish = /bin/sh -c \"{script}\"\n"
    );
    let server = Server::setup()
        .section(&section)
        .start_with(|dir| fs::create_dir(dir.join("elsewhere")).unwrap());
    let other = server.dir().join("elsewhere");
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR other/a", b"bad one", 550);
    server.wait_for_log("]: bad one for ");
    server.wait_for_log("judged and refused: the program gave no reason");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    upload(&mut client, "STOR other/a", b"good one", 226);
    server.wait_for_log(&format!("]: good one for {}", other.join("a").display()));
    assert_eq!(fs::read(other.join("a")).unwrap(), b"good one");
    upload(&mut client, "STOR a", b"bad one", 226);
}

/// The names in a quarantine.
fn names(dir: &Path) -> Vec<String> {
    let all = fs::read_dir(dir).unwrap();
    let mut all: Vec<_> =
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn what_is_refused_is_kept_in_the_quarantine_and_never_replaced_there() {
    let server = judged("exit 1").server("quarantine = apart/files").start();
    let apart = server.dir().join("apart/files");
    assert_eq!(fs::metadata(&apart).unwrap().mode() & 0o777, 0o700, "made at the start");
    let mut client = Client::bob(&server);
    let long = "x".repeat(250);
    for name in ["a.doc", "a.doc", long.as_str()] {
        upload(&mut client, &format!("STOR {name}"), b"12345", 550);
    }
    let names = names(&apart);
    assert_eq!(names.len(), 3, "{names:?}");
    let count = |end: &str| names.iter().filter(|name| name.contains(end)).count();
    assert_eq!((count(" bob a.doc"), count(" bob xxx")), (2, 1), "{names:?}");
    for name in &names {
        let path = apart.join(name);
        assert_eq!(fs::read(&path).unwrap(), b"12345");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        server.wait_for_log(&format!("kept as \"{}\"", path.display()));
    }
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

#[test]
fn a_quarantine_that_cannot_be_written_to_lets_nothing_in() {
    let server = judged("exit 1").server("quarantine = apart").start();
    fs::remove_dir(server.dir().join("apart")).unwrap();
    fs::write(server.dir().join("apart"), "").unwrap();
    upload(&mut Client::bob(&server), "STOR a", b"12345", 550);
    server.wait_for_log("cannot keep a refused upload: ");
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

#[test]
fn a_quarantine_may_be_on_another_file_system() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("not tested: no /dev/shm");
        return;
    };
    let server = judged("exit 1")
        .server(&format!("quarantine = {}", other.path().join("q").display()))
        .start();
    let content = noise(7, 3_000_000);
    upload(&mut Client::bob(&server), "STOR a", &content, 550);
    let names = names(&other.path().join("q"));
    assert!(fs::read(other.path().join("q").join(&names[0])).unwrap() == content);
    assert_eq!((names.len(), fs::read_dir(server.home()).unwrap().count()), (1, 0));
}

#[test]
fn a_judge_runs_as_the_user_of_run_as_and_the_quarantine_is_the_server_s() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    for user in ["", "user = nobody"] {
        let server = judged("id -u >&2; cat $0 >&2; exit 1")
            .server(&format!("{user}\nquarantine = apart"))
            .user("run_as = 61001:61002")
            .home_of(61_001)
            .start_with(|dir| {
                fs::set_permissions(dir.join("home"), PermissionsExt::from_mode(0o700))
                    .unwrap();
            });
        let mut client = Client::bob(&server);
        upload(&mut client, "STOR a", b"12345", 550);
        server.wait_for_log("]: 61001");
        server.wait_for_log("]: 12345");
        let apart = server.dir().join("apart");
        let kept = fs::metadata(apart.join(&names(&apart)[0])).unwrap();
        let own = if user.is_empty() { 0 } else { 65_534 };
        assert_eq!((kept.uid(), kept.len(), kept.mode() & 0o777), (own, 5, 0o600));
    }
}

/// A scanner of the test's own. It answers each file by calling this function, and the files arrive at the
/// other end of the channel.
fn scanner(
    socket: &Path,
    answer: impl Fn(&mut dyn Write) + Send + 'static,
) -> Receiver<Vec<u8>> {
    let listener = UnixListener::bind(socket).unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if let Some(file) = received(&mut stream) {
                let _ = tell.send(file);
                answer(&mut stream);
            }
            // until the server closes the connection
            let _ = stream.read(&mut [0]);
        }
    });
    told
}

/// Reads the command and the pieces of a file.
fn received(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut command = [0; 10];
    stream.read_exact(&mut command).ok()?;
    assert_eq!(&command, b"zINSTREAM\0");
    let mut file = Vec::new();
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes(head) as usize;
        if length == 0 {
            return Some(file);
        }
        let start = file.len();
        file.resize(start + length, 0);
        stream.read_exact(&mut file[start..]).ok()?;
    }
}

/// A server whose scanner answers in this way, and the files that the scanner has received.
fn scanned(
    lines: &str,
    answer: impl Fn(&mut dyn Write) + Send + 'static,
) -> (Server, Receiver<Vec<u8>>) {
    let mut files = None;
    let server = Server::setup()
        .server(&format!("scan = clamd:./clamd.ctl\ngate_timeout = 2\n{lines}"))
        .start_with(|dir| files = Some(scanner(&dir.join("clamd.ctl"), answer)));
    (server, files.unwrap())
}

#[test]
fn a_scanner_receives_the_whole_file_and_its_answer_may_come_byte_by_byte() {
    let slowly = |text: &'static [u8]| {
        move |to: &mut dyn Write| {
            for byte in text {
                to.write_all(&[*byte]).unwrap();
                // the pace is what is tested
                thread::sleep(Duration::from_millis(5));
            }
        }
    };
    let (server, files) = scanned("", slowly(b"stream: OK\0"));
    let mut client = Client::bob(&server);
    for content in [noise(1, 1_000_000), Vec::new(), vec![7; 65536], vec![0; 65537]] {
        upload(&mut client, "STOR a", &content, 226);
        assert!(files.recv().unwrap() == content);
        assert!(server.get("a") == content);
    }
    let (server, _files) = scanned("", slowly(b"stream: Evil-1 FOUND\0"));
    let reply = upload(&mut Client::bob(&server), "STOR a", b"x", 550);
    assert_eq!(reply.trim_end(), "550 Refused: Evil-1");
    assert!(!server.has("a") && parts(&server.home()).is_empty());
}

#[test]
fn what_a_scanner_says_late_never_or_in_other_words_is_no_verdict() {
    for (answer, why) in [
        (&b"INSTREAM size limit exceeded. ERROR\0"[..], "INSTREAM size limit exceeded"),
        (b"stream: Can't allocate memory ERROR\0", "allocate memory"),
        (b"UNKNOWN COMMAND\0", "UNKNOWN COMMAND"),
        (b"stream: OK", "no response in time"),
        (b"", "no response in time"),
    ] {
        let (server, _files) = scanned("", move |to| to.write_all(answer).unwrap());
        let mut client = Client::bob(&server);
        upload(&mut client, "STOR a", b"12345", 451);
        assert!(!server.has("a"));
        server.wait_for_log(why);
        client.cmd("SIZE a", 213);
    }
    let (server, _files) = scanned("gate_fail = open", |_| ());
    upload(&mut Client::bob(&server), "STOR a", b"12345", 226);
    assert_eq!(server.get("a"), b"12345");
}

#[test]
fn a_scanner_that_is_not_there_or_closes_is_no_verdict() {
    let server = Server::setup().server("scan = clamd:./clamd.ctl").start();
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR a", b"12345", 451);
    server.wait_for_log("No such file or directory");
    let listener = UnixListener::bind(server.dir().join("clamd.ctl")).unwrap();
    thread::spawn(move || while listener.accept().is_ok() {});
    upload(&mut client, "STOR a", &noise(1, 1_000_000), 451);
    assert!(!server.has("a"));
}

#[test]
fn a_scanner_is_asked_by_the_server_s_user_and_need_not_be_able_to_read_the_file() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let mut files = None;
    let server = Server::setup()
        .server("scan = clamd:./clamd.ctl")
        .user("run_as = 61001:61002\nfile_mode = 0600")
        .home_of(61_001)
        .start_with(|dir| {
            fs::set_permissions(dir.join("home"), PermissionsExt::from_mode(0o700)).unwrap();
            let socket = dir.join("clamd.ctl");
            files = Some(scanner(&socket, |to| to.write_all(b"stream: OK\0").unwrap()));
            fs::set_permissions(socket, PermissionsExt::from_mode(0o600)).unwrap();
        });
    upload(&mut Client::bob(&server), "STOR a", b"12345", 226);
    assert_eq!(files.unwrap().recv().unwrap(), b"12345");
    assert_eq!(fs::metadata(server.home().join("a")).unwrap().uid(), 61_001);
}

#[test]
fn a_scanner_may_listen_on_a_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let told = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let file = received(&mut stream).unwrap();
        stream.write_all(b"stream: Evil FOUND\0").unwrap();
        file
    });
    let server =
        Server::setup().server(&format!("scan = clamd:localhost:{}", at.port())).start();
    upload(&mut Client::bob(&server), "STOR a", b"12345", 550);
    assert_eq!(told.join().unwrap(), b"12345");
    // now nothing listens there
    upload(&mut Client::bob(&server), "STOR a", b"12345", 451);
}

#[test]
fn both_must_accept_and_the_scanner_is_asked_first() {
    let (server, files) = scanned("before_publish = /bin/false", |to| {
        to.write_all(b"stream: OK\0").unwrap();
    });
    assert!(upload(&mut Client::bob(&server), "STOR a", b"1", 550).starts_with("550 Refused"));
    assert_eq!(files.recv().unwrap(), b"1");
    let (server, _files) = scanned("before_publish = /bin/sh -c \"echo asked >&2\"", |to| {
        to.write_all(b"stream: Evil FOUND\0").unwrap();
    });
    upload(&mut Client::bob(&server), "STOR a", b"1", 550);
    assert!(!server.log().contains("]: asked"));
}

/// A real clamd with one signature, that of the test file EICAR.
struct Clamd {
    child: Child,
    _tool: Tool,
    socket: PathBuf,
}

/// The file that virus scanners agree to find. It is put together here, so that they do not find this
/// source.
fn eicar() -> Vec<u8> {
    [&b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$"[..], b"EICAR-STANDARD-ANTIVIRUS-", b"TEST-FILE!$H+H*"]
        .concat()
}

impl Clamd {
    fn start() -> Option<Self> {
        let tool = Tool::find("clamd")?;
        let hex: Vec<_> = eicar()[28..62].iter().map(|byte| format!("{byte:02x}")).collect();
        tool.put("db/test.ndb", format!("Eicar-Test-Signature:0:*:{}\n", hex.concat()));
        let (socket, db) = (tool.path("clamd.ctl"), tool.path("db"));
        let conf = format!(
            "Foreground yes\nDatabaseDirectory {}\nLocalSocket {}\nStreamMaxLength 1M\n\
             MaxThreads 4\n{}",
            db.display(),
            socket.display(),
            if rustix::process::geteuid().is_root() { "User root\n" } else { "" }
        );
        let conf = tool.put("clamd.conf", conf);
        let mut command = Command::new("clamd");
        command.arg("-c").arg(conf).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let clamd = Self { child, _tool: tool, socket };
        eventually("clamd listens", || clamd.socket.exists());
        Some(clamd)
    }

    fn server(&self, lines: &str) -> Server {
        let scan = format!("scan = clamd:{}\n{lines}", self.socket.display());
        Server::setup().server(&scan).start()
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn clamd_finds_a_virus_which_nobody_ever_sees() {
    let Some(clamd) = Clamd::start() else { return };
    let server = clamd.server("tls_cert = auto\nquarantine = apart");
    server.put("old", "old version");
    let bad = eicar();
    let refused = "550 Refused: Eicar-Test-Signature.UNOFFICIAL";
    let mut client = Client::bob(&server);
    for name in ["old", "new"] {
        let reply = upload(&mut client, &format!("STOR {name}"), &bad, 550);
        assert_eq!(reply.trim_end(), refused);
    }
    // a file that is whole only after a resume
    break_off(&mut client, "STOR old", &bad[..40], &server.home());
    client.cmd("REST 40", 350);
    assert_eq!(upload(&mut client, "STOR old", &bad[40..], 550).trim_end(), refused);
    let good = noise(3, 900_000);
    break_off(&mut client, "STOR good", &good[..500_000], &server.home());
    client.cmd("REST 500000", 350);
    upload(&mut client, "STOR good", &good[500_000..], 226);
    assert!(server.get("good") == good);
    for version in VERSIONS {
        let tls = Tls::new(version);
        let mut client = Client::secure_bob(&server, &tls);
        let mut data = client.begin(&tls, "STOR old");
        data.send(&bad).unwrap();
        data.end();
        assert_eq!(client.expect(550).trim_end(), refused);
        client.secure_upload(&tls, "STOR over-tls", b"harmless");
        assert_eq!(server.get("over-tls"), b"harmless");
    }
    assert_eq!(server.get("old"), b"old version");
    assert!(!server.has("new") && parts(&server.home()).is_empty());
    let apart = server.dir().join("apart");
    let names = names(&apart);
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(names.iter().all(|name| fs::read(apart.join(name)).unwrap() == bad));
}

#[test]
fn a_file_that_is_too_large_for_clamd_was_not_judged() {
    let Some(clamd) = Clamd::start() else { return };
    let large = noise(4, 5_000_000);
    let server = clamd.server("");
    upload(&mut Client::bob(&server), "STOR a", &large, 451);
    server.wait_for_log("INSTREAM size limit exceeded");
    assert!(!server.has("a"));
    let server = clamd.server("gate_fail = open");
    upload(&mut Client::bob(&server), "STOR a", &large, 226);
    assert!(server.get("a") == large);
}
