//! Kinds of value that are plain text, passwords, permissions and system users.

use std::sync::Arc;

use super::value_kind::{Refused, ValueKind, texts};
use crate::config::charset::Charset;
use crate::config::filing::Filing;
use crate::config::hash::Hash;
use crate::config::pattern::Patterns;
use crate::config::perm::PermSet;
use crate::config::value::{Password, Secret};
use crate::rights::{self, Ids};

/// Any text.
pub(in crate::config) const TEXT: ValueKind<String> =
    texts("text", |given| Ok(given.text.to_owned()));

/// A password in clear text, or a hash of one.
pub(in crate::config) const PASSWORD: ValueKind<Password> =
    texts("password", |given| password(given.text).map_err(Refused::Secret));

/// A text that must not be shown, or none if it is empty.
pub(in crate::config) const SECRET: ValueKind<Option<Secret>> =
    texts("text", |given| Ok((!given.text.is_empty()).then(|| Secret(given.text.to_owned()))));

/// Permission letters.
pub(in crate::config) const PERM: ValueKind<PermSet> =
    texts("permission letters", |given| Ok(perm(given.text)?));

/// A system user, or none if the text is empty. Whether the user exists is checked later, together
/// with the group.
pub(in crate::config) const ACCOUNT: ValueKind<Option<String>> =
    texts("user name or number", |given| {
        Ok((!given.text.is_empty()).then(|| given.text.to_owned()))
    });

/// A system group, or none if the text is empty.
pub(in crate::config) const GROUP: ValueKind<Option<u32>> =
    texts("group name or number", |given| {
        Ok((!given.text.is_empty()).then(|| rights::group(given.text)).transpose()?)
    });

/// A system user, optionally with a group after a colon instead of the user's primary group; none if
/// the text is empty.
pub(in crate::config) const RUN_AS: ValueKind<Option<Arc<Ids>>> =
    texts("user or user:group", |given| {
        let ids = (!given.text.is_empty()).then(|| run_as(given.text)).transpose()?;
        Ok(ids.map(Arc::new))
    });

/// Comma-separated patterns for names.
pub(in crate::config) const PATTERNS: ValueKind<Patterns> =
    texts("comma-separated patterns with * and ?", |given| patterns(given.text));

/// A path as clients see it, or none if the text is empty.
pub(in crate::config) const CLIENT_PATH: ValueKind<Option<String>> =
    texts("path as clients see it", |given| match given.text {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(path.to_owned())),
        _ => Err(Refused::Text("does not begin with a slash, which is the home".to_owned())),
    });

/// The charset of names.
pub(in crate::config) const CHARSET: ValueKind<Charset> =
    texts("utf-8, the name of another charset, or auto: and that name", |given| {
        Ok(Charset::parse(given.text)?)
    });

/// A template for the paths of uploads, or none if the text is empty.
pub(in crate::config) const FILING: ValueKind<Option<Arc<Filing>>> = texts(
    "path with {year}, {month}, {day}, {hour}, {name}, {stem}, {ext}, {user}, {ip}",
    |given| {
        let filing = (!given.text.is_empty()).then(|| Filing::parse(given.text)).transpose()?;
        Ok(filing.map(Arc::new))
    },
);

fn patterns(text: &str) -> Result<Patterns, Refused> {
    let all: Vec<_> = text.split(',').map(str::trim).map(str::to_owned).collect();
    if text.is_empty() {
        return Ok(Patterns::default());
    }
    if all.iter().any(String::is_empty) {
        return Err(Refused::Text("has an empty pattern".to_owned()));
    }
    match all.iter().find(|pattern| pattern.contains('/')) {
        Some(bad) => {
            Err(Refused::Part(bad.clone(), "contains a slash, and names have none".to_owned()))
        }
        None => Ok(Patterns::new(all)),
    }
}

fn perm(text: &str) -> Result<PermSet, String> {
    PermSet::parse(text).map_err(|letter| {
        format!("has the unknown permission letter '{}'", letter.escape_debug())
    })
}

/// Reads a password in clear text or a hash.
pub(super) fn password(text: &str) -> Result<Password, &'static str> {
    if text.is_empty() {
        return Err("is empty; a user must have a password");
    }
    match Hash::read(text) {
        None => Ok(Password::Clear(text.to_owned())),
        Some(hash) => hash.map(Password::Hash),
    }
}

/// Reads a system user and its group.
fn run_as(text: &str) -> Result<Ids, String> {
    let (user, group) = text.split_once(':').unzip();
    let gid = group.map(rights::group).transpose()?;
    Ids::of(user.unwrap_or(text), gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        assert_eq!(format!("{:?}", password("secret").unwrap()), "***");
    }
}
