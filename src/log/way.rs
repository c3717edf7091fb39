//! The direction of a transfer.

/// Direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server: an upload.
    Up,
    /// From the server to the client: a download.
    Down,
}

impl Way {
    /// Returns the word for programs: `upload` or `download`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "upload",
            Self::Down => "download",
        }
    }

    /// Returns the letter in a transfer log: `i` (incoming) or `o` (outgoing).
    pub(super) const fn letter(self) -> char {
        match self {
            Self::Up => 'i',
            Self::Down => 'o',
        }
    }
}
