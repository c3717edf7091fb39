//! Counters, `ftpd stats`, and the answers over HTTP on `metrics_listen`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::client::{Client, drain};
use crate::parts::hang;
use crate::server::{PATIENCE, Server, Setup, eventually, pause, run};

fn setup() -> Setup {
    Server::setup().server("metrics_listen = 127.0.0.1:0")
}

pub(crate) fn web(server: &Server) -> SocketAddr {
    let line = server.wait_for_log("metrics: http://");
    line.split("http://").nth(1).unwrap().trim_end_matches('/').parse().unwrap()
}

fn stats(server: &Server) -> String {
    let (code, out, err) = run(&["stats", "--json"], server.dir());
    assert_eq!((code, err.as_str()), (0, ""));
    out
}

/// Sends bytes and returns the whole answer.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    String::from_utf8(drain(&mut stream)).unwrap()
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let answer =
        raw(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    body.to_owned()
}

/// One number of the metrics.
fn metric(address: SocketAddr, name: &str) -> f64 {
    let text = get(address, "/metrics");
    let line = text.lines().find(|line| line.rsplit_once(' ').unwrap().0 == name);
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

mod counters {
    use super::*;

    #[test]
    fn each_thing_that_happens_is_counted_once() {
        let server = setup().user("perm = elwm").server("max_per_ip = 2").start();
        let at = web(&server);
        let mut client = Client::bob(&server);
        client.upload("STOR a", &[b'x'; 3000]);
        client.upload("STOR b", &[b'x'; 100]);
        client.download("LIST");
        client.cmd("RETR a", 550);
        client.cmd("RNFR a", 550);
        client.cmd("SIZE nowhere", 550);
        client.cmd("NONSENSE", 500);
        let mut stranger = Client::connect(&server);
        stranger.cmd("PWD", 530);
        stranger.cmd("USER bob", 331);
        stranger.cmd("PASS wr0ng", 530);
        stranger.cmd("USER nobody", 331);
        stranger.cmd("PASS x", 530);
        Client::silent(server.address()).expect(421);
        for (name, value) in [
            ("ftpd_sessions_active", 2.0),
            ("ftpd_sessions_logged_in", 1.0),
            ("ftpd_sessions_total", 2.0),
            ("ftpd_sessions_tls_total", 0.0),
            ("ftpd_turned_away_total{reason=\"max_per_ip\"}", 1.0),
            ("ftpd_turned_away_total{reason=\"max_cons\"}", 0.0),
            ("ftpd_logins_total{result=\"good\"}", 1.0),
            ("ftpd_logins_total{result=\"wrong_password\"}", 1.0),
            ("ftpd_logins_total{result=\"no_such_user\"}", 1.0),
            ("ftpd_refused_total{reason=\"permission\"}", 2.0),
            ("ftpd_refused_total{reason=\"not_found\"}", 1.0),
            ("ftpd_refused_total{reason=\"syntax\"}", 1.0),
            ("ftpd_refused_total{reason=\"not_logged_in\"}", 1.0),
            ("ftpd_offences_total{kind=\"login\"}", 2.0),
            ("ftpd_transfers_total{kind=\"upload\",result=\"complete\"}", 2.0),
            ("ftpd_transfers_total{kind=\"listing\",result=\"complete\"}", 1.0),
            ("ftpd_transfers_total{kind=\"download\",result=\"complete\"}", 0.0),
            ("ftpd_transfer_bytes_total{kind=\"upload\"}", 3100.0),
            ("ftpd_transfer_seconds_bucket{kind=\"upload\",le=\"+Inf\"}", 2.0),
            ("ftpd_transfer_seconds_count{kind=\"upload\"}", 2.0),
            ("ftpd_bans_active", 0.0),
            (concat!("ftpd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
            ("ftpd_passive_ports", 22_001.0),
        ] {
            assert!((metric(at, name) - value).abs() < 0.5, "{name}: {}", metric(at, name));
        }
        assert!(metric(at, "ftpd_transfer_bytes_total{kind=\"listing\"}") > 50.0);
        let started = metric(at, "ftpd_start_time_seconds");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(started <= now && started > now - 600.0, "{started}");
        let stats = stats(&server);
        for part in [
            r#""logins":{"busy":0,"good":1,"max_per_user":0,"no_answer":0,"no_such_user":1,"#,
            r#""sessions":2,"#,
            r#""sessions_active":2,"#,
            r#""transfer_bytes":{"#,
            r#""upload":3100"#,
        ] {
            assert!(stats.contains(part), "no {part} in\n{stats}");
        }
    }

    #[test]
    fn a_running_transfer_is_counted_as_it_moves_and_its_end_by_its_result() {
        let server = setup().user("max_download = 64K").start();
        server.put("big", vec![b'x'; 8 << 20]);
        let at = web(&server);
        let mut client = Client::bob(&server);
        let address = client.passive_address("EPSV");
        assert!(metric(at, "ftpd_passive_ports_taken") > 0.5);
        let mut data = client.data(address);
        client.cmd("RETR big", 150);
        data.read_exact(&mut [0; 1000]).unwrap();
        let bytes = "ftpd_transfer_bytes_total{kind=\"download\"}";
        eventually("its bytes are counted", || metric(at, bytes) > 0.0);
        assert!(metric(at, "ftpd_transfers_running{kind=\"download\"}") > 0.5);
        client.cmd("ABOR", 426);
        client.expect(226);
        assert!(metric(at, "ftpd_transfers_total{kind=\"download\",result=\"aborted\"}") > 0.5);
        assert!(metric(at, "ftpd_transfers_running{kind=\"download\"}") < 0.5);
        let all = metric(at, bytes);
        assert!(all > 0.0 && all < 8e6, "{all}");
    }

    #[test]
    fn stats_are_for_people_too() {
        let server = Server::start();
        Client::bob(&server).upload("STOR a", &[b'x'; 2048]);
        let (code, out, err) = run(&["stats"], server.dir());
        assert_eq!((code, err.as_str()), (0, ""));
        for part in [
            concat!("ftpd ", env!("CARGO_PKG_VERSION"), ", up 0:00:0"),
            "of 150 now",
            "turned away  none",
            "logins       1 good",
            "1 complete; 2.0 KiB, 0.0",
            "passive ports in use",
            "bans         0 now, 0 in all",
        ] {
            assert!(out.contains(part), "no {part} in\n{out}");
        }
        assert_eq!(run(&["stats", "x"], server.dir()).0, 2);
    }
}

mod http {
    use super::*;

    #[test]
    fn the_metrics_are_what_prometheus_reads() {
        let server = setup().start();
        let text = get(web(&server), "/metrics");
        let mut typed = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, form) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&form), "{line}");
                assert!(!typed.contains(&name), "{line}");
                assert_eq!(form == "counter", name.ends_with("_total"), "{line}");
                typed.push(name);
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(name.starts_with(typed.last().unwrap()), "{line}");
            }
        }
        assert!(typed.len() > 15, "{text}");
    }

    #[test]
    fn each_line_of_help_can_be_read_alone() {
        let server = setup().start();
        let text = get(web(&server), "/metrics");
        let help: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
        assert!(help.len() > 15, "{text}");
        for line in help {
            let (name, line) = line.split_once(' ').unwrap();
            let first = line.split(' ').next().unwrap();
            let known = ["Number", "Maximum", "Duration", "Start", "Version"].contains(&first);
            assert!(known && line.ends_with('.') && line.len() > 25, "{name}: {line}");
        }
    }

    #[test]
    fn each_bad_http_request_gets_its_status() {
        let server = setup().start();
        let at = web(&server);
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK"),
            ("GET /?a=b HTTP/1.0\r\nHost: 127.0.0.1:9\r\n\r\n", "200 OK"),
            ("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 Not Found"),
            ("GET /../ HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 Not Found"),
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed"),
            ("DELETE /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 Not Found"),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403 Forbidden"),
            ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403 Forbidden"),
            ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", "200 OK"),
            ("GET /health HTTP/1.0\r\n\r\n", "200 OK"),
            ("POST /health HTTP/1.0\r\n\r\n", "403 Forbidden"),
            ("GET /healthy HTTP/1.0\r\n\r\n", "400 Bad Request"),
            ("USER bob\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/3\r\nHost: localhost\r\n\r\n", "505 HTTP Version"),
        ] {
            let answer = raw(at, request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
        }
        let refused = raw(at, b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nbody");
        assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
        let head = raw(at, b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head.contains("Content-Length: 1") && head.ends_with("\r\n\r\n"), "{head}");
        let head = raw(at, b"HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 404 ") && head.ends_with("\r\n\r\n"), "{head}");
        let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(8 << 10));
        assert!(raw(at, long.as_bytes()).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn balancers_are_told_whether_the_server_accepts_clients() {
        let mut server = setup().server("shutdown_grace = 60").start();
        let at = web(&server);
        assert_eq!(get(at, "/health"), "ok\n");
        let head = raw(at, b"HEAD /health HTTP/1.0\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
        // a check leaves no line in the log
        assert!(!server.log().contains("health"));
        // while a transfer goes on, the server stops, and says so
        let mut client = Client::bob(&server);
        let data = hang(&mut client, "STOR big", b"1", &server.home(), 1);
        server.signal("TERM");
        eventually("the server is stopping", || {
            raw(at, b"GET /health HTTP/1.0\r\n\r\n").ends_with("stopping\n")
        });
        let answer = raw(at, b"GET /health HTTP/1.0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        drop(data);
        assert!(server.wait_for_exit().success());
    }

    #[test]
    fn slow_and_silent_http_clients_delay_no_other_and_are_disconnected() {
        let server = setup().start();
        let at = web(&server);
        let mut slow = TcpStream::connect(at).unwrap();
        slow.write_all(b"GET / HT").unwrap();
        let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
        get(at, "/metrics");
        slow.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(drain(&mut slow), b"");
        drop(silent);
        // more than are served at once: others wait, and come to it
        let many: Vec<_> = (0..60).map(|_| TcpStream::connect(at).unwrap()).collect();
        get(at, "/metrics");
        drop(many);
        Client::bob(&server).cmd("NOOP", 200);
    }

    #[test]
    fn the_page_may_do_nothing_but_ask_this_server() {
        let server = setup().start();
        let at = web(&server);
        let answer = raw(at, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        for part in [
            "Content-Security-Policy: default-src 'none'; script-src 'sha256-",
            "frame-ancestors 'none'",
            "X-Content-Type-Options: nosniff",
            "Content-Type: text/html; charset=utf-8",
        ] {
            assert!(answer.contains(part), "{answer}");
        }
        assert!(!answer.contains("unsafe-inline"));
        let mut client = Client::bob(&server);
        client.cmd("NOOP", 200);
        let status = get(at, "/status.json");
        assert!(status.contains(r#""user":"bob""#) && !status.contains("secret"), "{status}");
    }

    #[test]
    fn metrics_are_off_by_default_and_a_taken_port_stops_no_server() {
        let server = Server::start();
        assert!(!server.threads().contains(&"metrics".to_owned()));
        let first = setup().start();
        let at = web(&first);
        let other = Server::setup().server(&format!("metrics_listen = {at}")).start();
        other.wait_for_log(&format!("no metrics at {at}"));
        Client::bob(&other).cmd("NOOP", 200);
        assert!(!first.log().contains("whoever reaches"));
        let open = Server::setup().server("metrics_listen = 0.0.0.0:0").start();
        open.wait_for_log("sees users, addresses and paths");
    }

    #[test]
    fn faults_in_the_key_are_told() {
        let server = Server::start();
        for text in ["here", "127.0.0.1", "127.0.0.1:99999", "::1:80"] {
            let ini = format!("[server]\nmetrics_listen = {text}\n");
            fs::write(server.dir().join("bad.ini"), ini).unwrap();
            let (code, _, err) = run(&["check", "--config", "bad.ini"], server.dir());
            assert_eq!(code, 78);
            let fault =
                format!("bad.ini:2: [server] metrics_listen: '{text}' is neither a port");
            assert!(err.contains(&fault), "{err}");
        }
    }
}

mod browser {
    use super::*;

    /// The status page as a browser shows it after a while, if a browser is installed.
    fn page(at: SocketAddr) -> Option<String> {
        let there = Command::new("chromium").arg("--version").stdin(Stdio::null()).output();
        if !there.is_ok_and(|output| output.status.success()) {
            eprintln!("chromium is not installed, so no browser looks at the page");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let dom = folder.path().join("dom");
        let mut chromium = Command::new("chromium")
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"])
            .args(["--virtual-time-budget=2500", "--no-first-run", "--disable-extensions"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("http://{at}/"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&dom).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + 4 * PATIENCE;
        while chromium.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                chromium.kill().unwrap();
                chromium.wait().unwrap();
                panic!("the browser does not end");
            }
            pause();
        }
        Some(fs::read_to_string(dom).unwrap())
    }

    #[test]
    fn it_shows_users_and_progress_and_takes_no_name_for_html() {
        let name = "<img src=x onerror=document.title=1><b>&amp;";
        let server = setup().user("max_download = 20K\nmax_upload = 20K").start();
        server.put(name, vec![b'x'; 1 << 20]);
        let at = web(&server);
        let (mut down, mut up) = (Client::bob(&server), Client::bob(&server));
        let mut data = down.passive();
        down.cmd(&format!("RETR {name}"), 150);
        data.read_exact(&mut [0; 1000]).unwrap();
        let mut sending = up.passive();
        up.cmd("STOR <script>1", 150);
        sending.write_all(&[b'x'; 10_000]).unwrap();
        let _stranger = Client::connect(&server);
        let Some(dom) = page(at) else { return };
        assert!(dom.contains("<td class=\"name\">bob</td>"), "{dom}");
        let bars: Vec<_> = dom.match_indices("<progress").collect();
        assert_eq!(bars.len(), 2, "{dom}");
        assert!(dom.contains("max=\"1048576\" value=\""), "{dom}");
        for part in ["&lt;img src=x", "&lt;b&gt;&amp;amp;", "&lt;script&gt;1", "<polyline"] {
            assert!(dom.contains(part), "no {part} in\n{dom}");
        }
        assert!(dom.contains("<title>ftpd</title>") && !dom.contains("<img"), "{dom}");
        assert!(dom.contains("id=\"trouble\" role=\"status\"></span>"), "{dom}");
        assert!(dom.contains(">1 in, 1 out<"), "{dom}");
        // what kick takes, and whose transfer it is
        assert!(dom.contains("bob, 127.0.0.1, no. "), "{dom}");
        // the connections last until here
        sending.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        drop((data, sending));
    }

    #[test]
    fn it_tells_of_the_last_events_and_of_bans_and_takes_none_for_html() {
        let server = setup().server("ban_exempt = 192.0.2.1").user("perm = elrw").start();
        let at = web(&server);
        let mut client = Client::bob(&server);
        client.upload("STOR <i>up", b"text");
        client.cmd("DELE <u>down", 550);
        let mut eve = Client::connect(&server);
        eve.cmd("USER <b>eve", 331);
        eve.cmd("PASS secret2", 530);
        assert_eq!(run(&["ban", "2001:db8::/64"], server.dir()).0, 0);
        let status = get(at, "/status.json");
        for part in [
            r#""kind":"transfer""#,
            r#""kind":"login""#,
            r#""text":"login failed for '<b>eve': "#,
            "the user lacks the permission letter 'd'",
            r#""address":"2001:db8::/64""#,
        ] {
            assert!(status.contains(part), "no {part} in\n{status}");
        }
        assert!(!status.contains("secret2"), "{status}");
        let Some(dom) = page(at) else { return };
        for part in ["&lt;i&gt;up", "&lt;u&gt;down", "&lt;b&gt;eve", "2001:db8::/64", "by hand"]
        {
            assert!(dom.contains(part), "no {part} in\n{dom}");
        }
        assert!(
            !dom.contains("<i>") && !dom.contains("<u>") && !dom.contains("<b>eve"),
            "{dom}"
        );
    }
}

mod reloads {
    use super::*;

    #[test]
    fn ports_of_older_sessions_stay_taken() {
        let server = setup().start();
        let at = web(&server);
        let mut old = Client::bob(&server);
        let port = old.passive_address("EPSV").port();
        assert!(metric(at, "ftpd_passive_ports_taken") > 0.5);
        let ini = server.dir().join("ftpd.ini");
        let text = std::fs::read_to_string(&ini).unwrap();
        let range = "passive_ports = 10000-32000";
        assert!(text.contains(range));
        std::fs::write(&ini, text.replace(range, &format!("passive_ports = {port}-{port}")))
            .unwrap();
        server.signal("HUP");
        server.wait_for_log("settings reloaded");
        assert!((metric(at, "ftpd_passive_ports_taken") - 1.0).abs() < 0.5);
        assert!((metric(at, "ftpd_passive_ports") - 1.0).abs() < 0.5);
        let mut new = Client::bob(&server);
        new.cmd("EPSV", 425);
        old.cmd("QUIT", 221);
        eventually("it is free again", || metric(at, "ftpd_passive_ports_taken") < 0.5);
        assert_eq!(new.passive_address("EPSV").port(), port);
    }
}

mod silence {
    use super::*;

    /// Starts a server on which bob has uploaded two hours ago, and eve never.
    fn start(every: &str) -> Server {
        let eve = "[user:eve]\npassword = x\nperm = elw\nhome = home\nexpect_every = 1m";
        let hours_ago = SystemTime::now() - Duration::from_secs(7200);
        let seconds = hours_ago.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        setup().user(&format!("expect_every = {every}")).section(eve).start_with(|dir| {
            fs::create_dir(dir.join("ftpd-state")).unwrap();
            fs::write(dir.join("ftpd-state/uploads"), format!("{seconds}.0 ::1 bob\n"))
                .unwrap();
        })
    }

    #[test]
    fn a_user_from_whom_nothing_comes_is_told_of_until_something_comes() {
        let mut server = start("1h");
        let at = web(&server);
        let line = server.wait_for_log("nothing from bob for 7");
        assert!(line.contains("WARN") && line.ends_with("(expect_every is 3600 s)"), "{line}");
        let silent = |of: &Server, user: &str| {
            metric(web(of), &format!("ftpd_user_silent{{user=\"{user}\"}}"))
        };
        assert_eq!((silent(&server, "bob"), silent(&server, "eve")), (1.0, 0.0));
        let who = || run(&["who"], server.dir()).1;
        assert!(who().contains("\nnothing from bob for 2:0"));
        let status = get(at, "/status.json");
        assert!(status.contains("\"silent\":[{"), "{status}");
        let mut client = Client::bob(&server);
        client.upload("STOR a", b"1");
        server.wait_for_log("bob has uploaded again, after 7");
        assert!(!who().contains("nothing from"));
        client.upload("STOR b", b"1");
        assert_eq!(server.log().matches("has uploaded again").count(), 1);
        client.cmd("QUIT", 221);
        // the time is kept for the next server
        server.restart("TERM");
        assert!(silent(&server, "bob") < 0.5);
        assert!(!server.log().contains("nothing from bob"));
    }

    #[test]
    fn a_reload_begins_and_ends_the_watch() {
        let server = start("1d");
        let set = |from: &str, to: &str| {
            let file = server.dir().join("ftpd.ini");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(&file, text.replace(from, to)).unwrap();
            assert_eq!(run(&["reload"], server.dir()).0, 0);
        };
        assert!(!server.log().contains("nothing from"));
        set("expect_every = 1d", "expect_every = 90m");
        server.wait_for_log("nothing from bob for 7");
        set("expect_every = 90m", "");
        let who = run(&["who"], server.dir()).1;
        assert!(!who.contains("nothing from"), "{who}");
    }
}

mod monitoring {
    use std::collections::HashMap;

    use super::*;

    const FILES: [&str; 2] = ["etc/grafana.json", "etc/alerts.yml"];

    fn read(file: &str) -> String {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        text.replace("\\\"", "\"")
    }

    /// The names of metrics in a text, each with the labels in the braces after it.
    fn named(text: &str) -> Vec<(String, String)> {
        let is_name = |byte: char| byte.is_ascii_lowercase() || byte == '_';
        let starts = text.match_indices("ftpd_").map(|(at, _)| &text[at..]);
        let split = |rest: &str| {
            let end = rest.find(|byte| !is_name(byte)).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            (name.to_owned(), labels.map_or("", |(labels, _)| labels).to_owned())
        };
        starts.map(split).collect()
    }

    #[test]
    fn dashboard_and_alerts_use_metrics_and_labels_that_exist() {
        let server = setup().user("expect_every = 1h").start();
        let mut known: HashMap<String, Vec<String>> = HashMap::new();
        for (name, labels) in named(&get(web(&server), "/metrics")) {
            known.entry(name).or_default().extend(labels.split(',').map(str::to_owned));
        }
        for file in FILES {
            let found = named(&read(file));
            assert!(found.len() > 5, "{file}");
            for (name, labels) in found {
                let there = known.get(&name).unwrap_or_else(|| panic!("{file}: no {name}"));
                for label in labels.split(',').filter(|label| !label.starts_with("instance=")) {
                    let (key, values) = label.split_once('=').unwrap_or_default();
                    for value in values.trim_matches(['~', '"']).split('|') {
                        let wanted = format!("{key}=\"{value}\"");
                        let is_there = label.is_empty() || there.contains(&wanted);
                        assert!(is_there, "{file}: {name} has no {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_dashboard_is_json_and_prometheus_takes_the_alerts() {
        let dashboard: serde_json::Value = serde_json::from_str(
            &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILES[0])).unwrap(),
        )
        .unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(panels.iter().all(|panel| !panel["targets"][0]["expr"].is_null()));
        let alerts = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILES[1]);
        match Command::new("promtool").arg("check").arg("rules").arg(alerts).output() {
            Ok(out) => assert!(out.status.success(), "{out:?}"),
            Err(_) => eprintln!("skipped: promtool is not installed"),
        }
    }
}
