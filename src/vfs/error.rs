//! What can go wrong in the user's tree, by kind.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Asked now and then by what may take long: whether it is still to be done.
pub type Heed<'a> = dyn FnMut() -> bool + 'a;

/// A file action that failed. Says what happened, not what to answer.
#[derive(Debug)]
pub enum FsError {
    /// No such file or directory.
    NotFound,
    /// The system's permissions, or the read-only state of the file system, forbid it.
    Denied(io::Error),
    /// The path leads out of the user's root.
    Outside,
    /// A home that was mounted or made since the server has entered its sandbox.
    Confined,
    /// It is there already.
    Exists,
    /// The directory has entries.
    NotEmpty,
    /// A directory was needed.
    NotADirectory,
    /// Something other than a directory was needed.
    IsADirectory,
    /// A FIFO, socket or device.
    NotAFile,
    /// The root itself cannot be removed or renamed.
    IsRoot,
    /// No room on the disk, or the file would be longer than it may be.
    NoSpace(io::Error),
    /// A quota is used up.
    OverQuota(io::Error),
    /// Another upload is changing the file, or is still to be ended.
    Busy,
    /// An upload cannot begin at this offset; it could at the other one.
    BadOffset(u64),
    /// Another session of the user goes on with this upload.
    TakenOver,
    /// Somebody has removed or replaced the file meanwhile.
    Replaced,
    /// A name that is kept for parts.
    Reserved,
    /// The name cannot be used on this file system.
    BadName(io::Error),
    /// Whoever asked for it does not want it any more.
    Interrupted,
    /// The system would take the set-group-ID bit of a directory away.
    LosesSetGid,
    /// The process has too many files open.
    TooManyOpen(io::Error),
    /// Anything else.
    Other(io::Error),
}

impl From<io::Error> for FsError {
    fn from(error: io::Error) -> Self {
        let Some(errno) = Errno::from_io_error(&error) else { return Self::Other(error) };
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => Self::Denied(error),
            Errno::EXIST => Self::Exists,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::ISDIR => Self::IsADirectory,
            Errno::NXIO | Errno::NODEV => Self::NotAFile,
            Errno::NOSPC | Errno::FBIG => Self::NoSpace(error),
            Errno::DQUOT => Self::OverQuota(error),
            Errno::NAMETOOLONG | Errno::ILSEQ => Self::BadName(error),
            Errno::MFILE | Errno::NFILE => Self::TooManyOpen(error),
            _ => Self::Other(error),
        }
    }
}

impl From<Errno> for FsError {
    fn from(errno: Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file or directory"),
            Self::Outside => f.write_str("leads out of the user's home"),
            Self::Confined => f.write_str("it was mounted or made since the start, and so lies outside of the sandbox; start the server anew"),
            Self::Exists => f.write_str("exists already"),
            Self::NotEmpty => f.write_str("directory is not empty"),
            Self::NotADirectory => f.write_str("not a directory"),
            Self::IsADirectory => f.write_str("is a directory"),
            Self::NotAFile => f.write_str("neither a file nor a directory"),
            Self::IsRoot => f.write_str("is the root"),
            Self::Busy => f.write_str("another upload is changing it"),
            Self::BadOffset(fits) => {
                write!(f, "the restart offset does not fit; {fits} would")
            }
            Self::TakenOver => f.write_str("another session goes on with the upload"),
            Self::Replaced => f.write_str("it was removed or replaced meanwhile"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::LosesSetGid => f.write_str(
                "it would take the set-group-ID bit away, for the server's user is not in the \
                 group of the directory",
            ),
            Self::Reserved => f.write_str("the name is kept for parts of uploads"),
            Self::Denied(why)
            | Self::NoSpace(why)
            | Self::OverQuota(why)
            | Self::BadName(why)
            | Self::TooManyOpen(why)
            | Self::Other(why) => why.fmt(f),
        }
    }
}
