//! What happens to a server in service besides its clients: settings are read again, logs are
//! moved away, figures are looked at, sessions are kicked, and programs of clients are killed.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::World;
use crate::random::Random;
use crate::server::program;
use crate::session::{Done, Fault, PROMPT, fault};
use crate::strangers::Stranger;

/// The user of the clients that are killed, which no model knows.
pub const KILLED: &str = "killed";

/// What the operators of a run share.
pub struct Service {
    pub pid: u32,
    /// The directory of homes, settings and logs.
    pub dir: PathBuf,
    /// The port of the metrics.
    pub metrics: u16,
    /// Numbers of reloads, moved logs, looks at figures and killed clients.
    pub reloads: AtomicU64,
    pub moves: AtomicU64,
    pub looks: AtomicU64,
    pub kills: AtomicU64,
    /// Number of complete transfers in the transfer logs that were moved away.
    pub told: AtomicU64,
}

impl Service {
    pub fn new(pid: u32, dir: &Path, metrics: u16) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            pid,
            dir: dir.to_owned(),
            metrics,
            reloads: zero(),
            moves: zero(),
            looks: zero(),
            kills: zero(),
            told: zero(),
        }
    }

    /// Prints what the operators did, and checks that the transfer logs have no fewer transfers
    /// than the clients have made. The server has stopped.
    pub fn conclude(&self, transfers: u64) -> Result<(), String> {
        let mut told = self.told.load(Ordering::Relaxed);
        // the run may have ended between the two halves of a move
        for log in ["transfers.log.1", "transfers.log"] {
            told += count(&self.dir.join(log)).map_err(|why| why.0)?;
        }
        let hooks = fs::metadata(self.dir.join("hooks")).map_or(0, |file| file.len());
        let [reloads, moves, looks, kills] =
            [&self.reloads, &self.moves, &self.looks, &self.kills]
                .map(|count| count.load(Ordering::Relaxed));
        println!(
            "  {reloads} reloads, {moves} times the logs were moved away, {looks} looks at the \
             figures, {kills} clients killed, {hooks} programs of hooks, {told} complete \
             transfers in the transfer logs"
        );
        if hooks == 0 || told < transfers {
            return Err(format!(
                "{transfers} transfers, but {told} in the logs, {hooks} hooks"
            ));
        }
        Ok(())
    }
}

type Work = fn(&World, &Service, Random) -> Done;

/// The operators of a way.
pub fn all(world: &Arc<World>, seed: u64) -> Vec<Stranger> {
    let works: [Work; 5] = [reload, look, rotate, kill, kill];
    let works = works.into_iter().filter(|_| world.service.is_some());
    let operator = |(number, work): (usize, Work)| -> Stranger {
        let world = Arc::clone(world);
        let random = Random::new(seed, 2000 + number as u64);
        Box::new(move || match &world.service {
            Some(service) => work(&world, service, random),
            None => Ok(()),
        })
    };
    works.enumerate().map(operator).collect()
}

/// Waits for a random time, which decides what it meets, and not longer than the run.
fn pause(world: &World, random: &mut Random, most: u64) {
    let until = Instant::now() + Duration::from_millis(random.between(10, most));
    while Instant::now() < until && !world.is_over() {
        thread::sleep(Duration::from_millis(10));
    }
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> Fault {
    move |why| Fault(format!("an operator: {what}: {why}"))
}

fn run(command: &mut Command) -> Done<Output> {
    let output = command.stdin(Stdio::null()).env_remove("RUST_LOG").output();
    output.map_err(failed("cannot start a program"))
}

/// Runs a subcommand, which must succeed.
fn ftpd(service: &Service, words: &[&str]) -> Done<String> {
    let ini = service.dir.join("ftpd.ini");
    let mut command = Command::new(program());
    let output = run(command.args(words).arg("--config").arg(ini))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return fault(format!("ftpd {}: {} {told}", words.join(" "), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Changes the settings, and has them read by a signal or by `ftpd reload`.
fn reload(world: &World, service: &Service, mut random: Random) -> Done {
    let (ini, next) = (service.dir.join("ftpd.ini"), service.dir.join("ftpd.ini.next"));
    let first = fs::read_to_string(&ini).map_err(failed("settings"))?;
    while !world.is_over() {
        let mut text = first.clone();
        if random.chance(50) {
            text = text.replacen("[server]\n", "[server]\nwelcome_msg = Another one\n", 1);
            text += "[user:visitor]\npassword = visitor\nhome = killed\n";
        }
        fs::write(&next, text).map_err(failed("settings"))?;
        fs::rename(&next, &ini).map_err(failed("settings"))?;
        if random.chance(50) {
            run(Command::new("kill").args(["-HUP", &service.pid.to_string()]))?;
        } else {
            ftpd(service, &["reload"])?;
        }
        service.reloads.fetch_add(1, Ordering::Relaxed);
        pause(world, &mut random, 3000);
    }
    Ok(())
}

/// Reads the metrics, asks through the admin socket, and kicks the clients that are killed anyway.
fn look(world: &World, service: &Service, mut random: Random) -> Done {
    while !world.is_over() {
        match random.below(5) {
            0 => drop(ftpd(service, &["who", "--json"])?),
            1 => drop(ftpd(service, &["stats"])?),
            2 => drop(ftpd(service, &["bans"])?),
            3 => {
                // there may be none
                let _ = ftpd(service, &["kick", KILLED]);
            }
            _ => scrape(service)?,
        }
        service.looks.fetch_add(1, Ordering::Relaxed);
        pause(world, &mut random, 1000);
    }
    Ok(())
}

fn scrape(service: &Service) -> Done {
    let failed = failed("the metrics");
    let mut stream = TcpStream::connect(("127.0.0.1", service.metrics)).map_err(&failed)?;
    stream.set_read_timeout(Some(PROMPT)).map_err(&failed)?;
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
        service.metrics
    );
    stream.write_all(request.as_bytes()).map_err(&failed)?;
    let mut page = String::new();
    stream.read_to_string(&mut page).map_err(&failed)?;
    if !page.starts_with("HTTP/1.1 200 ") || !page.contains("\nftpd_sessions_active ") {
        return fault(format!("the metrics: {page}"));
    }
    Ok(())
}

/// Moves both logs away, as logrotate does, and counts what the transfer log says.
fn rotate(world: &World, service: &Service, mut random: Random) -> Done {
    let name = |name: &str| service.dir.join(name);
    while !world.is_over() {
        pause(world, &mut random, 8000);
        let (log, transfers) = (name("ftpd.log"), name("transfers.log"));
        let turns = world.log.turns();
        if is_moved(&log, &name("ftpd.log.1"))? {
            // the next one may be moved once somebody has read this one to its end
            appears(world, || world.log.turns() > turns);
        }
        let old = name("transfers.log.1");
        if is_moved(&transfers, &old)? && appears(world, || transfers.exists()) {
            service.told.fetch_add(count(&old)?, Ordering::Relaxed);
        } else if old.exists() {
            // the run is over, and the server may still write to this file
            return Ok(());
        }
        fs::remove_file(&old).or_else(missing).map_err(failed("logs"))?;
        service.moves.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn missing(why: std::io::Error) -> std::io::Result<()> {
    if why.kind() == ErrorKind::NotFound { Ok(()) } else { Err(why) }
}

/// Renames a log. Returns `false` if the server has not opened it yet.
fn is_moved(from: &Path, to: &Path) -> Done<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(why) => missing(why).map(|()| false).map_err(failed("logs")),
    }
}

/// Waits until something has happened or the run is over.
fn appears(world: &World, has: impl Fn() -> bool) -> bool {
    while !has() {
        if world.is_over() {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Counts the complete transfers of a transfer log, each of whose lines must be whole.
fn count(log: &Path) -> Done<u64> {
    let text = match fs::read(log) {
        Ok(text) => text,
        Err(why) => {
            missing(why).map_err(failed("the transfer log"))?;
            return Ok(0);
        }
    };
    let mut complete = 0;
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        // WWW MMM DD HH:MM:SS YYYY seconds host bytes path type _ direction access user ftp 0 * c
        match line.rsplit(|&byte| byte == b' ').next() {
            Some(b"c") => complete += 1,
            Some(b"i") => {}
            _ => return fault(format!("the transfer log has {}", line.escape_ascii())),
        }
    }
    Ok(complete)
}

/// Starts programs that upload and download, and kills them in the middle.
fn kill(world: &World, service: &Service, mut random: Random) -> Done {
    while !world.is_over() {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--user", "killed:killed", "--limit-rate", "400k"]);
        if random.chance(50) {
            curl.args(["--ssl-reqd", "--insecure"]);
        }
        if random.chance(30) {
            curl.args(["--ftp-port", "127.0.0.1"]);
        }
        let url = format!("ftp://{}/up{}", world.address, random.below(4));
        if random.chance(60) {
            curl.args(["--upload-file", "/dev/zero", &url]);
        } else {
            curl.args(["--output", "/dev/null", &format!("ftp://{}/big", world.address)]);
        }
        curl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut curl = match curl.spawn() {
            Ok(child) => child,
            Err(why) => {
                println!("  no clients are killed, because curl does not start: {why}");
                return Ok(());
            }
        };
        pause(world, &mut random, 1500);
        curl.kill().and_then(|()| curl.wait()).map_err(failed("curl"))?;
        service.kills.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
