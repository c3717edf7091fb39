//! The results of all cases.

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::ERRORS;
use crate::tracer::Fault;

/// Path and call; for each error, the outcomes.
type Rows = BTreeMap<(String, String), BTreeMap<&'static str, BTreeSet<String>>>;

/// The outcomes by path, call and error.
#[derive(Default)]
pub struct Table {
    rows: Rows,
    outcomes: BTreeMap<String, usize>,
    cases: usize,
    faults: usize,
}

impl Table {
    /// Adds a case, and prints what is wrong.
    pub fn add(&mut self, path: &str, fault: &Fault, cell: String, faults: Vec<String>) {
        for what in &faults {
            let nth = fault.nth.map_or_else(|| "each".to_owned(), |nth| format!("no. {nth}"));
            println!("FAULT {path}: {} {nth}, {}: {what}", fault.call, fault.error);
        }
        self.cases += 1;
        self.faults += usize::from(!faults.is_empty());
        *self.outcomes.entry(cell.clone()).or_default() += 1;
        let row = self.rows.entry((path.to_owned(), fault.call.clone())).or_default();
        let mark = if faults.is_empty() { "" } else { "!" };
        row.entry(fault.error).or_default().insert(format!("{cell}{mark}"));
    }

    /// The number of cases in which something was wrong.
    pub fn faults(&self) -> usize {
        self.faults
    }

    /// Prints the table and the totals.
    pub fn print(&self) {
        let names: Vec<_> = ERRORS.iter().map(|error| error.name).collect();
        println!("\n| Path | Call | {} |", names.join(" | "));
        println!("| --- | --- |{}", " --- |".repeat(names.len()));
        for ((path, call), row) in &self.rows {
            let cell = |name: &&str| {
                let outcomes = row.get(name).map(|all| all.iter().cloned().collect::<Vec<_>>());
                outcomes.unwrap_or_default().join(", ")
            };
            let cells: Vec<_> = names.iter().map(cell).collect();
            println!("| {path} | {call} | {} |", cells.join(" | "));
        }
        println!("\n{} cases, {} with a fault: {:?}", self.cases, self.faults, self.outcomes);
    }
}
