//! Where the rivals come from: packages of Debian, which are unpacked beside each other, and the
//! package managers of Rust and Python.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Unpacks a package of Debian without installing it, because these packages conflict.
pub fn package(rivals: &Path, name: &str) -> Result<(), String> {
    let done = rivals.join(format!("{name}.unpacked"));
    if done.exists() {
        return Ok(());
    }
    let run = |program: &str, arguments: &[&str]| run(rivals, Path::new(program), arguments);
    if run("apt-get", &["download", name]).is_err() {
        run("apt-get", &["update"])?;
        run("apt-get", &["download", name])?;
    }
    let start = format!("{name}_");
    let files = fs::read_dir(rivals).map_err(|why| why.to_string())?;
    let deb = files.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&start) && name.ends_with(".deb")
    });
    let deb = deb.ok_or("nothing was downloaded")?;
    run("dpkg", &["-x", &deb.to_string_lossy(), "root"])?;
    fs::write(done, "").map_err(|why| why.to_string())
}

/// `cargo install` takes long, so unftp is built only if `UNFTP=1` asks for it.
pub fn unftp(rivals: &Path) -> Result<(), String> {
    let root = rivals.join("unftp");
    if root.join("bin/unftp").exists() {
        return Ok(());
    }
    if std::env::var_os("UNFTP").is_none() {
        return Err("not built; UNFTP=1 builds it".to_owned());
    }
    let built = Command::new("cargo")
        .args(["install", "--locked", "unftp", "--root"])
        .arg(&root)
        .status();
    built
        .is_ok_and(|status| status.success())
        .then_some(())
        .ok_or("cargo has failed".to_owned())
}

/// Installs pyftpdlib in a virtual environment of its own.
pub fn pyftpdlib(rivals: &Path) -> Result<(), String> {
    let (python, done) = (rivals.join("venv/bin/python"), rivals.join("pyftpdlib.installed"));
    if done.exists() {
        return Ok(());
    }
    run(rivals, Path::new("python3"), &["-m", "venv", "venv"])?;
    let install = |names: &[&str]| {
        run(rivals, &python, &[&["-m", "pip", "install", "-q"], names].concat())
    };
    install(&["pyftpdlib", "pyopenssl", "pysendfile"])
        .or_else(|_| install(&["pyftpdlib", "pyopenssl"]))?;
    fs::write(done, "").map_err(|why| why.to_string())
}

fn run(folder: &Path, program: &Path, arguments: &[&str]) -> Result<(), String> {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(why) => Err(why.to_string()),
    }
}
