//! The user's virtual file system: virtual paths, and the tree they are looked up in.
//!
//! Nothing else opens served files. Confinement is the kernel's work: every lookup starts at
//! a directory handle of the user's root and is refused when it leads out of it, so a
//! symlink that is swapped in between a check and a use gains nothing.
//!
//! An upload stays out of sight in a part file until it is whole. Clients never see the parts
//! themselves: the names that they have are not there for them.

mod error;
mod files;
mod parts;
mod path;
mod tree;
mod upload;
mod why;

pub use error::{FsError, Heed};
pub use files::{Files, Listing};
#[doc(hidden)]
pub use parts::journal::{reread_journal, write_journal_line};
#[doc(hidden)]
pub use parts::name::{reread_part_name, write_part_name};
pub use parts::store::Parts;
pub use parts::turns::Turns;
pub use path::VirtualPath;
pub use tree::entry::{Entry, FileKind};
pub use tree::home::Home;
pub use tree::mode::NewMode;
pub use upload::open::Upload;
pub use upload::plan::{Store, Told};
pub use upload::prepare::Prepared;
pub use upload::uploads::Uploader;
pub use why::{could, missing_right};
