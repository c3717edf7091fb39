//! Sessions that are logged in and do nothing: what each costs, how long they take to log in,
//! and what they do to a download.

use std::fs;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::Reader;
use crate::report::Report;
use crate::servers::{Family, Server, Setup};
use crate::tree;
use crate::workloads::GIB;

/// Numbers of sessions at once. Servers with a process for each session get the smaller one
/// only.
const COUNTS: [usize; 2] = [1000, 5000];

pub fn run(servers: &[Server], report: &mut Report) {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    println!("\nidle sessions");
    println!(
        "  {:<10} {:>6} {:>12} {:>12} {:>8} {:>9} {:>10}",
        "server", "count", "PSS each", "kernel each", "threads", "log in", "download"
    );
    let takes = |server: &&Server| {
        matches!(server.family, Family::Ours | Family::Rival { .. })
            && server.serves(Setup::Plain)
    };
    let servers: Vec<_> = servers.iter().filter(takes).collect();
    // threads that wait for the next session count as well
    let before: Vec<_> = servers
        .iter()
        .map(|server| (tree::proportional_size(server.pid()), tree::threads(server.pid())))
        .collect();
    for count in COUNTS {
        for (server, &(pss, threads)) in servers.iter().zip(&before) {
            if count >= 5000 && server.family == (Family::Rival { forks: true }) {
                continue;
            }
            let alone = (0..3).map(|_| rate(server)).fold(0.0, f64::max);
            let kernel = kernel();
            let began = Instant::now();
            let sessions: Vec<_> = (0..count).map(|_| server.login(None)).collect();
            let took = began.elapsed().as_secs_f64();
            let each = |before: u64, after: u64| {
                after.saturating_sub(before) as f64 / 1024.0 / count as f64
            };
            let own = each(pss, tree::proportional_size(server.pid()));
            // the client's sockets are in it as well
            let system = each(kernel, self::kernel());
            let threads = tree::threads(server.pid()).saturating_sub(threads);
            let meanwhile = (0..3).map(|_| rate(server)).fold(0.0, f64::max) / alone;
            println!(
                "  {:<10} {count:>6} {own:>8.1} KiB {system:>8.1} KiB {threads:>8} {took:>7.2} s \
                 {meanwhile:>8.2} x",
                server.name
            );
            report.note(&format!(
                "{{\"workload\":\"idle\",\"server\":\"{}\",\"count\":{count},\
                 \"pss_kib\":{own},\"kernel_kib\":{system},\"threads\":{threads},\
                 \"seconds\":{took},\"download\":{meanwhile}}}",
                server.name
            ));
            drop(sessions);
        }
    }
}

/// The rate of a download in GB/s.
fn rate(server: &Server) -> f64 {
    let mut client = server.client(None, "data");
    let began = Instant::now();
    assert_eq!(client.download("RETR ", "big", Reader::Discard), GIB);
    GIB as f64 / 1e9 / began.elapsed().as_secs_f64()
}

/// Bytes of memory that the kernel uses for itself.
fn kernel() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value =
        |line: &str| line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    let of = ["Slab:", "KernelStack:", "PageTables:", "Percpu:"];
    let wanted = |line: &&str| of.iter().any(|name| line.starts_with(name));
    text.lines().filter(wanted).filter_map(value).sum::<u64>() * 1024
}
