//! Memory: of the start, of sessions that do nothing, and what stays of it when they have gone.
//! Each server is started for this alone, because memory that it keeps from earlier work does not
//! belong to its sessions.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::Client;
use crate::link::Reader;
use crate::place::{Key, Place};
use crate::report::Report;
use crate::server::Server;
use crate::servers::{DEFAULT, Family, Kind, Setup};
use crate::setups;
use crate::tree;
use crate::workloads::GIB;

/// One kind of figure. Less is better, except where it says so.
pub struct Fact {
    pub title: &'static str,
    /// The greatest value that ftpd should have.
    pub most: Option<f64>,
}

const fn fact(title: &'static str, most: f64) -> Fact {
    Fact { title, most: Some(most) }
}

const fn without_goal(title: &'static str) -> Fact {
    Fact { title, most: None }
}

pub static IDLE: Fact = fact("idle session, KiB", 12.0);
static IDLE_TLS: Fact = fact("idle session over TLS 1.3, KiB", 26.0);
static KERNEL: Fact = without_goal("kernel memory of an idle session, both ends, KiB");
static LOG_IN: Fact = without_goal("time for each of these logins, ms");
static DOWNLOAD: Fact = without_goal("download while they are idle, of that without them");
static GONE: Fact =
    fact("memory that stays 45 s after 1,000 plain and 500 TLS sessions have gone, MiB", 4.0);
static START: Fact = fact("resident set after the start, MiB", 4.5);
static BINARY: Fact = fact("program, MB", 3.5);

/// The order of the table.
pub static FACTS: [&Fact; 8] =
    [&IDLE, &IDLE_TLS, &KERNEL, &LOG_IN, &DOWNLOAD, &GONE, &START, &BINARY];

/// Number of sessions without TLS, and with it.
const MANY: [usize; 2] = [1000, 500];

/// The same for servers with processes of their own for each session.
const FEW: [usize; 2] = [200, 100];

/// How long a server has to finish what it does after the start or the end of a session.
const SETTLE: Duration = Duration::from_millis(500);

/// How long a server has to give back what it does not need.
const REST: Duration = Duration::from_secs(45);

pub fn run(kinds: &[&'static Kind], place: &Place, logs: bool, report: &mut Report) {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    println!("\nmemory");
    if let Ok(server) = DEFAULT.start_for(place, Setup::Plain, logs) {
        sleep(SETTLE);
        report.fact(&START, "ftpd", mib(tree::resident(server.pid())));
    }
    let counts = |kind: &&&'static Kind| match kind.family {
        Family::Ours | Family::Rival { .. } => true,
        Family::Variant => kind.name == "before",
        Family::Floor => false,
    };
    let gone: Vec<_> = kinds
        .iter()
        .filter(counts)
        .flat_map(|kind| {
            let measured = AssertUnwindSafe(|| one(kind, place, logs, report));
            catch_unwind(measured).unwrap_or_else(|_| {
                println!("  {} has failed, and is left out", kind.name);
                Vec::new()
            })
        })
        .collect();
    sleep(REST);
    let mut stays: Vec<(&'static str, f64)> = Vec::new();
    for (server, before) in &gone {
        let stay = mib(pss(server)) - mib(*before);
        match stays.iter_mut().find(|(name, _)| *name == server.name) {
            Some((_, sum)) => *sum += stay,
            None => stays.push((server.name, stay)),
        }
    }
    for (name, stay) in stays {
        report.fact(&GONE, name, stay.max(0.0));
    }
    let size =
        |path: &Path| fs::metadata(path).map_or(f64::NAN, |found| found.len() as f64 / 1e6);
    report.fact(&BINARY, "ftpd", size(&setups::program()));
    report.print_facts();
}

/// Measures one server, and returns its processes with the memory that each had before.
fn one(
    kind: &'static Kind,
    place: &Place,
    logs: bool,
    report: &mut Report,
) -> Vec<(Server, u64)> {
    let mut servers: Vec<(Server, u64)> = Vec::new();
    for setup in [Setup::Plain, Setup::Tls(Key::Ecdsa)] {
        if !servers.iter().any(|(server, _)| server.serves(setup)) {
            let Ok(server) = kind.start_for(place, setup, logs) else { return servers };
            sleep(SETTLE);
            if setup == Setup::Plain && kind.family != Family::Ours {
                report.fact(&START, kind.name, mib(tree::resident(server.pid())));
            }
            // what the first session needs, others share
            server.login((setup != Setup::Plain).then_some(true)).quit();
            sleep(SETTLE);
            let before = pss(&server);
            servers.push((server, before));
        }
    }
    let serving = |setup: Setup| {
        let mut all = servers.iter().map(|(server, _)| server);
        all.find(|server| server.serves(setup)).expect("it was started")
    };
    let forks = kind.family == Family::Rival { forks: true };
    let [plain, over_tls] = if forks { FEW } else { MANY };
    let plain = idle(serving(Setup::Plain), plain, report);
    let server = serving(Setup::Tls(Key::Ecdsa));
    let before = pss(server);
    let secured = open(server, Some(true), over_tls);
    report.fact(&IDLE_TLS, server.name, each(before, pss(server), over_tls));
    plain.into_iter().chain(secured).for_each(Client::quit);
    servers
}

/// Opens sessions, measures what each takes, and returns them.
fn idle(server: &Server, count: usize, report: &mut Report) -> Vec<Client> {
    let alone = (0..3).map(|_| rate(server)).fold(0.0, f64::max);
    let (own, system) = (pss(server), kernel());
    let began = Instant::now();
    let sessions = open(server, None, count);
    report.fact(&LOG_IN, server.name, began.elapsed().as_secs_f64() * 1e3 / count as f64);
    report.fact(&IDLE, server.name, each(own, pss(server), count));
    report.fact(&KERNEL, server.name, each(system, kernel(), count));
    let meanwhile = (0..3).map(|_| rate(server)).fold(0.0, f64::max);
    report.fact(&DOWNLOAD, server.name, meanwhile / alone);
    sessions
}

/// Logs in this many times; four at once where each session has processes of its own, because those
/// servers wait with each reply.
fn open(server: &Server, tls: Option<bool>, count: usize) -> Vec<Client> {
    let threads = if server.family == (Family::Rival { forks: true }) { 4 } else { 1 };
    scope(|scope| {
        let some = || (0..count / threads).map(|_| server.login(tls)).collect::<Vec<_>>();
        let opening: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        opening.into_iter().flat_map(|one| one.join().expect("login")).collect()
    })
}

fn pss(server: &Server) -> u64 {
    tree::proportional_size(server.pid())
}

/// KiB for each session.
fn each(before: u64, after: u64, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / 1024.0 / count as f64
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The rate of a download in GB/s.
fn rate(server: &Server) -> f64 {
    let mut client = server.client(None, "data");
    let began = Instant::now();
    assert_eq!(client.download("RETR ", "big", Reader::Discard), GIB);
    GIB as f64 / 1e9 / began.elapsed().as_secs_f64()
}

/// Bytes of memory that the kernel uses for itself. The client's sockets are in it as well.
fn kernel() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value =
        |line: &str| line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    let of = ["Slab:", "KernelStack:", "PageTables:", "Percpu:"];
    let wanted = |line: &&str| of.iter().any(|name| line.starts_with(name));
    text.lines().filter(wanted).filter_map(value).sum::<u64>() * 1024
}
