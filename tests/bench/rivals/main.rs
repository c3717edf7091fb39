//! ftpd beside its rivals: the same workloads on equal settings, in one run and interleaved round by
//! round, so that the machine's noise hits all alike. `make bench` measures everything.
//!
//! | Variable | What it does |
//! | --- | --- |
//! | `ONLY=` | names the workloads, or `idle` or `throttle` |
//! | `SERVERS=` | names the servers |
//! | `ROUNDS=` | the number of rounds: 5 |
//! | `LOGS=off` | measures all servers without their logs |
//! | `BEFORE=` | measures an older ftpd as well, with the settings of `ftpd` |
//! | `UNFTP=1` | builds unftp if it is not there |
//!
//! | File | What it holds |
//! | --- | --- |
//! | `place.rs` | the served files, and the certificates |
//! | `fetch.rs` | where the rivals come from |
//! | `servers.rs`, `setups.rs` | how each server is started, and its settings |
//! | `tree.rs` | processor time and memory of a server's whole process tree |
//! | `client.rs`, `trust.rs` | a client that costs as little as it can |
//! | `workloads.rs`, `work.rs` | the table of workloads and goals; what their clients do |
//! | `floor.rs` | the replies of FTP and nothing more: what no server goes below |
//! | `raw.rs` | the same work over sockets without FTP: what the kernel allows |
//! | `idle.rs` | sessions that do nothing |
//! | `throttle.rs` | limits on speed |
//! | `report.rs` | medians, ratios with their spread, and the JSON |

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

mod client;
mod fetch;
mod floor;
mod idle;
mod place;
mod raw;
mod report;
mod servers;
mod setups;
mod throttle;
mod tree;
mod trust;
mod work;
mod workloads;

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::exit;

use place::Place;
use report::Report;
use servers::{Family, Server};
use workloads::{WORKLOADS, Workload};

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
    let place = Place::make(rivals);
    let mut servers: Vec<Server> =
        kinds.iter().flat_map(|kind| kind.start(&place, logs)).collect();
    let direct = servers.iter().find(|server| server.family == Family::Ours);
    let direct = direct.map(|ours| ours.with_user(servers::DIRECT, "direct"));
    servers.extend(direct);
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
        ours.take(1).for_each(|server| throttle::run(server, &mut report));
    }
    report.finish(&servers);
}

/// Runs one workload on all servers, round by round, and prints what came of it.
fn measure(
    workload: &Workload,
    rounds: usize,
    servers: &[Server],
    place: &Place,
    report: &mut Report,
) {
    let mut failed: Vec<&str> = Vec::new();
    let servers: Vec<_> = servers.iter().filter(|server| workload.takes(server)).collect();
    for round in 0..rounds {
        // the first server of a round meets colder caches, so they take turns
        for at in 0..servers.len() {
            let server = servers[(at + round) % servers.len()];
            if failed.contains(&server.name) {
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
            report.add(workload, "raw", raw::steadily(|| raw(place, workload)));
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
