//! What can be read of a file that may have faults elsewhere, and of single values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::draft::Draft;
use super::edit;
use super::field::Target;
use super::ini::{self, Document};
use super::keys::KEYS;
use super::kind::{self, Given};
use super::settings::{Rules, Server};
use super::view::View;

/// Where a user has a section, or would get one. The files may have faults.
///
/// # Errors
///
/// When one of them cannot be read.
pub fn place_of_user(file: &Path, name: &str) -> std::io::Result<UserPlace> {
    let source = View::default();
    let wanted = format!("user:{name}");
    let read = |file: &Path| {
        let bytes = source.read(file).map_err(|why| {
            std::io::Error::new(why.kind(), format!("{}: {why}", file.display()))
        })?;
        Ok::<_, std::io::Error>(bytes.0)
    };
    let main = read(file)?;
    let users = server_path(file, &ini::read(&main), "users_file");
    let mut texts = vec![(file.to_owned(), main)];
    // the first user makes it
    if let Some(users) = users.as_ref().filter(|users| users.try_exists().unwrap_or(true)) {
        for file in source.files(users)? {
            let text = read(&file)?;
            texts.push((file, text));
        }
    }
    let mut places = Vec::new();
    for (file, text) in texts {
        let lines = edit::places(&text, &wanted);
        places.extend(lines.into_iter().map(|line| (file.clone(), line)));
    }
    if let Some((file, _)) = places.first() {
        return Ok(UserPlace { file: file.clone(), lines: places });
    }
    let new = match users {
        Some(users) if users.is_dir() => users.join(format!("{name}.ini")),
        Some(users) => users,
        None => file.to_owned(),
    };
    Ok(UserPlace { file: new, lines: places })
}

/// Where a user stands in the settings.
#[derive(Debug)]
pub struct UserPlace {
    /// The file in which the user stands or would stand.
    pub file: PathBuf,
    /// Each section of the user: more than one is a fault, and none is a user who is still to come.
    pub lines: Vec<(PathBuf, usize)>,
}

/// The admin socket of a file that may have faults elsewhere.
///
/// # Errors
///
/// When the file cannot be read.
pub fn admin_socket(file: &Path) -> std::io::Result<Option<PathBuf>> {
    let document = ini::read(&View::default().read(file)?.0);
    Ok(server_path(file, &document, "admin_socket"))
}

/// The text of a key of `[server]` in a file that may have faults elsewhere.
///
/// # Errors
///
/// When the file cannot be read.
pub fn server_text(file: &Path, name: &str) -> std::io::Result<Option<String>> {
    let document = ini::read(&View::default().read(file)?.0);
    Ok(text_of(&document, name).map(str::to_owned))
}

/// A path of `[server]`, where the rest may have faults.
fn server_path(file: &Path, document: &Document, name: &str) -> Option<PathBuf> {
    text_of(document, name).map(|text| Draft::new(file, 0).folder.join(text))
}

fn text_of<'d>(document: &'d Document, name: &str) -> Option<&'d str> {
    let entries = document.sections.iter().filter(|section| section.name == "server");
    let mut entries = entries.flat_map(|section| &section.entries);
    let said = entries.find(|entry| entry.key == name).map(|entry| entry.value.as_str());
    let default = KEYS.iter().find(|key| key.name == name).and_then(|key| key.default);
    said.or(default).filter(|text| !text.is_empty())
}

/// A duration as a key takes it; `None` is 0.
///
/// # Errors
///
/// What is wrong with it, in words that follow the quoted text.
pub fn duration(text: &str) -> Result<Option<Duration>, String> {
    kind::time(text)
}

/// Whether a text is an IPv4 address that clients can connect to, or may be the name of a host.
pub fn is_host(text: &str) -> bool {
    matches!(kind::reachable_host(text), Ok(Some(_)))
}

/// What is wrong with a value of a key of `[server]`, if something is; in words that follow the key.
pub fn value_fault(name: &str, text: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    let (mut server, mut rules) = (Server::blank(), Rules::blank());
    let mut target = Target::Server(&mut server, &mut rules);
    let given = Given { text, folder: Path::new("/"), user: None };
    key.set(&given, &mut target).err().map(|fault| fault.to_string())
}
