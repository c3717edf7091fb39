//! `ftpd top`: shows the sessions of the running server, updated each second.

mod colour;
mod keys;
mod order;
mod picture;
mod rates;
mod view;

use std::io::{IsTerminal, Stdout};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::admin::ask;
use super::arguments::Arguments;
use super::kick;
use super::outcome::Stop;
use super::screen::size;
use super::terminal::Terminal;
use crate::log;
use crate::server::protocol::{Sessions, Who};
use colour::Colours;
use keys::Key;
use picture::{AROUND, Frame, picture};
use rates::Rates;
use view::{Act, View};

/// Time between two updates.
const EVERY: Duration = Duration::from_secs(1);

/// Moves the cursor to the upper left corner and clears everything below.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [once, json] = arguments.switches(["--once", "--json"])?;
    let file = arguments.file.as_deref();
    let (mut rates, mut view) = (Rates::default(), View::default());
    let stdout = std::io::stdout();
    let colours = Colours::of(stdout.is_terminal());
    let is_seen = stdout.is_terminal() && !once && !json;
    // without a terminal to read keys from, the sessions are still shown
    let terminal = if is_seen { Terminal::keys().ok() } else { None };
    loop {
        let Sessions { sessions, .. } = ask(file, Who {})?;
        let printed = if json {
            log::json(&json!(sessions))
        } else {
            rates.update(&sessions);
            let frame = Frame { size: size(&stdout), colours, keys: terminal.is_some() };
            let clear = if is_seen { CLEAR } else { "" };
            format!("{clear}{}", picture(&sessions, &rates, &mut view, &frame))
        };
        if !say_on(&printed) || once {
            return Ok(ExitCode::SUCCESS);
        }
        let Some(typed) = terminal.as_ref().and_then(|terminal| terminal.typed().ok()) else {
            thread::sleep(EVERY);
            continue;
        };
        if !obey(&typed, &mut view, file, &stdout) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Does what the typed keys ask for. Returns `false` if the program has to end.
fn obey(typed: &[u8], view: &mut View, file: Option<&Path>, stdout: &Stdout) -> bool {
    let page = size(stdout).1.saturating_sub(AROUND + 1).max(1);
    for key in Key::all(typed) {
        match view.press(key, page) {
            Act::Show => {}
            Act::Quit => return false,
            Act::Kick(number) => {
                view.report(match kick::kick(file, number) {
                    Ok(done) => done,
                    Err(Stop::Failed(why) | Stop::Refused(why)) => why,
                    Err(_) => "the settings have faults, see 'ftpd check'".to_owned(),
                });
            }
        }
    }
    true
}

/// Prints to standard output, and returns whether somebody still reads it.
fn say_on(text: &str) -> bool {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").is_ok()
}
