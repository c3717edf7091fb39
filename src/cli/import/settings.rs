//! The `settings.py` of pyftpdlib's tutorial. The keys of this server are modelled on its
//! names.

use std::collections::HashMap;

use super::python::Value;
use super::section::{Imported, Section};
use crate::config::{self, edit};

/// The names in a `settings.py`, including those of variants of the tutorial, and the key for
/// each.
const NAMES: [(&str, &str); 20] = [
    ("anonymous_path", "anonymous_path"),
    ("enable_anonymous", "enable_anonymous"),
    ("enable_logging", "enable_logging"),
    ("ip", "ip"),
    ("limit_trans", "limit_trans"),
    ("logging_name", "log_file"),
    ("loging_name", "log_file"),
    ("masquerade_address", "masquerade_address"),
    ("max_cons", "max_cons"),
    ("max_download", "max_download"),
    ("max_per_ip", "max_per_ip"),
    ("max_pre_ip", "max_per_ip"),
    ("max_upload", "max_upload"),
    ("passive_ports", "passive_ports"),
    ("port", "port"),
    ("read_limit", "max_upload"),
    ("welcom_banner", "welcome_msg"),
    ("welcome_banner", "welcome_msg"),
    ("welcome_msg", "welcome_msg"),
    ("write_limit", "max_download"),
];

/// Keys whose value is copied unchanged.
const PLAIN: [&str; 5] = ["ip", "port", "max_cons", "max_per_ip", "welcome_msg"];

/// Whether a line looks like one of a `settings.py`. A name that vsftpd has too counts only if
/// a space follows its `=`.
pub(super) fn has(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else { return false };
    let is_known = NAMES.iter().any(|(known, _)| *known == name.trim());
    is_known && !value.starts_with('=') && (name != "max_per_ip" || value.starts_with(' '))
}

/// The values of a file by key, and the lines that cannot be read.
struct Settings {
    values: HashMap<&'static str, (usize, Value)>,
    faults: Vec<(usize, String)>,
}

pub(super) fn import(lines: &[(usize, &str)]) -> Imported {
    let mut server = Section::new("server");
    let mut settings = Settings { values: HashMap::new(), faults: Vec::new() };
    for &(number, line) in lines {
        settings.take(number, line, &mut server);
    }
    for key in PLAIN {
        settings.plain(key, &mut server);
    }
    settings.ports(&mut server);
    settings.masquerade(&mut server);
    settings.limits(&mut server);
    settings.log(&mut server);
    let anonymous = settings.anonymous().map_or_else(String::new, |mut section| {
        if settings.faults.is_empty() {
            return section.text + "\n";
        }
        section.note("left out, because a line that cannot be read may have restricted it");
        section.held() + "\n"
    });
    let text = server.text + "\n" + &anonymous;
    Imported { text, faults: settings.faults }
}

impl Settings {
    fn take(&mut self, number: usize, line: &str, server: &mut Section) {
        let word = line.split_whitespace().next().unwrap_or_default();
        if ["import", "from"].contains(&word) {
            return;
        }
        let Some((name, value)) = line.split_once('=') else {
            return self.faults.push((number, "expected name = value".to_owned()));
        };
        let name = name.trim();
        let Some(value) = Value::parse(value) else {
            let why = format!("the value of {} is not a constant", name.escape_debug());
            return self.faults.push((number, why));
        };
        match NAMES.iter().find(|(known, _)| *known == name) {
            // the last of several lines counts, as in Python
            Some((_, key)) => drop(self.values.insert(key, (number, value))),
            None => server.no_equal(line.trim()),
        }
    }

    /// Returns the line and the text of a value. A value that is not a text is a fault.
    fn text(&mut self, key: &'static str) -> Option<(usize, String)> {
        let (line, value) = self.values.get(key)?;
        let line = *line;
        let text = value.text().filter(|text| edit::quoted(text).is_some());
        let Some(text) = text else {
            self.faults.push((line, format!("the value of {key} is not a string or number")));
            return None;
        };
        Some((line, text))
    }

    /// Returns the text of a value if the key accepts it. A value that it does not accept is a
    /// fault.
    fn good(&mut self, key: &'static str) -> Option<String> {
        let (line, text) = self.text(key)?;
        match config::value_fault(key, &text) {
            None => Some(text),
            Some(why) => {
                self.faults.push((line, format!("{key}: {why}")));
                None
            }
        }
    }

    fn plain(&mut self, key: &'static str, server: &mut Section) {
        // an empty address means all addresses
        let is_empty = self.text(key).is_none_or(|(_, text)| text.is_empty());
        if is_empty && self.values.contains_key(key) && key == "ip" {
            server.set(key, "0.0.0.0");
        } else if let Some(text) = self.good(key) {
            server.set(key, &text);
        }
    }

    fn ports(&mut self, server: &mut Section) {
        let Some((line, value)) = self.values.get("passive_ports") else { return };
        let line = *line;
        let range = match value {
            Value::Tuple(ports) => match ports[..] {
                [Value::Number(first), Value::Number(last)] => Some(format!("{first}-{last}")),
                _ => None,
            },
            Value::Text(_) | Value::Number(_) | Value::Truth(_) | Value::None => None,
        };
        let range = range.filter(|range| config::value_fault("passive_ports", range).is_none());
        match range {
            Some(range) => {
                server.note(
                    "here the range includes its last port; the tutorial's server left it out",
                );
                server.set("passive_ports", &range);
            }
            None => {
                self.faults.push((line, "passive_ports is not a range of ports".to_owned()));
            }
        }
    }

    fn masquerade(&mut self, server: &mut Section) {
        if self.text("masquerade_address").is_some_and(|(_, text)| !text.is_empty())
            && let Some(host) = self.good("masquerade_address")
        {
            server.set("masquerade_address", &host);
        }
    }

    fn limits(&mut self, server: &mut Section) {
        let are_off = self.switch("limit_trans") == Some(false);
        let mut any = false;
        for key in ["max_upload", "max_download"] {
            let limit = if are_off { None } else { self.good(key) };
            any |= limit.is_some();
            if let Some(limit) = limit {
                server.set(key, &limit);
            }
        }
        if any {
            server.note("The tutorial's server has these two the wrong way round: its max_upload limits");
            server.note(
                "downloads, and its max_download limits uploads. Here each limits what it names.",
            );
        }
    }

    fn log(&mut self, server: &mut Section) {
        let Some(is_on) = self.switch("enable_logging") else { return };
        server.set("enable_logging", if is_on { "on" } else { "off" });
        let Some((_, file)) = self.text("log_file").filter(|(_, file)| !file.is_empty()) else {
            return;
        };
        if is_on {
            server.set("log_file", &file);
        } else {
            server.note(&format!("log_file = {file}"));
        }
    }

    fn anonymous(&mut self) -> Option<Section> {
        if self.switch("enable_anonymous") != Some(true) {
            return None;
        }
        let Some((_, home)) = self.text("anonymous_path").filter(|(_, home)| !home.is_empty())
        else {
            let line = self.values.get("enable_anonymous").map_or(0, |(line, _)| *line);
            let why = "enable_anonymous requires an anonymous_path".to_owned();
            self.faults.push((line, why));
            return None;
        };
        let mut section = Section::new("anonymous");
        section.set("home", &home);
        section.set("perm", "elr");
        Some(section)
    }

    /// Returns the value of a switch such as `'on'` or `True`. Any other value is a fault, and
    /// gives `None`.
    fn switch(&mut self, key: &'static str) -> Option<bool> {
        let (line, text) = self.text(key)?;
        match &*text.to_ascii_lowercase() {
            "on" | "true" | "1" | "yes" => Some(true),
            "off" | "false" | "0" | "no" | "" => Some(false),
            _ => {
                self.faults.push((line, format!("{key} is neither on nor off")));
                None
            }
        }
    }
}
