//! Copying the beginning of a file into a new part.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::ioctl_ficlone;
use rustix::io::Errno;

use super::obstacle::{Hindrance, Obstacle};
use super::plan::Copying;
use crate::vfs::error::{FsError, Heed};

/// Number of bytes that are copied between two calls of `heed`.
const COPIED_AT_ONCE: u64 = 1 << 20;

/// Whether files of a device may be cloned, as far as is known.
pub(super) fn may_clone(device: u64) -> bool {
    !cannot_clone().contains(&device)
}

/// Devices whose files are known not to support cloning.
fn cannot_clone() -> MutexGuard<'static, BTreeSet<u64>> {
    static DEVICES: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a part with the content of a file on `device`: with a clone, which costs nothing, or
/// else with a copy. The upload is then written after this content.
pub(super) fn begin_with(
    source: &File,
    part: &mut File,
    device: u64,
    copying: Copying,
    heed: &mut Heed<'_>,
) -> Result<(), Hindrance> {
    let from = copying.from;
    if clone(source, part, device) {
        part.set_len(from)?;
    } else if !copying.may_copy {
        return Err(Obstacle::TooLong.into());
    } else {
        copy(source, part, from, heed)?;
    }
    part.seek(SeekFrom::Start(from))?;
    Ok(())
}

/// Gives a file the content of another one on `device`, without copying it. Returns whether it could.
pub(super) fn clone(source: &File, part: &File, device: u64) -> bool {
    if !may_clone(device) {
        return false;
    }
    let result = ioctl_ficlone(part, source);
    if let Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) = result {
        cannot_clone().insert(device);
    }
    result.is_ok()
}

/// Copies the beginning of a file.
fn copy(from: &File, to: &mut File, bytes: u64, heed: &mut Heed<'_>) -> Result<(), FsError> {
    let mut left = bytes;
    while left > 0 {
        let step = left.min(COPIED_AT_ONCE);
        if io::copy(&mut Read::take(from, step), to)? < step {
            // the file was truncated in the meantime
            return Err(FsError::Busy);
        }
        left -= step;
        if !heed() {
            return Err(FsError::Interrupted);
        }
    }
    Ok(())
}
