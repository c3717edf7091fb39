//! ftpd beside its rivals: the same workloads on equal settings, in one run and interleaved
//! round by round, so that the machine's noise hits all alike. `make bench`, narrowed by
//! `ONLY=`,
//! `SERVERS=` and `ROUNDS=`. `BEFORE=path/to/an/older/ftpd` adds that program with the settings of
//! `ftpd`, so that a change is measured in one run.
//!
//! | File | What it holds |
//! | --- | --- |
//! | `servers.rs` | where each server comes from and how it is set up |
//! | `tree.rs` | processor time and memory of a server's whole process tree |
//! | `client.rs` | a client that costs as little as it can |
//! | `workloads.rs` | the table of workloads and goals |
//! | `floor.rs` | small files with the replies of FTP and nothing more: what no server goes below |
//! | `raw.rs` | the same work over sockets without FTP: what the kernel allows |
//! | `idle.rs` | sessions that do nothing |
//! | `throttle.rs` | limits on speed |
//! | `report.rs` | medians, ratios, the table and the JSON |

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
    unreachable_pub,
    missing_docs,
    reason = "a measurement prints, and ends when something is wrong"
)]

mod client;
mod floor;
mod idle;
mod raw;
mod report;
mod servers;
mod throttle;
mod tree;
mod workloads;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::exit;

use report::Report;
use servers::Server;
use workloads::{WORKLOADS, Workload};

fn main() {
    if let Some(data) = env::var_os(floor::SERVES) {
        return floor::serve_one(Path::new(&data));
    }
    let rounds = env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let workloads: Vec<&Workload> = chosen("ONLY", WORKLOADS, |workload| workload.name);
    let mut kinds = chosen("SERVERS", servers::KINDS, |kind| kind.name);
    if servers::before().is_some() {
        kinds.insert(kinds.len().min(1), &servers::BEFORE);
    }
    let place = servers::Place::make();
    let mut servers: Vec<Server> = Vec::new();
    for kind in kinds {
        match kind.start(&place) {
            Ok(server) => servers.push(server),
            Err(why) => eprintln!("{} is left out: {why}", kind.name),
        }
    }
    let mut report = Report::new(rounds);
    std::panic::set_hook(Box::new(|why| eprintln!("  {why}")));
    for workload in workloads {
        measure(workload, rounds, &servers, &place, &mut report);
    }
    if wants("idle") {
        idle::run(&servers, &mut report);
    }
    if wants("throttle") {
        let ours = servers.iter().filter(|server| server.name == "ftpd");
        ours.for_each(|server| throttle::run(server, &mut report));
    }
    report.finish(&servers);
}

/// Runs one workload on all servers, round by round, and prints what came of it.
fn measure(
    workload: &Workload,
    rounds: usize,
    servers: &[Server],
    place: &servers::Place,
    report: &mut Report,
) {
    let mut failed: Vec<&str> = Vec::new();
    for round in 0..rounds {
        // the first server of a round meets colder caches, so they take turns
        for at in 0..servers.len() {
            let server = &servers[(at + round) % servers.len()];
            if (workload.tls && !server.tls) || failed.contains(&server.name) {
                continue;
            }
            let measured = catch_unwind(AssertUnwindSafe(|| workload.measure(server, place)));
            if let Ok(figure) = measured {
                report.add(workload, server.name, figure);
            } else {
                place.clear();
                failed.push(server.name);
            }
        }
        if let Some(raw) = workload.raw {
            report.add(workload, "raw", raw(place, workload));
        }
        if let Some(floor) = workload.floor {
            report.add(workload, "floor", floor(place, workload));
        }
    }
    report.print(workload);
    for name in &failed {
        println!("  {name} has failed, and is left out");
    }
    assert!(!failed.contains(&"ftpd"), "ftpd must not fail");
}

/// What `ONLY=` may name besides the rows of the table of workloads.
const OTHERS: [&str; 2] = ["idle", "throttle"];

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
