//! Reads the files of the settings. The content of one of them may be replaced by an edited
//! version.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::rights;

/// The files on the disk, one of which may be replaced by edited content.
#[derive(Default)]
pub(super) struct View<'a> {
    edited: Option<(&'a Path, &'a [u8])>,
}

impl<'a> View<'a> {
    /// Makes a view in which `file` has the content `bytes`.
    pub(super) fn edited(file: &'a Path, bytes: &'a [u8]) -> Self {
        Self { edited: Some((file, bytes)) }
    }

    /// Reads a file, and returns its content and its mode.
    pub(super) fn read(&self, file: &Path) -> io::Result<(Vec<u8>, u32)> {
        if let Some((edited, bytes)) = self.edited
            && edited == file
        {
            return Ok((bytes.to_vec(), 0o600));
        }
        let mut open = rights::open(file)?;
        let meta = open.metadata()?;
        let mut bytes = Vec::new();
        open.read_to_end(&mut bytes)?;
        Ok((bytes, meta.permissions().mode()))
    }

    /// Returns the files of `users_file`: the file itself, or the `.ini` files of the directory, sorted
    /// by name.
    #[expect(clippy::disallowed_methods, reason = "this module reads the settings")]
    pub(super) fn files(&self, users: &Path) -> io::Result<Vec<PathBuf>> {
        if !users.is_dir() {
            return Ok(vec![users.to_owned()]);
        }
        if rights::is_root() {
            rights::may_follow(users, None).map_err(io::Error::other)?;
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(users)? {
            files.push(entry?.path());
        }
        if let Some((edited, _)) = self.edited
            && edited.parent() == Some(users)
            && !files.iter().any(|file| file == edited)
        {
            files.push(edited.to_owned());
        }
        let is_hidden = |file: &PathBuf| {
            file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        files.retain(|file| {
            !is_hidden(file) && file.extension().is_some_and(|extension| extension == "ini")
        });
        files.sort();
        Ok(files)
    }
}
