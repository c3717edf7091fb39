//! The home directory of a user: its path, and whether it must exist.

use std::path::{Path, PathBuf};

use super::error::Fault;
use super::settings::User;

/// The placeholder for the name of the user.
const USER: &str = "{user}";

/// Maximum length of a file name in bytes.
const LONGEST_NAME: usize = 255;

/// Returns the path of the home `text` of the user `name`. Without a name, `{user}` is not
/// replaced.
///
/// # Errors
///
/// Returns the fault of the text, worded to follow the quoted text: `'TEXT' is not a directory`.
pub(super) fn path(text: &str, folder: &Path, name: Option<&str>) -> Result<PathBuf, String> {
    let Some(name) = name else { return Ok(folder.join(text)) };
    if text.is_empty() {
        return Err("is not a directory".to_owned());
    }
    let odd = |letter: char| letter.is_control() || letter == '/';
    let is_odd =
        matches!(name, "" | "." | "..") || name.contains(odd) || name.len() > LONGEST_NAME;
    if is_odd && text.contains(USER) {
        return Err(format!(
            "contains {{user}}, but '{name}' cannot be the name of a directory"
        ));
    }
    Ok(folder.join(expanded(text, name)))
}

/// Returns the text with the name of the user in place of `{user}`.
pub(super) fn expanded(text: &str, name: &str) -> String {
    text.replace(USER, name)
}

/// Checks that the home of `user` exists, unless other keys of the user say that it need not.
/// `text` is the value in the file.
///
/// # Errors
///
/// `Fault::Absent` if the home may appear later; another fault if the path cannot be a home.
pub(super) fn check(text: &str, user: &User) -> Result<(), Fault> {
    let path = &user.home;
    let refused = |why: String| Fault::Value(text.to_owned(), why);
    let why = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(refused("is not a directory".to_owned())),
        Err(why) => why,
    };
    // perhaps only the system user of run_as can see the directory
    if user.run_as.is_some() && why.kind() == std::io::ErrorKind::PermissionDenied {
        return Ok(());
    }
    if why.kind() != std::io::ErrorKind::NotFound {
        return Err(refused(format!("is not a directory: {why}")));
    }
    // a dangling link counts as existing, because no directory is created where it points
    let is_missing = !is_there(path);
    if is_missing && !user.enabled {
        return Ok(());
    }
    if is_missing && user.rules.files.create_home {
        let above = path.ancestors().find(|above| is_there(above)).unwrap_or(path);
        if above.is_dir() {
            return Ok(());
        }
        // a dangling link may point to a disk that is mounted later
        if std::fs::metadata(above).is_ok() {
            let above = above.display();
            return Err(refused(format!("cannot be created: {above} is not a directory")));
        }
    }
    Err(Fault::Absent(text.to_owned(), path.clone(), why.to_string()))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
