//! NVT-ASCII to local lines and back (RFC 959 §3.1.1.1), across any chunk boundary.
//!
//! A local line ends with LF, a line on the wire with CR LF. Every LF becomes CR LF on the
//! way out, whatever stands before it, so that a file comes back from a client as it was.

/// Appends `local` to `wire` with CR LF for each LF.
pub fn to_wire(local: &[u8], wire: &mut Vec<u8>) {
    for line in local.split_inclusive(|&byte| byte == b'\n') {
        match line.split_last() {
            Some((b'\n', text)) => {
                wire.extend_from_slice(text);
                wire.extend_from_slice(b"\r\n");
            }
            _ => wire.extend_from_slice(line),
        }
    }
}

/// How long `local` is on the wire.
pub fn wire_len(local: &[u8]) -> u64 {
    local.iter().map(|&byte| if byte == b'\n' { 2 } else { 1 }).sum()
}

/// Where an offset on the wire lies in a chunk of a local file.
#[derive(Debug, PartialEq, Eq)]
pub enum Offset {
    /// At this byte of the chunk.
    Here(usize),
    /// Between the CR and the LF that stand for the LF at this byte of the chunk.
    InsideLineEnd(usize),
    /// Behind the chunk, by this much on the wire.
    Behind(u64),
}

/// Finds `wire` bytes in `local`.
pub fn find(local: &[u8], wire: u64) -> Offset {
    let mut left = wire;
    for (at, &byte) in local.iter().enumerate() {
        match left {
            0 => return Offset::Here(at),
            1 if byte == b'\n' => return Offset::InsideLineEnd(at),
            _ => left -= if byte == b'\n' { 2 } else { 1 },
        }
    }
    Offset::Behind(left)
}

/// Turns CR LF into LF, with the CR that ended the last chunk in mind.
#[derive(Debug, Default)]
pub struct FromWire {
    pending_cr: bool,
}

impl FromWire {
    /// Appends what `wire` means to `local`.
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

    /// Appends a CR that was the last byte of all.
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

    proptest! {
        #[test]
        fn a_file_comes_back_as_it_was(file in text(), cut in 0_usize..128) {
            let mut wire = Vec::new();
            to_wire(&file, &mut wire);
            prop_assert_eq!(wire.len() as u64, wire_len(&file));
            let (head, tail) = wire.split_at(cut.min(wire.len()));
            prop_assert_eq!(from_wire(&[head, tail]), file);
        }

        #[test]
        fn an_offset_on_the_wire_is_where_as_many_bytes_have_gone_out(
            file in text(),
            wire in 0_u64..160,
        ) {
            match find(&file, wire) {
                Offset::Here(at) => prop_assert_eq!(wire_len(&file[..at]), wire),
                Offset::InsideLineEnd(at) => {
                    prop_assert_eq!(file[at], b'\n');
                    prop_assert_eq!(wire_len(&file[..at]) + 1, wire);
                }
                Offset::Behind(left) => prop_assert_eq!(wire_len(&file) + left, wire),
            }
        }
    }
}
