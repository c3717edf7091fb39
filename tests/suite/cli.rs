//! The command line, its exit codes, starting and stopping.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{BOB, Program, folder, log_in};
use crate::server::{Server, eventually, run};

#[test]
fn an_output_that_cannot_be_written_is_no_success() {
    let dir = folder("[user:bob]\npassword = x\nhome = home\n");
    for arguments in [&["check"][..], &["users"], &["--version"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpd"));
        let output =
            command.args(arguments).current_dir(dir.path()).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("cannot write all of the output: No space left"), "{said}");
    }
}

#[test]
fn help_and_version_go_to_standard_output_and_are_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["-h"], &["check", "--help"]] {
        let (code, out, err) = run(arguments, dir.path());
        assert_eq!((code, err.as_str()), (0, ""));
        for word in ["check", "--config", "ftpd.ini", "/etc/ftpd.ini", "78"] {
            assert!(out.contains(word), "no {word} in\n{out}");
        }
    }
    for argument in ["--version", "-V"] {
        let (code, out, err) = run(&[argument], dir.path());
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(out, format!("ftpd {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_code_2() {
    let dir = folder(BOB);
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["check", "check"],
        &["check", "serve"],
        &["check", "ftpd.ini"],
        &["--config"],
        &["check", "--config"],
        &["-x"],
        &[""],
    ] {
        let (code, out, err) = run(arguments, dir.path());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("ftpd: ") && err.contains("--help"), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn the_file_is_named_in_any_usual_way() {
    let dir = folder(BOB);
    let path = dir.path().join("ftpd.ini");
    let path = path.to_str().unwrap();
    for arguments in [
        &["check", "--config", path][..],
        &["--config", path, "check"],
        &["check", &format!("--config={path}")],
        &["check", "-c", path],
        &["check", "-c", "ftpd.ini"],
        &["check", "--config", "./ftpd.ini"],
    ] {
        let (code, out, err) = run(arguments, dir.path());
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
        assert!(out.contains("good, 1 user\n"), "{out}");
    }
}

#[test]
fn without_a_name_the_file_is_ftpd_ini_in_the_working_directory() {
    let (code, out, _) = run(&["check"], folder(BOB).path());
    assert_eq!((code, out.as_str()), (0, "ftpd.ini: good, 1 user\n"));
    if Path::new("/etc/ftpd.ini").exists() {
        eprintln!("not tested: /etc/ftpd.ini is there");
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    for arguments in [&["check"][..], &[]] {
        let (code, out, err) = run(arguments, empty.path());
        assert_eq!((code, out.as_str()), (78, ""));
        assert!(err.contains("ftpd.ini") && err.contains("/etc/ftpd.ini"), "{err}");
        assert!(err.contains("--config"), "{err}");
    }
}

#[test]
fn anonymous_is_not_counted_as_a_user() {
    let dir = folder(format!("[server]\nenable_anonymous = on\nanonymous_path = home\n{BOB}"));
    let (_, out, _) = run(&["check"], dir.path());
    assert_eq!(out, "ftpd.ini: good, 1 user and anonymous\n");
}

#[test]
fn a_missing_file_a_directory_and_an_unreadable_file_are_exit_code_78() {
    let dir = folder(BOB);
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for name in ["missing.ini", "home", "home/ftpd.ini/x"] {
        for arguments in [&["check", "--config", name][..], &["--config", name]] {
            let (code, out, err) = run(arguments, dir.path());
            assert_eq!((code, out.as_str()), (78, ""), "{err}");
            assert!(err.starts_with(&format!("{name}: cannot be read: ")), "{err}");
        }
    }
    // in the name of somebody who may not read it, even when root runs the tests
    let program = dir.path().join("ftpd");
    fs::copy(env!("CARGO_BIN_EXE_ftpd"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["check", "--config", "ftpd.ini"]).current_dir(dir.path());
    if is_root() {
        command.uid(65534).gid(65534);
    } else {
        let closed = PermissionsExt::from_mode(0o000);
        fs::set_permissions(dir.path().join("ftpd.ini"), closed).unwrap();
    }
    let output = run_copy(&mut command);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{err}");
    assert!(err.starts_with("ftpd.ini: cannot be read: Permission denied"), "{err}");
}

/// Runs a copy of the program. Another test that starts a program at this moment may hold the
/// copy open for writing until then.
fn run_copy(command: &mut Command) -> Output {
    let mut output = None;
    eventually("the copy can be run", || match command.output() {
        Err(why) if why.kind() == ErrorKind::ExecutableFileBusy => false,
        done => {
            output = Some(done.unwrap());
            true
        }
    });
    output.unwrap()
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    uids.split_whitespace().nth(1) == Some("0")
}

#[test]
fn a_port_in_use_is_exit_code_1_and_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = folder(format!("[server]\nip = 127.0.0.1\nport = {port}\n{BOB}"));
    let (code, out, err) = run(&[], dir.path());
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains(&format!("ftpd: cannot listen on 127.0.0.1:{port}")), "{err}");
    assert!(err.contains("in use") && !err.contains("panicked"), "{err}");
    // check does not start anything
    assert_eq!(run(&["check"], dir.path()).0, 0);
}

#[test]
fn an_address_that_is_not_ours_is_exit_code_1_and_is_named() {
    for ip in ["192.0.2.1", "nowhere.invalid"] {
        let dir = folder(format!("[server]\nip = 127.0.0.1, {ip}\nport = 0\n{BOB}"));
        let (code, _, err) = run(&[], dir.path());
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(&format!("ftpd: cannot listen on {ip}")), "{err}");
    }
}

#[test]
fn a_port_below_1024_takes_root() {
    let least = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if least.map_or(1024, |text| text.trim().parse().unwrap_or(1024)) <= 21 {
        eprintln!("not tested: this system lets anyone have port 21");
        return;
    }
    let dir = folder(format!("[server]\nip = 127.0.0.1\nport = 21\n{BOB}"));
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let ini = dir.path().join("ftpd.ini");
    fs::set_permissions(&ini, PermissionsExt::from_mode(0o644)).unwrap();
    let program = dir.path().join("ftpd");
    fs::copy(env!("CARGO_BIN_EXE_ftpd"), &program).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(ini).current_dir(dir.path());
    if is_root() {
        command.uid(65534).gid(65534);
    }
    let output = run_copy(&mut command);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("ftpd: cannot listen on 127.0.0.1:21: Permission denied"), "{err}");
    assert!(err.contains("below 1024 need root or CAP_NET_BIND_SERVICE"), "{err}");
}

#[test]
fn a_log_that_cannot_be_written_is_exit_code_1_and_is_named() {
    // too long a name: not even root can open it
    let name = "x".repeat(300);
    for key in ["log_file", "transfer_log"] {
        let dir = folder(format!("[server]\nip = 127.0.0.1\nport = 0\n{key} = {name}\n{BOB}"));
        let (code, out, err) = run(&[], dir.path());
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        let last = err.lines().last().unwrap();
        assert!(last.starts_with("ftpd: cannot open "), "{err}");
        assert!(last.contains(&name) && last.contains("name too long"), "{err}");
        assert!(!last.contains("1024"), "{err}");
    }
}

#[test]
fn the_start_is_logged_with_all_that_matters() {
    let server = Server::setup()
        .server(
            "max_cons = 7\nmasquerade_address = 192.0.2.77\npassive_ports = 10000-32001\n\
             enable_anonymous = on\nanonymous_path = home",
        )
        .section("[user:eve]\npassword = x\nhome = home")
        .start();
    server.wait_for_log("users: 2, anonymous: on");
    let log = server.log();
    for text in [
        format!(">>> starting FTP server on {}, pid={} <<<", server.address(), server.pid()),
        "concurrency model: a thread per connection, 7 at most".to_owned(),
        "masquerade (NAT) address: 192.0.2.77".to_owned(),
        "passive ports: 10000->32001".to_owned(),
    ] {
        assert_eq!(log.matches(&text).count(), 1, "{text}\n{log}");
    }
    let expected = |line: &&str| line.contains("chmod o-r") || line.contains("running as root");
    for line in log.lines().filter(|line| !expected(line)) {
        // 2026-11-22T13:34:20.123Z INFO  text
        let (stamp, rest) = line.split_once(' ').unwrap();
        assert!(stamp.len() == 24 && stamp.ends_with('Z') && &stamp[10..11] == "T", "{line}");
        assert!(rest.starts_with("INFO  "), "{line}");
    }
}

#[test]
fn two_addresses_are_both_served() {
    let server = Server::setup().ip("127.0.0.1, 127.0.0.2").start();
    server.wait_for_log("users: 1");
    let log = server.log();
    let addresses: Vec<SocketAddr> = log
        .lines()
        .filter_map(|line| line.split("FTP server on ").nth(1))
        .map(|rest| rest.split(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(addresses.len(), 2, "{log}");
    for address in addresses {
        log_in(address, "bob", "secret").cmd("QUIT", 221);
    }
}

#[test]
fn a_server_that_is_told_to_stop_ends_with_exit_code_0() {
    let ini = format!("[server]\nip = 127.0.0.1\nport = 0\n{BOB}");
    let mut program = Program::start(&ini, &[]);
    program.address("stderr");
    program.wait_for("stderr", "users: 1");
    assert_eq!(program.stop(), 0);
    assert!(program.text("stderr").contains(">>> shutting down FTP server <<<"));
}

mod signals {
    use std::process::{Command, Stdio};

    use crate::client::Client;
    use crate::program::{BOB, Program, folder, log_in};
    use crate::server::{Server, eventually};

    #[test]
    fn a_sighup_in_the_first_moments_is_a_reload() {
        let users: Vec<_> =
            (0..500).map(|n| format!("[user:u{n}]\npassword = x\nhome = home\n")).collect();
        let users = users.concat();
        let ini = format!("[server]\nip = 127.0.0.1\nport = 0\n{BOB}{users}");
        let started = || {
            let program = Program::start(&ini, &[]);
            let status = format!("/proc/{}/status", program.child.id());
            let catches = || {
                let text = std::fs::read_to_string(&status).unwrap();
                let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
                u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
            };
            eventually("it has a handler", catches);
            program
        };
        let mut program = started();
        // on a busy machine, it may have been seen too late
        eventually("it has read no settings yet", || {
            let is_early = program.text("stderr").is_empty();
            if !is_early {
                program = started();
            }
            is_early
        });
        let id = program.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        program.wait_for("stderr", "settings reloaded");
        assert_eq!(program.stop(), 0);
    }

    #[test]
    fn signals_that_mean_nothing_end_nothing() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for signal in ["USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "40", "WINCH"] {
            server.signal(signal);
            client.cmd("NOOP", 200);
        }
    }

    #[test]
    fn programs_of_hooks_ignore_no_signal() {
        let dir = folder(format!(
            "[server]\nip = 127.0.0.1\nport = 0\nlog_file = ftpd.log\non_login = /bin/grep Sig /proc/self/status\n{BOB}"
        ));
        let script = "trap '' QUIT USR1 HUP TTOU; exec \"$@\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_ftpd"), "--config"])
            .arg(dir.path().join("ftpd.ini"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut program = Program::of(child, dir);
        let address = program.address("ftpd.log");
        log_in(address, "bob", "tops3cret");
        for mask in ["SigIgn", "SigBlk"] {
            let line = program.wait_for("ftpd.log", mask);
            let digits = line.rsplit("x09").next().unwrap();
            // the C library has these two, and lets nobody change what they do
            let own = (1 << 31) | (1 << 32);
            assert_eq!(u64::from_str_radix(digits, 16).unwrap() & !own, 0, "{line}");
        }
    }
}

#[test]
fn a_typo_is_answered_with_the_word_that_was_meant() {
    let dir = folder(BOB);
    for (arguments, meant) in [
        (&["sahre"][..], "unknown subcommand 'sahre'; did you mean 'share'?"),
        (&["chekc"], "did you mean 'check'?"),
        (&["help", "adduesr"], "did you mean 'adduser'?"),
        (&["share", "--prot", "1"], "invalid option '--prot'; did you mean '--port'?"),
        (&["check", "--confg", "x"], "did you mean '--config'?"),
        (&["--confg", "x"], "did you mean '--config'?"),
        (&["--write"], "'ftpd share' has it"),
        (&["who", "--jsno"], "did you mean '--json'?"),
        (&["passwd", "bob", "--wirte"], "did you mean '--write'?"),
        (&["why", "bob", "x", "raed"], "did you mean 'read'?"),
    ] {
        let (code, out, err) = run(arguments, dir.path());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(meant), "{arguments:?}: {err}");
    }
    let (_, _, err) = run(&["xyzzy"], dir.path());
    assert!(!err.contains("did you mean"), "{err}");
}

#[test]
fn help_is_a_subcommand_too_and_fits_eighty_columns() {
    let dir = tempfile::tempdir().unwrap();
    let help = |words: &[&str]| {
        let (code, out, err) = run(words, dir.path());
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
        out
    };
    assert_eq!(help(&["help"]), help(&["--help"]));
    assert_eq!(help(&["help", "share"]), help(&["share", "--help"]));
    assert!(help(&["help", "help"]).starts_with("usage: ftpd help [SUBCOMMAND]\n"));
    assert_eq!(run(&["help", "share", "more"], dir.path()).0, 2);
    assert!(help(&["help", "who"]).contains("exit status: 0 success, 1 failure,"));
    for name in ["test", "doctor"] {
        let page = help(&["help", name]);
        assert!(page.contains("exit status: the number of failed checks"), "{page}");
        assert!(!page.contains("1 failure"), "{page}");
    }
}

#[test]
fn without_settings_a_folder_can_be_served_all_the_same() {
    // where there are settings for all, they are served
    if Path::new("/etc/ftpd.ini").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&[], dir.path());
    assert!(code == 78 && err.contains("ftpd share DIR"), "{err}");
}

/// What bash offers for the last of the words, with a user `$(touch x)` in the settings.
fn completed(words: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("home")).unwrap();
    let user = |name: &str| format!("[user:{name}]\npassword = x\nperm = elr\nhome = home\n");
    fs::write(dir.path().join("ftpd.ini"), user("paul") + &user("p$(touch,x)")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ftpd"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let completions = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/completions/ftpd.bash");
    let script = "source \"$0\"; COMP_WORDS=(ftpd \"$@\"); COMP_CWORD=$#; _ftpd; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let out = Command::new("bash")
        .args(["--norc", "-c", script])
        .arg(completions)
        .args(words)
        .env("PATH", path)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    assert!(!dir.path().join("x").exists());
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_subcommands_options_and_users() {
    assert_eq!(completed(&["che"]), ["check"]);
    assert_eq!(completed(&["-c", "ftpd.ini", "un"]), ["unban"]);
    assert_eq!(completed(&["share", "--wri"]), ["--write"]);
    assert_eq!(completed(&["help", "parts"]), ["parts"]);
    assert_eq!(completed(&["why", "p"]), ["p\\$\\(touch\\,x\\)", "paul"]);
    assert_eq!(completed(&["parts", "d"]), ["drop"]);
    // bash itself completes the names of files
    assert!(completed(&["import", "f"]).is_empty());
    assert!(completed(&["adduser", "--home", ""]).is_empty());
}
