//! Uploads that are judged before they are in place: `before_publish`, `scan` and `quarantine`.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::client::Client;
use crate::parts::{no_parts, parts};
use crate::server::{Server, Setup, eventually};

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
