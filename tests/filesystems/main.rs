//! What the server promises on each file system: makes and mounts one after the other, puts a home
//! on it, lets a client try everything, and compares what it saw with the table in the section
//! FILE SYSTEMS of etc/ftpd.ini.5. Run it as root with `make filesystems`, narrowed by `ONLY=`.
//!
//! Two kinds of facts are told apart. A promise differs between file systems and is a column of
//! the table. A rule holds on all of them: a reply of success means that the bytes are there, a
//! refusal leaves everything as it was, and nothing outside the home is reached.
//!
//! | File | What it holds |
//! | --- | --- |
//! | `namespace.rs` | a mount namespace for the run |
//! | `disks.rs` | how each file system is made and mounted, in a mount namespace of the run |
//! | `home.rs` | a server with a home on it |
//! | `promise.rs` | the columns of the table |
//! | `manual.rs` | the table in the manual |
//! | `uploads.rs`, `names.rs`, `confinement.rs`, `space.rs` | the rules |
//!
//! The server runs as an ordinary user, because quotas and modes do not bind root.
//! `FTPD_WRITE_DOCS=1` writes what was seen into the manual instead of comparing.

#![allow(
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::assigning_clones,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::format_push_string,
    clippy::missing_panics_doc,
    clippy::struct_excessive_bools,
    reason = "a run prints, and ends when something is wrong; it uses a part of the suite's harness"
)]

#[path = "../suite/client.rs"]
mod client;
mod confinement;
mod disks;
mod home;
mod manual;
mod names;
mod namespace;
#[path = "../suite/parts.rs"]
mod parts;
mod promise;
#[path = "../suite/server.rs"]
mod server;
mod space;
mod uploads;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;

use disks::{Disk, KINDS, Kind};
use home::Home;
use promise::Promise;

/// A rule that holds on every file system, and what checks it: it panics on a fault, and returns why
/// the rule was not tried.
type Rule = (&'static str, fn(&Home<'_>, &Promise) -> Result<(), String>);

/// All rules.
const RULES: &[Rule] = &[
    ("uploads are whole or absent", uploads::whole),
    ("uploads in place", uploads::in_place),
    ("renames", names::renames),
    ("names and listings", names::listings),
    ("confinement", confinement::links),
    ("confinement in a race", confinement::race),
    ("quota", space::quota),
    ("read-only under way", space::read_only),
    ("full", space::full),
];

fn main() {
    namespace::enter();
    let only = env::var("ONLY").unwrap_or_default();
    let wanted =
        |kind: &&Kind| only.is_empty() || only.split(',').any(|name| name == kind.name);
    let (mut seen, mut faults) = (Vec::new(), 0);
    for kind in KINDS.iter().filter(wanted) {
        println!("\n{}", kind.name);
        match Disk::mount(kind) {
            Err(why) => println!("  not tried: {why}"),
            Ok(disk) => {
                let (promise, failed) = try_all(&disk);
                faults += failed;
                seen.extend(promise.map(|promise| (kind.name, promise.row(kind.name))));
            }
        }
    }
    println!("\n{}", Promise::head());
    for (_, row) in &seen {
        println!("{row}");
    }
    faults += manual::differences(&seen);
    println!("\n{} file systems tried, {faults} faults", seen.len());
    exit(i32::from(faults > 0));
}

/// Measures what a file system promises, and checks all rules on it. Returns the promise, unless
/// it could not be measured, and the number of faults.
fn try_all(disk: &Disk) -> (Option<Promise>, usize) {
    let measured = catch_unwind(|| Promise::measure(&Home::on(disk)));
    let Ok(promise) = measured else { return (None, 1) };
    let mut faults = 0;
    for (name, check) in RULES {
        // a home of its own, so that one fault is not the cause of the next
        match catch_unwind(AssertUnwindSafe(|| check(&Home::on(disk), &promise))) {
            Ok(Ok(())) => println!("  {name}: ok"),
            Ok(Err(why)) => println!("  {name}: not tried: {why}"),
            Err(_) => {
                println!("  {name}: FAULT");
                faults += 1;
            }
        }
    }
    (Some(promise), faults)
}
