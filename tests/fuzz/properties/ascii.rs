//! The conversion of ASCII type, both ways: chunk boundaries make no difference, and no byte is
//! lost or made up but the CR of a line end.

use ftpd::data::ascii::{FromWire, Offset, ToWire};

use super::pieces::Pieces;

/// Checks both ways on one input.
pub(super) fn check(data: &[u8]) {
    let pieces = Pieces::of(data);
    let text = pieces.rest();

    let wire = to_wire(pieces.clone());
    assert_eq!(wire, simple_to_wire(text), "pieces differ from the whole");
    assert_eq!(wire.len() as u64, ToWire::default().len(text));

    let local = from_wire(pieces.clone());
    assert_eq!(local, simple_from_wire(text), "pieces differ from the whole");

    // what has no CR LF of its own comes back
    if !text.windows(2).any(|two| two == b"\r\n") {
        assert_eq!(from_wire(pieces.again(&wire)), text);
    }
    let offset = u64::from(data.first().copied().unwrap_or_default()) * 3;
    check_offset(pieces, &wire, offset);
}

/// Finds an offset in a text that arrives in pieces, and goes on from there.
fn check_offset(pieces: Pieces<'_>, wire: &[u8], offset: u64) {
    let text = pieces.rest();
    let (mut state, mut left, mut before) = (ToWire::default(), offset, 0);
    for piece in pieces {
        match state.find(piece, left) {
            Offset::Behind(more) => left = more,
            Offset::Here(at) => {
                let mut rest = Vec::new();
                state.take(&text[before + at..], &mut rest);
                let from = usize::try_from(offset).unwrap();
                assert_eq!(rest, wire[from..], "not all is sent behind {offset}");
                return;
            }
            Offset::InsideLineEnd(at) => {
                assert_eq!(text[before + at], b'\n');
                let sent = ToWire::default().len(&text[..before + at]);
                assert_eq!(sent + 1, offset);
                return;
            }
        }
        before += piece.len();
    }
    assert_eq!(wire.len() as u64 + left, offset);
}

fn to_wire(pieces: Pieces<'_>) -> Vec<u8> {
    let (mut state, mut wire) = (ToWire::default(), Vec::new());
    pieces.for_each(|piece| state.take(piece, &mut wire));
    wire
}

fn from_wire(pieces: Pieces<'_>) -> Vec<u8> {
    let (mut state, mut local) = (FromWire::default(), Vec::new());
    pieces.for_each(|piece| state.take(piece, &mut local));
    state.finish(&mut local);
    local
}

fn simple_to_wire(text: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for &byte in text {
        if byte == b'\n' && wire.last() != Some(&b'\r') {
            wire.push(b'\r');
        }
        wire.push(byte);
    }
    wire
}

fn simple_from_wire(wire: &[u8]) -> Vec<u8> {
    let mut local = Vec::new();
    for (at, &byte) in wire.iter().enumerate() {
        if byte != b'\r' || wire.get(at + 1) != Some(&b'\n') {
            local.push(byte);
        }
    }
    local
}
