//! Reads files of the system, and what programs print.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::doctor::facts::Text;
use crate::cli::screen::safe;

/// Where programs of the administrator are, even if the search path of this user lacks them.
const PLACES: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

/// How long a program may run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at a program that runs.
const BREATH: Duration = Duration::from_millis(5);

/// Reads a file of the system as text.
#[expect(clippy::disallowed_methods, reason = "a file of the system")]
pub(super) fn text(file: impl AsRef<Path>) -> Option<String> {
    std::fs::read(file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Finds a program.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(name)).find(|file| file.exists())
}

/// Runs a program and returns what it prints.
pub(super) fn print(name: &str, arguments: &[&str]) -> Text {
    let Some(program) = find(name) else { return Text::Absent };
    output(&program, arguments).unwrap_or_else(|why| Text::Failed(format!("{name}: {why}")))
}

fn output(program: &Path, arguments: &[&str]) -> std::io::Result<Text> {
    // files and not pipes, so that a long output needs no thread that reads it
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .spawn()?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            let time = PATIENCE.as_secs();
            return Ok(Text::Failed(format!("{name} has not ended within {time} s")));
        }
        thread::sleep(BREATH);
    };
    let read = |file: &mut std::fs::File| {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    if status.success() {
        return Ok(Text::Is(read(&mut out)?));
    }
    let said = read(&mut err)?;
    let said = safe(said.lines().next().unwrap_or("it failed").trim());
    // most programs say their own name first
    let said = if said.starts_with(&name) { said } else { format!("{name}: {said}") };
    Ok(Text::Failed(said))
}
