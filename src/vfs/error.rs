//! The errors of file actions, by what happened.

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::config::Perm;

/// Callback that a long file action calls now and then. It returns whether to continue.
pub type Heed<'a> = dyn FnMut() -> bool + 'a;

/// Why a file action failed. It does not say which reply the client gets.
#[derive(Debug)]
pub enum FsError {
    /// No such file or directory.
    NotFound,
    /// The system's permissions forbid it, or the file system is read-only.
    Denied(io::Error),
    /// The user does not have this permission where the path leads.
    Lacks(Perm),
    /// The path leads out of the user's root.
    Outside,
    /// The home was mounted or made after the server had entered its sandbox.
    Confined,
    /// The name exists already.
    Exists,
    /// There is a file of this name, which the settings do not allow to replace or change
    /// (`overwrite`).
    Taken,
    /// The directory is not empty.
    NotEmpty,
    /// A directory was needed.
    NotADirectory,
    /// Something other than a directory was needed.
    IsADirectory,
    /// The path leads to a FIFO, a socket, a device, or a file of `/proc`.
    NotAFile,
    /// The root itself cannot be removed or renamed.
    IsRoot,
    /// The disk is full, or the file would exceed its maximum size.
    NoSpace(io::Error),
    /// The file would be larger than the settings allow (`max_file_size`), which is this many bytes.
    TooLarge(u64),
    /// The settings allow no more in this tree. Holds the key (`quota_bytes` or `quota_files`) and its
    /// value.
    QuotaUsed(&'static str, u64),
    /// The settings do not allow the name. Holds the key, and the pattern or patterns.
    NameRefused(&'static str, String),
    /// The template `store_as` makes no valid path of the name.
    Unfiled,
    /// The settings have a section for the folder, or for one within it, which cannot be renamed.
    HasSettings,
    /// A rename cannot lead into a folder from elsewhere, or out of it.
    Across,
    /// The settings of the folder that a rename leads to allow less. Holds what they forbid.
    MoveRefused(&'static str),
    /// A quota is used up.
    OverQuota(io::Error),
    /// Too many other files are read for checksums or copies.
    Crowded,
    /// Another upload is changing the file, or has not ended yet.
    Busy,
    /// The upload cannot begin at the requested offset, only at this one.
    BadOffset(u64),
    /// Another session of the user has resumed this upload.
    TakenOver,
    /// The file was removed or replaced during the action.
    Replaced,
    /// The directory of an upload was renamed, to where other settings apply or while a program looked for
    /// the file.
    Relocated,
    /// The file or directory cannot be moved to the trash, for this reason, and is not deleted.
    NotTrashed(String),
    /// The old version of the file cannot be kept in the trash, for this reason, and is not replaced.
    NotKept(String),
    /// The upload was judged and is refused, for this reason.
    Rejected(String),
    /// The upload could not be judged, for this reason.
    Unjudged(String),
    /// The upload would change a file in place, so that it cannot be judged before.
    Unjudgeable,
    /// The name is reserved for parts of uploads or for the trash.
    Reserved,
    /// The name cannot be used on this file system.
    BadName(io::Error),
    /// The client has ended the action, or its session is ending.
    Interrupted,
    /// The directory would lose its set-group-ID bit.
    LosesSetGid,
    /// The process has too many files open.
    TooManyOpen(io::Error),
    /// The system or its storage has failed. Another attempt may succeed.
    Failed(io::Error),
    /// Any other error of the system.
    Other(io::Error),
}

impl FsError {
    /// Whether the error says nothing about the entry that met it, so that leaving the entry out
    /// of a listing would make the listing wrong. Entries of a mount that does not answer are
    /// left out.
    pub fn spoils_listings(&self) -> bool {
        if let Self::Failed(why) = self {
            let of_mount = [Errno::STALE, Errno::TIMEDOUT, Errno::NOTCONN];
            return Errno::from_io_error(why).is_none_or(|errno| !of_mount.contains(&errno));
        }
        matches!(self, Self::TooManyOpen(_) | Self::NoSpace(_) | Self::OverQuota(_))
    }
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
            // the last three come from file systems over a network or of other programs
            Errno::IO
            | Errno::NOMEM
            | Errno::INTR
            | Errno::AGAIN
            | Errno::NOLCK
            | Errno::STALE
            | Errno::TIMEDOUT
            | Errno::NOTCONN => Self::Failed(error),
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
    #[expect(clippy::too_many_lines, reason = "a flat table of texts")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file or directory"),
            Self::Lacks(perm) => f.write_str(&perm.lacking()),
            Self::Outside => f.write_str("leads out of the user's home"),
            Self::Confined => f.write_str("it was mounted or made after the server started, so it is outside the sandbox; restart the server"),
            Self::Exists => f.write_str("exists already"),
            Self::Taken => f.write_str("there is a file of this name (overwrite)"),
            Self::NotEmpty => f.write_str("directory is not empty"),
            Self::NotADirectory => f.write_str("not a directory"),
            Self::IsADirectory => f.write_str("is a directory"),
            Self::NotAFile => f.write_str("neither a file nor a directory that can be served"),
            Self::IsRoot => f.write_str("is the root"),
            Self::Crowded => f.write_str("too many files are read for checksums or copies"),
            Self::Busy => f.write_str("another upload is changing it"),
            Self::BadOffset(fits) => {
                write!(f, "cannot restart at this offset, only at {fits}")
            }
            Self::TooLarge(most) => write!(f, "larger than max_file_size, {most} bytes"),
            Self::QuotaUsed(key, most) => write!(f, "{key} is used up, {most}"),
            Self::NameRefused(key, patterns) => {
                write!(f, "the name is not allowed by {key} = {patterns}")
            }
            Self::Unfiled => f.write_str("store_as makes no valid path of this name"),
            Self::HasSettings => f.write_str("it has, or contains a folder that has, a section [folder:...]"),
            Self::Across => f.write_str("a rename cannot lead into a folder with from, or out of it"),
            Self::MoveRefused(why) => f.write_str(why),
            Self::TakenOver => f.write_str("another session has resumed the upload"),
            Self::Replaced => f.write_str("it was removed or replaced in the meantime"),
            Self::Relocated => f.write_str("its directory was renamed in the meantime"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::LosesSetGid => f.write_str(
                "the directory would lose its set-group-ID bit, because the server's user is not \
                 in its group",
            ),
            Self::NotTrashed(why) => write!(f, "cannot be moved to the trash: {why}"),
            Self::NotKept(why) => {
                write!(f, "the old version cannot be kept in the trash: {why}")
            }
            Self::Rejected(why) if why.is_empty() => f.write_str("refused by before_publish"),
            Self::Rejected(why) => write!(f, "judged and refused: {why}"),
            Self::Unjudged(why) => write!(f, "could not be judged: {why}"),
            Self::Unjudgeable => f.write_str(
                "it would be changed in place, and could not be judged before (before_publish, scan)",
            ),
            Self::Reserved => f.write_str("the name is reserved for the server's own files"),
            Self::Denied(why)
            | Self::NoSpace(why)
            | Self::OverQuota(why)
            | Self::BadName(why)
            | Self::TooManyOpen(why)
            | Self::Failed(why)
            | Self::Other(why) => why.fmt(f),
        }
    }
}
