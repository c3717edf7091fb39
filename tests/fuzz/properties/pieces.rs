//! Bytes that arrive in pieces, whose sizes the input chooses.

/// The input without its first bytes, in pieces: the first byte is the number of sizes, which
/// follow it and are used in turn.
#[derive(Clone)]
pub(super) struct Pieces<'a> {
    sizes: &'a [u8],
    turn: usize,
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        let (&count, data) = data.split_first().unwrap_or((&0, &[]));
        let (sizes, rest) = data.split_at(usize::from(count & 15).min(data.len()));
        Self { sizes, turn: 0, rest }
    }

    /// Cuts other bytes into pieces of these sizes.
    pub(super) fn again<'b>(&self, rest: &'b [u8]) -> Pieces<'b>
    where
        'a: 'b,
    {
        Pieces { sizes: self.sizes, turn: 0, rest }
    }

    /// All that has not been taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let size = self.sizes.get(self.turn % self.sizes.len().max(1));
        self.turn += 1;
        // without sizes, all of it is one piece
        let size = size.map_or(self.rest.len(), |&size| usize::from(size));
        let (piece, rest) = self.rest.split_at(size.clamp(1, self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}
