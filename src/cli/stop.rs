//! `ftpd stop`: stop the running server.

use std::process::ExitCode;

use serde_json::json;

use super::admin::ask;
use super::{Arguments, Stop, say};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [now] = arguments.switches(["--now"])?;
    ask(arguments.file.as_deref(), &json!({ "command": "stop", "now": now }))?;
    Ok(say("the server stops"))
}
