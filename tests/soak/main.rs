//! A soak test: many clients do random things with the real server, and each checks it against
//! a model of what must be on the server. The server is set up in several ways, one after
//! another. Run it with `make soak`, narrowed by `SECONDS=` (for each way), `CLIENTS=`, `SEED=`
//! and `WAY=`; `FTPD=` names another program, such as the static one.
//!
//! Clients check contents, replies, the order of replies, and that each comes in time. The run
//! checks file descriptors, threads, memory and the log of the server. The first fault ends the
//! run, which prints the seed and the last lines of the client that met it. What a client does
//! follows from the seed and its number; the timing between clients does not.
//!
//! | File | What it holds |
//! | --- | --- |
//! | `ways.rs` | how the server is set up |
//! | `server.rs` | the program, its figures and its log |
//! | `operations.rs` | what clients do, and how often; commands without a data connection |
//! | `door.rs` | how a data connection comes about |
//! | `transfers.rs` | transfers that go well, and listings |
//! | `cuts.rs` | transfers that break off |
//! | `strangers.rs` | those that never log in |
//! | `operators.rs` | reloads, moved logs, metrics and killed programs of clients |
//! | `model.rs` | what must be there |
//! | `client.rs`, `session.rs` | a client, and its control connection |
//! | `wire.rs`, `tls.rs` | a connection that decides what goes into one send; certificates |
//! | `random.rs` | numbers and contents from a seed |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::wildcard_enum_match_arm,
    clippy::struct_excessive_bools,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    unreachable_pub,
    missing_docs,
    reason = "a run prints, and ends when something is wrong"
)]

mod client;
mod cuts;
mod door;
mod model;
mod operations;
mod operators;
mod random;
mod server;
mod session;
mod strangers;
mod tls;
mod transfers;
#[path = "../suite/trusting.rs"]
mod trusting;
mod ways;
mod wire;

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use client::{Client, World};
use operators::Service;
use server::{Figures, Server};
use session::{Counts, Notes};
use tls::Authority;
use ways::{USERS, WAYS, Way};

/// The run of one way.
struct Run {
    seconds: u64,
    clients: usize,
    seed: u64,
}

/// Time between two looks at the server's figures.
const LOOK: Duration = Duration::from_millis(500);

/// Time after which the server must be as it was at the start: an idle worker ends after half a
/// minute.
const SETTLING: Duration = Duration::from_secs(60);

/// Maximum number of file descriptors that one connection may have open.
const FILES_EACH: usize = 14;

/// Maximum growth of the server's memory over a run, in KiB.
const GROWTH: u64 = 48 << 10;

fn main() {
    let seconds = number("SECONDS").unwrap_or(600);
    let clients = number("CLIENTS").unwrap_or(16).clamp(1, 240) as usize;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = number("SEED").unwrap_or(since.unwrap_or_default().as_nanos() as u64 >> 10);
    let wanted = env::var("WAY").unwrap_or_default();
    let wanted: Vec<_> = wanted.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    for name in &wanted {
        if !WAYS.iter().any(|way| way.name == *name) {
            let known: Vec<_> = WAYS.iter().map(|way| way.name).collect();
            eprintln!("WAY: '{name}' is none of {}", known.join(", "));
            exit(2);
        }
    }
    println!("SEED={seed} SECONDS={seconds} CLIENTS={clients}");
    let run = Run { seconds, clients, seed };
    let mut all = Counts::default();
    for way in WAYS.iter().filter(|way| wanted.is_empty() || wanted.contains(&way.name)) {
        println!("\n{}: {}", way.name, way.about);
        match run.way(way) {
            Ok(counts) => all.add(&counts),
            Err(why) => {
                println!("{why}");
                println!("\nagain: make soak SEED={seed} CLIENTS={clients} WAY={}", way.name);
                exit(1);
            }
        }
    }
    println!("\nno fault; {} operations in all", all.operations.values().sum::<u64>());
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    let Ok(number) = text.parse() else {
        eprintln!("{name}: '{text}' is not a number");
        exit(2);
    };
    Some(number)
}

/// A fault, found by a client or by the run, and what is known about it.
type Found = Arc<Mutex<Vec<String>>>;

impl Run {
    /// Runs one way, from the start of the server to its end.
    fn way(&self, way: &'static Way) -> Result<Counts, String> {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{}.log", way.name));
        let result = self.drive(way, &log);
        match &result {
            Ok(_) => drop(fs::remove_file(&log)),
            Err(_) => println!("the server's log: {}", log.display()),
        }
        result
    }

    fn drive(&self, way: &'static Way, log: &Path) -> Result<Counts, String> {
        let told = |what: &str| format!("cannot prepare {what}");
        let authority = Authority::new().map_err(|why| format!("{}: {why}", told("TLS")))?;
        let pairs = (0..USERS).map(|number| authority.issue(&format!("pair{number}")));
        let pairs = pairs.collect::<Result<_, _>>().map_err(|_| told("certificates"))?;
        let dir = tempfile::tempdir().map_err(|why| format!("{}: {why}", told("a folder")))?;
        if way.everything {
            prepare_service(dir.path()).map_err(|why| format!("{}: {why}", told("a hook")))?;
        }
        for home in ["home", "other"] {
            let shared = dir.path().join(home).join("shared");
            fs::create_dir_all(&shared).map_err(|why| format!("{}: {why}", told("homes")))?;
            for number in 0..operations::SHARED {
                let version = operations::shared_version(number, 1000, false);
                fs::write(shared.join(format!("s{number}")), version)
                    .map_err(|why| format!("{}: {why}", told("homes")))?;
            }
            for client in 0..self.clients {
                let path = dir.path().join(home).join(format!("c{client}"));
                fs::create_dir(path).map_err(|why| format!("{}: {why}", told("homes")))?;
            }
        }
        fs::write(dir.path().join("ca.pem"), &authority.certificate)
            .map_err(|why| format!("{}: {why}", told("certificates")))?;
        let [implicit, metrics] =
            free_ports().map_err(|why| format!("{}: {why}", told("a port")))?;
        let ini = way.ini(self.clients).replace("{implicit}", &implicit.to_string());
        let ini = ini.replace("{metrics}", &metrics.to_string());
        let place = dir.path().to_owned();
        let doors = ini.matches("ip = 127.0.0.1, ::1\n").count() + 1;
        let doors = if way.implicit { 2 * doors } else { doors };
        let mut server = Server::start(dir, &ini, log, doors)?;
        let world = Arc::new(World {
            way,
            address: server.address,
            implicit: server.implicit,
            address6: server.address6,
            implicit6: server.implicit6,
            log: Arc::clone(&server.log),
            service: way.everything.then(|| Service::new(server.pid(), &place, metrics)),
            pairs,
            until: Instant::now() + Duration::from_secs(self.seconds),
            over: AtomicBool::new(false),
        });
        let found = Found::default();
        let notes: Vec<_> = (0..self.clients).map(|_| Notes::new()).collect();
        let mut clients: Vec<_> = notes
            .iter()
            .enumerate()
            .map(|(number, notes)| Client::new(number, &world, self.seed, notes))
            .collect();
        // what the first session leaves open for good is not a leak
        let first = &mut clients[0];
        if let Err(why) = first.warm_up() {
            return Err(report(0, &why.0, &notes[0]));
        }
        let warm = rest(&server)?;
        let base = Figures { threads: warm.threads - warm.workers, workers: 0, ..warm };
        let mut threads = Vec::new();
        for (client, notes) in clients.into_iter().zip(&notes) {
            let (found, notes) = (Arc::clone(&found), Arc::clone(notes));
            let name = format!("client-{}", client.number);
            let body = move || live(client, &notes, &found);
            let thread = thread::Builder::new().name(name).spawn(body);
            threads.push(thread.map_err(|why| format!("{}: {why}", told("a thread")))?);
        }
        let others = operators::all(&world, self.seed);
        for stranger in strangers::all(&world, self.seed).into_iter().chain(others) {
            let (found, world) = (Arc::clone(&found), Arc::clone(&world));
            threads.push(thread::spawn(move || {
                if let Err(why) = stranger() {
                    world.over.store(true, Ordering::Relaxed);
                    tell(&found, why.0);
                }
            }));
        }
        let mut most = base;
        while threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(LOOK);
            let figures = Figures::of(server.pid());
            let wrong = figures.map(|figures| {
                most = most.most(figures);
                self.is_too_much(base, figures)
            });
            let wrong = wrong.unwrap_or_else(Some);
            for line in wrong.into_iter().chain(server.log.faults()) {
                world.over.store(true, Ordering::Relaxed);
                tell(&found, line);
            }
        }
        for thread in threads {
            drop(thread.join());
        }
        let mut counts = Counts::default();
        for notes in &notes {
            counts.add(&notes.counts());
        }
        if let Some(first) = found.lock().unwrap_or_else(PoisonError::into_inner).first() {
            return Err(first.clone());
        }
        let last = settle(&server, base)?;
        show(&counts, self.seconds, base, most, last);
        server.stop()?;
        if let Some(service) = &world.service {
            service.conclude(counts.files)?;
        }
        match server.log.faults().first() {
            Some(line) => Err(format!("the log says: {line}")),
            None => Ok(counts),
        }
    }

    /// Checks that the server holds no more than it may while clients are connected.
    fn is_too_much(&self, base: Figures, now: Figures) -> Option<String> {
        // a client may have a second connection while its previous one is ending, and strangers
        // come on top
        let connections = self.clients * 3 + 8;
        let files = base.files + connections * FILES_EACH;
        let threads = base.threads + connections + 8;
        if now.files > files || now.threads > threads {
            return Some(format!(
                "{} file descriptors and {} threads, where {files} and {threads} are many",
                now.files, now.threads
            ));
        }
        None
    }
}

/// Makes what the settings of the way with everything name: a program for the hooks, and the
/// home of the clients that are killed.
fn prepare_service(dir: &Path) -> std::io::Result<()> {
    let hook = dir.join("hook");
    let program = format!("#!/bin/sh\nprintf . >>'{}'\n", dir.join("hooks").display());
    fs::write(&hook, program)?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700))?;
    fs::create_dir(dir.join(operators::KILLED))?;
    fs::write(dir.join(operators::KILLED).join("big"), vec![0; 8 << 20])
}

/// Returns two ports that are free now.
fn free_ports() -> std::io::Result<[u16; 2]> {
    let first = TcpListener::bind("127.0.0.1:0")?;
    let second = TcpListener::bind("127.0.0.1:0")?;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}

/// Returns the figures of a server whose only client has left, once they no longer change.
fn rest(server: &Server) -> Result<Figures, String> {
    let mut figures = Figures::of(server.pid())?;
    let mut since = Instant::now();
    while since.elapsed() < LOOK {
        thread::sleep(LOOK / 10);
        let now = Figures::of(server.pid())?;
        if (now.files, now.threads) != (figures.files, figures.threads) {
            (figures, since) = (now, Instant::now());
        }
    }
    Ok(figures)
}

/// Runs a client from its first connection to its last.
fn live(mut client: Client, notes: &Arc<Notes>, found: &Found) {
    let number = client.number;
    let world = Arc::clone(&client.world);
    let result = catch_unwind(AssertUnwindSafe(|| {
        while !world.is_over() {
            if client.is_connected() {
                client.operate()?;
            } else {
                client.connect()?;
            }
        }
        client.quit()
    }));
    let why = match result {
        Ok(Ok(())) => return,
        Ok(Err(why)) => why.0,
        Err(_) => "the client itself has panicked".to_owned(),
    };
    world.over.store(true, Ordering::Relaxed);
    tell(found, report(number, &why, notes));
}

fn tell(found: &Found, what: String) {
    found.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

fn report(number: usize, why: &str, notes: &Notes) -> String {
    let transcript = notes.transcript().join("\n");
    format!("--- client {number}, lately ---\n{transcript}\n--- FAULT, client {number}: {why}")
}

/// Checks that the server is as it was at the start, now that all clients have left.
fn settle(server: &Server, base: Figures) -> Result<Figures, String> {
    let until = Instant::now() + SETTLING;
    loop {
        let now = Figures::of(server.pid())?;
        if now.threads <= base.threads && now.files <= base.files {
            if now.memory > base.memory + GROWTH {
                return Err(format!(
                    "{} KiB of memory at the end, {} before",
                    now.memory, base.memory
                ));
            }
            return Ok(now);
        }
        if Instant::now() >= until {
            return Err(format!(
                "all clients are gone, and the server has {} threads and {} descriptors; it had \
                 {} and {}: {}",
                now.threads,
                now.files,
                base.threads,
                base.files,
                Figures::open(server.pid()).join(", ")
            ));
        }
        thread::sleep(LOOK);
    }
}

/// Prints the figures of a way.
fn show(counts: &Counts, seconds: u64, base: Figures, most: Figures, last: Figures) {
    let all: u64 = counts.operations.values().sum();
    for (name, count) in &counts.operations {
        println!("  {count:>9}  {name}");
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!("  {all:>9}  operations, {:.0} a second", all as f64 / seconds.max(1) as f64);
    println!(
        "  {} transfers ({:.1} MB up, {:.1} MB down), {} cut; {} connections, {} times no room",
        counts.transfers,
        megabytes(counts.up),
        megabytes(counts.down),
        counts.cuts,
        counts.connections,
        counts.turned_away
    );
    if counts.resumed + counts.full > 0 {
        println!(
            "  data connections under TLS: {} resumed, {} did not",
            counts.resumed, counts.full
        );
    }
    let codes: Vec<_> =
        counts.replies.iter().map(|(code, count)| format!("{code}: {count}")).collect();
    println!("  replies: {}", codes.join(", "));
    println!("  longest reply: {:.2} s, {}", counts.longest.0.as_secs_f64(), counts.longest.1);
    println!(
        "  descriptors {} (most {}, at the end {}), threads {} ({}, {}), memory {:.1} MB ({:.1}, \
         {:.1})",
        base.files,
        most.files,
        last.files,
        base.threads,
        most.threads,
        last.threads,
        base.memory as f64 / 1024.0,
        most.memory as f64 / 1024.0,
        last.memory as f64 / 1024.0
    );
}
