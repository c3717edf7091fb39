//! What the figures depend on: the machine, and the versions that the programs themselves tell.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::servers::libraries;
use crate::{inside, setups};

/// A paragraph about the machine and the programs.
pub fn described(rivals: &Path, rounds: usize) -> String {
    let of = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let (cpus, memory) = (of("/proc/cpuinfo"), of("/proc/meminfo"));
    let total = field(&memory, "MemTotal").trim_end_matches(" kB").parse::<f64>();
    let place = if cpus.contains(" hypervisor") { "a virtual machine with " } else { "" };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Medians of {rounds} interleaved rounds on {}, on {place}{count} processors ({}), {:.0} GiB \
         of memory, Linux {} and the congestion control {}. Versions: {}.",
        today(),
        field(&cpus, "model name"),
        total.unwrap_or(f64::NAN) / f64::from(1 << 20),
        of("/proc/sys/kernel/osrelease").trim(),
        inside::congestion(),
        versions(rivals).join(", ")
    )
}

fn today() -> String {
    let date = time::OffsetDateTime::now_utc().date();
    format!("{}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn versions(rivals: &Path) -> Vec<String> {
    let program = |path: &str| rivals.join(path);
    let python = "import pyftpdlib; print(pyftpdlib.__ver__)";
    [
        ("ftpd", setups::program(), &["--version"][..]),
        ("vsftpd", program("root/usr/sbin/vsftpd"), &["-v"]),
        ("pure-ftpd", program("root/usr/sbin/pure-ftpd"), &["--help"]),
        ("ProFTPD", program("root/usr/sbin/proftpd"), &["-v"]),
        ("pyftpdlib", program("venv/bin/python"), &["-c", python]),
        ("unftp", program("unftp/bin/unftp"), &["--version"]),
    ]
    .into_iter()
    .filter_map(|(name, program, arguments)| {
        let libraries = libraries(rivals);
        let mut command = Command::new(program);
        // vsftpd prints its version on its standard input
        let said = rivals.join("version");
        let file = fs::File::create(&said).ok()?;
        let output = command
            .args(arguments)
            .env("LD_LIBRARY_PATH", libraries)
            .stdin(file)
            .output()
            .ok()?;
        let input = fs::read(&said).unwrap_or_default();
        let _ = fs::remove_file(said);
        let text = [input, output.stdout, output.stderr].concat();
        Some(format!("{name} {}", version(&String::from_utf8_lossy(&text))?))
    })
    .collect()
}

/// The first word that looks like a version.
fn version(text: &str) -> Option<String> {
    let tidy =
        |word: &str| word.trim_start_matches('v').trim_end_matches([',', ';']).to_owned();
    let looks = |word: &String| word.starts_with(char::is_numeric) && word.contains('.');
    text.split_whitespace().map(tidy).find(looks)
}
