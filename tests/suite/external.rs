//! `auth_program`: users that the settings do not have.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::{Server, Setup, eventually};

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
         \"quota_bytes\": 8, \"login_msg\": \"Hello\"",
    );
    let mut client = Client::connect(&server);
    client.cmd("USER ann", 331);
    assert!(client.cmd("PASS right", 230).contains("Hello"));
    client.cmd("TYPE I", 200);
    client.upload("STOR a", b"12345");
    assert_eq!(fs::read(server.dir().join("homes/ann/a")).unwrap(), b"12345");
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
