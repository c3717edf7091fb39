//! ftpd beside its rivals: the same workloads on equal settings, in one run and interleaved round by
//! round, so that the machine's noise hits all alike. `make bench` measures everything.
//!
//! | Variable | What it does |
//! | --- | --- |
//! | `ONLY=` | names the workloads, or `memory` or `throttle` |
//! | `SERVERS=` | names the servers |
//! | `ROUNDS=` | the number of rounds: 5 |
//! | `LOGS=off` | measures all servers without their logs |
//! | `BEFORE=` | measures an older ftpd as well, with the settings of `ftpd` |
//! | `UNFTP=1` | builds unftp if it is not there |
//! | `FTPD=` | the program that is measured, if not the one of this build |
//!
//! A run that is not narrowed writes its tables into `RESULTS.md` and `README.md`, and the chart.
//!
//! | File | What it holds |
//! | --- | --- |
//! | `place.rs` | the served files, and the certificates |
//! | `fetch.rs` | where the rivals come from |
//! | `servers.rs`, `server.rs`, `setups.rs` | the servers, how each is started, and its settings |
//! | `broker.rs` | the receiver of events, for the variant that tells it |
//! | `tree.rs` | processor time and memory of a server's whole process tree |
//! | `client.rs`, `link.rs`, `trust.rs` | a client that costs as little as it can |
//! | `workloads.rs` | the table of workloads and goals |
//! | `workload.rs`, `work.rs` | what a workload is, and what its clients do |
//! | `floor.rs` | the replies of FTP and nothing more: what no server goes below |
//! | `raw.rs`, `raw_tls.rs`, `disk.rs` | the same work without FTP: what the kernel allows |
//! | `memory.rs` | of the start, of sessions that do nothing, and what stays of it |
//! | `throttle.rs` | limits on speed |
//! | `inside.rs` | name spaces: a disk, and another congestion control |
//! | `report.rs` | medians, ratios with their spread, and the JSON |
//! | `publish.rs`, `chart.rs`, `machine.rs` | the tables and the chart, and what they depend on |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::struct_excessive_bools,
    unreachable_pub,
    missing_docs,
    reason = "a measurement prints, and ends when something is wrong"
)]

mod broker;
mod chart;
mod client;
mod disk;
mod fetch;
mod floor;
mod inside;
mod link;
mod machine;
mod memory;
mod place;
mod publish;
mod raw;
mod raw_tls;
mod report;
mod server;
mod servers;
mod setups;
mod throttle;
mod tree;
mod trust;
mod work;
mod workload;
mod workloads;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use place::Place;
use report::Report;
use server::Server;
use servers::{Family, Kind};
use workload::{Figure, Group, Workload};
use workloads::WORKLOADS;

fn main() {
    if let Some(home) = env::var_os(floor::SERVES) {
        return floor::serve(Path::new(&home));
    }
    let rounds = env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let logs = env::var("LOGS").map_or(true, |logs| logs != "off");
    let workloads: Vec<&Workload> = chosen("ONLY", WORKLOADS, |workload| workload.name);
    let mut kinds = chosen("SERVERS", servers::KINDS, |kind| kind.name);
    if servers::before().is_some() {
        kinds.push(&servers::BEFORE);
    }
    kinds.push(&servers::FLOOR);
    let rivals = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/rivals");
    fs::create_dir_all(&rivals).expect("target/bench");
    kinds.retain(|kind| {
        let fetched = kind.fetch(&rivals);
        fetched.inspect_err(|why| eprintln!("{} is left out: {why}", kind.name)).is_ok()
    });
    inside::enter();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).expect("signals");
    }
    let disk = workloads.iter().any(|workload| workload.group == Group::Disk);
    let place = Place::make(rivals, disk);
    let mut run = Run { report: Report::new(rounds), rounds, place, stop };
    println!("{}", machine::described(&run.place.rivals, rounds));
    std::panic::set_hook(Box::new(|why| eprintln!("  {why}")));
    if wants("memory") {
        memory::run(&kinds, &run.place, logs, &mut run.report);
    }
    let servers = start(&kinds, &run.place, logs);
    for workload in workloads {
        if run.can(workload) {
            run.measure(workload, &servers);
        }
    }
    if wants("throttle") {
        let ours = servers.iter().filter(|server| server.name == "ftpd");
        ours.take(1).for_each(|server| throttle::run(server, &mut run.report));
    }
    run.report.finish(&servers);
    if run.stopped() {
        println!("stopped: no tables are written");
    } else if narrowed() {
        println!("narrowed by a variable: no tables are written");
    } else if let Some(server) = run.report.missing() {
        println!("{server} was not measured: no tables are written");
    } else {
        publish::write(&run.report, &machine::described(&run.place.rivals, rounds), logs);
    }
}

/// Whether a variable leaves out what a table would lack, or adds what would disturb.
fn narrowed() -> bool {
    ["ONLY", "SERVERS", "BEFORE"].iter().any(|name| env::var(name).is_ok_and(|v| !v.is_empty()))
}

/// Starts all servers, and adds the users of ftpd that have settings of their own.
fn start(kinds: &[&'static Kind], place: &Place, logs: bool) -> Vec<Server> {
    let mut servers: Vec<Server> =
        kinds.iter().flat_map(|kind| kind.start(place, logs)).collect();
    let users = [(servers::DIRECT, "direct"), (servers::SYNCED, "synced")];
    let ours = servers.iter().find(|server| server.family == Family::Ours);
    let others: Vec<_> = ours
        .iter()
        .flat_map(|ours| users.map(|(name, user)| ours.with_user(name, user)))
        .collect();
    servers.extend(others);
    servers
}

/// A run of the benchmark.
struct Run {
    report: Report,
    rounds: usize,
    place: Place,
    stop: Arc<AtomicBool>,
}

impl Run {
    /// Whether the system allows a workload.
    fn can(&self, workload: &Workload) -> bool {
        match workload.group {
            Group::Usual => true,
            Group::Unpaced => inside::can_unpace(),
            Group::Disk => self.place.disk,
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs one workload on all servers, round by round, and prints what came of it.
    fn measure(&mut self, workload: &Workload, servers: &[Server]) {
        let mut failed: Vec<&'static str> = Vec::new();
        let servers: Vec<_> = servers.iter().filter(|server| workload.takes(server)).collect();
        for round in 0..self.rounds {
            for (name, figures) in self.round(workload, round, &servers, &mut failed) {
                self.report.add(workload, name, Figure::mean(&figures));
            }
            for (name, run) in [("raw", workload.raw), ("floor", workload.durable)] {
                let Some(run) = run else { continue };
                let figure = raw::steadily(|| run(&self.place, workload));
                self.report.add(workload, name, figure);
            }
        }
        self.report.print(workload);
        for name in &failed {
            println!("  {name} has failed, and is left out");
        }
        assert!(!failed.contains(&"ftpd"), "ftpd must not fail");
    }

    /// Runs one workload once on each server. Where a goal is a small difference between ftpd and
    /// a variant of it, these have more passes.
    fn round(
        &self,
        workload: &Workload,
        round: usize,
        servers: &[&Server],
        failed: &mut Vec<&'static str>,
    ) -> BTreeMap<&'static str, Vec<Figure>> {
        let mut found: BTreeMap<&'static str, Vec<Figure>> = BTreeMap::new();
        for pass in 0..workload.passes() {
            // the first server of a round meets colder caches, so they take turns
            for at in 0..servers.len() {
                let server = servers[(at + round + pass) % servers.len()];
                let again = matches!(server.family, Family::Ours | Family::Variant);
                let far =
                    round >= ENOUGH && self.report.row(workload).is_far_behind(server.name);
                let skip = far || (pass > 0 && !again) || self.stopped();
                if skip || failed.contains(&server.name) {
                    continue;
                }
                let run = || workload.measure(server, &self.place);
                if let Ok(figure) = catch_unwind(AssertUnwindSafe(run)) {
                    found.entry(server.name).or_default().push(figure);
                } else {
                    self.place.clear();
                    failed.push(server.name);
                }
            }
        }
        found
    }
}

/// After this many rounds, rivals that are far behind the best one are not measured any more.
const ENOUGH: usize = 3;

/// What `ONLY=` may name besides the rows of the table of workloads.
const OTHERS: [&str; 2] = ["memory", "throttle"];

/// Whether one of these is to be measured.
fn wants(name: &str) -> bool {
    let Ok(wanted) = env::var("ONLY") else { return true };
    wanted.split([',', ' ']).any(|word| word == name)
}

/// Those that a variable names, or all.
fn chosen<T>(
    variable: &str,
    all: &'static [T],
    name: fn(&T) -> &'static str,
) -> Vec<&'static T> {
    let Ok(wanted) = env::var(variable) else { return all.iter().collect() };
    let wanted: Vec<_> = wanted.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    for word in &wanted {
        let other = variable == "ONLY" && OTHERS.contains(word);
        if !other && !all.iter().any(|one| name(one) == *word) {
            let known: Vec<_> = all.iter().map(name).chain(OTHERS).collect();
            eprintln!("{variable}: '{word}' is none of {}", known.join(", "));
            exit(2);
        }
    }
    all.iter().filter(|one| wanted.is_empty() || wanted.contains(&name(one))).collect()
}
