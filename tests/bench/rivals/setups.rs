//! The settings of each server: equal files, one user, passive mode, no limits that a workload
//! could reach, and logs in files. Whatever else a knowledgeable administrator would set to make a
//! rival fast is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Place, UID};
use crate::servers::{Wanted, before};
use crate::{floor, throttle};

/// `secret` as crypt(3) hashes it with MD5: cheap, so that a login measures the server.
const HASH: &str = "$1$ftpdbnch$OFfYuRLmXDB5ykWRHyP9R/";

pub fn ftpd(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    Ok(ftpd_as(&program(), place, wanted))
}

/// The release build, which `make bench` names, or the one of the benchmark's own profile.
pub fn program() -> PathBuf {
    let named = std::env::var_os("FTPD").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ftpd")))
}

/// ftpd without a log.
pub fn ftpd_quiet(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    ftpd(place, &Wanted { name: wanted.name.clone(), logs: false, ..*wanted })
}

/// ftpd with quota, retention and trash, none of which has anything to do.
pub fn ftpd_keeps(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let keys = "quota_bytes = 100T\nquota_files = 1000000000\nkeep_for = 365d\nkeep_bytes = 100T\n\
                min_free = 1M\ntrash = on\n";
    Ok(ftpd_within(&format!("{LIMITS}{keys}"), &program(), place, wanted))
}

/// ftpd that tells a broker on this machine of each upload.
pub fn ftpd_events(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let port = wanted.broker.ok_or("there is no broker")?;
    let keys = format!("{LIMITS}events = mqtt://127.0.0.1:{port}/ftpd\n");
    Ok(ftpd_within(&keys, &program(), place, wanted))
}

pub fn ftpd_before(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let program = before().ok_or("BEFORE= names no program")?;
    // cargo runs the benchmark in the folder of the package
    let program =
        fs::canonicalize(&program).map_err(|why| format!("{}: {why}", program.display()))?;
    Ok(ftpd_as(&program, place, wanted))
}

/// ftpd with its default limits as well, on which its memory after the start depends.
pub fn ftpd_default(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    Ok(ftpd_within("", &program(), place, wanted))
}

/// One build of ftpd with its default settings, except for limits.
fn ftpd_as(program: &Path, place: &Place, wanted: &Wanted) -> Command {
    ftpd_within(LIMITS, program, place, wanted)
}

/// So high that no client of the benchmark meets them.
const LIMITS: &str = "max_cons = 20000\nmax_per_ip = 0\nidle_timeout = 0\nlogin_timeout = 0\n";

/// Each needs a state of its own, which it locks.
fn ftpd_within(limits: &str, program: &Path, place: &Place, wanted: &Wanted) -> Command {
    let Wanted { name, port, key, logs, .. } = wanted;
    let (home, root) = (place.home(), place.root.display());
    let user = |name: &str, keys: &str| {
        format!(
            "[user:{name}]\npassword = secret\nperm = elradfmwMT\nhome = {}\n{keys}",
            home.display()
        )
    };
    let log = if *logs { format!("log_file = {name}.log\n") } else { off("enable_logging") };
    let tls = key.map_or(String::new(), |key| {
        let path = |part| place.pem(key, part).display().to_string();
        format!("tls_cert = {}\ntls_key = {}\n", path("cert"), path("key"))
    });
    let mut text = format!(
        "[server]\nip = 127.0.0.1\nport = {port}\n{limits}passive_ports = 10000-32000\n\
         state_dir = {root}/state-{name}\nadmin_socket = {root}/state-{name}/admin.sock\n{log}{tls}"
    );
    text += &user("bench", "");
    let trashless = if limits.contains("trash") { off("trash") } else { String::new() };
    text += &user("direct", &(off("atomic_uploads") + &trashless));
    text += &user("synced", "sync_uploads = on\n");
    for (name, rate) in throttle::RATES {
        text += &user(name, &format!("max_upload = {rate}\nmax_download = {rate}\n"));
    }
    let mut command = Command::new(program);
    command.arg("--config").arg(place.write(&format!("{name}.ini"), &text));
    command
}

fn off(key: &str) -> String {
    format!("{key} = off\n")
}

/// The benchmark itself, as a server that checks nothing.
pub fn floor(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|why| why.to_string())?);
    command.env(floor::SERVES, place.home()).env(floor::PORT, wanted.port.to_string());
    if let Some(key) = wanted.key {
        command.env(floor::CERT, place.pem(key, "cert")).env(floor::KEY, place.pem(key, "key"));
    }
    Ok(command)
}

pub fn vsftpd(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let Wanted { name, port, key, logs, .. } = wanted;
    let empty = place.root.join("empty");
    fs::create_dir_all(&empty).expect("empty");
    let log = if *logs {
        let path = place.root.join(format!("{name}.log"));
        format!("xferlog_enable=YES\nvsftpd_log_file={}\n", path.display())
    } else {
        "xferlog_enable=NO\n".to_owned()
    };
    let tls = key.map_or(String::new(), |key| {
        let path = |part| place.pem(key, part).display().to_string();
        format!(
            "ssl_enable=YES\nallow_anon_ssl=YES\nrequire_ssl_reuse=NO\nstrict_ssl_read_eof=NO\n\
             ssl_ciphers=HIGH\nrsa_cert_file={}\nrsa_private_key_file={}\n",
            path("cert"),
            path("key")
        )
    });
    let text = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\n\
         local_enable=NO\nanonymous_enable=YES\nftp_username=daemon\nanon_root={}\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
         anon_other_write_enable=YES\nanon_world_readable_only=NO\nanon_umask=022\n\
         pasv_min_port=10000\npasv_max_port=32000\nmax_clients=0\n\
         max_per_ip=0\nidle_session_timeout=3600\ndata_connection_timeout=600\n\
         secure_chroot_dir={}\nnopriv_user=nobody\n{log}{tls}",
        place.home().display(),
        empty.display()
    );
    let settings = place.write(&format!("{name}.conf"), &text);
    let mut command = Command::new(place.rivals.join("root/usr/sbin/vsftpd"));
    command.arg(settings);
    Ok(command)
}

/// Its transfer log is in CLF. What it would send to syslog is switched off, which it is not by
/// default: there is no syslog to measure, and without one, each line costs it three calls.
pub fn pure_ftpd(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let Wanted { name, port, key, logs, .. } = wanted;
    let home = place.home();
    let users = format!("bench:{HASH}:{UID}:{UID}::{}/./::::::::::::\n", home.display());
    let users = place.write("pureftpd.passwd", &users);
    let database = place.root.join(format!("{name}.pdb"));
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
    command.args(["-g", &place.root.join(format!("{name}.pid")).to_string_lossy()]);
    if *logs {
        command.args(["-O", &format!("clf:{}/{name}.log", place.root.display())]);
    }
    if let Some(key) = key {
        command.args(["-Y", "1", "-2", &place.pem(*key, "both").to_string_lossy()]);
    }
    Ok(command)
}

pub fn proftpd(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let Wanted { name, port, key, logs, .. } = wanted;
    let home = place.home();
    let users = format!("bench:{HASH}:{UID}:{UID}::{}:/bin/false\n", home.display());
    let users = place.write("proftpd.passwd", &users);
    let root = place.root.display();
    let log = if *logs {
        format!("TransferLog {root}/{name}-transfers.log\nSystemLog {root}/{name}.log\n")
    } else {
        "TransferLog none\nSystemLog none\n".to_owned()
    };
    let tls = key.map_or(String::new(), |key| {
        let kind = if key == crate::place::Key::Rsa { "RSA" } else { "EC" };
        let path = |part| place.pem(key, part).display().to_string();
        format!(
            "ModulePath {}\nLoadModule mod_tls.c\nTLSEngine on\nTLSOptions \
             NoSessionReuseRequired\nTLS{kind}CertificateFile {}\nTLS{kind}CertificateKeyFile {}\n",
            place.rivals.join("root/usr/lib/proftpd").display(),
            path("cert"),
            path("key")
        )
    });
    let text = format!(
        "{tls}ServerType standalone\nDefaultAddress 127.0.0.1\nSocketBindTight on\nPort {port}\n\
         UseIPv6 off\nUser nobody\nGroup nogroup\nAuthUserFile {}\nAuthOrder mod_auth_file.c\n\
         RequireValidShell off\nDefaultRoot ~\nUmask 022\nAllowOverwrite on\nMaxInstances 20000\n\
         PassivePorts 10000 32000\nTimeoutIdle 3600\nTimeoutNoTransfer 3600\nUseReverseDNS off\n\
         WtmpLog off\n{log}ScoreboardFile {root}/{name}.scoreboard\n\
         PidFile {root}/{name}.pid\nDelayEngine off\nMultilineRFC2228 on\n",
        users.display()
    );
    let settings = place.write(&format!("{name}.conf"), &text);
    let mut command = Command::new(place.rivals.join("root/usr/sbin/proftpd"));
    command.arg("-n").arg("-c").arg(settings);
    Ok(command)
}

pub fn unftp(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let Wanted { port, key, logs, .. } = wanted;
    let mut command = Command::new(place.rivals.join("unftp/bin/unftp"));
    command.arg("--root-dir").arg(place.home()).args(["--passive-ports", "10000-32000"]);
    command.args(["--bind-address", &format!("127.0.0.1:{port}")]);
    command.args(["--bind-address-http", "127.0.0.1:0", "--idle-session-timeout", "3600"]);
    // it writes its log to standard output, which is a file here
    command.args(["--log-level", if *logs { "info" } else { "error" }]);
    if let Some(key) = key {
        command.arg("--ftps-certs-file").arg(place.pem(*key, "cert"));
        command.arg("--ftps-key-file").arg(place.pem(*key, "key"));
    }
    Ok(command)
}

pub fn pyftpdlib(place: &Place, wanted: &Wanted) -> Result<Command, String> {
    let Wanted { name, port, key, logs, .. } = wanted;
    let log = if *logs {
        format!("filename='{}/{name}.log', level=logging.INFO", place.root.display())
    } else {
        "level=logging.CRITICAL".to_owned()
    };
    let (handler, tls) = match key {
        None => ("FTPHandler", String::new()),
        Some(key) => (
            "TLS_FTPHandler",
            format!(
                "Handler.certfile = '{}'\nHandler.keyfile = '{}'\n",
                place.pem(*key, "cert").display(),
                place.pem(*key, "key").display()
            ),
        ),
    };
    let text = format!(
        "import logging\n\
         from pyftpdlib.authorizers import DummyAuthorizer\n\
         from pyftpdlib.handlers import {handler} as Handler\n\
         from pyftpdlib.servers import FTPServer\n\
         logging.basicConfig({log})\n\
         users = DummyAuthorizer()\n\
         users.add_user('bench', 'secret', '{}', perm='elradfmwMT')\n\
         Handler.authorizer = users\n\
         Handler.timeout = 3600\n\
         Handler.passive_ports = range(10000, 32000)\n{tls}\
         server = FTPServer(('127.0.0.1', {port}), Handler)\n\
         server.max_cons = 20000\n\
         server.max_cons_per_ip = 0\n\
         server.serve_forever()\n",
        place.home().display()
    );
    // not pyftpdlib.py, which Python would take for the library
    let script = place.write(&format!("serve-{name}.py"), &text);
    let mut command = Command::new(place.rivals.join("venv/bin/python"));
    command.arg(script);
    Ok(command)
}
