//! The user's virtual file system: virtual paths, and the tree they are looked up in.
//!
//! Nothing else opens served files. Confinement is the kernel's work: every lookup starts at
//! a directory handle of the user's root and is refused when it leads out of it, so a
//! symlink that is swapped in between a check and a use gains nothing.

mod error;
mod path;
mod tree;

pub use error::FsError;
pub use path::VirtualPath;
pub use tree::{Entry, FileKind, Listing, Store, Tree, Upload};
