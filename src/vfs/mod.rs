//! The user's virtual file system: virtual paths, and the tree they are looked up in.
//!
//! Nothing else opens served files. Confinement is the kernel's work: every lookup starts at
//! a directory handle of the user's root and is refused when it leads out of it, so a
//! symlink that is swapped in between a check and a use gains nothing.

//!
//! An upload stays out of sight in a part file until it is whole. Clients never see the parts
//! themselves: the names that they have are not there for them.

mod attributes;
mod beneath;
mod error;
mod home;
mod journal;
mod names;
mod part;
mod part_name;
mod parts;
mod path;
mod places;
mod prepare;
mod reason;
mod resume;
mod tree;
mod upload;

pub use error::{FsError, Heed};
#[doc(hidden)]
pub use journal::{reread_journal, write_journal_line};
#[doc(hidden)]
pub use part_name::{reread_part_name, write_part_name};
pub use parts::Parts;
pub use path::VirtualPath;
pub use tree::{Entry, FileKind, Home, Listing, NewMode, Tree};
pub use upload::{Store, Told, Upload, Uploads};
