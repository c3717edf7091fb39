//! `auth_program` and `auth_url`: users that the settings do not have.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::client::Client;
use crate::clients::Tool;
use crate::server::{Server, Setup, eventually};
use crate::tls_client::{Authority, Pair, Tls};

/// A program that writes what it is asked to the file `asked`, and accepts the password `right`. `$1` is the
/// folder of the server.
const GOOD: &str = "read -r question; printf '%s\\n' \"$question\" >> $1/asked\n\
    case $question in *'\"password\":\"right\"'*) echo '{\"accept\": true, ANSWER}' ;;\n\
    *) echo '{\"accept\": false}' ;; esac\n";

/// Writes a shell script with this body.
fn script(dir: &Path, body: &str) {
    let file = dir.join("auth.sh");
    fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o700)).unwrap();
}

/// Settings of a server that asks the script `auth.sh` in its folder.
fn asking() -> Setup {
    Server::setup()
        .server("auth_program = auth.sh PLACE\nauth_homes = homes\nauth_perm = elradfmwMT")
        .server("ban_exempt = ")
}

/// Starts a server whose script has this body. There are homes of `ann` and `ben`.
fn start(setup: Setup, body: &str) -> Server {
    setup.start_with(|dir| {
        let ini = fs::read_to_string(dir.join("ftpd.ini")).unwrap();
        let ini = ini.replace("PLACE", dir.to_str().unwrap());
        fs::write(dir.join("ftpd.ini"), ini).unwrap();
        for name in ["ann", "ben"] {
            fs::create_dir_all(dir.join("homes").join(name)).unwrap();
        }
        script(dir, body);
    })
}

/// Starts a server whose script accepts the password `right` with this answer.
fn answering(setup: Setup, answer: &str) -> Server {
    start(setup, &GOOD.replace("ANSWER", answer))
}

/// Tries a login, and returns the code of the reply.
fn try_login(server: &Server, user: &str, password: &str) -> u16 {
    let mut client = Client::connect(server);
    client.cmd(&format!("USER {user}"), 331);
    client.send(&format!("PASS {password}"));
    client.next_code()
}

/// The questions that the script has written down.
fn asked(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.dir().join("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_user_of_the_program_has_a_home_letters_and_limits() {
    let server = answering(
        asking().server("max_upload = 1M"),
        "\"home\": \"ann\", \"perm\": \"elrw\", \"max_per_user\": 1, \"max_file_size\": 5, \
         \"quota_bytes\": 8, \"login_msg\": \"Hello\", \"charset\": \"gbk\"",
    );
    let mut client = Client::connect(&server);
    client.cmd("USER ann", 331);
    assert!(client.cmd("PASS right", 230).contains("Hello"));
    client.cmd("TYPE I", 200);
    client.upload("STOR a", b"12345");
    assert_eq!(fs::read(server.dir().join("homes/ann/a")).unwrap(), b"12345");
    fs::write(server.dir().join("homes/ann/\u{4e2d}"), "").unwrap();
    client.tell(b"SIZE \xd6\xd0", 213);
    client.cmd("DELE a", 550);
    client.cmd("MKD d", 550);
    let (code, _, _) = client.exchange("STOR b", b"123456");
    assert_eq!(code, 552, "max_file_size");
    let (code, _, _) = client.exchange("STOR c", b"1234");
    assert_eq!(code, 552, "quota_bytes");
    assert_eq!(try_login(&server, "ann", "right"), 421, "max_per_user");
    let line = server.wait_for_log("logged in, home ");
    assert!(line.contains("ann") && line.contains("homes/ann"), "{line}");
    // and the users of the settings are not asked about
    Client::bob(&server);
    assert_eq!(try_login(&server, "bob", "wrong"), 530);
    assert_eq!(asked(&server).len(), 1, "the second login was answered from memory");
    assert!(asked(&server)[0].contains("\"name\":\"ann\""));
}

#[test]
fn the_question_is_one_object_with_what_is_known() {
    let server = answering(asking(), "\"home\": \"ann\"");
    for password in ["a\"b\\c'd $(e) `f`", "p\u{e4}ss"] {
        assert_eq!(try_login(&server, "ann", password), 530);
    }
    let mut client = Client::connect(&server);
    client.cmd("USER ann", 331);
    client.raw(b"PASS p\xE4ss\r\n");
    client.expect(530);
    let port = server.address().port();
    let rest = format!(
        "\"address\":\"127.0.0.1\",\"local_address\":\"127.0.0.1\",\"local_port\":{port},\
         \"tls\":null,\"certificate\":null}}"
    );
    assert_eq!(
        asked(&server),
        [
            format!("{{\"name\":\"ann\",\"password\":\"a\\\"b\\\\c'd $(e) `f`\",{rest}"),
            format!("{{\"name\":\"ann\",\"password\":\"p\u{e4}ss\",{rest}"),
            format!(
                "{{\"name\":\"ann\",\"password\":null,\"password_base64\":\"cORzcw==\",{rest}"
            ),
        ]
    );
}

#[test]
fn an_outage_is_421_and_neither_a_failed_login_nor_a_delay() {
    let late = "read -r x; echo '{\"accept\": true, \"home\": \"ann\"}'; exec sleep 300";
    let dripping = "while :; do printf ' '; sleep 0.1; done";
    for (body, why) in [
        ("echo '{\"accept\": true}'; exit 3", "ended with exit status: 3"),
        ("kill -9 $$", "ended with signal: 9"),
        ("exit 0", "the answer is empty"),
        ("echo no", "the answer is not JSON"),
        ("echo '{\"accept\": true'", "the answer is not JSON"),
        ("echo '{\"accept\": 1}'", "neither true nor false"),
        (
            "echo '{\"accept\": true, \"home\": \"/etc\"}'",
            "home: '/etc' is not below auth_homes",
        ),
        ("echo '{\"accept\": true, \"home\": \"/\"}'", "home: '/' is not below auth_homes"),
        ("echo '{\"accept\": true, \"home\": \"\"}'", "home: '' is not a directory"),
        ("echo '{\"accept\": true, \"home\": \"../home\"}'", "is not below auth_homes"),
        ("echo '{\"accept\": true, \"home\": \".\"}'", "is not below auth_homes"),
        ("echo '{\"accept\": true, \"perm\": \"elx\"}'", "unknown permission letter 'x'"),
        (
            "echo '{\"accept\": true, \"on_upload\": \"/bin/id\"}'",
            "cannot be given by an answer",
        ),
        ("echo '{\"accept\": true, \"hom\": \"ann\"}'", "unknown key; did you mean 'home'?"),
        ("yes '{\"accept\": true}' | head -c 100000", "printed more than 65536 bytes"),
        ("exec sleep 300", "did not answer in time"),
        (late, "did not answer in time"),
        (dripping, "did not answer in time"),
        ("echo 'auth_ok:1'", "the answer is not JSON"),
    ] {
        let server = start(asking().server("auth_timeout = 1\nban_after = 1"), body);
        for _ in 0..3 {
            let mut client = Client::connect(&server);
            client.cmd("USER ann", 331);
            let began = Instant::now();
            client.cmd("PASS right", 421);
            client.expect_close();
            // a failed login would take longer with each one
            assert!(began.elapsed() < Duration::from_secs(30), "{body}");
        }
        let line = server.wait_for_log("login failed for 'ann': ");
        assert!(line.contains(why), "{body}: {line}");
        assert!(!server.log().contains("banned"), "{body}");
        Client::bob(&server);
    }
}

#[test]
fn no_link_leads_out_of_auth_homes_and_missing_homes_are_made_below_it() {
    let server = answering(asking(), "\"home\": \"{user}/in\", \"create_home\": true");
    let homes = server.dir().join("homes");
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, homes.join("eve")).unwrap();
    assert_eq!(try_login(&server, "eve", "right"), 530);
    symlink("../outside", homes.join("eva")).unwrap();
    assert_eq!(try_login(&server, "eva", "right"), 530);
    assert!(fs::read_dir(&outside).unwrap().next().is_none(), "something was made outside");
    fs::create_dir(outside.join("in")).unwrap();
    assert_eq!(try_login(&server, "eve", "right"), 530);
    assert_eq!(try_login(&server, "eva", "right"), 530);
    // a link that stays inside may be followed
    symlink("ann", homes.join("amy")).unwrap();
    assert_eq!(try_login(&server, "ann", "right"), 230);
    assert!(homes.join("ann/in").is_dir());
    assert_eq!(try_login(&server, "amy", "right"), 230);
    for name in ["..", ".", "a/b", "../home"] {
        assert_eq!(try_login(&server, name, "right"), 421, "{name}");
    }
    assert!(!server.dir().join("in").exists());
}

#[test]
fn letters_outside_of_auth_perm_and_run_as_are_left_out() {
    let setup = Server::setup()
        .server("auth_program = auth.sh PLACE\nauth_homes = homes\nlog_level = debug");
    let server =
        answering(setup, "\"home\": \"ann\", \"perm\": \"elradfmwMT\", \"run_as\": \"root\"");
    let mut client = Client::login(&server, "ann", "right");
    let (code, _, _) = client.exchange("STOR a", b"x");
    assert_eq!(code, 550);
    server.wait_for_log("run_as is ignored (auth_run_as = off)");
    server.wait_for_log("of the letters elradfmwMT, auth_perm allows elr");
}

#[test]
fn accepted_and_refused_logins_are_asked_about_once_until_a_reload() {
    let server = answering(asking().server("max_login_attempts = 0"), "\"home\": \"ann\"");
    for _ in 0..3 {
        assert_eq!(try_login(&server, "ann", "right"), 230);
        assert_eq!(try_login(&server, "ann", "wrong"), 530);
    }
    assert_eq!(asked(&server).len(), 2, "{:?}", asked(&server));
    // the same password under another name is another question
    assert_eq!(try_login(&server, "ben", "right"), 230);
    assert_eq!(asked(&server).len(), 3);
    server.signal("HUP");
    server.wait_for_log("settings reloaded");
    assert_eq!(try_login(&server, "ann", "right"), 230);
    assert_eq!(asked(&server).len(), 4);
    let server = answering(asking().server("auth_cache = 0"), "\"home\": \"ann\"");
    for _ in 0..3 {
        assert_eq!(try_login(&server, "ann", "right"), 230);
    }
    assert_eq!(asked(&server).len(), 3);
}

#[test]
fn an_answer_with_a_fault_is_not_remembered() {
    let faulty = |key: &str| {
        format!("echo '{{\"accept\": true, \"home\": \"ann\", {key}}}'; echo x >> $1/asked")
    };
    let server = start(asking(), &faulty("\"perm\": \"zz\""));
    assert_eq!(try_login(&server, "ann", "right"), 421);
    for (key, code) in [
        ("\"hom\": \"x\"", 421),
        ("\"enabled\": false", 530),
        ("\"expires\": \"2001-01-01\"", 530),
        ("\"perm\": \"el\"", 230),
        ("\"perm\": \"el\"", 230),
    ] {
        script(server.dir(), &faulty(key));
        assert_eq!(try_login(&server, "ann", "right"), code, "{key}");
    }
    assert_eq!(asked(&server).len(), 5, "the last answer is remembered");
}

#[test]
fn passwords_and_names_that_no_user_can_have_are_not_asked_about() {
    let server = answering(asking(), "\"home\": \"ann\"");
    assert_eq!(try_login(&server, "ann", ""), 530);
    let mut client = Client::connect(&server);
    client.raw(b"USER \xFF\xFE\r\n");
    client.expect(331);
    client.cmd("PASS right", 530);
    assert_eq!(try_login(&server, &"x".repeat(256), "right"), 530);
    assert!(asked(&server).is_empty(), "{:?}", asked(&server));
}

#[test]
fn addresses_that_the_server_does_not_let_in_are_not_asked_about() {
    let setup = asking().server("allow_from = 192.0.2.0/24");
    let server = answering(setup, "\"home\": \"ann\", \"allow_from\": \"127.0.0.0/8\"");
    assert_eq!(try_login(&server, "ann", "right"), 530);
    server.wait_for_log("address is not in allow_from");
    assert!(asked(&server).is_empty(), "{:?}", asked(&server));
}

#[test]
fn on_a_server_of_root_an_answer_without_run_as_lets_nobody_in() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root");
        return;
    }
    let server = answering(asking().server("auth_run_as = on"), "\"home\": \"ann\"");
    assert_eq!(try_login(&server, "ann", "right"), 421);
    server.wait_for_log("run_as: is missing, and the server runs as root");
}

#[test]
fn a_program_that_ignores_sigterm_does_not_hold_the_server_up() {
    let stubborn = "trap 'echo asked to end >> $1/asked' TERM; read -r x; echo begin >> $1/asked\n\
                    while :; do sleep 0.1; done";
    let mut server = start(asking().server("auth_timeout = 60"), stubborn);
    let mut client = Client::connect(&server);
    client.cmd("USER ann", 331);
    client.send("PASS right");
    eventually("the program runs", || asked(&server) == ["begin"]);
    let programs = server.programs();
    server.signal("TERM");
    client.expect(421);
    server.wait_for_exit();
    assert_eq!(asked(&server), ["begin"], "killed at once: {programs:?}");
}

#[test]
fn wrong_passwords_are_counted_as_those_of_the_settings() {
    let server = answering(asking().server("ban_after = 3"), "\"home\": \"ann\"");
    let mut client = Client::connect(&server);
    for at in 1..=3 {
        client.cmd("USER ann", 331);
        client.cmd(&format!("PASS wrong{at}"), 530);
    }
    client.expect_close();
    server.wait_for_log("banned");
    let log = server.log();
    assert!(log.contains("login failed for 'ann': refused by auth_program"), "{log}");
    assert!(!log.contains("wrong1"), "{log}");
}

#[test]
fn a_wrong_password_of_a_known_user_takes_as_long_as_an_unknown_name() {
    let slow = "sleep 3; echo '{\"accept\": false}'";
    let server = start(asking(), slow);
    let time = |user: &str| {
        let began = Instant::now();
        assert_eq!(try_login(&server, user, "wrong"), 530);
        began.elapsed()
    };
    for user in ["eve", "bob", "eve"] {
        let took = time(user);
        assert!(took >= Duration::from_secs(3), "{user}: {took:?}");
    }
}

#[test]
fn few_are_asked_about_at_once_and_others_wait() {
    let body = "read -r x; echo begin >> $1/asked; while ! test -e $1/go; do sleep 0.05; done; \
                echo '{\"accept\": true, \"home\": \"ann\"}'";
    let server =
        start(asking().server("auth_workers = 2\nauth_timeout = 60\nauth_cache = 0"), body);
    let mut clients: Vec<_> = (0..5)
        .map(|at| {
            let mut client = Client::connect(&server);
            client.cmd(&format!("USER user{at}"), 331);
            client.send("PASS right");
            client
        })
        .collect();
    eventually("two are asked about", || asked(&server).len() == 2);
    // the users of the settings do not wait
    Client::bob(&server);
    assert_eq!(asked(&server).len(), 2);
    fs::write(server.dir().join("go"), "").unwrap();
    for client in &mut clients {
        client.expect(230);
    }
    assert_eq!(asked(&server).len(), 5);
}

#[test]
fn programs_that_do_not_end_take_no_place_of_a_hook() {
    let setup = asking()
        .server("auth_timeout = 1\nauth_workers = 4\nhook_workers = 1\nmax_per_user = 0")
        .server("on_login = /bin/sh -c \"echo x >> PLACE/events\"");
    let stubborn =
        "trap '' TERM; read -r x; echo begin >> $1/asked; while :; do sleep 0.1; done";
    let server = start(setup, stubborn);
    for wave in 1..=4 {
        let mut clients: Vec<_> = (0..4)
            .map(|at| {
                let mut client = Client::connect(&server);
                client.cmd(&format!("USER user{at}"), 331);
                client.send("PASS right");
                client
            })
            .collect();
        for _ in 0..5 {
            Client::bob(&server);
        }
        for client in &mut clients {
            client.expect(421);
        }
        assert!(asked(&server).len() >= wave, "{:?}", asked(&server));
    }
    let events = || fs::read_to_string(server.dir().join("events")).unwrap_or_default();
    eventually("all hooks have run", || events().lines().count() == 20);
    let log = server.log();
    assert!(!log.contains("too many programs run"), "{log}");
}

#[test]
fn a_reload_without_the_program_ends_its_sessions() {
    let server = answering(asking(), "\"home\": \"ann\"");
    let mut ann = Client::login(&server, "ann", "right");
    let mut bob = Client::bob(&server);
    let ini = fs::read_to_string(server.dir().join("ftpd.ini")).unwrap();
    let without = ini.lines().filter(|line| !line.starts_with("auth_"));
    let without = without.collect::<Vec<_>>().join("\n");
    fs::write(server.dir().join("ftpd.ini"), &without).unwrap();
    server.signal("HUP");
    ann.expect(421);
    ann.expect_close();
    bob.cmd("NOOP", 200);
    assert_eq!(try_login(&server, "ann", "right"), 530, "a remembered answer");
    // and a user of the settings with the name of a session takes its place
    fs::write(server.dir().join("ftpd.ini"), &ini).unwrap();
    server.signal("HUP");
    eventually("asked again", || try_login(&server, "ann", "right") == 230);
    let mut ann = Client::login(&server, "ann", "right");
    let user = "[user:ann]\npassword = own\nhome = home\n";
    fs::write(server.dir().join("ftpd.ini"), format!("{ini}{user}")).unwrap();
    server.signal("HUP");
    ann.expect(421);
    assert_eq!(try_login(&server, "ann", "right"), 530);
    assert_eq!(try_login(&server, "ann", "own"), 230);
}

/// A script as Pure-FTPd's manual describes it.
const EXTAUTH: &str = r#"
env | sort >> $1/asked; cat >> $1/asked
if test "$AUTHD_ACCOUNT" = ann; then
  if test "$AUTHD_PASSWORD" = 'it is "right"'; then
    echo 'auth_ok:1'
    echo 'uid:42'
    echo 'gid:43'
    echo "dir:$1/homes/ann/./in"
    echo 'slow_tilde_expansion:1'
    echo 'user_quota_size:8'
  else
    echo 'auth_ok:-1'
  fi
else
  echo 'auth_ok:0'
fi
echo 'end'
"#;

#[test]
fn scripts_for_pure_ftpd_work() {
    let server = start(asking().server("auth_protocol = extauth"), EXTAUTH);
    fs::create_dir(server.dir().join("homes/ann/in")).unwrap();
    let mut client = Client::login(&server, "ann", "it is \"right\"");
    assert!(client.cmd("PWD", 257).contains("\"/in\""));
    client.upload("STOR a", b"12345");
    let (code, _, _) = client.exchange("STOR b", b"12345");
    assert_eq!(code, 552, "user_quota_size");
    let port = server.address().port();
    let variables = format!(
        "AUTHD_ACCOUNT=ann\nAUTHD_ENCRYPTED=0\nAUTHD_LOCAL_IP=127.0.0.1\nAUTHD_LOCAL_PORT={port}\n\
         AUTHD_PASSWORD=it is \"right\"\nAUTHD_REMOTE_IP=127.0.0.1\n"
    );
    let asked = asked(&server).join("\n");
    assert!(asked.contains(&variables) && !asked.contains('{'), "{asked}");
    assert_eq!(try_login(&server, "ann", "wrong"), 530);
    assert_eq!(try_login(&server, "eve", "right"), 530);
    // a NUL would end the variable early
    let mut client = Client::connect(&server);
    client.cmd("USER ann", 331);
    client.raw(b"PASS it is \"right\"\0x\r\n");
    client.expect_in(500..531);
    let broken =
        ["auth_ok:1\\nend\\n", "auth_ok:1\\nuid:1\\ngid:1\\ndir:ann\\n", "{\"accept\": true}"];
    for (at, answer) in broken.into_iter().enumerate() {
        script(server.dir(), &format!("printf '{answer}'"));
        assert_eq!(try_login(&server, "ben", &format!("{at}")), 421, "{answer}");
    }
}

#[test]
fn the_password_is_in_no_log_argument_or_variable() {
    let body = "env >> $1/seen; tr '\\0' ' ' < /proc/$$/cmdline >> $1/seen; cat > $1/asked; \
                echo 'a word' >&2; echo '{\"accept\": false}'";
    let server = start(asking().server("log_level = trace"), body);
    assert_eq!(try_login(&server, "ann", "tops3cret"), 530);
    let seen = fs::read_to_string(server.dir().join("seen")).unwrap();
    assert!(seen.contains("auth.sh") && seen.contains("PATH=") && !seen.contains("tops3cret"));
    assert!(asked(&server)[0].contains("tops3cret"));
    server.wait_for_log("a word");
    let log = server.log();
    assert!(log.contains("auth_program[") && !log.contains("tops3cret"), "{log}");
}

/// An HTTP server that keeps what it is asked.
pub(crate) struct Web {
    pub(crate) port: u16,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

/// The head of a response of this length.
fn head(status: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A whole response.
pub(crate) fn response(status: &str, body: &str) -> String {
    head(status, body.len()) + body
}

impl Web {
    /// Starts a server that answers each request, given as text, by writing to the connection.
    pub(crate) fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&str, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (kept, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer, tls) = (Arc::clone(&kept), Arc::clone(&answer), tls.clone());
                thread::spawn(move || {
                    let mut plain;
                    let mut secure;
                    let stream: &mut dyn ReadWrite = match tls {
                        None => {
                            plain = stream;
                            &mut plain
                        }
                        Some(tls) => {
                            let connection = ServerConnection::new(tls).unwrap();
                            secure = StreamOwned::new(connection, stream);
                            &mut secure
                        }
                    };
                    let Ok(request) = request(stream) else { return };
                    kept.lock().unwrap().push(request.clone());
                    // the client may have gone
                    let _ = answer(&request, stream).and_then(|()| stream.flush());
                });
            }
        });
        Self { port, asked }
    }

    /// Starts a server that accepts the password `right`.
    fn good(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start(tls, |request, to| {
            let is_right = request.contains("\"password\":\"right\"");
            let body = if is_right {
                "{\"accept\": true, \"home\": \"ann\", \"perm\": \"elrw\"}"
            } else {
                "{\"accept\": false}"
            };
            to.write_all(response("200 OK", body).as_bytes())
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// Reads a request with its body.
fn request(stream: &mut dyn ReadWrite) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() == length {
            return Ok(so_far);
        }
    }
}

/// The settings of TLS with this certificate.
pub(crate) fn tls_of(pair: &Pair) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

/// Settings of a server that asks a URL.
fn asking_url(url: &str) -> Setup {
    Server::setup()
        .server(&format!("auth_url = {url}\nauth_homes = homes\nauth_perm = elradfmwMT"))
}

#[test]
fn a_url_is_asked_by_post_and_answers_like_a_program() {
    let web = Web::good(None);
    let server = start(asking_url(&format!("http://127.0.0.1:{}/login?x=y", web.port)), "");
    let mut client = Client::login(&server, "ann", "right");
    client.upload("STOR a", b"x");
    client.cmd("MKD d", 550);
    assert_eq!(try_login(&server, "ann", "wrong"), 530);
    server.wait_for_log("login failed for 'ann': refused by auth_url");
    assert_eq!(try_login(&server, "ann", "right"), 230);
    assert_eq!(web.count(), 2, "answers are remembered");
    let asked = web.asked.lock().unwrap()[0].clone();
    assert!(asked.starts_with("POST /login?x=y HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nHost: 127.0.0.1:{}\r\n", web.port)), "{asked}");
    assert!(asked.contains("\r\nContent-Type: application/json\r\n"), "{asked}");
    assert!(asked.contains("\r\n\r\n{\"name\":\"ann\",\"password\":\"right\",\"address\":"));
    assert!(!server.log().contains("right"), "{}", server.log());
}

#[test]
fn the_status_401_and_403_refuse_and_each_other_is_an_outage() {
    let accept = "{\"accept\": true, \"home\": \"ann\"}";
    for (status, code) in [
        ("401 Unauthorized", 530),
        ("403 Forbidden", 530),
        ("500 Oops", 421),
        ("404 Not Found", 421),
        ("204 No Content", 421),
        ("201 Created", 421),
        ("302 Found\r\nLocation: /other", 421),
        ("307 Temporary Redirect\r\nLocation: /other", 421),
    ] {
        let web =
            Web::start(None, move |_, to| to.write_all(response(status, accept).as_bytes()));
        let server = start(asking_url(&format!("http://127.0.0.1:{}", web.port)), "");
        assert_eq!(try_login(&server, "ann", "right"), code, "{status}");
        assert_eq!(web.count(), 1, "{status}");
    }
}

#[test]
fn a_url_without_a_whole_answer_in_time_is_an_outage() {
    type Answer = fn(&mut dyn Write) -> io::Result<()>;
    let slow = |to: &mut dyn Write, text: &str| {
        for byte in text.bytes() {
            to.write_all(&[byte])?;
            to.flush()?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    };
    let whole = response("200 OK", "{\"accept\": true, \"home\": \"ann\"}");
    // byte by byte is as good as in one piece, if it is in time
    let text = whole.clone();
    let web = Web::start(None, move |_, to| slow(to, &text));
    let url = format!("http://127.0.0.1:{}/", web.port);
    let server = start(asking_url(&url).server("auth_timeout = 60"), "");
    assert_eq!(try_login(&server, "ann", "right"), 230);
    let server = start(asking_url(&url).server("auth_timeout = 1"), "");
    assert_eq!(try_login(&server, "ann", "right"), 421);
    let answers: [(Answer, &str); 6] = [
        (|_| Ok(()), "cut off"),
        (|to| to.write_all(b"SSH-2.0-x\r\n\r\n"), "not HTTP/1.1"),
        (|to| to.write_all((head("200 OK", 99) + "{\"accept\": true}").as_bytes()), "cut off"),
        (|to| to.write_all(response("200 OK", "<html>").as_bytes()), "not JSON"),
        (|to| to.write_all(response("200 OK", &" ".repeat(70_000)).as_bytes()), "too long"),
        (
            |_| {
                thread::sleep(Duration::from_secs(300));
                Ok(())
            },
            "no response in time",
        ),
    ];
    for (answer, why) in answers {
        let web = Web::start(None, move |_, to| answer(to));
        let url = format!("http://127.0.0.1:{}/", web.port);
        let server = start(asking_url(&url).server("auth_timeout = 2"), "");
        assert_eq!(try_login(&server, "ann", "right"), 421, "{why}");
        let line = server.wait_for_log("login failed for 'ann': auth_url http://127.0.0.1:");
        assert!(line.contains(why), "{line}");
        Client::bob(&server);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = start(asking_url(&format!("http://127.0.0.1:{nobody}/")), "");
    assert_eq!(try_login(&server, "ann", "right"), 421);
    server.wait_for_log("refused");
}

#[test]
fn https_takes_a_certificate_of_ca_file_for_the_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let web = Web::good(Some(tls_of(&authority.issue("web"))));
    let ask = |host: &str, ca: &Authority| {
        let url = format!("https://{host}:{}/", web.port);
        let setup = asking_url(&url).server(&format!("ca_file = {}", ca.file().display()));
        start(setup, "")
    };
    let server = ask("localhost", &authority);
    assert_eq!(try_login(&server, "ann", "right"), 230);
    assert_eq!(try_login(&server, "ann", "wrong"), 530);
    let count = web.count();
    for server in [ask("localhost", &other), ask("127.0.0.1", &authority)] {
        assert_eq!(try_login(&server, "ann", "right"), 421);
        let line = server.wait_for_log("login failed for 'ann': auth_url https://");
        assert!(line.contains("certificate"), "{line}");
    }
    assert_eq!(web.count(), count, "the password was sent to a stranger");
    // a server without TLS is none to trust either
    let plain = Web::good(None);
    let setup = asking_url(&format!("https://localhost:{}/", plain.port))
        .server(&format!("ca_file = {}", authority.file().display()));
    assert_eq!(try_login(&start(setup, ""), "ann", "right"), 421);
}

#[test]
fn a_login_over_tls_tells_the_version_and_the_certificate() {
    let authority = Authority::new();
    let pair = authority.issue("ann");
    let setup = asking()
        .server(&format!("tls_cert = auto\ntls_client_ca = {}", authority.file().display()))
        .server("tls_client_cert = optional");
    let server = answering(setup, "\"home\": \"ann\", \"tls_client\": \"CN=ann,O=Example\"");
    for (version, text) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
        let tls = Tls::certified(version, &pair);
        let mut client = Client::auth(&server, &tls);
        client.cmd("USER ann", 331);
        client.cmd("PASS right", 230);
        client.go_private();
        client.secure_upload(&tls, "STOR a", b"x");
        let question = asked(&server).pop().unwrap();
        let wanted = format!(
            "\"tls\":\"{text}\",\"certificate\":{{\"subject\":\"CN=ann,O=Example\",\"sha256\":\"{}\"}}",
            pair.fingerprint()
        );
        assert!(question.contains(&wanted), "{question}");
        // without the certificate that the answer demands
        let mut client = Client::auth(&server, &Tls::new(version));
        client.cmd("USER ann", 331);
        client.cmd("PASS right", 530);
    }
    assert_eq!(asked(&server).len(), 4);
    // an answer that demands TLS
    script(
        server.dir(),
        "echo '{\"accept\": true, \"home\": \"ann\", \"tls_required\": \"on\"}'",
    );
    assert_eq!(try_login(&server, "ben", "right"), 530);
}

#[test]
fn curl_and_lftp_log_in_and_say_what_is_wrong() {
    let server = answering(asking(), "\"home\": \"ann\"");
    fs::write(server.dir().join("homes/ann/file"), "content").unwrap();
    let url = |user: &str| format!("ftp://{user}@{}/file", server.address());
    if let Some(curl) = Tool::find("curl") {
        assert!(curl.run(["-sS", &url("ann:right")]).ok().contains("content"));
        curl.run(["-sS", &url("ann:wrong")]).failed();
    }
    if let Some(lftp) = Tool::find("lftp") {
        let script = |password: &str| {
            format!(
                "set net:max-retries 1; set ftp:ssl-allow no; open -u ann,{password} ftp://{}; cat file",
                server.address()
            )
        };
        assert!(lftp.run(["-c", &script("right")]).ok().contains("content"));
        lftp.run(["-c", &script("wrong")]).failed();
    }
}
