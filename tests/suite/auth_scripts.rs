//! The programs of `etc/auth`, each with what it asks: `SQLite`, a directory that slapd serves, PAM.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Server, eventually, free_port};

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/auth").join(name)
}

/// Runs a program with this standard input. Returns what it prints, or `None` if it fails, with what it
/// complains of.
fn run(name: &str, arguments: &[&str], input: &str) -> (Option<String>, String) {
    let mut command = Command::new(program(name));
    // as the server starts it
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // a program that complains of its arguments reads nothing
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    (output.status.success().then_some(text), complaint)
}

/// Asks a program about a login, as the server does.
fn ask(program: &str, arguments: &[&str], name: &str, password: &Value) -> Option<Value> {
    let question = json!({
        "name": name,
        "password": password,
        "address": "192.0.2.1",
        "local_address": "192.0.2.2",
        "local_port": 21,
        "tls": "1.3",
        "certificate": null,
    });
    let (text, complaint) = run(program, arguments, &format!("{question}\n"));
    let text = text?;
    assert_eq!(complaint, "");
    Some(serde_json::from_str(&text).unwrap())
}

/// Returns whether this machine has what a test needs, and says it if not.
fn is_there(what: &str, command: &[&str]) -> bool {
    let done = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = done.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("not tested: no {what}");
    }
    is_there
}

fn has_module(name: &str) -> bool {
    let import = format!("import {name}");
    is_there(&format!("module {name} for Python"), &["/usr/bin/python3", "-c", &import])
}

fn refused() -> Option<Value> {
    Some(json!({"accept": false}))
}

#[test]
fn sqlite_lets_its_users_in_and_takes_no_name_for_sql() {
    if !has_module("sqlite3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("us ers?.db");
    let file = file.to_str().unwrap();
    // a file that does not exist is an outage, and no new one
    assert_eq!(ask("sqlite.py", &[file], "ann", &json!("right")), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(run("sqlite.py", &[file, "create"], "").0.is_some());
    let users = [
        ("ann", "right", "ann", "elr"),
        ("o'neil\"; --", "p\u{e4}ss' OR 1=1", "on", "elradfmw"),
    ];
    for (name, password, home, perm) in users {
        let (done, why) =
            run("sqlite.py", &[file, "set", name, home, perm], &format!("{password}\n"));
        assert!(done.is_some(), "{why}");
        let wanted = json!({"accept": true, "home": home, "perm": perm});
        assert_eq!(ask("sqlite.py", &[file], name, &json!(password)), Some(wanted));
    }
    for (name, password) in [
        ("ann", json!("wrong")),
        ("ann", json!("")),
        ("ann", Value::Null),
        ("ANN", json!("right")),
        ("ben", json!("right")),
        ("ben", json!("")),
        ("", json!("")),
        ("ann' OR '1'='1", json!("right")),
        ("ann' --", json!("x")),
        ("%", json!("right")),
        ("x' UNION SELECT password, home, perm FROM users --", json!("right")),
    ] {
        assert_eq!(ask("sqlite.py", &[file], name, &password), refused(), "{name}");
    }
    // the hash is salted, and nothing of the password is in the file
    let text = fs::read(file).unwrap();
    assert!(!text.windows(5).any(|word| word == b"right"));
    // changed, and disabled
    assert!(run("sqlite.py", &[file, "set", "ann", "a", "elr"], "new\n").0.is_some());
    assert_eq!(ask("sqlite.py", &[file], "ann", &json!("right")), refused());
    let disable = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as d:\n \
                   d.execute('UPDATE users SET enabled = 0')";
    assert!(is_there("sqlite", &["/usr/bin/python3", "-c", disable, file]));
    assert_eq!(ask("sqlite.py", &[file], "ann", &json!("new")), refused());
    assert!(
        run("sqlite.py", &[file, "set", "ben", "b", "elr"], "\n").0.is_none(),
        "no password"
    );
    assert!(run("sqlite.py", &[], "").1.contains("auth_program"));
}

#[test]
fn a_login_asks_sqlite_and_an_outage_of_it_is_421() {
    if !has_module("sqlite3") {
        return;
    }
    let place = program("sqlite.py");
    let lines =
        format!("auth_program = \"{}\" DIR/users.db\nauth_homes = homes", place.display());
    let setup =
        Server::setup().server(&format!("{lines}\nauth_perm = elradfmw\nban_after = 0"));
    let server = setup.start_with(|dir| {
        let ini = dir.join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, text.replace("DIR", dir.to_str().unwrap())).unwrap();
        fs::create_dir_all(dir.join("homes/ann")).unwrap();
        let file = dir.join("users.db").display().to_string();
        assert!(run("sqlite.py", &[&file, "create"], "").0.is_some());
        let set = [&file, "set", "ann", "ann", "elrw"];
        assert!(run("sqlite.py", &set, "right\n").0.is_some());
    });
    let mut client = Client::login(&server, "ann", "right");
    client.upload("STOR file", b"text");
    assert_eq!(fs::read(server.dir().join("homes/ann/file")).unwrap(), b"text");
    client.cmd("DELE file", 550);
    let log_in = |name: &str, code| {
        let mut client = Client::connect(&server);
        client.cmd(&format!("USER {name}"), 331);
        client.cmd("PASS right", code);
    };
    log_in("ann' OR '1'='1", 530);
    fs::remove_file(server.dir().join("users.db")).unwrap();
    log_in("ben", 421);
    // what the program complains of is in the log
    server.wait_for_log("unable to open database file");
    assert!(!server.log().contains("right"), "{}", server.log());
}

/// A directory of its own on a port of its own.
struct Slapd {
    child: Child,
    url: String,
    dir: tempfile::TempDir,
}

const DIRECTORY: &str = "dn: dc=x\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: x\n\n\
    dn: uid=ann,dc=x\nobjectClass: account\nobjectClass: posixAccount\nuid: ann\ncn: ann\n\
    uidNumber: 1\ngidNumber: 1\nhomeDirectory: /srv/ann\nuserPassword: right\n\n\
    dn: uid=a\\29\\28b\\2a,dc=x\nobjectClass: account\nobjectClass: posixAccount\nuid: a)(b*\n\
    cn: odd\nuidNumber: 2\ngidNumber: 2\nhomeDirectory: /srv/odd\nuserPassword: odd\n\n\
    dn: uid=nohash,dc=x\nobjectClass: account\nobjectClass: posixAccount\nuid: nohash\ncn: n\n\
    uidNumber: 3\ngidNumber: 3\nhomeDirectory: /srv/n\n\n\
    dn: uid=homeless,dc=x\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: homeless\n\
    uid: second\nuserPassword: right\n";

impl Slapd {
    fn start(access: &str) -> Option<Self> {
        let slapd = ["/usr/sbin/slapd", "/usr/local/sbin/slapd", "/usr/libexec/slapd"];
        let Some(slapd) = slapd.into_iter().find(|path| Path::new(path).exists()) else {
            eprintln!("not tested: no slapd");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        fs::create_dir(dir.path().join("data")).unwrap();
        let schemas = ["core", "cosine", "nis"];
        let schemas = schemas.map(|name| format!("include /etc/ldap/schema/{name}.schema\n"));
        let settings = format!(
            "{}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {at}/pid\ndatabase mdb\n\
             directory {at}/data\nsuffix \"dc=x\"\nrootdn \"cn=root,dc=x\"\nrootpw reader\n{access}\n",
            schemas.concat()
        );
        fs::write(dir.path().join("slapd.conf"), settings).unwrap();
        fs::write(dir.path().join("all.ldif"), DIRECTORY).unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        // slapadd is the same program
        let added = Command::new(slapd)
            .args(["-Ta", "-f", &file("slapd.conf"), "-l", &file("all.ldif")])
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let port = free_port();
        let url = format!("ldap://127.0.0.1:{port}");
        let child = Command::new(slapd)
            .args(["-f", &file("slapd.conf"), "-h", &url, "-d", "0"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let slapd = Self { child, url, dir };
        eventually("slapd listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(slapd)
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ldap_lets_its_users_in_and_takes_no_name_for_a_filter() {
    if !has_module("ldap") {
        return;
    }
    let Some(slapd) = Slapd::start("") else { return };
    let with =
        |arguments: &[&str], name: &str| ask("ldap.py", arguments, name, &json!("right"));
    let ask =
        |name: &str, password: Value| ask("ldap.py", &[&slapd.url, "dc=x"], name, &password);
    assert_eq!(ask("ann", json!("right")), Some(json!({"accept": true, "home": "/srv/ann"})));
    assert_eq!(ask("a)(b*", json!("odd")), Some(json!({"accept": true, "home": "/srv/odd"})));
    for (name, password) in [
        ("ann", json!("wrong")),
        // LDAP binds with an empty password as nobody, and says that it went well
        ("ann", json!("")),
        ("ann", Value::Null),
        ("nohash", json!("")),
        ("nohash", json!("x")),
        ("", json!("right")),
        ("ben", json!("right")),
        // the same entry to the directory
        ("Ann", json!("right")),
        ("ANN", json!("right")),
        (" ann", json!("right")),
        ("ann ", json!("right")),
        ("*", json!("right")),
        ("a*", json!("right")),
        ("ann)(uid=*", json!("right")),
        ("ann)(|(uid=*)", json!("right")),
        ("ann\\", json!("right")),
        ("ann\0", json!("right")),
        ("%s", json!("right")),
    ] {
        assert_eq!(ask(name, password), refused(), "{name:?}");
    }
    let arguments = [&slapd.url, "dc=x", "(&(objectClass=account)(uid=%s))"];
    for (name, answer) in [
        ("second", json!({"accept": true})),
        ("homeless", json!({"accept": true})),
        ("Second", json!({"accept": false})),
    ] {
        assert_eq!(with(&arguments, name), Some(answer), "{name}");
    }
}

#[test]
fn ldap_searches_as_an_entry_of_its_own_and_an_outage_is_no_refusal() {
    if !has_module("ldap") {
        return;
    }
    let access = "access to * by anonymous auth by * none";
    let Some(slapd) = Slapd::start(access) else { return };
    let secret = slapd.dir.path().join("secret");
    let filter = "(&(objectClass=account)(uid=%s))";
    let secret = secret.to_str().unwrap();
    let arguments = [&slapd.url, "dc=x", filter, "cn=root,dc=x", secret];
    let asked = |arguments: &[&str]| ask("ldap.py", arguments, "ann", &json!("right"));
    // nobody may search
    let found = asked(&arguments[..2]);
    assert!(found.is_none() || found == refused(), "{found:?}");
    fs::write(secret, "reader\n").unwrap();
    assert_eq!(asked(&arguments), Some(json!({"accept": true, "home": "/srv/ann"})));
    fs::write(secret, "wrong\n").unwrap();
    assert_eq!(asked(&arguments), None, "the entry for searching has another password");
    let url = slapd.url.clone();
    drop(slapd);
    assert_eq!(asked(&[&url, "dc=x"]), None, "nobody listens");
}

/// Starts a server that asks a program with these arguments. `homes/ann` and `homes/second` exist.
fn asking(name: &str, arguments: &str) -> Server {
    let place = program(name);
    let lines = format!("auth_program = \"{}\" {arguments}", place.display());
    let more = "auth_homes = homes\nauth_perm = elradfmw\nban_after = 0";
    Server::setup().server(&format!("{lines}\n{more}")).start_with(|dir| {
        for name in ["ann", "second"] {
            fs::create_dir_all(dir.join("homes").join(name)).unwrap();
        }
    })
}

/// Tries a login.
fn log_in(server: &Server, name: &str, password: &str, code: u16) {
    let mut client = Client::connect(server);
    client.cmd(&format!("USER {name}"), 331);
    client.cmd(&format!("PASS {password}"), code);
}

#[test]
fn a_login_asks_ldap_and_an_outage_of_it_is_421() {
    if !has_module("ldap") {
        return;
    }
    let Some(slapd) = Slapd::start("") else { return };
    let filter = "(&(objectClass=account)(uid=%s))";
    let server = asking("ldap.py", &format!("{} dc=x {filter}", slapd.url));
    let mut client = Client::login(&server, "second", "right");
    client.upload("STOR file", b"text");
    assert_eq!(fs::read(server.dir().join("homes/second/file")).unwrap(), b"text");
    for (name, password) in [("second", "wrong"), ("Second", "right"), ("*", "right")] {
        log_in(&server, name, password, 530);
    }
    // the directory has a home for ann that the server does not serve
    log_in(&server, "ann", "right", 421);
    server.wait_for_log("home: '/srv/ann' is not below auth_homes");
    drop(slapd);
    log_in(&server, "ben", "right", 421);
    server.wait_for_log("auth_program ");
    assert!(!server.log().contains("right"), "{}", server.log());
}

/// A file in `/etc/pam.d`.
struct Service(PathBuf);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The rule of PAM for accounts that are all valid.
const VALID: &str = "account required pam_permit.so\n";

/// Adds a service of PAM with users of its own, whose passwords are in a file in this folder.
fn pam_service(name: &str, dir: &Path) -> Option<Service> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: it takes root to add a service of PAM");
        return None;
    }
    if !has_module("PAM") || !is_there("db_load", &["db_load", "-V"]) {
        return None;
    }
    let text = dir.join("users.txt");
    fs::write(&text, "ann\nright\nroot\nright\n../up\nright\n").unwrap();
    let database = dir.join("users.db");
    let (text, database) = (text.to_str().unwrap(), database.to_str().unwrap());
    assert!(is_there("database", &["db_load", "-T", "-t", "hash", "-f", text, database]));
    let module = format!("pam_userdb.so db={} crypt=none", dir.join("users").display());
    let service = Service(Path::new("/etc/pam.d").join(name));
    let written = fs::write(&service.0, format!("auth required {module}\n{VALID}"));
    if written.is_err() {
        eprintln!("not tested: no /etc/pam.d");
    }
    written.ok().map(|()| service)
}

#[test]
fn a_login_asks_pam() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("ftpd-login-{}", std::process::id());
    let Some(service) = pam_service(&name, dir.path()) else { return };
    let server = asking("pam.py", &name);
    let mut client = Client::login(&server, "ann", "right");
    client.upload("STOR file", b"text");
    assert_eq!(fs::read(server.dir().join("homes/ann/file")).unwrap(), b"text");
    for (name, password) in [("ann", "wrong"), ("ben", "right"), ("root", "right")] {
        log_in(&server, name, password, 530);
    }
    server.wait_for_log("refused by auth_program");
    // an account that PAM does not let in any more
    fs::write(&service.0, "auth required pam_permit.so\naccount required pam_deny.so\n")
        .unwrap();
    log_in(&server, "ann", "right2", 530);
    assert!(!server.log().contains("right"), "{}", server.log());
}

#[test]
fn pam_lets_the_users_of_a_service_in() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("ftpd-test-{}", std::process::id());
    let Some(service) = pam_service(&name, dir.path()) else { return };
    let ask = |name_of: &str, password: Value| ask("pam.py", &[&name], name_of, &password);
    assert_eq!(ask("ann", json!("right")), Some(json!({"accept": true, "home": "ann"})));
    for (name, password) in [
        ("ann", json!("wrong")),
        ("ann", json!("")),
        ("ann", Value::Null),
        ("ann", json!("right\0x")),
        ("ann\0x", json!("right")),
        ("", json!("right")),
        ("ben", json!("right")),
        ("../up", json!("right")),
    ] {
        assert_eq!(ask(name, password), refused(), "{name:?}");
    }
    let root = ask("root", json!("right")).unwrap();
    assert_eq!(root["accept"], false);
    // a user of the system has the home of the system, and the account must be valid
    fs::write(&service.0, format!("auth required pam_permit.so\n{VALID}")).unwrap();
    let nobody = ask("nobody", json!("x")).unwrap();
    assert_eq!(nobody["accept"], true);
    assert!(nobody["home"].as_str().unwrap().starts_with('/'));
    fs::write(&service.0, "auth required pam_permit.so\naccount required pam_deny.so\n")
        .unwrap();
    assert_eq!(ask("nobody", json!("x")), refused());
}

/// Passwords must not be arguments of programs, which everybody on the machine can list.
#[test]
fn each_program_says_how_it_is_used_and_needs_no_password_in_its_arguments() {
    for (name, module) in [("sqlite.py", "sqlite3"), ("ldap.py", "ldap"), ("pam.py", "PAM")] {
        if !has_module(module) {
            continue;
        }
        let (done, help) = run(name, &[], "");
        assert!(
            done.is_none() && help.contains("auth_program = /usr/share/ftpd/auth/"),
            "{help}"
        );
        let place = program(name);
        let mode = fs::metadata(&place).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o111, 0o111, "{name}");
    }
}
