//! `ftpd quota`: shows what homes with a quota hold. The running server answers, because it knows.
//! If no server runs, this process counts.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::admin::{Absence, ask_if_there};
use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::print::{complain, say};
use super::screen::{binary, padded, safe, widest};
use super::settings::load;
use crate::config::Config;
use crate::control::QuotaState;
use crate::log;
use crate::server::protocol::{Quota, QuotaList, QuotaView};
use crate::vfs::{Limits, count_home};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let (mut user, mut rescan, mut json) = (None, false, false);
    while let Some(word) = arguments.next()? {
        match word {
            Word::Value(name) if user.is_none() => {
                user = Some(name.to_string_lossy().into_owned());
            }
            Word::Flag(flag) if flag == "--rescan" => rescan = true,
            Word::Flag(flag) if flag == "--json" => json = true,
            word @ (Word::Value(_) | Word::Flag(_)) => return Err(word.unexpected()),
        }
    }
    let file = arguments.file.as_deref();
    let order = Quota { user: user.clone(), rescan };
    let quotas = match ask_if_there(file, order) {
        Ok(QuotaList { quotas }) => quotas,
        Err(Absence::Failed(why)) => return Err(why),
        Err(absence) => {
            if matches!(absence, Absence::NotAllowed) {
                complain(
                    "(the running server could not be asked: permission denied; try sudo)",
                );
            }
            by_itself(file, user.as_deref())?
        }
    };
    if json {
        return Ok(say(&log::json(&json!(quotas))));
    }
    Ok(say(&if quotas.is_empty() { "no user has a quota".to_owned() } else { table(&quotas) }))
}

/// Counts in this process.
fn by_itself(file: Option<&Path>, user: Option<&str>) -> Result<Vec<QuotaView>, Stop> {
    let (_, config) = load(file)?;
    let Config { users, .. } = &config;
    if let Some(user) = user.filter(|user| !users.contains_key(*user)) {
        return Err(Stop::Failed(format!("there is no user {}", safe(user))));
    }
    let mut quotas = Vec::new();
    for (name, found) in config.users_by_name() {
        let limits = Limits::of(&found.rules.quota);
        if !limits.any() || user.is_some_and(|user| user != name) {
            continue;
        }
        match count_home(&found.home) {
            Ok((count, exact)) => {
                let state = QuotaState { used: count, limits, exact };
                quotas.push(QuotaView::new(name, state));
            }
            Err(why) => complain(&format!("{}: {why}", found.home.display())),
        }
    }
    Ok(quotas)
}

fn table(quotas: &[QuotaView]) -> String {
    let names: Vec<_> = quotas.iter().map(|quota| safe(&quota.user)).collect();
    let wide = widest(names.iter().map(String::as_str), 4..=40);
    let mut lines = format!(
        "{} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        padded("USER", wide),
        "SIZE",
        "OF",
        "LEFT",
        "FILES",
        "OF",
        "LEFT"
    );
    for (quota, name) in quotas.iter().zip(&names) {
        let number = |number: u64| number.to_string();
        let size = three(quota.bytes, quota.max_bytes, binary);
        let files = three(quota.files, quota.max_files, number);
        let counting = if quota.exact { "" } else { " counting" };
        let name = padded(name, wide);
        // writing to a String cannot fail
        let _ = write!(lines, "\n{name}{size}{files}{counting}");
    }
    lines
}

/// Formats what is used, its limit and what is left.
fn three(used: u64, most: Option<u64>, form: impl Fn(u64) -> String) -> String {
    let or_dash = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), &form);
    let left = most.map(|most| most.saturating_sub(used));
    format!(" {:>10} {:>10} {:>10}", form(used), or_dash(most), or_dash(left))
}
