//! Medians, ratios with their spread, and the JSON.

use std::collections::BTreeMap;
use std::fs;

use crate::memory::{FACTS, Fact};
use crate::publish::COLUMNS;
use crate::server::Server;
use crate::servers::Family;
use crate::tree;
use crate::workload::{Figure, Goal, Group, To, Workload};
use crate::workloads::WORKLOADS;

/// All figures of a run.
pub struct Report {
    rounds: usize,
    figures: BTreeMap<(&'static str, &'static str), Vec<Figure>>,
    facts: Vec<(&'static str, &'static str, f64)>,
    json: Vec<String>,
}

/// The figures of one workload, by server.
pub struct Row<'r>(BTreeMap<&'static str, &'r [Figure]>);

/// The ratios of all rounds.
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// What came of a goal.
pub struct Outcome {
    pub of: &'static str,
    /// The server that it was compared with.
    pub to: &'static str,
    pub spread: Spread,
    pub met: bool,
}

impl Report {
    pub fn new(rounds: usize) -> Self {
        Self { rounds, figures: BTreeMap::new(), facts: Vec::new(), json: Vec::new() }
    }

    pub fn add(&mut self, workload: &Workload, server: &'static str, figure: Figure) {
        self.figures.entry((workload.name, server)).or_default().push(figure);
    }

    /// Adds a line to the JSON for a measurement that is not a workload.
    pub fn note(&mut self, json: &str) {
        self.json.push(json.to_owned());
    }

    /// Adds a figure that is not a rate.
    pub fn fact(&mut self, fact: &Fact, server: &'static str, value: f64) {
        self.facts.push((fact.title, server, value));
        self.note(&format!(
            "{{\"fact\":\"{}\",\"server\":\"{server}\",\"value\":{value}}}",
            fact.title
        ));
    }

    /// A figure that is not a rate, or NaN.
    pub fn value(&self, fact: &Fact, server: &str) -> f64 {
        let found =
            self.facts.iter().find(|(title, of, _)| *title == fact.title && *of == server);
        found.map_or(f64::NAN, |(_, _, value)| *value)
    }

    pub fn print_facts(&self) {
        for fact in FACTS {
            println!("  {}", fact.title);
            for (_, server, value) in
                self.facts.iter().filter(|(title, ..)| *title == fact.title)
            {
                let goal =
                    fact.most.filter(|_| *server == "ftpd").map_or(String::new(), |most| {
                        format!("  goal: at most {most}: {}", met(*value <= most))
                    });
                println!("    {server:<12} {value:>10.2}{goal}");
            }
        }
    }

    /// Whether ftpd was measured in every workload of a group.
    pub fn has(&self, group: Group) -> bool {
        let mut all = WORKLOADS.iter().filter(|one| one.group == group && !one.alone);
        all.all(|workload| self.row(workload).rate("ftpd").is_finite())
    }

    /// The server that lacks a figure of the usual table, if there is one.
    pub fn missing(&self) -> Option<&'static str> {
        let measured = |name: &str| self.figures.keys().any(|(_, server)| *server == name);
        let mut all = COLUMNS.iter().map(|(name, _)| *name);
        let incomplete = !self.has(Group::Usual) || self.facts.is_empty();
        all.find(|name| !measured(name)).or_else(|| incomplete.then_some("ftpd"))
    }

    pub fn row(&self, workload: &Workload) -> Row<'_> {
        let own = self.figures.iter().filter(|((name, _), _)| *name == workload.name);
        Row(own.map(|((_, server), figures)| (*server, &figures[..])).collect())
    }

    /// Prints the lines of one workload.
    pub fn print(&mut self, workload: &Workload) {
        let row = self.row(workload);
        println!("\n{}: {}, {}", workload.name, workload.title, workload.unit);
        println!(
            "  {:<12} {:>12} {:>9} {:>9} {:>11} {:>11}",
            "server", "median", "of best", "of raw", "cpu, us", "client, us"
        );
        let best = row.best_rival();
        let mut json = Vec::new();
        for (server, figures) in &row.0 {
            let own = rate(figures);
            let of =
                |other: Option<&'static str>| other.map_or(f64::NAN, |to| own / row.rate(to));
            let (cpu, client) = (cpu(figures), median(figures, |figure| figure.client_cpu));
            println!(
                "  {server:<12} {own:>12.3} {:>9.2} {:>9.2} {:>11.1} {:>11.1}",
                of(best),
                of(Some("raw")),
                cpu * 1e6,
                client * 1e6
            );
            json.push(format!(
                "{{\"workload\":\"{}\",\"server\":\"{server}\",\"unit\":\"{}\",\"rate\":{own},\
                 \"server_cpu\":{cpu},\"client_cpu\":{client},\"rounds\":{}}}",
                workload.name, workload.unit, self.rounds
            ));
        }
        for goal in workload.goals {
            if let Some(outcome) = row.judge(goal) {
                println!("  {outcome}, goal {}: {}", goal.ratio, met(outcome.met));
            }
        }
        for to in ["before", "raw", "floor"] {
            row.compared("ftpd", to, |figure| figure.rate).inspect(|o| println!("  {o}"));
        }
        if let Some(cpu) = row.compared("ftpd", "before", |figure| figure.cpu) {
            println!("  processor time: {cpu}");
        }
        self.json.extend(json);
    }

    /// Prints the memory and threads of the servers, and writes the JSON.
    pub fn finish(&self, servers: &[Server]) {
        println!("\nresident set, proportional set size, threads at the end");
        for server in servers.iter().filter(|server| server.is_process()) {
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

impl Row<'_> {
    /// The median of a server, or NaN.
    pub fn rate(&self, server: &str) -> f64 {
        self.0.get(server).map_or(f64::NAN, |figures| rate(figures))
    }

    /// The rival with the highest rate.
    pub fn best_rival(&self) -> Option<&'static str> {
        let rivals = self.0.iter().filter(|(name, _)| is_rival(name));
        let best = rivals.max_by(|one, other| rate(one.1).total_cmp(&rate(other.1)));
        best.map(|(name, _)| *name)
    }

    /// Whether a server is a rival with less than half the rate of the best one.
    pub fn is_far_behind(&self, server: &str) -> bool {
        let best = self.best_rival().map_or(f64::NAN, |best| self.rate(best));
        is_rival(server) && self.rate(server) < best / 2.0
    }

    /// Compares two servers round by round, so that a slow moment of the machine, which hits both,
    /// does not count.
    pub fn compared(
        &self,
        of: &'static str,
        to: &'static str,
        value: impl Fn(&Figure) -> f64,
    ) -> Option<Outcome> {
        let (ours, theirs) = (self.0.get(of)?, self.0.get(to)?);
        let mut ratios: Vec<_> = ours
            .iter()
            .zip(theirs.iter())
            .map(|(one, other)| value(one) / value(other))
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (*ratios.first()?, *ratios.last()?);
        let spread = Spread { median: middle(&ratios), least, most };
        Some(Outcome { of, to, spread, met: true })
    }

    /// Whether a goal is met. `None`: something was not measured.
    pub fn judge(&self, goal: &Goal) -> Option<Outcome> {
        let to = match goal.to {
            To::Best | To::BestCpu => self.best_rival()?,
            To::Raw => "raw",
            To::Quiet => "ftpd-quiet",
            To::Plain => "ftpd",
        };
        let outcome = if goal.to == To::BestCpu {
            self.compared(goal.of, to, |figure| figure.cpu)?
        } else {
            self.compared(goal.of, to, |figure| figure.rate)?
        };
        let ratio = outcome.spread.median;
        let met =
            if goal.to == To::BestCpu { ratio <= goal.ratio } else { ratio >= goal.ratio };
        Some(Outcome { met, ..outcome })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.most)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} of {}", self.of, self.spread, self.to)
    }
}

fn is_rival(name: &str) -> bool {
    let kinds = crate::servers::KINDS.iter();
    kinds
        .filter(|kind| matches!(kind.family, Family::Rival { .. }))
        .any(|kind| kind.name == name)
}

fn rate(figures: &[Figure]) -> f64 {
    median(figures, |figure| figure.rate)
}

fn cpu(figures: &[Figure]) -> f64 {
    median(figures, |figure| figure.cpu)
}

pub fn met(is: bool) -> &'static str {
    if is { "met" } else { "missed" }
}

fn median(figures: &[Figure], of: impl Fn(&Figure) -> f64) -> f64 {
    let mut all: Vec<_> = figures.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    middle(&all)
}

/// The median of sorted numbers.
fn middle(sorted: &[f64]) -> f64 {
    let at = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[at],
        _ => f64::midpoint(sorted[at - 1], sorted[at]),
    }
}
