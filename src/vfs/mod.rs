//! The virtual file system of a user: everything that is served lies below a home directory.
//!
//! Only this room opens served files. Every lookup starts at a directory handle of the home and
//! cannot leave the home, not even by a symbolic link that is created between a check and a
//! use.
//!
//! An upload is written to a hidden part file until it is complete. Clients never see part
//! files, and cannot use their names.
//!
//! The modules form storeys; each uses only those below it:
//!
//! | Storey | Holds |
//! | --- | --- |
//! | `why` | whether the system would refuse an action, and why it refused one |
//! | `keep` | retention: which files go, and removing them |
//! | `files` | what one session sees: the tree and the user's own unfinished uploads |
//! | `hash` | checksums of files, and how many are computed at once |
//! | `mounts` | the trees of one session: the home and the folders from elsewhere |
//! | `upload` | uploads: planning them, and one file for each way to write them |
//! | `parts` | the store of parts, their names and journal, and the turns that uploads take |
//! | `trash` | where deleted and replaced files go |
//! | `quota` | what the files below a home take, and what they may take |
//! | `respell` | renaming what has names in another charset |
//! | `tree` | the confined tree as it is on the disk |
//! | `path`, `beside`, `error`, `word` | values |

mod beside;
mod error;
mod files;
mod hash;
mod keep;
mod mounts;
mod parts;
mod path;
mod quota;
mod respell;
mod trash;
mod tree;
mod upload;
mod why;
mod word;

pub use error::{FsError, Heed};
pub use files::room::Need;
pub use files::whole::Copying;
pub use files::{Files, Listing, Renamed};
pub use hash::{Algorithm, Hashes, Told as Counted, Wanted};
pub use keep::clock::Clock;
pub use keep::keeper::{FileReport, Keeper, Report, RoomReport, RuleReport};
#[doc(hidden)]
pub use parts::journal::{reread_journal, write_journal_line};
pub use parts::left::LeftPart;
#[doc(hidden)]
pub use parts::name::{reread_part_name, write_part_name};
pub use parts::pins::Pin;
pub use parts::store::Parts;
pub use parts::turns::Turns;
pub use path::VirtualPath;
pub use quota::count::{Count, Limits};
pub use quota::quotas::{QuotaState, Quotas};
pub use quota::survey::count_home;
pub use respell::{Respelling, Respelt};
pub use trash::empty::Emptied;
pub use trash::heap::HomeTrash;
pub use trash::owners::Owners;
pub use trash::restore::{Deleted, Restored};
pub use trash::tally::{TrashTally, trash_tally};
pub use tree::entry::{Entry, FileKind, Identity, Letters};
pub use tree::home::Home;
pub use tree::mode::NewMode;
pub use upload::body::Whole;
pub use upload::destination::Destination;
pub use upload::open::{Stored, Upload};
pub use upload::plan::{Store, Told};
pub use upload::prepare::Prepared;
pub use upload::uploads::Uploader;
pub use why::{could, missing_right};
