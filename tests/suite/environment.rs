//! Settings from variables of the environment, and secrets from files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use ftpd::config::KEYS;

use crate::config::VALUES;
use crate::program::{BOB, Program, connect, folder, log_in};
use crate::table::takes_any_text;

/// Runs the program in a folder with these variables and no others of ours.
fn run(arguments: &[&str], dir: &Path, variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A folder with a home and without settings.
fn bare() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("home")).unwrap();
    dir
}

/// The variables of a complete user.
const CAMERA: [(&str, &str); 2] =
    [("FTPD_USER_CAMERA_PASSWORD", "tops3cret"), ("FTPD_USER_CAMERA_HOME", "home")];

/// What `ftpd check` says of these variables, besides a complete user, line by line.
fn faults(variables: &[(&str, &str)]) -> Vec<String> {
    let dir = bare();
    let all: Vec<_> = CAMERA.iter().chain(variables).copied().collect();
    let (code, out, err) = run(&["check"], dir.path(), &all);
    assert_eq!((code, out.as_str()), (78, ""), "{variables:?}: {err}");
    err.lines().map(str::to_owned).collect()
}

/// Starts the server in a folder that holds no settings.
fn serve(dir: tempfile::TempDir, variables: &[(&str, &str)]) -> Program {
    let child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .current_dir(dir.path())
        .env_remove("RUST_LOG")
        .env("FTPD_SERVER_IP", "127.0.0.1")
        .env("FTPD_SERVER_PORT", "0")
        .env("FTPD_SERVER_PASSIVE_PORTS", "10000-32000")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.path().join("stderr")).unwrap())
        .spawn()
        .unwrap();
    Program::of(child, dir)
}

// which variables, and what they say

#[test]
fn each_key_takes_its_default_from_a_variable() {
    let dir = bare();
    let text = |key: &ftpd::config::Key| match key.name {
        "home" => "home",
        "password" => "x",
        _ => key.default.unwrap(),
    };
    for key in KEYS {
        let upper = key.name.to_uppercase();
        let mut variables = Vec::new();
        if key.scope().has_server() {
            variables.push((format!("FTPD_SERVER_{upper}"), text(key)));
        }
        if key.scope().has_users() {
            variables.push((format!("FTPD_USER_CAMERA_{upper}"), text(key)));
        }
        let mut all = CAMERA.to_vec();
        all.extend(variables.iter().map(|(name, value)| (name.as_str(), *value)));
        let (code, out, err) = run(&["check", "-v"], dir.path(), &all);
        assert_eq!(code, 0, "{}: {err}", key.name);
        for (name, _) in variables {
            let from = format!("; {name}\n");
            assert!(out.contains(&from), "{name} in\n{out}");
        }
    }
}

#[test]
fn each_key_takes_a_good_value_from_a_variable() {
    let dir = bare();
    let mut variables = Vec::new();
    // as in the same test of a file
    let users = tempfile::tempdir().unwrap();
    for key in KEYS {
        let value = VALUES.iter().find(|(name, _)| *name == key.name).unwrap().1;
        let value = value.replace("USERS", users.path().to_str().unwrap());
        let upper = key.name.to_uppercase();
        if key.scope().has_server() {
            variables.push((format!("FTPD_SERVER_{upper}"), value.clone()));
        }
        if key.scope().has_users() {
            variables.push((format!("FTPD_USER_BOB_{upper}"), value));
        }
    }
    let all: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (code, out, err) = run(&["check"], dir.path(), &all);
    assert_eq!((code, out.as_str()), (0, "environment: good, 1 user and anonymous\n"), "{err}");
    // a file with the same lines means the same
    let lines = |prefix: &str| {
        let own = variables.iter().filter_map(|(name, value)| {
            Some(format!("{} = {value}\n", name.strip_prefix(prefix)?))
        });
        own.collect::<String>()
    };
    let ini =
        format!("[server]\n{}[user:bob]\n{}", lines("FTPD_SERVER_"), lines("FTPD_USER_BOB_"));
    fs::write(dir.path().join("ftpd.ini"), ini).unwrap();
    let values = |variables: &[(&str, &str)], file: &[&str]| {
        let arguments = [&["check", "-v"][..], file].concat();
        let (_, out, _) = run(&arguments, dir.path(), variables);
        let lines = out.lines().filter(|line| !line.contains(": good, "));
        let value = |line: &str| line.split("  ;").next().unwrap().trim_end().to_owned();
        lines
            .map(|line| value(line.rsplit_once(" ; ").map_or(line, |(value, _)| value)))
            .collect::<Vec<_>>()
    };
    let from_file = values(&[], &[]);
    fs::remove_file(dir.path().join("ftpd.ini")).unwrap();
    assert_eq!(values(&all, &[]), from_file);
}

#[test]
fn each_key_names_its_variable_when_it_refuses_nonsense() {
    let dir = bare();
    let mut variables = Vec::new();
    for key in KEYS.iter().filter(|key| !takes_any_text(key)) {
        let upper = key.name.to_uppercase();
        if key.scope().has_server() {
            variables.push(format!("FTPD_SERVER_{upper}"));
        }
        if key.scope().has_users() {
            variables.push(format!("FTPD_USER_CAMERA_{upper}"));
        }
    }
    let nonsense = |name: &'static str| (name, "none/such ! thing");
    let mut all = vec![CAMERA[0]];
    let names: Vec<&'static str> =
        variables.iter().map(|name| &*Box::leak(name.clone().into_boxed_str())).collect();
    all.extend(names.iter().map(|name| nonsense(name)));
    let (code, _, err) = run(&["check"], dir.path(), &all);
    assert_eq!(code, 78);
    for name in &variables {
        let line = err.lines().find(|line| line.starts_with(&format!("{name}: ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{err}"));
        assert!(line.contains("none/such ! thing"), "{line}");
    }
    assert_eq!(err.lines().count(), variables.len(), "{err}");
}

#[test]
fn a_file_of_tls_with_a_fault_names_its_variable() {
    let dir = bare();
    for file in ["cert.pem", "key.pem"] {
        fs::write(dir.path().join(file), "nothing\n").unwrap();
    }
    let tls = [("FTPD_SERVER_TLS_CERT", "cert.pem"), ("FTPD_SERVER_TLS_KEY", "key.pem")];
    let all: Vec<_> = CAMERA.iter().chain(&tls).copied().collect();
    let (code, _, err) = run(&["check"], dir.path(), &all);
    assert_eq!(code, 78);
    assert!(err.starts_with("FTPD_SERVER_TLS_KEY /"), "{err}");
    let (_, _, err) = run(&["check"], dir.path(), &all[..3]);
    assert_eq!(err, "FTPD_SERVER_TLS_KEY: is missing\n");
}

#[test]
fn each_key_names_its_variable_when_the_value_is_bad() {
    // the same values that the lines of a file refuse
    for (name, value, begin) in [
        ("FTPD_SERVER_PORT", "x", "FTPD_SERVER_PORT: 'x' is not a whole number"),
        ("FTPD_SERVER_MAX_CONS", "0", "FTPD_SERVER_MAX_CONS: '0' "),
        ("FTPD_SERVER_TLS_CERT", "none.pem", "FTPD_SERVER_TLS_CERT: 'none.pem' cannot be read"),
        ("FTPD_SERVER_TLS_REQUIRED", "on", "FTPD_SERVER_TLS_REQUIRED: needs a tls_cert"),
        ("FTPD_SERVER_GROUP", "0", "FTPD_SERVER_GROUP: '0' has no effect without"),
        ("FTPD_SERVER_USERS_FILE", "none", "FTPD_SERVER_USERS_FILE: 'none' does not exist"),
        ("FTPD_USER_CAMERA_PERM", "elx", "FTPD_USER_CAMERA_PERM: 'elx' has the unknown"),
        ("FTPD_USER_CAMERA_LIKE", "cam", "FTPD_USER_CAMERA_LIKE: 'cam' has no section"),
        ("FTPD_USER_CAMERA_TLS_CLIENT", "x", "FTPD_USER_CAMERA_TLS_CLIENT: needs a tls_cert"),
        ("FTPD_USER_BO_HOME", "home", "FTPD_USER_BO_PASSWORD: is missing"),
        (
            "FTPD_USER_BO_NAME",
            "Bo Y",
            "FTPD_USER_BO_NAME: 'Bo Y' is the name of a user without",
        ),
        ("FTPD_SERVER_ANONYMOUS_PATH", "none", "FTPD_SERVER_ANONYMOUS_PATH: 'none' is not a"),
    ] {
        let mut variables = vec![(name, value)];
        if name.contains("ANONYMOUS") {
            variables.push(("FTPD_SERVER_ENABLE_ANONYMOUS", "on"));
        }
        let found = faults(&variables);
        let [fault] = &found[..] else { panic!("{name}: {found:?}") };
        assert!(fault.starts_with(begin), "{fault}");
    }
    let bad_home = [("FTPD_USER_CAMERA_HOME", "stderr/none")];
    assert!(faults(&bad_home)[0].starts_with("FTPD_USER_CAMERA_HOME: 'stderr/none' is not"));
}

#[test]
fn names_that_are_no_keys_stop_the_start_with_a_suggestion() {
    let cases = [
        ("FTPD_SERVER_PROT", "unknown key; did you mean 'FTPD_SERVER_PORT'?"),
        ("FTPD_SERVER_", "unknown key"),
        ("FTPD_SERVER_HOME", "belongs in FTPD_USER_NAME_KEY"),
        ("FTPD_USER_BOB_PASWORD", "unknown key; did you mean 'FTPD_USER_BOB_PASSWORD'?"),
        ("FTPD_USER_A_B_PASSWRD_FILE", "did you mean 'FTPD_USER_A_B_PASSWORD_FILE'?"),
        ("FTPD_USER_BOB_PORT", "belongs in FTPD_SERVER_KEY"),
        ("FTPD_USER_BOB_ANONYMOUS_PERM", "belongs in FTPD_SERVER_KEY"),
        ("FTPD_USER_CREATE_HOME", "names no user; expected FTPD_USER_NAME_KEY"),
        ("FTPD_USER_HOME", "names no user; expected FTPD_USER_NAME_KEY"),
        ("FTPD_USER__HOME", "names no user; expected FTPD_USER_NAME_KEY"),
        ("FTPD_USER_MAX_UPLOAD", "names no user; expected FTPD_USER_NAME_KEY"),
        ("FTPD_USER_", "names no user; expected FTPD_USER_NAME_KEY"),
    ];
    for (name, text) in cases {
        let found = faults(&[(name, "1")]);
        let [fault] = &found[..] else { panic!("{name}: {found:?}") };
        assert!(fault.starts_with(&format!("{name}: ")) && fault.contains(text), "{fault}");
    }
    // all in one run, and before a file is missed
    let all: Vec<_> = cases.iter().map(|(name, _)| (*name, "1")).collect();
    assert_eq!(faults(&all).len(), cases.len());
}

#[test]
fn other_variables_are_ignored() {
    let dir = bare();
    let ignored = [
        // an orchestrator that has services of the names ftpd, ftpd-server and ftpd-user
        ("FTPD_PORT", "tcp://10.0.0.1:21"),
        ("FTPD_SERVICE_HOST", "10.0.0.1"),
        ("FTPD_SERVER_PORT", "tcp://10.0.0.1:21"),
        ("FTPD_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("FTPD_SERVER_SERVICE_PORT", "21"),
        ("FTPD_SERVER_SERVICE_PORT_FTP", "21"),
        ("FTPD_SERVER_PORT_21_TCP", "tcp://10.0.0.1:21"),
        ("FTPD_SERVER_PORT_21_TCP_PROTO", "tcp"),
        ("FTPD_SERVER_PORT_21_TCP_PORT", "21"),
        ("FTPD_SERVER_PORT_21_TCP_ADDR", "10.0.0.1"),
        ("FTPD_USER_SERVICE_HOST", "10.0.0.1"),
        ("FTPD_USER_DB_SERVICE_PORT", "21"),
        ("FTPD_USER_PORT_69_UDP_PROTO", "udp"),
        ("FTPD_USER_BOB_HOME", "udp://10.0.0.1:69"),
        // hooks are given these
        ("FTPD_USER", "anna"),
        ("FTPD_PATH", "/srv"),
        ("FTPD_SIZE", "7"),
        // others
        ("FTPD_CONFIG", "x"),
        ("ftpd_server_prot", "x"),
        ("XFTPD_SERVER_PROT", "x"),
    ];
    let (code, _, err) = run(&["check"], dir.path(), &ignored);
    assert_eq!(code, 78);
    assert!(err.starts_with("ftpd: neither ftpd.ini nor /etc/ftpd.ini exists"), "{err}");
    let all: Vec<_> = CAMERA.iter().chain(&ignored).copied().collect();
    let good = (0, "environment: good, 1 user\n".to_owned(), String::new());
    assert_eq!(run(&["check"], dir.path(), &all), good);
}

#[test]
fn users_are_split_at_the_longest_key_and_may_have_other_names() {
    let dir = bare();
    let variables = [
        ("FTPD_USER_CAM_1_PASSWORD", "x"),
        ("FTPD_USER_CAM_1_HOME", "home"),
        ("FTPD_USER_CAM_1_MAX_PER_USER", "2"),
        ("FTPD_USER_MAX_PASSWORD", "x"),
        ("FTPD_USER_MAX_HOME", "home"),
        ("FTPD_USER_7_NAME", "Anna M\u{fc}ller"),
        ("FTPD_USER_7_PASSWORD", "x"),
        ("FTPD_USER_7_HOME", "home"),
    ];
    let (code, out, err) = run(&["users", "--json"], dir.path(), &variables);
    assert_eq!(code, 0, "{err}");
    for name in ["cam_1", "max", "Anna M\u{fc}ller"] {
        assert!(out.contains(&format!("\"name\":\"{name}\"")), "{name} in {out}");
    }
    assert!(out.contains("\"max_per_user\":2"), "{out}");
}

#[test]
fn two_variables_for_one_thing_are_a_fault() {
    let found = faults(&[("FTPD_SERVER_MAX_CONS", "5"), ("FTPD_SERVER_max_cons", "6")]);
    assert_eq!(found, ["FTPD_SERVER_max_cons: sets the same as FTPD_SERVER_MAX_CONS"]);
    let found = faults(&[("FTPD_USER_camera_HOME", "home")]);
    assert_eq!(found, ["FTPD_USER_camera_HOME: sets the same as FTPD_USER_CAMERA_HOME"]);
    let found = faults(&[("FTPD_USER_X_NAME", "camera"), ("FTPD_USER_X_PERM", "elr")]);
    assert_eq!(found.len(), 2, "{found:?}");
    for (fault, name) in found.iter().zip(["HOME", "PASSWORD"]) {
        let text =
            format!("FTPD_USER_CAMERA_{name}: is about the same user as FTPD_USER_X_NAME");
        assert_eq!(*fault, text);
    }
    let found = faults(&[
        ("FTPD_USER_CAMERA_CREATE_HOME", "on"),
        ("FTPD_USER_CAMERA_CREATE_PERM", "elr"),
    ]);
    let text =
        "sets either create_home of the user 'camera' or home of the user 'camera_create'";
    assert!(
        found[0].starts_with(&format!("FTPD_USER_CAMERA_CREATE_HOME: {text}")),
        "{found:?}"
    );
    let found = faults(&[("FTPD_USER_CAMERA_PASSWORD_FILE", "stderr")]);
    assert!(found[0].starts_with("FTPD_USER_CAMERA_PASSWORD_FILE: 'stderr' "), "{found:?}");
}

#[test]
fn odd_names_and_values_are_faults_and_secrets_stay_hidden() {
    let dir = bare();
    let check = |name: &[u8], value: &[u8]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .arg("check")
            .current_dir(dir.path())
            .envs(CAMERA)
            .env(OsStr::from_bytes(name), OsStr::from_bytes(value))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), text)
    };
    let (code, said) = check(b"FTPD_SERVER_\xff\n", b"1");
    assert_eq!(code, 78);
    assert!(said.starts_with("FTPD_SERVER_\u{fffd}\\n: unknown key"), "{said}");
    let (code, said) = check(b"FTPD_USER_CAMERA_PASSWORD", b"hid\xffden");
    assert_eq!(
        (code, said.lines().next().unwrap()),
        (78, "FTPD_USER_CAMERA_PASSWORD: expected UTF-8 text")
    );
    let (code, said) = check(b"FTPD_USER_CAMERA_PASSWORD", b"hidden\nhidden");
    assert_eq!(code, 78);
    assert!(said.starts_with("FTPD_USER_CAMERA_PASSWORD: has more than one line\n"), "{said}");
    let (_, said) = check(b"FTPD_USER_CAMERA_PASSWORD", b"");
    assert!(said.starts_with("FTPD_USER_CAMERA_PASSWORD: is empty"), "{said}");
    let (_, said) = check(b"FTPD_USER_CAMERA_PASSWORD", b"$1$hidden");
    assert!(said.starts_with("FTPD_USER_CAMERA_PASSWORD: "), "{said}");
    assert!(!said.contains("hidden"), "{said}");
    assert_eq!(check(b"FTPD_USER_CAMERA_PASSWORD", b"one line\r\n"), (0, String::new()));
}

// the order of the sources

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let dir = folder(format!(
        "[server]\nmax_cons = 7\nmax_per_ip = 3\nport = nonsense\n\
         [template:t]\numask = 077\n{BOB}perm = elradfmwMT\nlike = t\n"
    ));
    let variables = [
        ("FTPD_SERVER_PORT", "2100"),
        ("FTPD_SERVER_MAX_CONS", "9"),
        ("FTPD_USER_BOB_PASSWORD", "other"),
        ("FTPD_USER_BOB_PERM", "el"),
        ("FTPD_USER_ANNA_PASSWORD", "x"),
        ("FTPD_USER_ANNA_HOME", "home"),
        ("FTPD_USER_ANNA_LIKE", "t"),
    ];
    let (code, out, err) = run(&["check", "-v"], dir.path(), &variables);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines: Vec<_> = out
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let (bob, anna) = (
        lines.iter().position(|line| line == "[user:bob]").unwrap(),
        lines.iter().position(|line| line == "[user:anna]").unwrap(),
    );
    let is = |part: &[String], line: &str| {
        assert!(part.iter().any(|other| other == line), "{line} in\n{out}");
    };
    is(&lines[..bob], "port = 2100 ; FTPD_SERVER_PORT");
    is(&lines[..bob], "max_cons = 9 ; FTPD_SERVER_MAX_CONS");
    is(&lines[..bob], "max_per_ip = 3 ; ftpd.ini:3");
    is(&lines[..bob], "idle_timeout = 300 ; default");
    is(&lines[bob..anna], "password = *** ; FTPD_USER_BOB_PASSWORD");
    is(&lines[bob..anna], "perm = el ; FTPD_USER_BOB_PERM");
    is(&lines[bob..anna], "home = home ; ftpd.ini:9");
    is(&lines[bob..anna], "umask = 077 ; ftpd.ini:6");
    is(&lines[bob..anna], "enabled = on ; default");
    is(&lines[anna..], "umask = 077 ; ftpd.ini:6");
    is(&lines[anna..], "ftpd.ini: good, 2 users");
    for secret in ["other", "tops3cret"] {
        assert!(!out.contains(secret), "{secret} in {out}");
    }
}

#[test]
fn the_environment_overrides_the_section_of_anonymous_users() {
    let dir = folder(format!("[anonymous]\nenabled = off\nhome = none\n{BOB}"));
    let variables =
        [("FTPD_SERVER_ENABLE_ANONYMOUS", "on"), ("FTPD_SERVER_ANONYMOUS_PATH", "home")];
    let (code, out, err) = run(&["check"], dir.path(), &variables);
    assert_eq!((code, out.as_str()), (0, "ftpd.ini: good, 1 user and anonymous\n"), "{err}");
    let own = [("FTPD_USER_ANONYMOUS_HOME", "home"), ("FTPD_USER_ANONYMOUS_PASSWORD", "x")];
    let all: Vec<_> = variables.iter().chain(&own).copied().collect();
    let (code, _, err) = run(&["check"], dir.path(), &all);
    assert_eq!(code, 78);
    assert!(err.contains("'anonymous' is already the name of an anonymous user"), "{err}");
}

#[test]
fn a_server_needs_no_file() {
    let mut program = serve(bare(), &CAMERA);
    let address = program.address("stderr");
    let mut client = log_in(address, "camera", "tops3cret");
    client.cmd("PWD", 257);
    client.cmd("MKD x", 550);
    client.cmd("QUIT", 221);
    let mut client = connect(address);
    client.cmd("USER camera", 331);
    client.cmd("PASS wrong", 530);
    // the health check of a container runs in the same environment and folder
    let who = |variables: &[(&str, &str)]| run(&["who"], program.dir(), variables).0;
    assert_eq!(who(&CAMERA), 0);
    assert_eq!(who(&[("FTPD_SERVER_PORT", "nonsense"), ("FTPD_SERVER_PROT", "x")]), 0);
    assert_eq!(who(&[("FTPD_SERVER_ADMIN_SOCKET", "ftpd-state/admin.sock")]), 0);
    assert_eq!(who(&[("FTPD_SERVER_ADMIN_SOCKET", "elsewhere")]), 1);
    let (code, _, err) = run(&["passwd", "camera", "--write"], program.dir(), &CAMERA);
    assert_eq!(code, 1);
    assert!(err.contains("no settings file to change"), "{err}");
    assert_eq!(program.stop(), 0);
    assert!(!program.text("stderr").contains("tops3cret"));
}

#[test]
fn a_file_that_is_named_must_exist_in_spite_of_variables() {
    let dir = bare();
    let (code, _, err) = run(&["check", "--config", "none.ini"], dir.path(), &CAMERA);
    assert_eq!(code, 78);
    assert!(err.starts_with("none.ini: cannot be read: "), "{err}");
}

#[test]
fn nobody_to_log_in_is_a_fault_of_the_environment() {
    let dir = bare();
    let (code, _, err) = run(&["check"], dir.path(), &[("FTPD_SERVER_PORT", "2121")]);
    assert_eq!(code, 78);
    assert!(err.starts_with("environment: no user can log in: "), "{err}");
}

#[test]
fn commands_that_write_warn_of_variables_that_override_the_file() {
    let dir = folder(BOB);
    let ftpd = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .args(arguments)
            .current_dir(dir.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"n3w\n").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let said = ftpd(&["passwd", "bob", "--write"], &[("FTPD_USER_BOB_PASSWORD", "hidden")]);
    let text = "warning: FTPD_USER_BOB_PASSWORD is set, and overrides password in the file\n";
    assert_eq!(said, (0, text.to_owned()));
    assert_eq!(ftpd(&["passwd", "bob", "--write"], &CAMERA), (0, String::new()));
    let said = ftpd(&["adduser", "camera", "--home", "home"], &CAMERA);
    assert_eq!(said.0, 0);
    assert_eq!(said.1.lines().count(), 2, "{}", said.1);
    let said = ftpd(&["deluser", "camera"], &CAMERA);
    assert!(said.1.contains("warning: FTPD_USER_CAMERA_HOME is still set"), "{}", said.1);
    // a new user belongs in the file that the variable names
    fs::write(dir.path().join("more.ini"), "").unwrap();
    let users = [("FTPD_SERVER_USERS_FILE", "more.ini")];
    assert_eq!(ftpd(&["adduser", "anna", "--home", "home"], &users).0, 0);
    let more = fs::read_to_string(dir.path().join("more.ini")).unwrap();
    assert!(more.contains("[user:anna]"), "{more}");
}

// secrets in files

#[test]
fn a_password_is_the_first_line_of_a_file() {
    let secret = |text: &str| {
        let dir = bare();
        fs::write(dir.path().join("secret"), text).unwrap();
        dir
    };
    let variables =
        [("FTPD_USER_CAMERA_PASSWORD_FILE", "secret"), ("FTPD_USER_CAMERA_HOME", "home")];
    for text in ["tops3cret", "tops3cret\n", "tops3cret\r\n", "tops3cret\nmore\n"] {
        let mut program = serve(secret(text), &variables);
        let address = program.address("stderr");
        log_in(address, "camera", "tops3cret").cmd("QUIT", 221);
        assert!(!program.text("stderr").contains("warning"), "{}", program.text("stderr"));
    }
    let long = "x".repeat(70_000);
    for (text, why) in [
        ("", "'secret' has an empty first line; expected a password"),
        ("\nhidden", "'secret' has an empty first line; expected a password"),
        ("$1$hidden", "'secret' contains a password that "),
        (long.as_str(), "'secret' has a first line of more than 64 KiB"),
    ] {
        let dir = secret(text);
        let (code, _, err) = run(&["check"], dir.path(), &variables);
        assert_eq!(code, 78);
        assert!(err.starts_with(&format!("FTPD_USER_CAMERA_PASSWORD_FILE: {why}")), "{err}");
        assert!(!err.contains("hidden") && err.lines().count() == 1, "{err}");
    }
    let dir = secret("");
    fs::write(dir.path().join("secret"), b"hid\xffden").unwrap();
    let (_, _, err) = run(&["check"], dir.path(), &variables);
    assert_eq!(err, "FTPD_USER_CAMERA_PASSWORD_FILE: 'secret' is not UTF-8 text\n");
    fs::remove_file(dir.path().join("secret")).unwrap();
    let (_, _, err) = run(&["check"], dir.path(), &variables);
    let begin = "FTPD_USER_CAMERA_PASSWORD_FILE: 'secret' cannot be read: ";
    assert!(err.starts_with(begin) && err.lines().count() == 1, "{err}");
    fs::create_dir(dir.path().join("secret")).unwrap();
    let (_, _, err) = run(&["check"], dir.path(), &variables);
    assert_eq!(err, format!("{begin}is a directory\n"));
}

#[test]
fn a_password_file_in_the_file_and_in_a_template() {
    let dir = folder(
        "[template:t]\npassword_file = {user}.secret\nhome = home\n\
         [user:anna]\nlike = t\n[user:bob]\nlike = t\npassword = own\n\
         [user:carl]\nlike = t\n[user:dora]\npassword_file = anna.secret\nhome = home\n",
    );
    fs::write(dir.path().join("anna.secret"), "a\n").unwrap();
    fs::write(dir.path().join("carl.secret"), "c\n").unwrap();
    let (code, out, err) = run(&["check"], dir.path(), &[]);
    assert_eq!((code, out.as_str()), (0, "ftpd.ini: good, 4 users\n"), "{err}");
    let over = [("FTPD_USER_CARL_PASSWORD", "x"), ("FTPD_USER_DORA_PASSWORD", "x")];
    fs::remove_file(dir.path().join("carl.secret")).unwrap();
    assert_eq!(run(&["check"], dir.path(), &over).0, 0);
    let (_, _, err) = run(&["check"], dir.path(), &[]);
    let begin = "ftpd.ini:9: [user:carl] password_file: '{user}.secret' cannot be read: ";
    assert!(err.starts_with(begin) && err.lines().count() == 1, "{err}");
    let dir = folder(format!("{BOB}password_file = secret\n"));
    fs::write(dir.path().join("secret"), "x\n").unwrap();
    let (_, _, err) = run(&["check"], dir.path(), &[]);
    let text = "[user:bob] password_file: cannot be set together with 'password'\n";
    assert_eq!(err, format!("ftpd.ini:4: {text}"));
    let dir = folder("[anonymous]\nhome = home\npassword_file = x\n");
    let (_, _, err) = run(&["check"], dir.path(), &[]);
    assert_eq!(err, "ftpd.ini:3: [anonymous] password_file: belongs in [user:NAME]\n");
}

#[test]
fn retention_reaches_no_secret_and_needs_no_file_of_its_own() {
    let dir = bare();
    fs::write(dir.path().join("home/secret"), "x\n").unwrap();
    let variables = [
        ("FTPD_USER_CAMERA_PASSWORD_FILE", "home/secret"),
        ("FTPD_USER_CAMERA_HOME", "home"),
        ("FTPD_USER_CAMERA_KEEP_FOR", "30d"),
    ];
    let (code, _, err) = run(&["check"], dir.path(), &variables);
    assert_eq!(code, 78);
    assert!(err.contains("contains password_file ("), "{err}");
    // the working directory is the home
    let home = [
        ("FTPD_USER_CAMERA_PASSWORD", "x"),
        ("FTPD_USER_CAMERA_HOME", "."),
        ("FTPD_USER_CAMERA_KEEP_FOR", "30d"),
        ("FTPD_SERVER_STATE_DIR", "/var/lib/ftpd"),
        ("FTPD_SERVER_ADMIN_SOCKET", ""),
    ];
    let (code, _, err) = run(&["check"], dir.path(), &home);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_reload_reads_secrets_again_inside_the_sandbox() {
    // a mounted secret is a link that is replaced by another one
    let dir = bare();
    let secrets = tempfile::tempdir().unwrap();
    for (version, text) in [("..1", "first\n"), ("..2", "second\n")] {
        fs::create_dir(secrets.path().join(version)).unwrap();
        fs::write(secrets.path().join(version).join("camera"), text).unwrap();
    }
    symlink("..1", secrets.path().join("..data")).unwrap();
    symlink("..data/camera", secrets.path().join("camera")).unwrap();
    let file = secrets.path().join("camera");
    let variables = [
        ("FTPD_USER_CAMERA_PASSWORD_FILE", file.to_str().unwrap()),
        ("FTPD_USER_CAMERA_HOME", "home"),
    ];
    let mut program = serve(dir, &variables);
    let address = program.address("stderr");
    log_in(address, "camera", "first").cmd("QUIT", 221);
    symlink("..2", secrets.path().join("new")).unwrap();
    fs::rename(secrets.path().join("new"), secrets.path().join("..data")).unwrap();
    let (code, _, err) = run(&["reload"], program.dir(), &variables);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut client = connect(address);
    client.cmd("USER camera", 331);
    client.cmd("PASS first", 530);
    log_in(address, "camera", "second").cmd("QUIT", 221);
    // a file that has gone refuses the reload, and the previous password stays
    fs::remove_file(secrets.path().join("camera")).unwrap();
    let (code, _, err) = run(&["reload"], program.dir(), &variables);
    assert_eq!(code, 78);
    assert!(err.contains("FTPD_USER_CAMERA_PASSWORD_FILE: "), "{err}");
    log_in(address, "camera", "second").cmd("QUIT", 221);
    assert_eq!(program.stop(), 0);
}
