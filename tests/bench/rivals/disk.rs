//! What a disk allows: files that are written, brought to the disk and put in place.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::place::Place;
use crate::work::SPAN;
use crate::workload::{Figure, Workload};
use crate::workloads::{GIB, SMALL};

/// Files of 4 KiB, one after the other.
pub fn synced_small(place: &Place, _: &Workload) -> Figure {
    small(place, false)
}

/// One file of 1 GiB.
pub fn synced_big(place: &Place, _: &Workload) -> Figure {
    big(place, false)
}

/// Files of 4 KiB, whose names are brought to the disk as well.
pub fn durable_small(place: &Place, _: &Workload) -> Figure {
    small(place, true)
}

/// One file of 1 GiB, whose name is brought to the disk as well.
pub fn durable_big(place: &Place, _: &Workload) -> Figure {
    big(place, true)
}

fn small(place: &Place, durable: bool) -> Figure {
    let folder = place.home().join("disk/up");
    let (began, mut files) = (Instant::now(), 0);
    while began.elapsed() < SPAN {
        synced(&folder, &format!("f{files:04}"), SMALL, durable);
        files += 1;
    }
    let rate = f64::from(files) / began.elapsed().as_secs_f64();
    place.clear();
    Figure { rate, cpu: 0.0, client_cpu: 0.0 }
}

fn big(place: &Place, durable: bool) -> Figure {
    let began = Instant::now();
    synced(&place.home().join("disk/up"), "raw", GIB, durable);
    let rate = GIB as f64 / 1e9 / began.elapsed().as_secs_f64();
    place.clear();
    Figure { rate, cpu: 0.0, client_cpu: 0.0 }
}

/// Writes a file, and renames it when it is on the disk.
fn synced(folder: &Path, name: &str, bytes: u64, durable: bool) {
    let chunk = vec![b'x'; usize::try_from(bytes.min(256 << 10)).expect("a chunk")];
    let part = folder.join(format!(".{name}"));
    let mut file = File::create(&part).expect("part");
    (0..bytes / chunk.len() as u64).for_each(|_| file.write_all(&chunk).expect("write"));
    file.sync_all().expect("sync");
    drop(file);
    fs::rename(&part, folder.join(name)).expect("rename");
    if durable {
        File::open(folder).expect("directory").sync_all().expect("sync");
    }
}
