//! Other FTP servers, for `ftpd test`: `make servers` unpacks their packages, which exclude each
//! other, below `target`. One that is not there is named on standard error, and not tested.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::namespaces::Machine;
use crate::server::eventually;

/// Another server: its name, the file that must be there, and how it is started in a folder.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    program: &'static str,
    start: fn(&Path, &Machine) -> Command,
    /// User and password in a URL, and the path of the directory for uploads.
    pub(crate) login: &'static str,
    pub(crate) path: &'static str,
}

/// A running server, and its folder.
pub(crate) struct Other {
    child: Child,
    dir: TempDir,
}

/// Greets without its name.
pub(crate) const VSFTPD: Kind = Kind {
    name: "vsftpd",
    program: "usr/sbin/vsftpd",
    start: vsftpd,
    login: "",
    path: "upload",
};

pub(crate) const PURE_FTPD: Kind = Kind {
    name: "Pure-FTPd",
    program: "usr/sbin/pure-ftpd",
    start: pure_ftpd,
    login: "bench:secret@",
    path: "upload",
};

pub(crate) const PROFTPD: Kind = Kind {
    name: "ProFTPD",
    program: "usr/sbin/proftpd",
    start: proftpd,
    login: "bench:secret@",
    path: "upload",
};

pub(crate) const PYFTPDLIB: Kind = Kind {
    name: "pyftpdlib",
    program: "usr/lib/python3/dist-packages/pyftpdlib/__init__.py",
    start: pyftpdlib,
    login: "bench:secret@",
    path: "upload",
};

/// `secret` as crypt(3) hashes it with MD5.
const HASH: &str = "$1$ftpdbnch$OFfYuRLmXDB5ykWRHyP9R/";

/// The user `daemon` of Debian.
const UID: u32 = 1;

fn root() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("servers/root")
}

impl Kind {
    /// Starts the server on port 21 of a machine, with passive ports from 50000 to 50009.
    pub(crate) fn start(&self, machine: &Machine) -> Option<Other> {
        if !root().join(self.program).exists() {
            let text = format!("servers: {} is not there, nothing tested", self.name);
            let _ = writeln!(io::stderr(), "{text}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for folder in ["home", "home/upload", "empty"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        chown(dir.path().join("home/upload"), Some(UID), Some(UID)).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = (self.start)(dir.path(), machine);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut other = Other { child: command.spawn().unwrap(), dir };
        let listens = "ss -Hltn | grep -q ':21 '";
        eventually("the server listens", || {
            let ended = other.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}: {}", self.name, other.log());
            machine.command("sh").args(["-c", listens]).status().unwrap().success()
        });
        Some(other)
    }
}

impl Other {
    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Returns whether nothing was left in the directory for uploads.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.dir.path().join("home/upload")).unwrap().count() == 0
    }
}

/// The program, with the libraries that were unpacked beside it.
fn program(machine: &Machine, name: &str) -> Command {
    let mut command = machine.command(root().join(name).to_str().unwrap());
    let arch = std::env::consts::ARCH;
    let libraries = ["usr/lib", "lib"]
        .map(|dir| root().join(dir).join(format!("{arch}-linux-gnu")).display().to_string());
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    command
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    file
}

fn vsftpd(dir: &Path, machine: &Machine) -> Command {
    let text = format!(
        "listen=YES\nlisten_port=21\nbackground=NO\nftpd_banner=Hello\n\
         local_enable=NO\nanonymous_enable=YES\nftp_username=daemon\nanon_root={}\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
         anon_other_write_enable=YES\nanon_world_readable_only=NO\nanon_umask=022\n\
         pasv_min_port=50000\npasv_max_port=50009\nnopriv_user=nobody\n\
         secure_chroot_dir={}\nxferlog_enable=NO\nseccomp_sandbox=NO\n",
        dir.join("home").display(),
        dir.join("empty").display()
    );
    let settings = write(dir, "vsftpd.conf", &text);
    let mut command = program(machine, VSFTPD.program);
    command.arg(settings);
    command
}

fn pure_ftpd(dir: &Path, machine: &Machine) -> Command {
    let home = dir.join("home");
    let users = format!("bench:{HASH}:{UID}:{UID}::{}/./::::::::::::\n", home.display());
    let users = write(dir, "users", &users);
    let database = dir.join("users.pdb");
    let mut make = program(machine, "usr/bin/pure-pw");
    let output = make.arg("mkdb").arg(&database).arg("-f").arg(&users).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut command = program(machine, PURE_FTPD.program);
    command.args(["-S", "21", "-H", "-E", "-u", "1", "-U", "022:022", "-A"]);
    command.args(["-l", &format!("puredb:{}", database.display())]);
    command.args(["-p", "50000:50009", "-f", "none"]);
    command.arg("-g").arg(dir.join("pid"));
    command
}

fn proftpd(dir: &Path, machine: &Machine) -> Command {
    let (home, dir_text) = (dir.join("home"), dir.display());
    let users = format!("bench:{HASH}:{UID}:{UID}::{}:/bin/false\n", home.display());
    let users = write(dir, "users", &users);
    let text = format!(
        "ServerType standalone\nPort 21\nUseIPv6 off\nUser nobody\nGroup nogroup\n\
         AuthUserFile {}\nAuthOrder mod_auth_file.c\nRequireValidShell off\nDefaultRoot ~\n\
         Umask 022\nAllowOverwrite on\nAllowStoreRestart on\nPassivePorts 50000 50009\n\
         UseReverseDNS off\nWtmpLog off\nTransferLog none\nSystemLog none\n\
         ScoreboardFile {dir_text}/scoreboard\nPidFile {dir_text}/pid\nDelayEngine off\n",
        users.display()
    );
    let settings = write(dir, "proftpd.conf", &text);
    let mut command = program(machine, PROFTPD.program);
    command.arg("-n").arg("-c").arg(settings);
    command
}

fn pyftpdlib(dir: &Path, machine: &Machine) -> Command {
    let text = format!(
        "from pyftpdlib.authorizers import DummyAuthorizer\n\
         from pyftpdlib.handlers import FTPHandler\n\
         from pyftpdlib.servers import FTPServer\n\
         users = DummyAuthorizer()\n\
         users.add_user('bench', 'secret', '{}', perm='elradfmwMT')\n\
         FTPHandler.authorizer = users\n\
         FTPHandler.passive_ports = range(50000, 50010)\n\
         FTPServer(('0.0.0.0', 21), FTPHandler).serve_forever()\n",
        dir.join("home").display()
    );
    // not pyftpdlib.py, which Python would take for the library
    let script = write(dir, "serve.py", &text);
    let debian = Path::new("/usr/bin/python3");
    let python = if debian.exists() { "/usr/bin/python3" } else { "python3" };
    let mut command = machine.command(python);
    command.env("PYTHONPATH", root().join("usr/lib/python3/dist-packages")).arg(script);
    command
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
