//! The trash: where files go that are deleted or replaced, if the settings say so.
//!
//! Each file system inside a home has a trash of its own, so that one rename moves a file there. It
//! is the directory `.ftpd-trash` in the topmost directory of the file system that is inside the
//! home. Sessions that act as another system user have `.ftpd-trash-UID`, which belongs to that user.
//!
//! In it, each path has a directory of its own, and what had the path lies in it as a version: a
//! version of `/a/b.txt` is `.ftpd-trash/a/b.txt/.ftpd-trash-STAMP-NUMBER`. Clients cannot make
//! reserved names, so that a version is never mistaken for a directory of a path. A removed
//! directory is a version too, an empty one.
//!
//! At each moment, a file is at its name or whole in the trash.

pub(in crate::vfs) mod bin;
pub(in crate::vfs) mod discard;
pub(in crate::vfs) mod empty;
mod half;
pub(in crate::vfs) mod heap;
pub(in crate::vfs) mod owners;
pub(in crate::vfs) mod replace;
pub(in crate::vfs) mod restore;
pub(in crate::vfs) mod stamp;
mod subvolumes;
pub(in crate::vfs) mod tally;
mod top;
