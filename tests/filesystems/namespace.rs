//! A mount namespace, in which the file systems of a run are mounted.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

/// Runs the program again in a mount namespace of its own, so that nothing stays mounted.
pub(crate) fn enter() {
    if env::var_os("FTPD_UNSHARED").is_none() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private"]).args(env::args_os());
        let why = unshare.env("FTPD_UNSHARED", "1").exec();
        println!("not tried: unshare: {why}");
        exit(1);
    }
}
