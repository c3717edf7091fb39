//! `ftpd adduser` and `ftpd deluser`: add and remove the section of a user.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{Gid, Uid, fchown, fstat};
use rustix::process::geteuid;

use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::passwd::{file_with, no_user, place_of, warn_of_variables};
use super::print::{complain, say};
use super::rewrite::rewrite;
use super::secret::new_hash;
use super::settings::origin;
use super::unit::{Unit, server_user};
use crate::config::{self, PermSet, edit};
use crate::log::escaped;
use crate::rights::{self, Held, Ids};

/// The user to add.
struct New {
    name: String,
    perm: Option<String>,
    home: PathBuf,
    create_home: bool,
}

/// Runs `ftpd adduser`.
pub(super) fn add(arguments: Arguments) -> Result<ExitCode, Stop> {
    let (new, named) = New::parse(arguments)?;
    let origin = origin(named.as_deref())?;
    let shown = escaped(new.name.as_bytes()).to_string();
    let place = place_of(&origin, &new.name)?;
    let file = place.file;
    if !place.lines.is_empty() {
        return Err(Stop::Failed(format!("{} has [user:{shown}] already", file.display())));
    }
    let home = new.home_value()?;
    let make_home = new.must_make_home()?;
    let hash = new_hash(&format!(" of {shown}"))?;
    let owner = if make_home { server_user(&origin) } else { None };
    let made =
        make_home.then(|| make(&new.home, owner.as_ref())).transpose().map_err(|why| {
            Stop::Failed(format!("cannot make the home {}: {why}", new.home.display()))
        })?;
    let mut entries = vec![("password", hash.as_str())];
    entries.extend(new.perm.as_deref().map(|perm| ("perm", perm)));
    entries.push(("home", &home));
    let section = format!("user:{}", new.name);
    let added =
        rewrite(&origin, &file, |text| Ok((edit::append(text, &section, &entries), ())));
    if let (Err(_), Some(made)) = (&added, made) {
        // this fails if something has been put into the directory in the meantime
        let _ = made.remove_folder();
    }
    added?;
    let writes = new.perm.as_deref().and_then(|perm| PermSet::parse(perm).ok());
    let writes = writes.is_some_and(PermSet::writes);
    let unit = Unit::of(&origin);
    if let Some(why) = unit.and_then(|unit| unit.advice_for(&new.home, writes)) {
        complain(&format!("warning: home {}: {why}", new.home.display()));
    }
    warn_of_variables(&origin, &new.name, |_| true);
    Ok(say(&format!(
        "{}: added [user:{shown}]. Run 'ftpd reload' to apply it.",
        file.display()
    )))
}

/// Runs `ftpd deluser`.
pub(super) fn remove(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let name = match arguments.next()? {
        Some(Word::Value(name)) => name.to_string_lossy().into_owned(),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => return Err(Stop::Misuse("expected a user".to_owned())),
    };
    let origin = origin(arguments.end()?.as_deref())?;
    let file = file_with(&origin, &name)?;
    let home = config::load_to_serve(&origin)
        .ok()
        .and_then(|config| Some(config.users.get(&name)?.home.clone()));
    let (keys, folders) = rewrite(&origin, &file, |text| {
        let removed = edit::remove_user(text, &name);
        let removed = removed.ok_or_else(|| no_user(&name, &file))?;
        Ok((removed.text, (removed.keys, removed.folders)))
    })?;
    let folders =
        folders.iter().map(|section| format!(", and [{}]", escaped(section.as_bytes())));
    for (variable, _) in origin.environment.of_user(&name) {
        let variable = escaped(variable.as_bytes());
        complain(&format!("warning: {variable} is still set, for a user of this name"));
    }
    let stays = home.map(|home| format!("\nThe home {} was left as it is.", home.display()));
    Ok(say(&format!(
        "{}: removed [user:{}] with {}{}. Run 'ftpd reload' to apply it.{}",
        file.display(),
        escaped(name.as_bytes()),
        keys.join(", "),
        folders.collect::<String>(),
        stays.unwrap_or_default()
    )))
}

impl New {
    fn parse(mut arguments: Arguments) -> Result<(Self, Option<PathBuf>), Stop> {
        let (mut name, mut home, mut perm, mut create_home) = (None, None, None, false);
        while let Some(word) = arguments.next()? {
            match word {
                Word::Flag(flag) => match flag.as_str() {
                    "--home" => home = Some(arguments.value()?),
                    "--perm" => perm = Some(arguments.value()?),
                    "--create-home" => create_home = true,
                    _ => return Err(Word::Flag(flag).unexpected()),
                },
                Word::Value(text) if name.is_none() => name = Some(text),
                more @ Word::Value(_) => return Err(more.unexpected()),
            }
        }
        let (Some(name), Some(home)) = (name, home) else {
            return Err(Stop::Misuse("expected a name and --home DIR".to_owned()));
        };
        let name = name.into_string().ok().filter(|name| is_name(name)).ok_or_else(|| {
            Stop::Misuse(
                "the name of a user must be text without brackets, slashes, a leading dot, or spaces at its ends".to_owned(),
            )
        })?;
        if let Some(Err(letter)) = perm.as_deref().map(PermSet::parse) {
            let letter = letter.escape_debug();
            return Err(Stop::Misuse(format!("'{letter}' is not a permission letter")));
        }
        // made absolute, because it is relative to the working directory and not to the
        // settings file
        let home = std::path::absolute(&home)
            .map_err(|why| Stop::Misuse(format!("'{}': {why}", home.escape_debug())))?;
        Ok((Self { name, perm, home, create_home }, arguments.file))
    }

    /// Returns the home as a value for the settings.
    fn home_value(&self) -> Result<String, Stop> {
        let text = self.home.to_str().and_then(edit::quoted);
        text.ok_or_else(|| {
            Stop::Failed("the path of the home must be text without line breaks".to_owned())
        })
    }

    /// Returns whether the home must be made. Fails if the home does not exist and
    /// `--create-home` is not given.
    fn must_make_home(&self) -> Result<bool, Stop> {
        let shown = self.home.display();
        match fs::metadata(&self.home) {
            Ok(meta) if meta.is_dir() => Ok(false),
            Ok(_) => Err(Stop::Failed(format!("{shown} is not a directory"))),
            Err(why) if why.kind() == io::ErrorKind::NotFound && self.create_home => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                Err(Stop::Failed(format!("{shown} does not exist; --create-home makes it")))
            }
            Err(why) => Err(Stop::Failed(format!("{shown}: {why}"))),
        }
    }
}

/// Returns whether a name can be used in the line of a section, in a command of a client, and
/// as a file name.
fn is_name(name: &str) -> bool {
    let odd = |letter: char| letter.is_control() || "[]/".contains(letter);
    !name.is_empty() && name.trim() == name && !name.starts_with('.') && !name.contains(odd)
}

/// Makes a home. If root makes it, it belongs to the server's user, or, if that is not known,
/// to the owner of the directory above.
fn make(home: &Path, owner: Option<&Ids>) -> io::Result<Held> {
    let held = Held::find(home)?;
    let above = fstat(held.folder())?;
    let made = held.make_folder(0o755)?;
    let (uid, gid) = owner.map_or((above.st_uid, above.st_gid), |ids| (ids.uid, ids.gid));
    let own = fstat(&made)?;
    // users who can write to the directory above may have replaced the new home
    let is_fresh = own.st_uid == geteuid().as_raw();
    if is_fresh && own.st_uid != uid {
        let given = fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        if let (Err(why), true) = (given, rights::is_root()) {
            let _ = held.remove_folder();
            return Err(why.into());
        }
    }
    Ok(held)
}
