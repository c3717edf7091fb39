//! The files of `vfs`, all of which are modelled.

#[path = "../../../src/vfs/beside.rs"]
mod beside;
#[path = "../../../src/vfs/error.rs"]
mod error;
#[path = "../../../src/vfs/files/mod.rs"]
mod files;
#[path = "../../../src/vfs/hash/mod.rs"]
mod hash;
#[path = "../../../src/vfs/mounts.rs"]
mod mounts;
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
