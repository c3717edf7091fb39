//! What a loss of power leaves of uploads. A guest in qemu serves and uploads files on ext4, XFS
//! and btrfs, and qemu logs each write to its disk. The run then builds the disk as it could be
//! after a loss of power at hundreds of moments: with all writes up to the last flush, and any of
//! those after it. It mounts each disk, compares the files with what the client was told, and
//! starts the server on it. Run it as root with `make powerloss`.
//!
//! | File | What it holds |
//! | --- | --- |
//! | `machine.rs` | the kernel, the initramfs and qemu |
//! | `guest.rs` | the first process of the guest, which is this same program |
//! | `work.rs` | what the client does in the guest |
//! | `history.rs` | what each request changes, and which files may be there afterwards |
//! | `writes.rs` | the log of the writes, and the disk after a loss of power |
//! | `judge.rs` | the comparison, and the server on what is left |
//!
//! `KEPT=on` gives the uploader a trash and a quota, whose content and count are compared as well.
//!
//! `ONLY=ext4,btrfs` and `SYNC=on` select, `CUTS=` and `SEED=` change the number of the disks and
//! what is done, `GUEST=` is the time of the guest in seconds, and `KEEP=` names a folder for disks
//! that were found wrong.

#![allow(
    dead_code,
    clippy::assigning_clones,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::format_push_string,
    clippy::missing_panics_doc,
    clippy::naive_bytecount,
    reason = "a run prints, and ends when something is wrong; it uses a part of the suite's harness"
)]

#[path = "../suite/client.rs"]
mod client;
mod guest;
mod history;
mod judge;
mod machine;
#[path = "../filesystems/namespace.rs"]
mod namespace;
#[path = "../suite/parts.rs"]
mod parts;
#[path = "../soak/random.rs"]
#[allow(unreachable_pub, reason = "shared with the soak")]
mod random;
#[path = "../suite/server.rs"]
mod server;
mod work;
mod writes;

use std::env;
use std::process::exit;
use std::time::Instant;

use judge::Tally;
use machine::{KINDS, Kind, Machine};
use random::Random;
use writes::Writes;

fn main() {
    if let Some(task) = env::var_os("POWERLOSS_GUEST") {
        guest::main(&task.into_string().unwrap());
    }
    namespace::enter();
    let is_wanted = |name: &str, value: &str| {
        let only = env::var(name).unwrap_or_default();
        only.is_empty() || only.split(',').any(|one| one == value)
    };
    let mut rows = Vec::new();
    for kind in KINDS.iter().filter(|kind| is_wanted("ONLY", kind.name)) {
        for sync in ["on", "off"].into_iter().filter(|sync| is_wanted("SYNC", sync)) {
            rows.push((kind.name, sync, try_out(kind, sync)));
        }
    }
    println!("\n{}", Tally::head());
    let mut faults = 0;
    for (name, sync, tally) in &rows {
        println!("{}", tally.row(name, sync));
        faults += tally.faults;
    }
    println!("\n{faults} faults");
    exit(i32::from(faults > 0));
}

/// Lets the guest work on a file system, and judges what losses of power leave.
fn try_out(kind: &'static Kind, sync: &str) -> Tally {
    let seed = number("SEED", 1);
    let begun = Instant::now();
    let machine = Machine::new(kind);
    let (disk, seconds) = (machine.mounted(), number("GUEST", 60));
    let disk = disk.display();
    machine.run(&format!(
        "{},{disk},{},{sync},{seconds},{seed},{}",
        kind.name,
        kind.size,
        is_kept()
    ));
    let writes = Writes::read(&machine.log(), kind.size);
    println!(
        "\n{}, sync_uploads = {sync}: {} in {} s",
        kind.name,
        writes.summary(),
        begun.elapsed().as_secs()
    );
    let mut random = Random::new(seed, 0);
    let cuts = writes.choose(number("CUTS", 300) as usize, &mut random);
    let mut tally = Tally::new(&writes);
    let mut disk = writes.start(&machine.blank(), machine.folder());
    for cut in &cuts {
        let history = disk.cut(cut, &mut random);
        tally.judge(&machine, &history, cut, sync == "on");
    }
    println!("{}\njudged in {} s", tally.row(kind.name, sync), begun.elapsed().as_secs());
    tally
}

/// Whether the uploader has a trash and a quota.
fn is_kept() -> bool {
    env::var("KEPT").is_ok_and(|kept| kept == "on")
}

/// The settings of the uploader.
fn uploader(home: &std::path::Path, kept: bool) -> String {
    let keys = "\ntrash = on\nquota_bytes = 100G\nquota_files = 1000000";
    format!("home = {}{}", home.display(), if kept { keys } else { "" })
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}
