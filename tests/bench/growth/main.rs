//! Costs against sizes: sessions, users, entries of a directory, depth of a path, parts of failed
//! uploads, bans. `FTPD=` names the program, `ROWS=` the rows (separated by commas).
//!
//! Each cost is the processor time of the server, unless its name says otherwise, because other
//! programs on the machine do not change that. The exponent is that of the cost as a power of the
//! size, between the last two sizes: 1 is linear.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a benchmark that panics has done its work"
)]

mod bans;
mod entries;
mod server;
mod sessions;
mod users;

use std::env;

/// What one size has cost: names with their units, and costs.
pub(crate) type Costs = Vec<(&'static str, f64)>;

/// One kind of thing that grows.
struct Row {
    name: &'static str,
    sizes: &'static [usize],
    measure: fn(usize) -> Costs,
}

const ROWS: &[Row] = &[
    Row {
        name: "sessions",
        sizes: &[10, 100, 1000, 5000, 9000, 15_000],
        measure: sessions::measure,
    },
    Row { name: "users", sizes: &[10, 1000, 10_000, 100_000], measure: users::measure },
    Row {
        name: "entries",
        sizes: &[1000, 10_000, 100_000, 1_000_000],
        measure: entries::measure,
    },
    Row { name: "depth", sizes: &[1, 10, 100, 1000], measure: entries::depth },
    Row { name: "parts", sizes: &[10, 1000, 10_000, 50_000], measure: entries::parts },
    Row { name: "bans", sizes: &[10, 1000, 4900], measure: bans::measure },
];

fn main() {
    let wanted = env::var("ROWS").unwrap_or_default();
    let wanted: Vec<_> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    // `make bench ONLY=...` measures what it names alone
    if env::var("ONLY").is_ok_and(|only| only != "growth") {
        return;
    }
    for row in ROWS {
        if !wanted.is_empty() && !wanted.contains(&row.name) {
            continue;
        }
        let fits = |size: &&usize| row.name != "sessions" || **size <= sessions::most();
        let sizes: Vec<usize> = row.sizes.iter().filter(fits).copied().collect();
        let costs: Vec<Costs> = sizes.iter().map(|&size| (row.measure)(size)).collect();
        print(row.name, &sizes, &costs);
    }
}

/// Prints a row as a table in Markdown.
fn print(name: &str, sizes: &[usize], costs: &[Costs]) {
    let heads: Vec<_> = sizes.iter().map(ToString::to_string).collect();
    println!("\n| {name} | {} | exponent |", heads.join(" | "));
    println!("|{}", " --- |".repeat(sizes.len() + 2));
    for (at, (name, _)) in costs[0].iter().enumerate() {
        let all: Vec<f64> = costs.iter().map(|costs| costs[at].1).collect();
        let cells: Vec<_> = all.iter().map(|&cost| number(cost)).collect();
        let [.., before, last] = all[..] else { continue };
        let [.., fewer, more] = sizes[..] else { continue };
        let exponent = (last / before).ln() / (more as f64 / fewer as f64).ln();
        println!("| {name} | {} | {exponent:.2} |", cells.join(" | "));
    }
}

fn number(cost: f64) -> String {
    if cost >= 100.0 { format!("{cost:.0}") } else { format!("{cost:.2}") }
}
