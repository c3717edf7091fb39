//! `ftpd stop`: stops the running server.

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::admin::{ask, ask_and_stay};
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use crate::server::protocol::{self, Stopped};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [now, drain] = arguments.switches(["--now", "--drain"])?;
    if now && drain {
        return Err(Stop::Misuse("--now and --drain exclude each other".to_owned()));
    }
    let (file, order) = (arguments.file.as_deref(), protocol::Stop { now, drain });
    if drain {
        let (answer, rest) = ask_and_stay(file, order)?;
        if answer.tells {
            return wait_for_end(rest);
        }
    } else {
        ask(file, order)?;
    }
    Ok(say("the server is stopping"))
}

/// Waits until the server has ended. It says so just before, unless it was killed.
fn wait_for_end(mut rest: BufReader<UnixStream>) -> Result<ExitCode, Stop> {
    let mut line = String::new();
    let read = rest.get_ref().set_read_timeout(None).and_then(|()| rest.read_line(&mut line));
    if read.is_err() || !serde_json::from_str::<Stopped>(&line).is_ok_and(|told| told.stopped) {
        let why = "the server has not stopped: it was killed or has crashed";
        return Err(Stop::Failed(why.to_owned()));
    }
    // its process closes the connection when it ends
    let _ = io::copy(&mut rest, &mut io::sink());
    Ok(say("the server has stopped"))
}
