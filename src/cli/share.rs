//! `ftpd share`: serves a directory without a settings file.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use tempfile::TempDir;

use super::arguments::{Arguments, Word};
use super::bars::Screen;
use super::outcome::Stop;
use super::print::say;
use super::screen::clock;
use super::serve;
use crate::config::{self, Config};
use crate::log::{self, Destination, Form};
use crate::server::{Order, Server, SettingsSource, Supervisor};

/// The letters of a password, without those that are easily confused.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";

/// Number of letters of a password, which has 60 random bits.
const LENGTH: usize = 12;

/// The default port.
const PORT: u16 = 2121;

/// Log filters: what clients do is logged, but not how the server is set up.
const FILTERS: &str = "info,ftpd::server=warn";

/// The arguments.
struct Share {
    folder: PathBuf,
    write: bool,
    tls: bool,
    anonymous: bool,
    user: String,
    ip: Option<IpAddr>,
    port: Option<u16>,
    /// How long the share lasts; `None`: until it is stopped.
    time: Option<Duration>,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    let signals = serve::catch_early().map_err(Stop::Failed)?;
    let share = Share::parse(arguments)?;
    let failed =
        |what: &str, why: &dyn std::fmt::Display| Stop::Failed(format!("{what}: {why}"));
    let password = password().map_err(|why| failed("no random bytes for a password", &why))?;
    let certificate =
        share.tls.then(|| tempfile::Builder::new().prefix("ftpd-share-").tempdir());
    let certificate = certificate.transpose();
    let certificate =
        certificate.map_err(|why| failed("no directory for the certificate", &why))?;
    let text = share.ini(&password, certificate.as_ref())?;
    let mut config = config::of_text(&text).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(|fault| fault.fault.to_string()).collect();
        Stop::Failed(faults.join("; "))
    })?;
    if let Some(tls) = &mut config.tls {
        tls.once = true;
    }
    let screen = Screen::default();
    let to = screen.clone();
    let start_log = move |config: &Config| {
        let to = Destination::Writer(Box::new(to.clone()));
        let level = config.server.log.level;
        log::start(level, Some(FILTERS), Form::Text, to).map_err(|why| why.to_string())
    };
    let load = || Err(vec!["a share has no settings that could be read again".to_owned()]);
    let tidies = certificate.as_ref().and_then(|folder| folder.path().parent());
    let source = SettingsSource {
        file: None,
        tidies: tidies.map(Path::to_owned),
        load: Box::new(load),
        start_log: Box::new(start_log),
    };
    // closing the terminal ends the share
    let ends = serve::Ends { signals, hangup: Order::Stop, after: share.time };
    let (sockets, nobody) = (Vec::new(), Supervisor::default);
    let served = serve::serve(config, source, sockets, nobody, ends, |server| {
        // the key is already in memory; its file is removed, so that clients cannot find it if
        // they are served the directory
        drop(certificate);
        share.announce(server, &password);
        if io::stderr().is_terminal() {
            screen.follow(server.sessions());
        }
    });
    served.map_err(Stop::Failed)?;
    Ok(ExitCode::SUCCESS)
}

impl Share {
    fn parse(mut arguments: Arguments) -> Result<Self, Stop> {
        let mut folder = None;
        let (mut write, mut tls, mut anonymous) = (false, false, false);
        let (mut user, mut ip, mut port, mut time) = (None, None, None, None);
        while let Some(word) = arguments.next()? {
            match word {
                Word::Flag(flag) => match flag.as_str() {
                    "--write" => write = true,
                    "--tls" => tls = true,
                    "--anonymous" => anonymous = true,
                    "--user" => user = Some(arguments.value()?),
                    "--ip" => ip = Some(arguments.parsed("an address")?),
                    "--for" => time = Some(duration(&arguments.value()?)?),
                    "--port" => port = Some(arguments.parsed("a port")?),
                    _ => return Err(Word::Flag(flag).unexpected()),
                },
                Word::Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
                more @ Word::Value(_) => return Err(more.unexpected()),
            }
        }
        let folder = folder.unwrap_or_else(|| PathBuf::from("."));
        let there = std::fs::canonicalize(&folder);
        let folder =
            there.map_err(|why| Stop::Failed(format!("{}: {why}", log::path(&folder))))?;
        // the name anonymous implies --anonymous
        let is_plain =
            user.as_deref().is_some_and(|user| user.eq_ignore_ascii_case("anonymous"));
        if anonymous && user.is_some() && !is_plain {
            return Err(Stop::Misuse("--anonymous and --user exclude each other".to_owned()));
        }
        anonymous |= is_plain;
        let user = user.unwrap_or_else(|| "guest".to_owned());
        if !anonymous && config::anonymous_name(&user).is_some() {
            let why =
                format!("the user '{user}' needs no password; use --anonymous to allow that");
            return Err(Stop::Misuse(why));
        }
        Ok(Self { folder, write, tls, anonymous, user, ip, port, time })
    }

    /// Returns the settings of the server as the text of a settings file.
    fn ini(&self, password: &str, certificate: Option<&TempDir>) -> Result<String, Stop> {
        let line = |path: &Path| {
            let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
            let cannot = || {
                Stop::Failed(format!(
                    "the name of {} cannot be written to the settings",
                    log::path(path)
                ))
            };
            text.map(str::to_owned).ok_or_else(cannot)
        };
        let (ip, port) = self.address();
        let perm = if self.write { "elradfmwMT" } else { "elr" };
        let folder = line(&self.folder)?;
        let mut text = format!(
            "[server]\nip = {ip}\nport = {port}\nmax_per_ip = 0\nstate_dir =\nkeep_parts = 0\nshutdown_grace = 0\nadmin_socket =\n\
             welcome_msg = Shared with ftpd\n"
        );
        // writing to a String cannot fail
        if let Some(certificate) = certificate {
            let dir = line(certificate.path())?;
            let _ = writeln!(text, "tls_cert = auto\ntls_dir = \"{dir}\"\ntls_required = on");
        }
        if self.anonymous {
            let _ = write!(
                text,
                "enable_anonymous = on\nanonymous_path = \"{folder}\"\nanonymous_perm = {perm}\n"
            );
        } else {
            let user = &self.user;
            let _ = write!(
                text,
                "[user:{user}]\npassword = \"{password}\"\nperm = {perm}\nhome = \"{folder}\"\n"
            );
        }
        Ok(text)
    }

    /// Returns the address and port to listen on. The port is the default one, unless that is
    /// in use.
    fn address(&self) -> (IpAddr, u16) {
        let free = |ip: IpAddr, port: u16| TcpListener::bind((ip, port)).is_ok();
        let all = Ipv6Addr::UNSPECIFIED.into();
        let ip = self
            .ip
            .unwrap_or_else(|| if free(all, 0) { all } else { Ipv4Addr::UNSPECIFIED.into() });
        let port = self.port.unwrap_or_else(|| if free(ip, PORT) { PORT } else { 0 });
        (ip, port)
    }

    /// Prints the URLs of the share and its password.
    fn announce(&self, server: &Server, password: &str) {
        let write = if self.write { "to read and write" } else { "to read" };
        let everybody = if self.anonymous { ", for everybody" } else { "" };
        let mut text = format!("{} {write}{everybody}:\n", log::path(&self.folder));
        let login = if self.anonymous {
            String::new()
        } else {
            format!("{}:{password}@", escaped_for_url(&self.user))
        };
        for address in server.addresses().into_iter().flat_map(reachable) {
            let _ = writeln!(text, "  ftp://{login}{address}/");
        }
        if self.tls {
            let fingerprint = server.fingerprint().unwrap_or_default();
            let _ = writeln!(text, "with TLS (AUTH TLS), certificate SHA-256 {fingerprint}");
        }
        let end = self.time.map_or_else(String::new, |time| {
            let time = clock(time.as_secs());
            format!("It ends by itself after {time}. ")
        });
        say(&(text + &end + "Ctrl-C ends it."));
    }
}

/// Reads how long the share lasts.
fn duration(text: &str) -> Result<Duration, Stop> {
    let bad =
        |why: &str| Stop::Misuse(format!("--for: '{}' {why}", log::escaped(text.as_bytes())));
    let time = config::duration(text).map_err(|why| bad(&why))?;
    time.ok_or_else(|| bad("is no time; without --for the share does not end by itself"))
}

/// Escapes a name for a URL (RFC 3986 §2.1).
fn escaped_for_url(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().fold(String::new(), |mut text, byte| {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Returns the addresses by which other machines reach a listening address.
fn reachable(listening: SocketAddr) -> Vec<SocketAddr> {
    if !listening.ip().is_unspecified() {
        return vec![listening];
    }
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
        v4.or(v6)
    });
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let wanted = |ip: &IpAddr| listening.is_ipv6() || ip.is_ipv4();
    let all: Vec<_> = addresses.filter(|ip| wanted(ip) && !link_local(ip)).collect();
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(IpAddr::is_loopback);
    let shown = if others.is_empty() { own } else { others };
    shown.into_iter().map(|ip| SocketAddr::new(ip, listening.port())).collect()
}

/// Makes a random password.
fn password() -> Result<String, Unspecified> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes)?;
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied().map(char::from);
    Ok(bytes.iter().filter_map(letter).collect())
}
