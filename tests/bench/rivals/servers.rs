//! The origin and the settings of each server: equal files, one user, passive mode, no transfer
//! logs, no limits that a workload could reach.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::client::Client;
use crate::{throttle, tree};

/// The files that all servers serve, in memory, and the files that each server needs for
/// itself.
pub struct Place {
    /// Where the rivals are unpacked.
    pub rivals: PathBuf,
    /// The folder in memory, which is removed at the end.
    pub root: PathBuf,
    /// The certificate of all servers.
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

/// One server that can be measured.
pub struct Kind {
    pub name: &'static str,
    /// Debian's packages: its own, and the libraries it needs.
    packages: &'static [&'static str],
    start: fn(&Place, u16) -> Result<Command, String>,
    /// User and password.
    login: (&'static str, &'static str),
    /// Whether it is set up with TLS here.
    pub tls: bool,
    /// Whether each session has processes of its own.
    forks: bool,
}

/// A server that runs. It is ended on drop.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    pub tls: bool,
    pub forks: bool,
    login: (&'static str, &'static str),
    certificate: CertificateDer<'static>,
    child: Child,
}

pub static KINDS: &[Kind] = &[
    Kind { name: "ftpd", packages: &[], start: ftpd, login: USER, tls: true, forks: false },
    Kind {
        name: "vsftpd",
        packages: &["vsftpd", "libwrap0"],
        start: vsftpd,
        login: ("ftp", "x@y"),
        // it takes the end of TLS for a failure
        tls: false,
        forks: true,
    },
    Kind {
        name: "pure-ftpd",
        packages: &["pure-ftpd"],
        start: pure_ftpd,
        login: USER,
        tls: true,
        forks: true,
    },
    Kind {
        name: "proftpd",
        packages: &[
            "proftpd-core",
            "libhiredis0.14",
            "libmemcached11",
            "libmemcachedutil2",
            "libhashkit2",
            "libpcre2-posix3",
        ],
        start: proftpd,
        login: USER,
        tls: false,
        forks: true,
    },
    Kind {
        name: "unftp",
        packages: &[],
        start: unftp,
        login: ("anonymous", "x@y"),
        tls: true,
        forks: false,
    },
    Kind {
        name: "pyftpdlib",
        packages: &[],
        start: pyftpdlib,
        login: USER,
        tls: false,
        forks: false,
    },
];

/// An older build of the server that is measured, which `BEFORE=` names.
pub static BEFORE: Kind = Kind {
    name: "before",
    packages: &[],
    start: ftpd_before,
    login: USER,
    tls: true,
    forks: false,
};

/// The program that `BEFORE=` names.
pub fn before() -> Option<PathBuf> {
    std::env::var_os("BEFORE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

const USER: (&str, &str) = ("bench", "secret");

/// `secret` as crypt(3) hashes it with MD5: cheap, so that a login measures the server.
const HASH: &str = "$1$ftpdbnch$OFfYuRLmXDB5ykWRHyP9R/";

/// The owner of the served files.
const UID: u32 = 65534;

impl Place {
    /// Makes the served files: files of 4 KiB, one of 1 GiB, and directories of many entries.
    pub fn make() -> Self {
        let rivals = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/rivals");
        fs::create_dir_all(&rivals).expect("target/bench");
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let root = base.join(format!("ftpd-bench-{}", std::process::id()));
        let data = root.join("home/data");
        fs::create_dir_all(&data).expect("files");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        mode(&root, 0o755);
        mode(&root.join("home"), 0o755);
        make_files(&data);
        fs::create_dir(data.join("up")).expect("up");
        for path in [data.clone(), data.join("up")] {
            std::os::unix::fs::chown(&path, Some(UID), Some(UID)).expect("run this as root");
            mode(&path, 0o777);
        }
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let pair = pair.expect("certificate");
        let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        for (name, text) in [
            ("cert.pem", cert.clone()),
            ("key.pem", key.clone()),
            ("both.pem", format!("{key}{cert}")),
        ] {
            fs::write(root.join(name), text).expect("certificate");
            mode(&root.join(name), 0o600);
        }
        let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der()).into();
        Self { rivals, root, certificate: pair.cert.der().clone(), key }
    }

    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Removes what was uploaded.
    pub fn clear(&self) {
        for entry in fs::read_dir(self.home().join("data/up")).expect("up").flatten() {
            fs::remove_file(entry.path()).expect("remove");
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::write(&path, text).expect("settings");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Kind {
    pub fn start(&self, place: &Place) -> Result<Server, String> {
        for package in self.packages {
            fetch(place, package)?;
        }
        let port = free_port();
        let mut command = (self.start)(place, port)?;
        let libraries =
            ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
        let paths: Vec<_> =
            libraries.iter().map(|path| place.rivals.join("root").join(path)).collect();
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        command.env("LD_LIBRARY_PATH", paths.join(":"));
        let log = fs::File::create(place.root.join(format!("{}.log", self.name))).expect("log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("log")).stderr(log);
        let child = command.spawn().map_err(|why| why.to_string())?;
        let mut server = Server {
            name: self.name,
            port,
            tls: self.tls,
            forks: self.forks,
            login: self.login,
            certificate: place.certificate.clone(),
            child,
        };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                let log = fs::read_to_string(place.root.join(format!("{}.log", self.name)));
                return Err(format!("{status}: {}", log.unwrap_or_default().trim()));
            }
            if Instant::now() > until {
                return Err("it does not listen".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Server {
    /// Logs in and changes to the directory of the files.
    pub fn client(&self, tls: bool) -> Client {
        let mut client = self.login(tls);
        client.enter("data");
        client
    }

    pub fn login(&self, tls: bool) -> Client {
        let (user, password) = self.login;
        if tls {
            Client::secure_login(self.port, user, password, &self.certificate)
        } else {
            Client::login(self.port, user, password)
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let all = tree::processes(self.child.id());
        for pid in all.iter().rev() {
            if let Some(pid) = rustix::process::Pid::from_raw((*pid).cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// Makes the files that are downloaded and listed.
fn make_files(data: &Path) {
    let chunk: Vec<u8> =
        (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, chunks) in [("big", 1024), ("half", 512)] {
        let file = fs::File::create(data.join(name)).expect("large file");
        for _ in 0..chunks {
            std::io::Write::write_all(&mut &file, &chunk).expect("large file");
        }
    }
    let small = data.join("small");
    fs::create_dir(&small).expect("small");
    for number in 0..2000 {
        fs::write(small.join(format!("f{number:04}")), &chunk[..4096]).expect("small");
    }
    for count in [10_000, 100_000] {
        let many = data.join(format!("list{count}"));
        fs::create_dir(&many).expect("list");
        for number in 0..count {
            fs::File::create(many.join(format!("file-{number:06}.jpg"))).expect("list");
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    listener.local_addr().expect("port").port()
}

/// Unpacks a package of Debian beside the others, without installing it: they conflict.
fn fetch(place: &Place, package: &str) -> Result<(), String> {
    let done = place.rivals.join(format!("{package}.unpacked"));
    if done.exists() {
        return Ok(());
    }
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&place.rivals).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(why) => Err(why.to_string()),
        }
    };
    if run("apt-get", &["download", package]).is_err() {
        run("apt-get", &["update"])?;
        run("apt-get", &["download", package])?;
    }
    let start = format!("{package}_");
    let files = fs::read_dir(&place.rivals).map_err(|why| why.to_string())?;
    let deb = files.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&start) && name.ends_with(".deb")
    });
    let deb = deb.ok_or("nothing was downloaded")?;
    run("dpkg", &["-x", &deb.to_string_lossy(), "root"])?;
    fs::write(done, "").map_err(|why| why.to_string())
}

fn ftpd(place: &Place, port: u16) -> Result<Command, String> {
    Ok(ftpd_as(Path::new(env!("CARGO_BIN_EXE_ftpd")), "ftpd", place, port))
}

fn ftpd_before(place: &Place, port: u16) -> Result<Command, String> {
    let program = before().ok_or("BEFORE= names no program")?;
    // cargo runs the benchmark in the folder of the package
    let program =
        fs::canonicalize(&program).map_err(|why| format!("{}: {why}", program.display()))?;
    Ok(ftpd_as(&program, "before", place, port))
}

/// One build of ftpd. Each needs a state of its own, which it locks.
fn ftpd_as(program: &Path, name: &str, place: &Place, port: u16) -> Command {
    let limited = throttle::RATES.map(|(user, rate)| {
        format!(
            "[user:{user}]\npassword = secret\nperm = elradfmwMT\nhome = {}\n\
             max_upload = {rate}\nmax_download = {rate}\n",
            place.home().display()
        )
    });
    let root = place.root.display();
    let text = format!(
        "[server]\nip = 127.0.0.1\nport = {port}\nmax_cons = 20000\nmax_per_ip = 0\n\
         passive_ports = 10000-32000\nidle_timeout = 0\nlogin_timeout = 0\nenable_logging = off\n\
         state_dir = state-{name}\ntls_cert = {root}/cert.pem\ntls_key = {root}/key.pem\n\
         [user:bench]\npassword = secret\nperm = elradfmwMT\nhome = {}\n",
        place.home().display()
    );
    let ini = place.write(&format!("{name}.ini"), &(text + &limited.concat()));
    fs::set_permissions(&ini, fs::Permissions::from_mode(0o600)).expect("mode");
    let mut command = Command::new(program);
    command.arg("--config").arg(ini);
    command
}

fn vsftpd(place: &Place, port: u16) -> Result<Command, String> {
    let empty = place.root.join("empty");
    fs::create_dir_all(&empty).expect("empty");
    let text = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\n\
         local_enable=NO\nanonymous_enable=YES\nftp_username=daemon\nanon_root={}\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
         anon_other_write_enable=YES\nanon_world_readable_only=NO\nanon_umask=022\n\
         xferlog_enable=NO\npasv_min_port=10000\npasv_max_port=32000\nmax_clients=0\n\
         max_per_ip=0\nidle_session_timeout=3600\ndata_connection_timeout=600\n\
         secure_chroot_dir={}\nnopriv_user=nobody\n",
        place.home().display(),
        empty.display()
    );
    let settings = place.write("vsftpd.conf", &text);
    let mut command = Command::new(place.rivals.join("root/usr/sbin/vsftpd"));
    command.arg(settings);
    Ok(command)
}

fn pure_ftpd(place: &Place, port: u16) -> Result<Command, String> {
    let home = place.home();
    let users = format!("bench:{HASH}:{UID}:{UID}::{}/./::::::::::::\n", home.display());
    let users = place.write("pureftpd.passwd", &users);
    let database = place.root.join("pureftpd.pdb");
    let made = Command::new(place.rivals.join("root/usr/bin/pure-pw"))
        .arg("mkdb")
        .arg(&database)
        .arg("-f")
        .arg(&users)
        .output()
        .map_err(|why| why.to_string())?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let mut command = Command::new(place.rivals.join("root/usr/sbin/pure-ftpd"));
    command.args(["-S", &format!("127.0.0.1,{port}"), "-c", "20000", "-H", "-E"]);
    command.args(["-l", &format!("puredb:{}", database.display()), "-u", "1", "-U", "022:022"]);
    command.args(["-p", "10000:32000", "-L", "200000:8", "-I", "60", "-f", "none", "-A"]);
    command.args(["-Y", "1", "-2", &place.root.join("both.pem").to_string_lossy()]);
    command.args(["-g", &place.root.join("pure.pid").to_string_lossy()]);
    Ok(command)
}

fn proftpd(place: &Place, port: u16) -> Result<Command, String> {
    let home = place.home();
    let users = format!("bench:{HASH}:{UID}:{UID}::{}:/bin/false\n", home.display());
    let users = place.write("proftpd.passwd", &users);
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).expect("mode");
    let root = place.root.display();
    let text = format!(
        "ServerType standalone\nDefaultAddress 127.0.0.1\nSocketBindTight on\nPort {port}\n\
         UseIPv6 off\nUser nobody\nGroup nogroup\nAuthUserFile {}\nAuthOrder mod_auth_file.c\n\
         RequireValidShell off\nDefaultRoot ~\nUmask 022\nAllowOverwrite on\nMaxInstances 20000\n\
         PassivePorts 10000 32000\nTimeoutIdle 3600\nTimeoutNoTransfer 3600\nUseReverseDNS off\n\
         WtmpLog off\nTransferLog none\nSystemLog none\nScoreboardFile {root}/scoreboard\n\
         PidFile {root}/proftpd.pid\nDelayTable none\nMultilineRFC2228 on\n",
        users.display()
    );
    let settings = place.write("proftpd.conf", &text);
    let mut command = Command::new(place.rivals.join("root/usr/sbin/proftpd"));
    command.arg("-n").arg("-c").arg(settings);
    Ok(command)
}

/// Built by `cargo install`, which takes its time: only when it is asked for with `UNFTP=1`, or
/// was built before.
fn unftp(place: &Place, port: u16) -> Result<Command, String> {
    let root = place.rivals.join("unftp");
    let program = root.join("bin/unftp");
    if !program.exists() {
        if std::env::var_os("UNFTP").is_none() {
            return Err("not built; UNFTP=1 builds it".to_owned());
        }
        let built =
            Command::new("cargo").args(["install", "unftp", "--root"]).arg(&root).status();
        if !built.is_ok_and(|status| status.success()) {
            return Err("cargo install has failed".to_owned());
        }
    }
    let mut command = Command::new(program);
    command.arg("--root-dir").arg(place.home()).args(["--passive-ports", "10000-32000"]);
    command.args(["--bind-address", &format!("127.0.0.1:{port}"), "--log-level", "error"]);
    command.args(["--bind-address-http", "127.0.0.1:0", "--idle-session-timeout", "3600"]);
    command.arg("--ftps-certs-file").arg(place.root.join("cert.pem"));
    command.arg("--ftps-key-file").arg(place.root.join("key.pem"));
    Ok(command)
}

/// Installed in a virtual environment of its own.
fn pyftpdlib(place: &Place, port: u16) -> Result<Command, String> {
    let python = place.rivals.join("venv/bin/python");
    if !python.exists() {
        let run = |program: &Path, arguments: &[&str]| {
            let output =
                Command::new(program).args(arguments).current_dir(&place.rivals).output();
            match output {
                Ok(output) if output.status.success() => Ok(()),
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(why) => Err(why.to_string()),
            }
        };
        run(Path::new("python3"), &["-m", "venv", "venv"])?;
        run(&python, &["-m", "pip", "install", "-q", "pyftpdlib", "pysendfile"])
            .or_else(|_| run(&python, &["-m", "pip", "install", "-q", "pyftpdlib"]))?;
    }
    let text = format!(
        "import logging\n\
         from pyftpdlib.authorizers import DummyAuthorizer\n\
         from pyftpdlib.handlers import FTPHandler\n\
         from pyftpdlib.servers import FTPServer\n\
         logging.basicConfig(level=logging.CRITICAL)\n\
         users = DummyAuthorizer()\n\
         users.add_user('bench', 'secret', '{}', perm='elradfmwMT')\n\
         FTPHandler.authorizer = users\n\
         FTPHandler.timeout = 3600\n\
         FTPHandler.passive_ports = range(10000, 32000)\n\
         server = FTPServer(('127.0.0.1', {port}), FTPHandler)\n\
         server.max_cons = 20000\n\
         server.max_cons_per_ip = 0\n\
         server.serve_forever()\n",
        place.home().display()
    );
    let script = place.write("serve.py", &text);
    let mut command = Command::new(python);
    command.arg(script);
    Ok(command)
}
