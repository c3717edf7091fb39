//! The image of `etc/Dockerfile` and `etc/compose.yaml`, without a container runtime.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ftpd::cli::SUBCOMMANDS;
use ftpd::config::KEYS;

use crate::program::{Program, log_in};
use crate::server::eventually;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The user of the image.
const USER: u32 = 65532;

fn etc(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join("etc").join(file)).unwrap()
}

/// The variables that the comment of the Dockerfile passes to `docker run`.
fn of_docker_run() -> Vec<(String, String)> {
    let text = etc("Dockerfile");
    let all = text.lines().filter_map(|line| line.strip_prefix('#')).flat_map(|line| {
        let words = line.split("-e FTPD_").skip(1);
        words.map(|word| {
            let (name, value) = word.split_once('=').unwrap();
            let value = match value.strip_prefix('\'') {
                Some(value) => value.split('\'').next().unwrap(),
                None => value.split([' ', '\\']).next().unwrap(),
            };
            (format!("FTPD_{name}"), value.to_owned())
        })
    });
    all.collect()
}

/// The variables of the service in `compose.yaml`.
fn of_compose() -> Vec<(String, String)> {
    let text = etc("compose.yaml");
    let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
    let ours = lines.filter(|(name, _)| name.starts_with("FTPD_"));
    ours.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// The items of a list in `compose.yaml`, below the first line with this name.
fn listed(name: &str) -> Vec<String> {
    let text = etc("compose.yaml");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != format!("{name}:"));
    let items = lines.skip(1).filter(|line| !line.starts_with('#'));
    let items = items.map_while(|line| line.strip_prefix("- "));
    items.map(|item| item.trim_matches('"').to_owned()).collect()
}

/// The words of a line of the Dockerfile in the form of a JSON list.
fn words(instruction: &str) -> Vec<String> {
    let text = etc("Dockerfile");
    let line = text.lines().find(|line| line.starts_with(instruction)).unwrap().to_owned();
    let list = &line[line.find('[').unwrap()..];
    serde_json::from_str(list).unwrap()
}

/// Runs `ftpd check` with these variables, whose paths lead into a folder.
fn check(variables: &[(String, String)]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("srv/ftp")).unwrap();
    fs::create_dir_all(dir.path().join("run/secrets")).unwrap();
    fs::write(dir.path().join("run/secrets/camera"), "s3cret\n").unwrap();
    let own = |(name, value): &(String, String)| {
        let is_path = value.starts_with('/');
        let value =
            if is_path { format!("{}{value}", dir.path().display()) } else { value.clone() };
        (name.clone(), value)
    };
    let output = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .arg("check")
        .current_dir(dir.path())
        .envs(variables.iter().map(own))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn the_variables_of_the_examples_are_good_settings() {
    for variables in [of_docker_run(), of_compose()] {
        assert!(variables.len() >= 5, "{variables:?}");
        assert_eq!(check(&variables), (0, "environment: good, 1 user\n".to_owned()));
        for (name, _) in &variables {
            let keys = KEYS.iter().map(|key| key.name.to_uppercase());
            assert!(keys.into_iter().any(|key| name.ends_with(&format!("_{key}"))), "{name}");
        }
    }
}

#[test]
fn ports_volumes_user_and_health_check_fit_the_program() {
    let default = |key: &str| {
        KEYS.iter().find(|row| row.name == key).unwrap().default.unwrap().to_owned()
    };
    let (port, passive) = (default("port"), default("passive_ports"));
    let published = format!("{passive}:{passive}");
    assert_eq!(listed("ports"), [format!("21:{port}"), published.clone()]);
    let text = etc("Dockerfile");
    assert!(text.contains(&format!("EXPOSE {port} {passive}\n")), "{text}");
    assert!(text.contains(&format!("-p 21:{port} -p {published} ")), "{text}");
    let compose = of_compose();
    let range = compose.iter().find(|(name, _)| name == "FTPD_SERVER_PASSIVE_PORTS").unwrap();
    assert_eq!(range.1, passive);
    let mounted: Vec<_> =
        listed("volumes").iter().map(|at| at.split(':').nth(1).unwrap().to_owned()).collect();
    assert_eq!(words("VOLUME"), mounted);
    assert!(text.contains("\nWORKDIR /var/lib/ftpd\n"), "{text}");
    assert!(text.contains(&format!("\nUSER {USER}:{USER}\n")), "{text}");
    for line in text.lines().filter(|line| line.contains("--chown=")) {
        assert!(line.contains(&format!("--chown={USER}:{USER} ")), "{line}");
    }
    for line in text.lines().chain(etc("compose.yaml").lines()) {
        let uid = line.split("uid ").nth(1).map(|rest| rest.split([',', '.', ' ']).next());
        assert!(uid.is_none_or(|uid| uid == Some("65532")), "{line}");
    }
    let [program, subcommand] = &words("HEALTHCHECK")[..] else { panic!("{text}") };
    assert_eq!(words("ENTRYPOINT").concat(), *program);
    assert!(SUBCOMMANDS.iter().any(|row| row.name == subcommand), "{subcommand}");
    assert!(text.contains(&format!("COPY --from=build /ftpd {program}\n")), "{text}");
}

/// The static program, if it has been built.
fn static_program() -> Option<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let file = Path::new(ROOT).join(folder).join(target).join("release/ftpd");
    file.exists().then_some(file)
}

/// Runs a program in this root as the user of the image, in namespaces of its own.
fn inside(root: &Path, arguments: &[&str], variables: &[(String, String)]) -> Command {
    let mut command = Command::new("unshare");
    let user = USER.to_string();
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg("--root").arg(root).args(["--wd", "/var/lib/ftpd"]);
    command.args(["--setuid", &user, "--setgid", &user]).args(arguments);
    command.env_clear().envs(variables.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[test]
#[ignore = "needs root and the program of `make static`: make container"]
fn the_image_serves_in_an_empty_root_from_variables_alone() {
    let program = static_program().expect("run make static first");
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    // what the Dockerfile copies and a runtime mounts
    for (folder, owner) in [
        ("usr/sbin", 0),
        ("proc", 0),
        ("run/secrets", 0),
        ("srv/ftp", USER),
        ("srv/foreign", 1000),
        ("var/lib/ftpd", USER),
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
        chown(root.join(folder), Some(owner), Some(owner)).unwrap();
    }
    fs::copy(program, root.join("usr/sbin/ftpd")).unwrap();
    fs::write(root.join("run/secrets/camera"), "s3cret\n").unwrap();
    for path in ["", "run/secrets/camera"] {
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut variables = of_compose();
    variables.retain(|(name, _)| name != "FTPD_SERVER_MASQUERADE_ADDRESS");
    for (name, value) in [
        ("FTPD_SERVER_IP", "127.0.0.1"),
        ("FTPD_SERVER_PORT", "0"),
        ("FTPD_USER_FOREIGN_PASSWORD", "x"),
        ("FTPD_USER_FOREIGN_PERM", "elmw"),
        ("FTPD_USER_FOREIGN_HOME", "/srv/foreign"),
    ] {
        variables.retain(|(other, _)| other != name);
        variables.push((name.to_owned(), value.to_owned()));
    }
    let entry = words("ENTRYPOINT").concat();
    let log = fs::File::create(dir.path().join("stderr")).unwrap();
    let child = inside(&root, &[&entry], &variables).stderr(log).spawn().unwrap();
    let mut server = Program::of(child, dir);
    let address = server.address("stderr");
    let mut client = log_in(address, "camera", "s3cret");
    client.upload("STOR photo.jpg", b"a photo");
    client.cmd("QUIT", 221);
    assert_eq!(fs::read(root.join("srv/ftp/camera/photo.jpg")).unwrap(), b"a photo");
    let health = words("HEALTHCHECK");
    let health: Vec<_> = health.iter().map(String::as_str).collect();
    assert!(inside(&root, &health, &variables).status().unwrap().success());
    let log = server.text("stderr");
    eprintln!("{log}");
    let warning = "[user:foreign] home /srv/foreign: uploads will fail: the server runs as uid 65532, and \
                   the directory belongs to uid 1000, gid 1000, mode 755";
    assert!(log.contains(warning), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
    for place in ["ftpd-state/admin.sock", "ftpd-tls/cert.pem"] {
        assert!(root.join("var/lib/ftpd").join(place).exists(), "{place}");
    }
    // the first process of a container ends with SIGTERM, and the health check fails then
    let first = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.child.id()));
    let first = first.unwrap().trim().to_owned();
    assert!(Command::new("kill").args(["-TERM", &first]).status().unwrap().success());
    eventually("the server ends", || server.child.try_wait().unwrap().is_some());
    assert!(!inside(&root, &health, &variables).status().unwrap().success());
}
