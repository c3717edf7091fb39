//! Writes the tables of RESULTS.md and README.md, and the chart. What is between two markers is
//! replaced; the text around them is written by hand.

use std::fs;
use std::path::Path;

use crate::chart;
use crate::memory::{FACTS, Fact, IDLE};
use crate::report::{Report, met};
use crate::servers::DIRECT;
use crate::workload::{Group, To, Workload};
use crate::workloads::WORKLOADS;

/// The servers of the tables, and what they are called there.
pub const COLUMNS: [(&str, &str); 6] = [
    ("ftpd", "ftpd"),
    ("vsftpd", "vsftpd"),
    ("pure-ftpd", "pure-ftpd"),
    ("proftpd", "ProFTPD"),
    ("pyftpdlib", "pyftpdlib"),
    ("unftp", "unftp"),
];

/// The workloads of the README. The memory of an idle session follows them.
const SHORT: [&str; 5] = ["retr_copy", "stor_1", "small_up_8", "login_1", "tls_retr_1"];

/// Writes everything that a complete run has measured.
pub fn write(report: &Report, machine: &str, logs: bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (results, readme) = (root.join("tests/bench/RESULTS.md"), root.join("README.md"));
    let rates = rates(report, Group::Usual);
    if !logs {
        replace(&results, "quiet", &format!("{machine}\n\n{rates}"));
        return;
    }
    replace(&results, "rates", &format!("{machine}\n\n{rates}"));
    replace(&results, "goals", &goals(report));
    replace(&results, "memory", &facts(report));
    if report.has(Group::Unpaced) {
        replace(&results, "unpaced", &self::rates(report, Group::Unpaced));
    }
    if report.has(Group::Disk) {
        replace(&results, "disk", &self::rates(report, Group::Disk));
    }
    let rows = short(report);
    replace(&readme, "rates", &short_table(&rows));
    fs::write(root.join("etc/img/speed.svg"), chart::drawn(&rows)).expect("chart");
    println!("written: tests/bench/RESULTS.md, README.md, etc/img/speed.svg");
}

/// One row of the README: a title and the figures.
pub type Row = (String, [f64; COLUMNS.len()]);

fn short(report: &Report) -> Vec<Row> {
    let rate = |name: &&str| {
        let workload = named(name);
        let row = report.row(workload);
        (titled(workload), COLUMNS.map(|(server, _)| row.rate(server)))
    };
    let memory = COLUMNS.map(|(server, _)| report.value(&IDLE, server));
    SHORT.iter().map(rate).chain([(IDLE.title.to_owned(), memory)]).collect()
}

fn titled(workload: &Workload) -> String {
    format!("{}, {}", workload.title, workload.unit)
}

fn named(name: &str) -> &'static Workload {
    WORKLOADS.iter().find(|workload| workload.name == name).expect("a workload")
}

fn short_table(rows: &[Row]) -> String {
    let mut table = head(&COLUMNS.map(|(_, title)| title));
    for (title, values) in rows {
        let better = if title == IDLE.title { f64::min } else { f64::max };
        let best = values.iter().copied().reduce(better).expect("six servers");
        let cell = |value: &f64| {
            if (value - best).abs() < f64::EPSILON {
                format!("**{}**", figure(*value))
            } else {
                figure(*value)
            }
        };
        let cells: Vec<_> = values.iter().map(cell).collect();
        table += &line(title, &cells);
    }
    table
}

/// The rates of one group. Columns without any figure are left out.
fn rates(report: &Report, group: Group) -> String {
    let all: Vec<_> = WORKLOADS.iter().filter(|one| one.group == group).collect();
    let others = [("raw", "raw"), ("floor", "floor")];
    let has = |(server, _): &(&str, &str)| {
        let ours = all.iter().any(|one| report.row(one).rate(server).is_finite());
        ours || *server == "ftpd"
    };
    let columns: Vec<_> = COLUMNS.into_iter().chain(others).filter(has).collect();
    let titles: Vec<_> = columns.iter().map(|(_, title)| *title).collect();
    let mut table = head(&titles);
    for workload in all {
        let row = report.row(workload);
        // in a row that only a variant has, it has the column of ftpd
        let ours = if workload.alone { workload.variants[0] } else { "ftpd" };
        let mut lines = vec![(workload.title.to_owned(), ours)];
        if workload.variants.contains(&DIRECT) {
            lines.push((format!("{}, `atomic_uploads = off`", workload.title), DIRECT));
        }
        for (title, ours) in lines {
            let cell = |(server, _): &(&str, &str)| {
                figure(row.rate(if *server == "ftpd" { ours } else { server }))
            };
            let cells: Vec<_> = columns.iter().map(cell).collect();
            table += &line(&format!("{title}, {}", workload.unit), &cells);
        }
    }
    table
}

/// Every goal: the median ratio of the rounds, their range, and what the raw loop or the floor
/// reaches.
fn goals(report: &Report) -> String {
    let titles = ["ratio (range)", "to", "goal", "", "raw or floor of that rival"];
    let mut table = head(&titles);
    for workload in WORKLOADS {
        let row = report.row(workload);
        for goal in workload.goals {
            let Some(outcome) = row.judge(goal) else { continue };
            let what = match (goal.to, goal.of) {
                (To::BestCpu, _) => ", processor time",
                (To::Quiet, _) => ", with a log",
                (_, DIRECT) => ", `atomic_uploads = off`",
                _ => "",
            };
            let to = if goal.to == To::Quiet { "without" } else { outcome.to };
            // what cannot be exceeded
            let bound = ["floor", "raw"].iter().find_map(|bound| {
                let spread = row.compared(bound, outcome.to, |figure| figure.rate)?.spread;
                (goal.to == To::Best).then(|| format!("{bound}: {:.2}", spread.median))
            });
            let cells = [
                outcome.spread.to_string(),
                to.to_owned(),
                goal.ratio.to_string(),
                met(outcome.met).to_owned(),
                bound.unwrap_or_default(),
            ];
            table += &line(&format!("{}{what}", workload.title), &cells);
        }
    }
    for fact in FACTS {
        let (value, Some(most)) = (report.value(fact, "ftpd"), fact.most) else { continue };
        let is = met(value <= most).to_owned();
        let goal = format!("at most {most}");
        table += &line(fact.title, &[figure(value), String::new(), goal, is, String::new()]);
    }
    table
}

fn facts(report: &Report) -> String {
    let mut table = head(&COLUMNS.map(|(_, title)| title));
    for fact in FACTS {
        let cell = |(server, _): (&str, &str)| figure(report.value(fact as &Fact, server));
        table += &line(fact.title, &COLUMNS.map(cell));
    }
    table
}

fn head(titles: &[&str]) -> String {
    let rule = vec!["---"; titles.len() + 1].join(" | ");
    format!("| | {} |\n| {rule} |\n", titles.join(" | "))
}

fn line(title: &str, cells: &[String]) -> String {
    format!("| {title} | {} |\n", cells.join(" | "))
}

/// Three digits, as far as they say something.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Replaces what is between the markers of a block.
fn replace(path: &Path, name: &str, text: &str) {
    let old = fs::read_to_string(path).expect("results");
    let (begin, end) = (format!("<!-- make bench: {name} -->\n"), "<!-- end -->");
    let (before, rest) = old.split_once(&begin).expect("a marker");
    let (_, after) = rest.split_once(end).expect("an end");
    let new = format!("{before}{begin}{}\n{end}{after}", text.trim_end());
    fs::write(path, new).expect("results");
}
