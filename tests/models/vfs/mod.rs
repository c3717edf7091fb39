//! The files of `vfs`, all of which are modelled.

#[path = "../../../src/vfs/error.rs"]
mod error;
#[path = "../../../src/vfs/files/mod.rs"]
mod files;
mod parts;
#[path = "../../../src/vfs/path.rs"]
mod path;
#[path = "../../../src/vfs/quota/mod.rs"]
mod quota;
#[path = "../../../src/vfs/trash/mod.rs"]
mod trash;
#[path = "../../../src/vfs/tree/mod.rs"]
mod tree;
#[path = "../../../src/vfs/upload/mod.rs"]
mod upload;
#[path = "../../../src/vfs/word.rs"]
mod word;

pub(crate) use error::FsError;
pub(crate) use parts::MODELS;
