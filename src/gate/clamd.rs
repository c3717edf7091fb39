//! The protocol of clamd, as far as it is needed: the command INSTREAM. Bytes in, bytes out.

/// The command after which a file is sent in pieces. With the letter z, clamd ends its answer by a NUL.
pub(super) const COMMAND: &[u8] = b"zINSTREAM\0";

/// The end of the file: the head of a piece without bytes.
pub(super) const END: [u8; 4] = [0; 4];

/// Returns the head of a piece: its length, in four bytes. `None` if it is too long for that.
pub(super) fn head(length: usize) -> Option<[u8; 4]> {
    u32::try_from(length).ok().map(u32::to_be_bytes)
}

/// The answer of clamd, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: Vec<u8>,
    is_whole: bool,
}

/// The verdict of clamd on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The scanner has found nothing.
    Nothing,
    /// The scanner has found malware with this name.
    Something(Vec<u8>),
    /// It has not examined the whole file, for this reason.
    Error(Vec<u8>),
}

/// Maximum length of an answer in bytes. The names of signatures are much shorter.
const LONGEST: usize = 4096;

impl Answer {
    /// Takes bytes that have arrived. Returns whether the answer is whole; what follows it is ignored.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            self.is_whole |= matches!(byte, 0 | b'\n');
            if self.is_whole {
                break;
            }
            if self.text.len() < LONGEST {
                self.text.push(byte);
            }
        }
        self.is_whole
    }

    /// Returns what the answer says; `None` if it is not whole.
    pub(super) fn found(&self) -> Option<Found> {
        if !self.is_whole {
            return None;
        }
        let text = self.text.as_slice();
        let about = text.strip_prefix(b"stream: ").unwrap_or(text);
        if about == b"OK" {
            return Some(Found::Nothing);
        }
        let name = about.strip_suffix(b" FOUND").filter(|name| !name.is_empty());
        Some(match name {
            Some(name) => Found::Something(name.to_owned()),
            None => Found::Error(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in an answer whose bytes arrive one by one.
    fn found(answer: &[u8]) -> Option<Found> {
        let mut taken = Answer::default();
        for byte in answer {
            assert_eq!(taken.found(), None, "{:?}", taken.text);
            if taken.take(&[*byte]) {
                break;
            }
        }
        let mut whole = Answer::default();
        whole.take(answer);
        assert_eq!(taken.found(), whole.found());
        taken.found()
    }

    #[test]
    fn answers_of_clamd_are_understood_byte_by_byte() {
        assert_eq!(found(b"stream: OK\0"), Some(Found::Nothing));
        assert_eq!(found(b"stream: OK\0stream: Evil FOUND\0"), Some(Found::Nothing));
        let evil = Some(Found::Something(b"Eicar-Test.UNOFFICIAL".to_vec()));
        assert_eq!(found(b"stream: Eicar-Test.UNOFFICIAL FOUND\0"), evil);
        // the form with a newline, which older servers and proxies send
        assert_eq!(found(b"stream: OK\n"), Some(Found::Nothing));
        for error in [
            &b"INSTREAM size limit exceeded. ERROR"[..],
            b"stream: Can't allocate memory ERROR",
            b"UNKNOWN COMMAND",
            b"stream:  FOUND",
            b"stream: OKAY",
            b"",
        ] {
            let answer = [error, b"\0"].concat();
            assert_eq!(found(&answer), Some(Found::Error(error.to_vec())));
        }
        for part in [&b""[..], b"stream: OK", b"stream: Evil FOUND"] {
            assert_eq!(found(part), None);
        }
    }

    #[test]
    fn an_answer_without_an_end_uses_up_no_memory() {
        let mut answer = Answer::default();
        for _ in 0..10 {
            assert!(!answer.take(&[b'x'; 1000]));
        }
        assert_eq!(answer.text.len(), LONGEST);
        assert!(answer.take(b"\0"));
        assert!(matches!(answer.found(), Some(Found::Error(_))));
    }

    #[test]
    fn the_length_of_a_piece_comes_before_it() {
        assert_eq!(head(0x0001_0203), Some([0, 1, 2, 3]));
        assert_eq!(head(0), Some(END));
    }
}
