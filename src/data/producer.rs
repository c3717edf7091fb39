//! The interface to code that generates bytes while they are sent.

use crate::vfs::FsError;

/// Generates bytes to send.
pub trait Producer {
    /// Appends some bytes to `out`. Returns `false` when there are no more.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError>;
}
