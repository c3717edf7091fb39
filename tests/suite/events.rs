//! `events`: what happens is told to a receiver on another machine, at least once.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use ftpd::config::Occasion;
use ring::hmac;
use serde_json::Value;

use crate::client::Client;
use crate::clients::Tool;
use crate::external::{Web, response, tls_of};
use crate::server::{Server, Setup, eventually, free_port, run};
use crate::tls_client::Authority;
use crate::tracer::{self, Fault, Tracer};

/// Settings of a server that tells this URL of events.
fn telling(url: &str) -> Setup {
    Server::setup().server(&format!("events = {url}"))
}

/// A receiver that takes everything.
fn taking() -> Web {
    Web::start(None, |_, to| to.write_all(response("204 No Content", "").as_bytes()))
}

fn url(web: &Web) -> String {
    format!("http://127.0.0.1:{}/told", web.port)
}

/// The bodies of the requests that a receiver has got.
fn bodies(web: &Web) -> Vec<Value> {
    let asked = web.asked.lock().unwrap();
    let body = |request: &String| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    asked.iter().map(|request| serde_json::from_str(&body(request)).unwrap()).collect()
}

/// Waits until a receiver has got this number of requests, and returns their bodies.
fn told(web: &Web, count: usize) -> Vec<Value> {
    eventually("the receiver is told", || web.count() >= count);
    bodies(web)
}

/// The ids in the order in which they came, each once.
fn ids(events: &[Value]) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for event in events {
        let id = event["id"].as_str().unwrap();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn number(server: &Server, name: &str) -> Value {
    let (code, text, _) = run(&["stats", "--json"], server.dir());
    assert_eq!(code, 0, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()[name].clone()
}

#[test]
fn an_upload_that_a_judge_refuses_is_told_as_refused_and_not_as_an_upload() {
    let web = taking();
    let server = telling(&url(&web))
        .server(
            "event_kinds = upload, refused\n\
             before_publish = /bin/sh -c \"grep -q bad $0 && { echo no good; exit 1; }; exit 0\"",
        )
        .start();
    let mut client = Client::bob(&server);
    for (name, content, code) in [("a", "bad", 550), ("b", "good", 226)] {
        let mut data = client.passive();
        client.cmd(&format!("STOR {name}"), 150);
        data.write_all(content.as_bytes()).unwrap();
        drop(data);
        client.expect(code);
    }
    let all = told(&web, 2);
    let texts = |at: usize, names: [&str; 3]| names.map(|name| all[at][name].as_str());
    let names = ["kind", "path", "message"];
    let message = Some("STOR: judged and refused: no good");
    assert_eq!(texts(0, names), [Some("refused"), Some("/a"), message]);
    assert_eq!(texts(1, names), [Some("upload"), Some("/b"), None]);
}

#[test]
fn every_kind_of_event_is_told_in_the_same_shape_and_in_order() {
    let web = taking();
    let server = telling(&url(&web))
        .server(
            "event_kinds = upload, download, delete, rename, mkdir, login, refused, silence",
        )
        .start();
    let mut client = Client::bob(&server);
    client.cmd("MKD d", 257);
    client.upload("STOR d/a b", b"12345");
    client.download("RETR d/a b");
    client.cmd("RNFR d/a b", 350);
    client.cmd("RNTO c", 250);
    client.cmd("DELE c", 250);
    client.cmd("DELE c", 550);
    let mut stranger = Client::connect(&server);
    stranger.cmd("USER eve\u{e4}", 331);
    stranger.cmd("PASS tops3cret", 530);
    let all = told(&web, 8);
    let seen = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", text("kind"), text("user"), text("path"), text("result"))
    };
    let seen: Vec<_> = all.iter().map(seen).collect();
    assert_eq!(
        seen,
        [
            "login bob / done",
            "mkdir bob /d done",
            "upload bob /d/a b complete",
            "download bob /d/a b complete",
            "rename bob /c done",
            "delete bob /c done",
            "refused bob /c refused",
            "login eve\u{e4} - failed",
        ]
    );
    let names = [
        "address",
        "bytes",
        "from",
        "id",
        "kind",
        "message",
        "path",
        "real_path",
        "result",
        "seconds",
        "time",
        "tls",
        "user",
    ];
    for event in &all {
        let mut found: Vec<_> = event.as_object().unwrap().keys().collect();
        found.sort();
        assert_eq!(found, names);
        assert_eq!(event["address"], "127.0.0.1");
    }
    assert_eq!(all[2]["bytes"], 5);
    assert_eq!(all[2]["real_path"], server.home().join("d/a b").to_str().unwrap());
    assert_eq!(all[4]["from"], "/d/a b");
    assert!(all[6]["message"].as_str().unwrap().starts_with("DELE: "), "{}", all[6]);
    assert_eq!(all[6]["real_path"], server.home().join("c").to_str().unwrap());
    assert!(all[7]["message"].as_str().unwrap().contains("no such user"), "{}", all[7]);
    assert_eq!(ids(&all).len(), 8);
    let request = web.asked.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /told HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("X-Ftpd-Signature"), "{request}");
    assert!(!web.asked.lock().unwrap().iter().any(|request| request.contains("tops3cret")));
    eventually("all is counted", || number(&server, "events_sent") == 8);
    assert_eq!(number(&server, "events_waiting"), 0);
}

#[test]
fn only_the_kinds_that_are_asked_for_are_told() {
    let web = taking();
    let server = telling(&url(&web)).server("event_kinds = delete").start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"1");
    client.cmd("DELE x", 550);
    client.cmd("DELE a", 250);
    client.upload("STOR b", b"1");
    client.cmd("DELE b", 250);
    let all = told(&web, 2);
    assert!(all.iter().all(|event| event["kind"] == "delete"), "{all:?}");
}

#[test]
fn a_post_is_signed_over_https_and_the_secret_is_shown_nowhere() {
    let authority = Authority::new();
    let web = Web::start(Some(tls_of(&authority.issue("web"))), |_, to| {
        to.write_all(response("200 OK", "{}").as_bytes())
    });
    let server = telling(&format!("https://localhost:{}/", web.port))
        .server(&format!("ca_file = {}", authority.file().display()))
        .server("events_secret = s3 cret\nlog_level = trace")
        .start();
    Client::bob(&server).upload("STOR a", b"1");
    told(&web, 2);
    for request in web.asked.lock().unwrap().iter() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3 cret");
        let tag = hmac::sign(&key, body.as_bytes());
        let mut wanted = "X-Ftpd-Signature: sha256=".to_owned();
        tag.as_ref().iter().for_each(|byte| wanted += &format!("{byte:02x}"));
        assert!(head.lines().any(|line| line == wanted), "{head}");
    }
    let ini = server.dir().join("ftpd.ini");
    let (code, text, errors) =
        run(&["check", "-v", "--config", ini.to_str().unwrap()], server.dir());
    assert_eq!(code, 0, "{errors}");
    assert!(text.contains("events_secret") && text.contains("***"), "{text}");
    assert!(!text.contains("s3 cret") && !errors.contains("s3 cret"));
    assert!(!server.log().contains("s3 cret"));
}

#[test]
fn what_a_receiver_does_not_take_is_told_again_until_it_does_and_in_order() {
    let elsewhere = taking();
    let target = url(&elsewhere);
    let tries = AtomicUsize::new(0);
    let web = Web::start(None, move |_, to| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => to.write_all(response("500 Oops", "no").as_bytes()),
        1 => Ok(()),
        2 => {
            let head = format!("HTTP/1.1 307 There\r\nLocation: {target}\r\n\r\n");
            to.write_all(head.as_bytes())
        }
        _ => to.write_all(response("202 Accepted", "").as_bytes()),
    });
    let server = telling(&url(&web)).server("event_kinds = upload").start();
    let mut client = Client::bob(&server);
    for name in ["a", "b", "a", "c"] {
        client.upload(&format!("STOR {name}"), b"1");
    }
    let all = told(&web, 7);
    let paths: Vec<_> = all.iter().map(|event| event["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/a", "/a", "/a", "/a", "/b", "/a", "/c"]);
    assert_eq!(ids(&all).len(), 4);
    assert!(all[..4].iter().all(|event| event == &all[0]), "a repetition is the same");
    for why in ["status 500", "cut off", "status 307, and redirects are not followed"] {
        let line = server.wait_for_log(why);
        assert!(line.contains("WARN") && line.contains("events: http://127.0.0.1:"), "{line}");
    }
    server.wait_for_log("/told works again");
    assert_eq!(elsewhere.count(), 0, "the redirect was followed");
}

/// A gate at which the threads of a receiver wait.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn wait(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[test]
fn a_receiver_that_hangs_delays_nobody_and_gets_all_after_a_kill() {
    let door = Arc::new(Door::default());
    let own = Arc::clone(&door);
    let web = Web::start(None, move |_, to| {
        own.wait();
        to.write_all(response("200 OK", "").as_bytes())
    });
    let mut server = telling(&url(&web)).server("event_kinds = upload").start();
    let mut client = Client::bob(&server);
    client.upload("STOR 0", b"1");
    let first = told(&web, 1).remove(0);
    for name in 1..100 {
        client.upload(&format!("STOR {name}"), b"1");
    }
    let hanging = bodies(&web);
    assert!(hanging.iter().all(|event| *event == first), "the first one still hangs");
    server.restart("KILL");
    let again = told(&web, hanging.len() + 1).pop().unwrap();
    assert_eq!(first, again, "told again, with the same id");
    door.open();
    Client::bob(&server).upload("STOR 100", b"1");
    eventually("all are told", || ids(&bodies(&web)).len() == 101);
    let mut paths: Vec<_> = bodies(&web).iter().map(|event| event["path"].clone()).collect();
    paths.dedup();
    assert_eq!(paths, (0..=100).map(|name| format!("/{name}")).collect::<Vec<_>>());
    // nothing is told twice after an orderly stop, and nothing is left
    eventually("all is counted", || number(&server, "events_waiting") == 0);
    let count = web.count();
    server.restart("TERM");
    Client::bob(&server).upload("STOR 101", b"1");
    assert_eq!(told(&web, count + 1)[count]["path"], "/101");
}

#[test]
fn an_event_that_the_receiver_refuses_for_good_is_dropped() {
    let web = Web::start(None, |request, to| {
        let status = if request.contains("\"/bad\"") { "422 No" } else { "200 OK" };
        to.write_all(response(status, "").as_bytes())
    });
    let server = telling(&url(&web)).server("event_kinds = upload").start();
    let mut client = Client::bob(&server);
    for name in ["a", "bad", "b"] {
        client.upload(&format!("STOR {name}"), b"1");
    }
    told(&web, 3);
    let line = server.wait_for_log("events are dropped: ");
    assert!(line.contains("the receiver refuses them (1 more, 1 since the start)"), "{line}");
    eventually("all is counted", || number(&server, "events_sent") == 2);
    assert_eq!(number(&server, "events_dropped")["refused"], 1);
}

#[test]
fn an_event_that_cannot_be_written_is_counted_and_the_upload_stands() {
    let web = taking();
    let server = telling(&url(&web)).server("event_kinds = upload").start_with(|dir| {
        fs::create_dir(dir.join("ftpd-state")).unwrap();
        fs::write(dir.join("ftpd-state/events"), "not a directory").unwrap();
    });
    Client::bob(&server).upload("STOR a", b"1");
    let line = server.wait_for_log("events are dropped: ");
    let why = "they could not be written: ";
    assert!(line.contains(why) && line.contains("/ftpd-state/events: "), "{line}");
    assert!(line.ends_with("(os error 17) (1 more, 1 since the start)"), "{line}");
    assert_eq!(number(&server, "events_dropped")["unwritten"], 1);
    assert_eq!((server.get("a"), web.count()), (b"1".to_vec(), 0));
}

#[test]
fn a_user_who_becomes_silent_and_uploads_again_is_told_of() {
    let web = taking();
    let ago = SystemTime::now() - Duration::from_secs(7200);
    let seconds = ago.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let setup = telling(&url(&web)).server("event_kinds = silence").user("expect_every = 1h");
    let server = setup.start_with(|dir| {
        fs::create_dir(dir.join("ftpd-state")).unwrap();
        fs::write(dir.join("ftpd-state/uploads"), format!("{seconds}.0 ::1 bob\n")).unwrap();
    });
    assert_eq!(told(&web, 1)[0]["result"], "silent");
    Client::bob(&server).upload("STOR a", b"1");
    let back = &told(&web, 2)[1];
    assert_eq!((&back["result"], &back["user"]), (&"back".into(), &"bob".into()));
}

#[test]
fn a_reload_changes_the_receiver_and_what_waits_goes_to_the_new_one() {
    let (old, new) = (free_port(), taking());
    let server =
        telling(&format!("http://127.0.0.1:{old}/")).server("event_kinds = upload").start();
    Client::bob(&server).upload("STOR a", b"1");
    server.wait_for_log("Connection refused");
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&format!("127.0.0.1:{old}/"), &url(&new)["http://".len()..]))
        .unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    assert_eq!(told(&new, 1)[0]["path"], "/a");
    fs::write(&file, text.replace("events = ", "; ")).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::bob(&server).upload("STOR b", b"1");
    assert_eq!(number(&server, "events_waiting"), 0);
    assert_eq!(new.count(), 1);
}

#[test]
fn wrong_settings_are_told_without_a_password() {
    let check = |lines: &str| {
        let dir = crate::program::folder(format!(
            "[server]\nport = 0\n{lines}\n[user:bob]\npassword = x\nhome = .\n"
        ));
        let file = dir.path().join("ftpd.ini");
        fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
        let (code, text, errors) = run(&["check", "--config", "ftpd.ini"], dir.path());
        (code, text + &errors)
    };
    let good = "events = mqtts://u%40x:p%2Fw@broker.example:1/a/b";
    for (lines, why) in [
        ("events = ftp://h/", "is not a URL such as https://host/path or mqtt://host/topic"),
        ("events = mqtt://u:tops3cret@/t", "is not a URL such as mqtt://user:password@host"),
        ("events = https://u:tops3cret@h/", "other URLs take no user"),
        ("events = https://h:x/?key=tops3cret", "is not a URL"),
        ("auth_url = https://h:x/?key=tops3cret", "is not a URL"),
        ("events = mqtt://h/a/#", "is not a URL"),
        ("events = mqtt://h/a%2B", "has a topic with +"),
        ("events = http://h/\nstate_dir =", "needs a state_dir"),
        ("events = mqtt://h/t\nevents_secret = tops3cret", "signs POSTs alone"),
        ("event_kinds = upload, up", "'up' is not one of upload, download"),
        ("events_keep = 64M", "is not a size and a duration"),
        ("events_keep = 1K, 7d", "keeps less than 1M"),
        ("events = https://h/\nca_file = ftpd.ini", "contains no certificate"),
    ] {
        let (code, text) = check(lines);
        assert!(code != 0 && text.contains(why), "{lines}: {text}");
        assert!(!text.contains("tops3cret"), "{text}");
    }
    let (code, text) = check("events = http://h/a?key=tops3cret");
    assert!(code == 0 && text.contains("contains a secret, and others can read"), "{text}");
    let ca = Authority::new();
    let (code, text) = check(&format!("{good}\nca_file = {}", ca.file().display()));
    assert!(code == 0 && text.contains("contains a secret, and others can read"), "{text}");
}

/// A broker, in a folder of its own.
struct Broker {
    child: Option<Child>,
    port: u16,
    tool: Tool,
}

impl Broker {
    /// A broker that is not started yet; none if it is not installed.
    fn find() -> Option<Self> {
        Some(Self { child: None, port: free_port(), tool: Tool::find("mosquitto")? })
    }

    fn start(&mut self) {
        self.start_with("");
    }

    /// Starts with more lines of its settings.
    fn start_with(&mut self, lines: &str) {
        let passwords = self.tool.put("passwords", PASSWORDS);
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\n\
             persistence false\n{lines}\n",
            self.port,
            passwords.display()
        );
        let file = self.tool.put("mosquitto.conf", text);
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(file);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        eventually("the broker listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!("mqtt://cam%40x:p%2Fw@127.0.0.1:{}/site/ftpd", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The user `cam@x` with the password `p/w`, as `mosquitto_passwd` writes it.
const PASSWORDS: &str = "cam@x:$7$101$EbJQEqTdfkxRnY97$41sfaxniO1gyLVDl9Mig/eMttCIL3bYMYQhtEEXWSe+PSqvfLImpIR3aE2MO6y+BQYY77ioswH3ZU2QU+Kvb2Q==\n";

/// A client that has subscribed to everything.
struct Subscriber(TcpStream);

impl Subscriber {
    fn new(broker: &Broker) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", broker.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
            .write_all(b"\x10\x1c\0\x04MQTT\x04\xc2\0\0\0\x04test\0\x05cam@x\0\x03p/w")
            .unwrap();
        let mut subscriber = Self(stream);
        assert_eq!(subscriber.packet(), (0x20, vec![0, 0]));
        subscriber.0.write_all(b"\x82\x06\0\x01\0\x01#\x01").unwrap();
        assert_eq!(subscriber.packet(), (0x90, vec![0, 1, 1]));
        subscriber
    }

    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut byte = || {
            let mut byte = [0];
            self.0.read_exact(&mut byte).map(|()| byte[0])
        };
        let first = byte().unwrap();
        let (mut length, mut shift) = (0, 0);
        loop {
            let digit = byte().unwrap();
            length |= usize::from(digit & 127) << shift;
            shift += 7;
            if digit & 128 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (first, body)
    }

    /// The next message: its topic and its text.
    fn next(&mut self) -> (String, String) {
        let (first, body) = self.packet();
        assert_eq!(first & 0xF6, 0x32, "a message with QoS 1");
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        self.0.write_all(&[&[0x40, 2], &body[end..end + 2]].concat()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&body[2..end]), text(&body[end + 2..]))
    }
}

#[test]
fn a_hundred_uploads_while_the_broker_is_away_arrive_after_a_kill() {
    let Some(mut broker) = Broker::find() else { return };
    broker.start();
    let mut server = telling(&broker.url()).server("event_kinds = upload").start();
    let mut first = Subscriber::new(&broker);
    assert_eq!(first.next(), ("site/ftpd/state".to_owned(), "online".to_owned()));
    broker.stop();
    let mut client = Client::bob(&server);
    for name in 0..100 {
        client.upload(&format!("STOR {name}"), b"1");
    }
    server.kill();
    broker.start();
    let mut subscriber = Subscriber::new(&broker);
    server.start_again();
    let mut events = Vec::new();
    assert_eq!(subscriber.next(), ("site/ftpd/state".to_owned(), "online".to_owned()));
    while ids(&events).len() < 100 {
        let (topic, text) = subscriber.next();
        assert_eq!(topic, "site/ftpd/upload/bob");
        events.push(serde_json::from_str(&text).unwrap());
    }
    let last = |name: &str| events.iter().rposition(|event: &Value| event["path"] == name);
    for name in 0..99 {
        let (one, next) = (last(&format!("/{name}")), last(&format!("/{}", name + 1)));
        assert!(one < next, "in order");
    }
    eventually("all is counted", || number(&server, "events_waiting") == 0);
}

#[test]
fn the_broker_says_whether_the_server_is_there() {
    let Some(mut broker) = Broker::find() else { return };
    broker.start();
    let state = |text: &str| ("site/ftpd/state".to_owned(), text.to_owned());
    let mut subscriber = Subscriber::new(&broker);
    let mut server = telling(&broker.url()).start();
    assert_eq!(subscriber.next(), state("online"));
    server.kill();
    assert_eq!(subscriber.next(), state("offline"), "the last will");
    server.start_again();
    assert_eq!(subscriber.next(), state("online"));
    // those who subscribe later are told as well
    assert_eq!(Subscriber::new(&broker).next(), state("online"));
    drop(subscriber);
    let mut subscriber = Subscriber::new(&broker);
    assert_eq!(subscriber.next(), state("online"));
    server.signal("TERM");
    server.wait_for_exit();
    assert_eq!(subscriber.next(), state("offline"));
    assert!(!server.log().contains("p/w"), "the password is in the log");
}

#[test]
fn a_name_that_brokers_do_not_like_and_an_event_too_large_for_them_hold_up_nothing() {
    let Some(mut broker) = Broker::find() else { return };
    broker.start_with("max_packet_size 2000");
    let mut subscriber = Subscriber::new(&broker);
    let server = telling(&broker.url()).server("event_kinds = login, upload").start();
    assert_eq!(subscriber.next().1, "online");
    let mut stranger = Client::connect(&server);
    stranger.cmd("USER \u{FFFF}", 331);
    stranger.cmd("PASS x", 530);
    let topic = subscriber.next().0;
    assert_eq!(topic, "site/ftpd/login/_");
    let mut client = Client::bob(&server);
    let long = "x".repeat(240);
    let mut path = String::new();
    for _ in 0..8 {
        path = format!("{path}/{long}");
        client.cmd(&format!("MKD {path}"), 257);
    }
    client.upload(&format!("STOR {path}/large"), b"1");
    client.upload("STOR small", b"1");
    let line = server.wait_for_log("the receiver refuses ");
    assert!(line.contains(" (upload), which is dropped: "), "{line}");
    loop {
        let (topic, text) = subscriber.next();
        assert!(!text.contains("/large"), "{text}");
        if text.contains("/small") {
            assert_eq!(topic, "site/ftpd/upload/bob");
            break;
        }
    }
    assert_eq!(number(&server, "events_dropped")["refused"], 1);
}

#[test]
fn a_reload_without_changes_keeps_the_connection_to_the_broker() {
    let Some(mut broker) = Broker::find() else { return };
    broker.start();
    let mut subscriber = Subscriber::new(&broker);
    let server = telling(&broker.url()).server("event_kinds = upload").start();
    assert_eq!(subscriber.next().1, "online");
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::bob(&server).upload("STOR a", b"1");
    assert_eq!(subscriber.next().0, "site/ftpd/upload/bob");
}

#[test]
fn mqtts_takes_a_certificate_of_ca_file_for_the_name() {
    let Some(mut broker) = Broker::find() else { return };
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = authority.issue("broker");
    let certificate = broker.tool.put("cert.pem", &pair.certificate);
    let key = broker.tool.put("key.pem", &pair.key);
    broker.start_with(&format!(
        "certfile {}\nkeyfile {}",
        certificate.display(),
        key.display()
    ));
    let url = broker.url().replace("mqtt://", "mqtts://").replace("127.0.0.1", "localhost");
    let tell = |ca: &Authority| {
        telling(&url).server(&format!("ca_file = {}", ca.file().display())).start()
    };
    let line = tell(&other).wait_for_log("events: mqtts://localhost:");
    assert!(line.contains("certificate"), "{line}");
    let server = tell(&authority);
    Client::bob(&server).upload("STOR a", b"1");
    eventually("all is sent", || number(&server, "events_sent") == 2);
}

#[test]
fn a_broker_that_refuses_the_password_is_told_of() {
    let Some(mut broker) = Broker::find() else { return };
    broker.start();
    let url = broker.url().replace("p%2Fw", "tops3cret");
    let server = telling(&url).start();
    let line = server.wait_for_log("events: mqtt://127.0.0.1:");
    assert!(line.contains("/site/ftpd: the broker ") && !line.contains("tops3cret"), "{line}");
}

#[test]
fn the_topics_for_home_assistant_are_those_that_the_server_has() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/home-assistant.yaml");
    let text = fs::read_to_string(file).unwrap();
    let topics: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().split_once("topic: "))
        .map(|(_, topic)| topic)
        .collect();
    assert!(topics.len() > 5, "{topics:?}");
    for topic in topics {
        let levels: Vec<_> = topic.split('/').collect();
        let is_kind = |level: &str| Occasion::ALL.iter().any(|kind| kind.name() == level);
        let is_good = topic == "ftpd/state" || levels.len() == 3 && is_kind(levels[1]);
        assert!(is_good && levels[0] == "ftpd", "{topic}");
    }
    for name in text.split("payload_json.").skip(1).chain(text.split("value_json.").skip(1)) {
        let name: String = name.chars().take_while(char::is_ascii_lowercase).collect();
        assert!(["path", "bytes", "result", "time", "address", "message"].contains(&&*name));
    }
}

/// Calls that take long, a change that makes them, and what the file contains after it.
type Change = (&'static str, fn(&mut Client), &'static str);

/// The rename and the event were two steps, between which another session could do both.
#[test]
fn events_about_one_path_come_in_the_order_in_which_it_changed() {
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call takes long");
        return;
    }
    let web = taking();
    let server = telling(&url(&web)).server("event_kinds = upload, delete").start();
    let mut slow = Client::bob(&server);
    let slow_threads = tracer::threads(server.pid(), &["session-"]);
    let mut quick = Client::bob(&server);
    let changes: [Change; 2] = [
        ("renameat,renameat2", |client| drop(client.upload("STOR f", b"slow")), "slow"),
        ("unlinkat", |client| drop(client.cmd("DELE f", 250)), ""),
    ];
    for (round, (call, change, left)) in changes.into_iter().enumerate() {
        let fault = Fault { call: call.to_owned(), nth: None, error: "delay_exit=500ms" };
        let tracer =
            Tracer::attach(&slow_threads, "", Some(&fault), &server.dir().join("trace"));
        std::thread::scope(|threads| {
            threads.spawn(|| change(&mut slow));
            eventually("the file has changed", || {
                fs::read_to_string(server.home().join("f")).unwrap_or_default() == left
            });
            quick.upload("STOR f", b"quicker");
        });
        assert!(!tracer.end().injected.is_empty());
        let all = told(&web, 2 * (round + 1));
        assert_eq!(all.last().unwrap()["bytes"], 7, "{all:?}");
    }
}
