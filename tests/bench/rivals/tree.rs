//! Processor time and processors of a process and its descendants.

use std::collections::HashMap;
use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// User and system time in seconds of a process and its descendants, including those that have
/// ended and were waited for. The resolution is a clock tick, 10 ms.
pub fn cpu(root: u32) -> f64 {
    let ticks: u64 = processes(root).iter().filter_map(|pid| ticks(*pid)).sum();
    ticks as f64 / 100.0
}

fn ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name in brackets may hold anything
    let rest = stat.rsplit_once(") ")?.1;
    let fields: Vec<&str> = rest.split(' ').collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// A process and its descendants.
pub fn processes(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![root];
    let mut at = 0;
    while at < all.len() {
        all.extend(children.get(&all[at]).into_iter().flatten());
        at += 1;
    }
    all
}

/// Binds all threads of a tree, and this thread, to one processor or to all of them.
pub fn pin(root: Option<u32>, one: bool) {
    let mut set = CpuSet::new();
    let count = std::thread::available_parallelism().map_or(1, usize::from).max(2);
    (0..if one { 1 } else { count }).for_each(|cpu| set.set(cpu));
    let _ = sched_setaffinity(None, &set);
    for pid in root.into_iter().flat_map(processes) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let id = task.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(id) = id.and_then(Pid::from_raw) {
                let _ = sched_setaffinity(Some(id), &set);
            }
        }
    }
}

/// Proportional set size in bytes.
pub fn proportional_size(root: u32) -> u64 {
    let of = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes(root).into_iter().filter_map(of).sum::<u64>() * 1024
}

/// Number of threads.
pub fn threads(root: u32) -> usize {
    let of = |pid: u32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    processes(root).into_iter().map(of).sum()
}

/// Resident set in bytes.
pub fn resident(root: u32) -> u64 {
    let of = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes(root).into_iter().filter_map(of).sum::<u64>() * 1024
}
