//! Detects changes of the files of a certificate.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::config::TlsSettings;

/// The metadata of the certificate and key files that changes when a file is replaced or written,
/// or gets another mode or owner.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

#[derive(Clone, PartialEq, Eq)]
struct FileStamp {
    id: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Time of the last change of the content, the mode or the owner.
    changed: (i64, i64),
    mode: u32,
    owner: (u32, u32),
}

impl Stamp {
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let stamp = |path: PathBuf| {
            let meta = fs::metadata(path).ok()?;
            Some(FileStamp {
                id: (meta.dev(), meta.ino()),
                size: meta.size(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                changed: (meta.ctime(), meta.ctime_nsec()),
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
            })
        };
        let (certificate, key) = settings.files();
        Self([stamp(certificate), stamp(key)])
    }
}
