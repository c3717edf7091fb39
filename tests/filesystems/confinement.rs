//! Nothing outside the home is reached.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::home::Home;
use crate::promise::Promise;

const SECRET: &[u8] = b"outside the home";

/// Checks paths and links that lead out.
pub(crate) fn links(home: &Home<'_>, promise: &Promise) -> Result<(), String> {
    let outside = home.disk.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), SECRET).unwrap();
    let mut client = home.client();
    client.upload("STOR inside", b"inside");
    client.cmd("MKD d", 257);
    // `..` at the root is the root
    for path in ["../outside/secret", "/../outside/secret", "d/../../outside/secret"] {
        assert_eq!(client.exchange(&format!("RETR {path}"), b"").0, 550, "{path}");
        assert_eq!(client.exchange(&format!("STOR {path}"), b"x").0, 550, "{path}");
    }
    if !promise.links {
        return Ok(());
    }
    let whole = outside.join("secret");
    for (text, name) in [
        ("../outside", "out"),
        ("../../outside", "d/out"),
        (whole.to_str().unwrap(), "leak"),
        ("../inside", "d/in"),
        ("d", "to_d"),
    ] {
        symlink(text, home.path.join(name)).unwrap();
    }
    for path in ["out/secret", "d/out/secret", "leak", "to_d/out/secret"] {
        for line in ["RETR", "STOR", "APPE"] {
            assert_eq!(
                client.exchange(&format!("{line} {path}"), b"x").0,
                550,
                "{line} {path}"
            );
        }
        client.cmd(&format!("MFMT 20200101000000 {path}"), 550);
        client.cmd(&format!("SITE CHMOD 600 {path}"), 550);
    }
    for path in ["out/secret", "d/out/secret", "to_d/out/secret"] {
        client.cmd(&format!("DELE {path}"), 550);
        client.cmd(&format!("RNFR {path}"), 550);
    }
    assert_eq!(fs::read(outside.join("secret")).unwrap(), SECRET);
    // links that stay inside are followed, and replaced at their target
    assert_eq!(client.download("RETR d/in"), b"inside");
    client.upload("STOR d/in", b"new");
    assert_eq!(home.get("inside"), b"new");
    assert_eq!(client.download("RETR to_d/in"), b"new");
    Ok(())
}

/// Swaps a directory for a link that leads out while a client uses paths through it.
pub(crate) fn race(home: &Home<'_>, promise: &Promise) -> Result<(), String> {
    if !promise.links {
        return Err("no links".to_owned());
    }
    let outside = home.disk.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), SECRET).unwrap();
    let name = |name: &str| home.path.join(name);
    fs::create_dir(name("real")).unwrap();
    fs::write(name("real/secret"), "inside").unwrap();
    fs::set_permissions(name("real"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    symlink("../outside", name("link")).unwrap();
    let over = AtomicBool::new(false);
    let (mut reached, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for from in ["real", "link"] {
                    fs::rename(name(from), name("d")).unwrap();
                    fs::rename(name("d"), name(from)).unwrap();
                }
            }
        });
        let mut client = home.client();
        for turn in 0..1000 {
            if turn % 2 == 0 {
                let (code, _, bytes) = client.exchange("RETR d/secret", b"");
                assert!(code == 550 || bytes == b"inside", "{}", bytes.escape_ascii());
                if code == 226 { reached += 1 } else { refused += 1 }
            } else {
                let _ = client.exchange("STOR d/new", b"x");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("    {reached} times inside, {refused} times refused");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), SECRET);
    assert!(!outside.join("new").exists());
    Ok(())
}
