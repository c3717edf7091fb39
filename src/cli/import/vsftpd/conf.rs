//! The lines of a `vsftpd.conf`, and reading their values as vsftpd does.

use std::collections::HashMap;
use std::path::PathBuf;

use super::super::section::Section;
use super::keys::{ALWAYS, Audience, KEYS, OTHERS, RESTRICTIONS, When};

/// The lines of a `vsftpd.conf`, and the faults in them.
pub(super) struct Conf<'t> {
    pub(super) values: HashMap<&'t str, (usize, &'t str)>,
    pub(super) faults: Vec<(usize, String)>,
    /// Why the result must let no user in; `None` if it may let users in.
    pub(super) all_held: Option<&'static str>,
    /// Why the result must let no anonymous user in; `None` if it may let them in.
    pub(super) anonymous_held: Option<&'static str>,
    /// Returns the home of a user of this system, or why the server cannot become that user.
    pub(super) system_user: fn(&str) -> Result<PathBuf, String>,
}

/// The reason when a restriction would be lost.
const LOST: &str = "a restriction has no equivalent here";

/// The reason when vsftpd would not accept a line.
const BROKEN: &str = "a line cannot be read";

impl<'t> Conf<'t> {
    pub(super) fn new(system_user: fn(&str) -> Result<PathBuf, String>) -> Self {
        Self {
            values: HashMap::new(),
            faults: Vec::new(),
            all_held: None,
            anonymous_held: None,
            system_user,
        }
    }

    /// Handles a line: keeps its value for later, adds a comment to `server`, or adds a fault.
    pub(super) fn take(&mut self, number: usize, line: &'t str, server: &mut Section) {
        let line = line.trim_start();
        let Some((key, value)) = line.split_once('=') else {
            return self.broken(number, "expected key=value");
        };
        if key.trim() != key || value.trim_start() != value {
            return self.broken(number, "vsftpd accepts no spaces around =");
        }
        let value = value.trim_end();
        if KEYS.contains(&key) {
            // the last of several lines counts
            self.values.insert(key, (number, value));
            return;
        }
        if ALWAYS.iter().any(|(always, holds)| *always == key && yes(value) == Some(*holds)) {
            return;
        }
        let restriction = RESTRICTIONS.iter().find(|(name, ..)| *name == key);
        let restricts = restriction.filter(|(_, when, _)| match when {
            When::On => yes(value) != Some(false),
            When::Off => yes(value) != Some(true),
            When::Said => !value.is_empty(),
        });
        if let Some((_, _, who)) = restricts {
            server.no_equal(&format!("{key}={value}"));
            self.lost(
                number,
                *who,
                format!("{key} restricts users and has no equivalent here"),
            );
        } else if restriction.is_none() {
            server.no_equal(&format!("{key}={value}"));
            let is_known = OTHERS.contains(&key) || ALWAYS.iter().any(|(name, _)| *name == key);
            if !is_known {
                self.broken(number, format!("{} is not a key of vsftpd", key.escape_debug()));
            }
        }
    }

    // this function and the next six have many callers and need not be fast, so they are not
    // inlined
    #[inline(never)]
    pub(super) fn fault(&mut self, number: usize, why: impl Into<String>) {
        self.faults.push((number, why.into()));
    }

    /// Adds a fault for a line whose meaning is unknown. It may have been a restriction.
    #[inline(never)]
    pub(super) fn broken(&mut self, number: usize, why: impl Into<String>) {
        self.fault(number, why);
        self.all_held.get_or_insert(BROKEN);
    }

    /// Adds a fault for a restriction that has no equivalent here.
    #[inline(never)]
    pub(super) fn lost(&mut self, number: usize, who: Audience, why: impl Into<String>) {
        self.fault(number, why);
        match who {
            Audience::All => self.all_held = Some(LOST),
            Audience::Anonymous => self.anonymous_held = Some(LOST),
        }
    }

    #[inline(never)]
    pub(super) fn text(&self, key: &str) -> Option<&'t str> {
        self.values.get(key).map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    /// Returns the line of a key, or 0.
    #[inline(never)]
    pub(super) fn line(&self, key: &str) -> usize {
        self.values.get(key).map_or(0, |(line, _)| *line)
    }

    #[inline(never)]
    pub(super) fn switch(&mut self, key: &str, default: bool) -> bool {
        let Some(&(number, value)) = self.values.get(key) else { return default };
        yes(value).unwrap_or_else(|| {
            self.values.remove(key);
            self.broken(number, format!("{key} is neither YES nor NO"));
            default
        })
    }

    #[inline(never)]
    pub(super) fn number(&mut self, key: &str, most: u64) -> Option<u64> {
        let &(number, value) = self.values.get(key)?;
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = value.parse().ok().filter(|&parsed: &u64| digits && parsed <= most);
        if parsed.is_none() {
            self.values.remove(key);
            self.broken(number, format!("{key} is not a number up to {most}"));
        }
        parsed
    }

    /// Reads a mask or a mode, which vsftpd reads as a decimal number unless it begins with 0.
    pub(super) fn mode(&mut self, key: &str, default: u32) -> u32 {
        let Some(&(number, value)) = self.values.get(key) else { return default };
        let radix = if value.starts_with('0') { 8 } else { 10 };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let mode =
            u32::from_str_radix(value, radix).ok().filter(|&mode| digits && mode <= 0o777);
        mode.unwrap_or_else(|| {
            self.values.remove(key);
            self.broken(number, format!("{key} is not a mask or mode such as 022"));
            default
        })
    }

    /// Returns the permission bits that `file_open_mode` removes from new files.
    pub(super) fn not_opened(&mut self) -> u32 {
        0o666 & !self.mode("file_open_mode", 0o666)
    }

    pub(super) fn is_implicit(&mut self) -> bool {
        self.switch("implicit_ssl", false) && self.switch("ssl_enable", false)
    }
}

fn yes(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "YES" | "TRUE" | "1" => Some(true),
        "NO" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}
