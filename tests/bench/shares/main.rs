//! How fair the limits are that transfers share, and how exact: `user_max_upload`,
//! `user_max_download`, `server_max_upload` and `server_max_download`. `FTPD=` names the program,
//! `ROWS=` the rows (separated by commas).
//!
//! Each row runs its transfers for three seconds and measures the next ten: downloads by what the
//! clients have received, uploads by what `ftpd who` says. Those that take all they get are
//! compared with each other.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a benchmark that panics has done its work"
)]

mod client;
#[allow(dead_code, reason = "growth uses all of it")]
#[path = "../growth/server.rs"]
mod server;
#[path = "../../suite/trusting.rs"]
mod trusting;

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use client::{Client, Job};
use server::{Server, folder, program, user};

const MIB: f64 = 1_048_576.0;

/// How long the transfers run before they are measured.
const BEFORE: Duration = Duration::from_secs(3);
/// How long they are measured.
const TIME: Duration = Duration::from_secs(10);

/// What runs at the same time.
struct Row {
    name: &'static str,
    /// Settings of `[server]`.
    lines: &'static str,
    /// The settings that a reload replaces them with before the measurement; empty: none.
    later: &'static str,
    /// Bytes per second that the transfers should have together.
    rate: f64,
    jobs: fn() -> Vec<Job>,
}

/// A job of anna, whose client takes all it gets.
const DOWN: Job = Job { user: "anna", up: false, over: 0, pace: 0 };
const UP: Job = Job { up: true, ..DOWN };

/// As many jobs, in clear text, over TLS 1.2 and over TLS 1.3 in turn.
fn mixed(job: Job, count: usize) -> Vec<Job> {
    (0..count).map(|at| Job { over: at % 3, ..job }).collect()
}

const ROWS: &[Row] = &[
    Row {
        name: "8 downloads in clear text",
        lines: "user_max_download = 8M",
        later: "",
        rate: 8.0 * MIB,
        jobs: || vec![DOWN; 8],
    },
    Row {
        name: "8 downloads, clear text and TLS",
        lines: "user_max_download = 8M",
        later: "",
        rate: 8.0 * MIB,
        jobs: || mixed(DOWN, 8),
    },
    Row {
        name: "8 uploads, clear text and TLS",
        lines: "user_max_upload = 8M",
        later: "",
        rate: 8.0 * MIB,
        jobs: || mixed(UP, 8),
    },
    Row {
        name: "8 downloads, 1 of a slow client",
        lines: "user_max_download = 8M",
        later: "",
        rate: 8.0 * MIB,
        jobs: || [vec![Job { pace: 100 << 10, ..DOWN }], mixed(DOWN, 7)].concat(),
    },
    Row {
        name: "8 uploads, 1 of a slow client",
        lines: "user_max_upload = 8M",
        later: "",
        rate: 8.0 * MIB,
        jobs: || [vec![Job { pace: 100 << 10, ..UP }], mixed(UP, 7)].concat(),
    },
    Row {
        name: "6 and 2 downloads of two users",
        lines: "server_max_download = 8M",
        later: "",
        rate: 8.0 * MIB,
        jobs: || [mixed(DOWN, 6), mixed(Job { user: "bob", ..DOWN }, 2)].concat(),
    },
    Row {
        name: "8 downloads, lowered by a reload",
        lines: "user_max_download = 80M",
        later: "user_max_download = 2M",
        rate: 2.0 * MIB,
        jobs: || mixed(DOWN, 8),
    },
    Row {
        name: "8 downloads, limited by a reload",
        lines: "",
        later: "server_max_download = 8M",
        rate: 8.0 * MIB,
        jobs: || mixed(DOWN, 8),
    },
    Row {
        name: "8 downloads, slow",
        lines: "user_max_download = 80K",
        later: "",
        rate: 0.078_125 * MIB,
        jobs: || mixed(DOWN, 8),
    },
    Row {
        name: "8 downloads, fast",
        lines: "user_max_download = 200M",
        later: "",
        rate: 200.0 * MIB,
        jobs: || mixed(DOWN, 8),
    },
    Row {
        name: "8 uploads, fast",
        lines: "server_max_upload = 50M",
        later: "",
        rate: 50.0 * MIB,
        jobs: || mixed(UP, 8),
    },
    Row {
        name: "100 downloads",
        lines: "user_max_download = 10M",
        later: "",
        rate: 10.0 * MIB,
        jobs: || mixed(DOWN, 100),
    },
];

fn main() {
    if env::var("ONLY").is_ok_and(|only| only != "shares") {
        return;
    }
    let wanted = env::var("ROWS").unwrap_or_default();
    let wanted: Vec<_> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    println!("| | limit, MiB/s | sum, % | least, % | most, % | processor, ms/s |");
    println!("|{}", " --- |".repeat(6));
    for row in ROWS {
        if wanted.is_empty() || wanted.contains(&row.name) {
            measure(row);
        }
    }
}

fn measure(row: &Row) {
    let dir = folder();
    File::create(dir.path().join("home/file")).unwrap().set_len(1 << 40).unwrap();
    let lines = |lines: &str| format!("max_cons = 300\ntls_cert = auto\n{lines}");
    let users = [user("anna"), user("bob")].concat();
    let server = Server::start(dir.path(), &lines(row.lines), &users);
    let jobs = (row.jobs)();
    let counts: Vec<_> = jobs.iter().map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for (which, (job, count)) in jobs.iter().zip(&counts).enumerate() {
            let address = server.address;
            scope.spawn(move || Client::login(address, job).run(job, which, count));
        }
        thread::sleep(BEFORE);
        if !row.later.is_empty() {
            let ini = dir.path().join("ftpd.ini");
            let text = fs::read_to_string(&ini).unwrap();
            fs::write(&ini, text.replace(&lines(row.lines), &lines(row.later))).unwrap();
            server.order(&["reload"]);
            thread::sleep(BEFORE);
        }
        let before = Look::take(&server, dir.path(), &counts, jobs.len());
        thread::sleep(TIME);
        let after = Look::take(&server, dir.path(), &counts, jobs.len());
        report(row, &jobs, &before, &after);
        server.order(&["stop", "--now"]);
    });
}

/// What has been moved at a time.
struct Look {
    at: Instant,
    /// What each client has received.
    received: Vec<u64>,
    /// Bytes of each transfer and its age, ordered by their paths.
    said: Vec<(String, u64, f64)>,
    processor: f64,
}

impl Look {
    fn take(server: &Server, dir: &Path, counts: &[AtomicU64], running: usize) -> Self {
        let received = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let (at, processor) = (Instant::now(), server.time());
        let sessions: Vec<Value> = serde_json::from_str(&who(dir)).unwrap();
        let mut said: Vec<_> = sessions
            .iter()
            .map(|session| &session["transfer"])
            .filter(|transfer| transfer.is_object())
            .map(|transfer| {
                let path = transfer["path"].as_str().unwrap().to_owned();
                let bytes = transfer["bytes"].as_u64().unwrap();
                (path, bytes, transfer["seconds"].as_f64().unwrap())
            })
            .collect();
        assert_eq!(said.len(), running);
        said.sort_by(|one, other| one.0.cmp(&other.0));
        Self { at, received, said, processor }
    }
}

/// What `ftpd who --json` prints.
fn who(dir: &Path) -> String {
    let who = Command::new(program())
        .args(["who", "--json", "--config", "ftpd.ini"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(who.status.success());
    String::from_utf8(who.stdout).unwrap()
}

fn report(row: &Row, jobs: &[Job], before: &Look, after: &Look) {
    let time = after.at.duration_since(before.at).as_secs_f64();
    let rates: Vec<f64> = jobs
        .iter()
        .enumerate()
        .map(|(which, job)| {
            if job.up {
                let (old, new) = (&before.said[which], &after.said[which]);
                (new.1 - old.1) as f64 / (new.2 - old.2)
            } else {
                (after.received[which] - before.received[which]) as f64 / time
            }
        })
        .collect();
    let sum: f64 = rates.iter().sum();
    let greedy: Vec<f64> = rates
        .iter()
        .zip(jobs)
        .filter(|(_, job)| job.pace == 0)
        .map(|(rate, _)| *rate)
        .collect();
    let mean = greedy.iter().sum::<f64>() / greedy.len() as f64;
    let least = greedy.iter().copied().fold(f64::MAX, f64::min);
    let most = greedy.iter().copied().fold(0.0, f64::max);
    println!(
        "| {} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} |",
        row.name,
        row.rate / MIB,
        sum / row.rate * 100.0,
        least / mean * 100.0,
        most / mean * 100.0,
        (after.processor - before.processor) / time,
    );
}
