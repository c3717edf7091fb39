//! Medians, ratios, the table and the JSON.

use std::collections::BTreeMap;
use std::fs;

use crate::servers::Server;
use crate::tree;
use crate::workloads::{Figure, Workload};

/// All figures of a run.
pub struct Report {
    rounds: usize,
    figures: BTreeMap<(&'static str, &'static str), Vec<Figure>>,
    json: Vec<String>,
}

impl Report {
    pub fn new(rounds: usize) -> Self {
        let of = |path| fs::read_to_string(path).unwrap_or_default();
        let cpus = of("/proc/cpuinfo");
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        println!(
            "Linux {}, congestion control {}, processor{}",
            of("/proc/sys/kernel/osrelease").trim(),
            of("/proc/sys/net/ipv4/tcp_congestion_control").trim(),
            cpu.unwrap_or_default().trim_start()
        );
        Self { rounds, figures: BTreeMap::new(), json: Vec::new() }
    }

    pub fn add(&mut self, workload: &Workload, server: &'static str, figure: Figure) {
        self.figures.entry((workload.name, server)).or_default().push(figure);
    }

    /// Adds a line to the JSON for a measurement that is not a workload.
    pub fn note(&mut self, json: &str) {
        self.json.push(json.to_owned());
    }

    /// Prints the lines of one workload.
    pub fn print(&mut self, workload: &Workload) {
        let all: Vec<_> = self
            .figures
            .iter()
            .filter(|((name, _), _)| *name == workload.name)
            .map(|((_, server), figures)| (*server, &figures[..]))
            .collect();
        let best = best_rival(&all).map(|(_, figures)| rate(figures));
        let raw = of(&all, "raw").map(rate);
        println!("\n{} ({}, median of {})", workload.name, workload.unit, self.rounds);
        println!(
            "  {:<10} {:>12} {:>10} {:>10} {:>10} {:>10}",
            "server", "rate", "of best", "of raw", "server cpu", "client cpu"
        );
        for (server, figures) in &all {
            let own = rate(figures);
            let best = best.map_or(f64::NAN, |best| own / best);
            let raw = raw.map_or(f64::NAN, |raw| own / raw);
            let (cpu, client) = (cpu(figures), median(figures, |figure| figure.client_cpu));
            println!(
                "  {server:<10} {own:>12.3} {best:>10.2} {raw:>10.2} {cpu:>10.3} {client:>10.3}"
            );
            self.json.push(format!(
                "{{\"workload\":\"{}\",\"server\":\"{server}\",\"unit\":\"{}\",\"rate\":{own},\
                 \"server_cpu\":{cpu},\"client_cpu\":{client},\"rounds\":{}}}",
                workload.name, workload.unit, self.rounds
            ));
        }
        if let Some(ours) = of(&all, "ftpd") {
            println!("  ftpd: {}", compared(workload, ours, &all));
        }
    }

    /// Prints the memory and threads of the servers, and writes the JSON.
    pub fn finish(self, servers: &[Server]) {
        println!("\nresident set, proportional set size, threads at the end");
        for server in servers {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let pid = server.pid();
            let (resident, share) =
                (mib(tree::resident(pid)), mib(tree::proportional_size(pid)));
            println!(
                "  {:<10} {resident:>8.1} MiB {share:>8.1} MiB {:>4}",
                server.name,
                tree::threads(pid)
            );
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/results.json");
        fs::write(path, format!("[\n{}\n]\n", self.json.join(",\n"))).expect("results");
        println!("\nwritten to target/bench/results.json");
    }
}

/// The figures of one server.
fn of<'f>(all: &[(&str, &'f [Figure])], name: &str) -> Option<&'f [Figure]> {
    all.iter().find(|(server, _)| *server == name).map(|(_, figures)| *figures)
}

/// The rival with the highest rate.
fn best_rival<'f>(
    all: &[(&'static str, &'f [Figure])],
) -> Option<(&'static str, &'f [Figure])> {
    let is_rival = |name: &str| !matches!(name, "ftpd" | "before" | "raw" | "floor");
    let rivals = all.iter().filter(|(server, _)| is_rival(server));
    rivals.max_by(|one, other| rate(one.1).total_cmp(&rate(other.1))).copied()
}

/// How ftpd does beside the best rival, its older build, raw sockets and the floor.
fn compared(workload: &Workload, ours: &[Figure], all: &[(&'static str, &[Figure])]) -> String {
    let mut parts = Vec::new();
    if let Some((rival, figures)) = best_rival(all) {
        let (ratio, goal) = (rate(ours) / rate(figures), workload.goal);
        parts.push(format!("{ratio:.2} x {rival}, goal {goal} {}", met(ratio >= goal)));
        if let Some(goal) = workload.goal_cpu {
            let ratio = cpu(ours) / cpu(figures);
            parts.push(format!("{ratio:.2} of its cpu, goal {goal} {}", met(ratio <= goal)));
        }
    }
    if let Some(before) = of(all, "before") {
        let (rates, cpus) = (rate(ours) / rate(before), cpu(ours) / cpu(before));
        parts.push(format!("{rates:.3} x before, {cpus:.3} of its cpu"));
    }
    if let (Some(goal), Some(raw)) = (workload.goal_raw, of(all, "raw")) {
        let ratio = rate(ours) / rate(raw);
        parts.push(format!("{ratio:.2} of raw, goal {goal} {}", met(ratio >= goal)));
    }
    if let Some(floor) = of(all, "floor") {
        parts.push(format!("{:.2} of the floor", rate(ours) / rate(floor)));
    }
    parts.join("; ")
}

fn rate(figures: &[Figure]) -> f64 {
    median(figures, |figure| figure.rate)
}

fn cpu(figures: &[Figure]) -> f64 {
    median(figures, |figure| figure.cpu)
}

fn met(is: bool) -> &'static str {
    if is { "(met)" } else { "(missed)" }
}

fn median(figures: &[Figure], of: impl Fn(&Figure) -> f64) -> f64 {
    let mut all: Vec<_> = figures.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
