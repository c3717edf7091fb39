//! The run has name spaces of its own, so that it can mount a disk and choose another congestion
//! control without changing the machine, and nothing of that remains if it is killed.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Environment variable of the process that runs inside.
const INSIDE: &str = "FTPD_BENCH_INSIDE";

const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// The size of the disk. The file is sparse.
const DISK: u64 = 8 << 30;

/// Starts this program again inside, if the system allows it.
pub fn enter() {
    if is_inside() {
        return;
    }
    let unshare = |last: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "sh", "-c"])
            .arg(format!("ip link set lo up && {last}"));
        command
    };
    let able = unshare("true").output();
    if able.is_ok_and(|output| output.status.success()) {
        let program = env::current_exe().expect("program");
        let why = unshare("exec \"$0\"").arg(program).env(INSIDE, "yes").exec();
        eprintln!("no name spaces: {why}");
    }
    eprintln!("without name spaces, nothing is measured on a disk or without BBR");
}

fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Mounts a disk with ext4 on a folder. It is gone when the last process of this run is.
pub fn mount_disk(folder: &Path, image: &Path) -> Result<(), String> {
    if !is_inside() {
        return Err("no name spaces".to_owned());
    }
    let file = fs::File::create(image).map_err(|why| why.to_string())?;
    file.set_len(DISK).map_err(|why| why.to_string())?;
    fs::create_dir_all(folder).map_err(|why| why.to_string())?;
    let made = run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))
        .and_then(|()| run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(folder)));
    // the mount keeps its file
    let _ = fs::remove_file(image);
    made
}

/// Unmounts the disk, if there is one.
pub fn unmount_disk(folder: &Path) {
    if is_inside() && folder.is_dir() {
        let _ = run(Command::new("umount").arg("--lazy").arg(folder));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// The congestion control of the system.
pub fn congestion() -> String {
    fs::read_to_string(CONGESTION).unwrap_or_default().trim().to_owned()
}

/// Whether the system paces what it sends, so that it is worth measuring without that.
pub fn can_unpace() -> bool {
    is_inside() && congestion().starts_with("bbr")
}

/// Runs something while the congestion control is another. Connections that are made meanwhile
/// use it, also those of servers that run already.
pub fn with_congestion<T>(name: Option<&str>, run: impl FnOnce() -> T) -> T {
    let Some(name) = name else { return run() };
    let usual = congestion();
    fs::write(CONGESTION, name).expect("congestion control");
    let result = run();
    fs::write(CONGESTION, usual).expect("congestion control");
    result
}
