//! What is sent without being a file as it is: bytes that are made as they go.

use crate::vfs::FsError;

/// Bytes to send that are made as they go.
pub trait Producer {
    /// Appends some; `false` when there are no more.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError>;
}
