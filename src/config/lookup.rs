//! Reads single keys of a file that may have faults elsewhere, and checks single values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::edit;
use super::field::Target;
use super::ini::{self, Document};
use super::keys::KEYS;
use super::kind::{self, Given};
use super::origin::Origin;
use super::settings::{Rules, Server};
use super::view::View;

/// Finds the sections of a user, or the file to which a new user is added. `file` is the settings file of
/// `origin`. The files may have faults.
///
/// # Errors
///
/// When one of the files cannot be read.
pub fn place_of_user(origin: &Origin, file: &Path, name: &str) -> std::io::Result<UserPlace> {
    let source = View::default();
    let wanted = format!("user:{name}");
    let read = |file: &Path| {
        let bytes = source.read(file).map_err(|why| {
            std::io::Error::new(why.kind(), format!("{}: {why}", file.display()))
        })?;
        Ok::<_, std::io::Error>(bytes.0)
    };
    let main = read(file)?;
    let users = path_of(origin, &ini::read(&main), "users_file");
    let mut texts = vec![(file.to_owned(), main)];
    // a missing users_file is created when the first user is added
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

/// Where the settings of a user are, or would be.
#[derive(Debug)]
pub struct UserPlace {
    /// The file that has the section of the user, or to which a new user is added.
    pub file: PathBuf,
    /// File and line of each section of the user. More than one is a fault; if there is none, the
    /// user does not exist yet.
    pub lines: Vec<(PathBuf, usize)>,
}

/// Returns the admin socket that the settings name. They may have faults elsewhere.
///
/// # Errors
///
/// When the file cannot be read.
pub fn admin_socket(origin: &Origin) -> std::io::Result<Option<PathBuf>> {
    Ok(path_of(origin, &document(origin)?, "admin_socket"))
}

/// Returns the text of a key of `[server]`, or its default. The settings may have faults elsewhere.
///
/// # Errors
///
/// When the file cannot be read.
pub fn server_text(origin: &Origin, name: &str) -> std::io::Result<Option<String>> {
    Ok(text_of(origin, &document(origin)?, name).map(str::to_owned))
}

fn document(origin: &Origin) -> std::io::Result<Document> {
    let read =
        |file: &PathBuf| Ok::<_, std::io::Error>(ini::read(&View::default().read(file)?.0));
    origin.file.as_ref().map_or_else(|| Ok(Document::default()), read)
}

/// Returns a path that `[server]` sets.
fn path_of(origin: &Origin, document: &Document, name: &str) -> Option<PathBuf> {
    text_of(origin, document, name).map(|text| origin.folder().join(text))
}

fn text_of<'d>(origin: &'d Origin, document: &'d Document, name: &str) -> Option<&'d str> {
    let variable = origin.environment.server_text(name);
    let entries = document.sections.iter().filter(|section| section.name == "server");
    let mut entries = entries.flat_map(|section| &section.entries);
    let said = entries.find(|entry| entry.key == name).map(|entry| entry.value.as_str());
    let default = KEYS.iter().find(|key| key.name == name).and_then(|key| key.default);
    variable.or(said).or(default).filter(|text| !text.is_empty())
}

/// Reads a duration that is written as in the settings. Returns `None` for 0.
///
/// # Errors
///
/// Returns the fault of the text, worded to follow the quoted text: `'TEXT' is not a duration`.
pub fn duration(text: &str) -> Result<Option<Duration>, String> {
    kind::time(text)
}

/// Returns whether a text is an IPv4 address that clients can connect to, or a host name.
pub fn is_host(text: &str) -> bool {
    matches!(kind::reachable_host(text), Ok(Some(_)))
}

/// Returns what is wrong with a value of a key of `[server]`, or `None` if the value is valid.
pub fn value_fault(name: &str, text: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    let (mut server, mut rules) = (Server::blank(), Rules::blank());
    let mut target = Target::Server(&mut server, &mut rules);
    let given = Given { text, folder: Path::new("/"), user: None };
    key.set(&given, &mut target).err().map(|fault| fault.to_string())
}
