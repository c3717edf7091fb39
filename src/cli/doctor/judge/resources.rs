//! Judges homes, disks and the limits of the process.

use crate::cli::doctor::facts::{Disk, Facts, Files, Homes};
use crate::cli::line::Line;

/// A file system with fewer free bytes than this is nearly full.
const FEW_BYTES: u64 = 64 << 20;

/// A file system with fewer free inodes than this has nearly none left.
const FEW_INODES: u64 = 1000;

/// Returns the lines about homes, disks and limits.
pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = homes(&facts.homes);
    let disks: Vec<_> = facts.disks.iter().filter_map(disk).collect();
    if disks.is_empty() && !facts.disks.is_empty() {
        lines.push(Line::good("room", "each file system has bytes and inodes left"));
    }
    lines.extend(disks);
    lines.extend(facts.files.as_ref().map(files));
    lines
}

fn homes(homes: &Homes) -> Vec<Line> {
    let line = |cause, text: &String| Line::failed("home", cause, text);
    let absent = homes.absent.iter().map(|text| {
        line("home_absent", text).cure(
            "make it and give it to the server's user, or mount its disk; create_home = on makes it \
             at the login",
        )
    });
    let closed = homes.closed.iter().map(|text| {
        line("home_closed", text).cure(
            "give it to the server's user (chown), or let its group write (chgrp, chmod g+w)",
        )
    });
    // these texts contain the cure
    let kept_out = homes.kept_out.iter().map(|text| line("home_unit", text));
    let mut lines: Vec<_> = absent.chain(closed).chain(kept_out).collect();
    if let Some(why) = &homes.unchecked {
        let text = format!("cannot tell whether the server may write to the homes: {why}");
        lines.push(Line::skipped("home", text).cure("run it as root: sudo ftpd doctor"));
    } else if lines.is_empty() {
        lines.push(Line::good("home", "the server can use all homes"));
    }
    lines
}

fn disk(disk: &Disk) -> Option<Line> {
    let Disk { of, bytes: (free, _), inodes: (left, inodes) } = disk;
    if *free == 0 {
        return Some(
            Line::failed("room", "disk_full", format!("the file system of {of} is full"))
                .cure("remove files or add room; keep_for and min_free remove old files by themselves"),
        );
    }
    let counts = *inodes > 0;
    if counts && *left == 0 {
        let text = format!("the file system of {of} has no inode left for a new file");
        return Some(Line::failed("room", "no_inodes", text).cure(
            "remove small files ('df -i' shows the file system); keep_files does so by itself",
        ));
    }
    if *free < FEW_BYTES {
        let text = format!("the file system of {of} has only {} MiB left", free >> 20);
        return Some(Line::warning("room", "disk_nearly_full", text).cure(
            "remove files or add room; keep_for and min_free remove old files by themselves",
        ));
    }
    (counts && *left < FEW_INODES).then(|| {
        let text = format!("the file system of {of} has only {left} inodes left for new files");
        Line::warning("room", "few_inodes", text).cure(
            "remove small files ('df -i' shows the file system); keep_files does so by itself",
        )
    })
}

fn files(files: &Files) -> Line {
    let Files { needed, allowed, of } = files;
    let Some(allowed) = allowed.filter(|allowed| allowed < needed) else {
        return Line::good("files", "max_cons clients can open all the files that they need");
    };
    let of = of
        .map_or_else(|| "of this shell".to_owned(), |pid| format!("of the server (pid {pid})"));
    let text = format!(
        "max_cons clients may need {needed} open files, but the limit {of} is {allowed}"
    );
    Line::warning("files", "few_files", text)
        .cure(format!(
            "LimitNOFILE={needed} in the unit (systemctl edit ftpd), or ulimit -n {needed}"
        ))
        .cure("or a lower max_cons")
}
