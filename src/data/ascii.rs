//! Converts NVT-ASCII to local lines and back (RFC 959 §3.1.1.1), across any chunk boundary.
//!
//! On the wire a line ends with CR LF. A local line ends with LF if it was uploaded in ASCII
//! type, or with CR LF if a Windows file was uploaded in binary type. When a file is sent,
//! each LF gets a CR before it unless there is one already. Thus files of both kinds arrive
//! with CR LF, and a text that was uploaded in ASCII type comes back unchanged. In a file that
//! mixes both kinds, all lines arrive with CR LF.

/// Converts local lines to those of the wire.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToWire {
    after_cr: bool,
}

impl ToWire {
    /// Returns a converter that begins in the middle of a file. `after_cr`: whether the byte
    /// before is a CR.
    pub fn behind(after_cr: bool) -> Self {
        Self { after_cr }
    }

    /// Appends `local` to `wire` with CR LF for each line end.
    pub fn take(&mut self, local: &[u8], wire: &mut Vec<u8>) {
        for line in local.split_inclusive(|&byte| byte == b'\n') {
            if let Some(text) = line.strip_suffix(b"\n") {
                wire.extend_from_slice(text);
                let has_cr = text.last().map_or(self.after_cr, |&byte| byte == b'\r');
                wire.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
                self.after_cr = false;
            } else {
                wire.extend_from_slice(line);
                self.after_cr = line.ends_with(b"\r");
            }
        }
    }

    /// Returns how many bytes a local byte takes on the wire.
    fn measure(&mut self, byte: u8) -> u64 {
        let alone = byte == b'\n' && !self.after_cr;
        self.after_cr = byte == b'\r';
        if alone { 2 } else { 1 }
    }

    /// Returns how many bytes `local` takes on the wire.
    pub fn len(&mut self, local: &[u8]) -> u64 {
        local.iter().map(|&byte| self.measure(byte)).sum()
    }

    /// Finds the place in `local` up to which the bytes take `wire` bytes on the wire.
    pub fn find(&mut self, local: &[u8], wire: u64) -> Offset {
        let mut left = wire;
        for (at, &byte) in local.iter().enumerate() {
            if left == 0 {
                return Offset::Here(at);
            }
            match left.checked_sub(self.measure(byte)) {
                Some(rest) => left = rest,
                None => return Offset::InsideLineEnd(at),
            }
        }
        Offset::Behind(left)
    }

    /// Returns whether the last byte was a CR.
    pub fn is_after_cr(&self) -> bool {
        self.after_cr
    }
}

/// Where an offset on the wire lies in a chunk of a local file.
#[derive(Debug, PartialEq, Eq)]
pub enum Offset {
    /// The offset lies at this byte of the chunk.
    Here(usize),
    /// The offset lies between the CR and the LF that are sent for the LF at this byte of the
    /// chunk.
    InsideLineEnd(usize),
    /// The offset lies this many wire bytes beyond the chunk.
    Behind(u64),
}

/// Converts CR LF to LF. Remembers a CR at the end of a chunk.
#[derive(Debug, Default)]
pub struct FromWire {
    pending_cr: bool,
}

impl FromWire {
    /// Appends the local form of `wire` to `local`.
    pub fn take(&mut self, wire: &[u8], local: &mut Vec<u8>) {
        let mut rest = wire;
        if self.pending_cr && !rest.is_empty() {
            self.pending_cr = false;
            if rest.first() != Some(&b'\n') {
                local.push(b'\r');
            }
        }
        while let Some(cr) = rest.iter().position(|&byte| byte == b'\r') {
            let (text, behind) = rest.split_at(cr);
            local.extend_from_slice(text);
            match behind.get(1) {
                None => {
                    self.pending_cr = true;
                    return;
                }
                Some(b'\n') => {}
                Some(_) => local.push(b'\r'),
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        local.extend_from_slice(rest);
    }

    /// Appends a CR if it was the last byte of the transfer.
    pub fn finish(&mut self, local: &mut Vec<u8>) {
        if std::mem::take(&mut self.pending_cr) {
            local.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from_wire(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut state, mut local) = (FromWire::default(), Vec::new());
        for chunk in chunks {
            state.take(chunk, &mut local);
        }
        state.finish(&mut local);
        local
    }

    #[test]
    fn a_line_end_may_lie_across_a_chunk_boundary() {
        assert_eq!(
            from_wire(&[b"a\r", b"\nb\r", b"c\r\r", b"\n", b"", b"\r"]),
            b"a\nb\rc\r\n\r"
        );
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"a\r\n\0\xff".to_vec()), 0..64)
    }

    fn to_wire(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut state, mut wire) = (ToWire::default(), Vec::new());
        for chunk in chunks {
            state.take(chunk, &mut wire);
        }
        wire
    }

    #[test]
    fn a_line_end_has_one_cr_on_the_wire() {
        for (chunks, wire) in [
            (&[&b"a\r\nb\n"[..]][..], &b"a\r\nb\r\n"[..]),
            (&[b"a\r", b"\nb\r", b"c\r\r", b"\n\n"], b"a\r\nb\rc\r\r\n\r\n"),
            (&[b"a\r", b"", b"\n"], b"a\r\n"),
            (&[b"\n", b"\n\r", b"\n"], b"\r\n\r\n\r\n"),
        ] {
            assert_eq!(to_wire(chunks), wire, "{}", chunks.concat().escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_text_comes_back_with_line_ends_of_one_kind(file in text(), cut in 0_usize..128) {
            let (head, tail) = file.split_at(cut.min(file.len()));
            let wire = to_wire(&[head, tail]);
            prop_assert_eq!(&wire, &to_wire(&[&file]));
            prop_assert_eq!(wire.len() as u64, ToWire::default().len(&file));
            let (head, tail) = wire.split_at(cut.min(wire.len()));
            // an upload in ASCII type stores no CR LF unless the client sent CR CR LF
            let stored = from_wire(&[head, tail]);
            if !file.windows(2).any(|two| two == b"\r\n") {
                prop_assert_eq!(&stored, &file);
            }
            if !wire.windows(3).any(|three| three == b"\r\r\n") {
                prop_assert_eq!(to_wire(&[&stored]), wire);
            }
        }

        #[test]
        fn an_offset_on_the_wire_is_where_as_many_bytes_have_gone_out(
            file in text(),
            cut in 0_usize..64,
            wire in 0_u64..160,
        ) {
            let (head, tail) = file.split_at(cut.min(file.len()));
            let mut state = ToWire::default();
            let found = match state.find(head, wire) {
                Offset::Behind(left) => match state.find(tail, left) {
                    Offset::Here(at) => Offset::Here(head.len() + at),
                    Offset::InsideLineEnd(at) => Offset::InsideLineEnd(head.len() + at),
                    Offset::Behind(left) => Offset::Behind(left),
                },
                found @ (Offset::Here(_) | Offset::InsideLineEnd(_)) => found,
            };
            let len = |local: &[u8]| ToWire::default().len(local);
            match found {
                Offset::Here(at) => {
                    prop_assert_eq!(len(&file[..at]), wire);
                    let mut rest = Vec::new();
                    let after_cr = file[..at].ends_with(b"\r");
                    prop_assert_eq!(state.is_after_cr(), after_cr);
                    ToWire::behind(after_cr).take(&file[at..], &mut rest);
                    let all = to_wire(&[&file]);
                    prop_assert_eq!(&rest[..], &all[usize::try_from(wire).unwrap()..]);
                }
                Offset::InsideLineEnd(at) => {
                    prop_assert_eq!(file[at], b'\n');
                    prop_assert_eq!(len(&file[..at]) + 1, wire);
                }
                Offset::Behind(left) => prop_assert_eq!(len(&file) + left, wire),
            }
        }
    }
}
