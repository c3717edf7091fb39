//! Reads DER, the encoding of certificates (X.690): values of a tag, a length and a content.

/// What is left of a sequence of values.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

/// One value.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const TELETEX_STRING: u8 = 0x14;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, which contains a value.
pub(super) const EXPLICIT_0: u8 = 0xa0;
/// `[3]`, which contains a value.
pub(super) const EXPLICIT_3: u8 = 0xa3;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether all values have been read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the tag of the next value.
    pub(super) fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Reads the next value. Returns `None` at the end, and where the encoding is wrong.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = all.get(..all.len() - rest.len())?;
        self.0 = rest;
        // a tag of several bytes does not occur in certificates
        (tag & 0x1f != 0x1f).then_some(Value { tag, content, whole })
    }

    /// Reads the next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.value().filter(|value| value.tag == tag).map(|value| value.content)
    }

    /// Reads the next value, which must have this tag and contain values.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(Self)
    }
}

impl<'a> Value<'a> {
    /// Returns the values that this one contains.
    pub(super) const fn fields(&self) -> Reader<'a> {
        Reader(self.content)
    }
}

/// Reads a length in its shortest form (X.690 §8.1.3, §10.1), and returns what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let is_shortest = digits.first().is_some_and(|&digit| digit != 0) && digits.len() <= 4;
    let length = digits.iter().fold(0, |sum: u64, &digit| sum << 8 | u64::from(digit));
    (is_shortest && length >= 0x80).then_some((usize::try_from(length).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_after_the_other() {
        let mut reader = Reader::new(&[0x30, 3, 2, 1, 5, 0x0c, 1, b'x']);
        let mut inner = reader.enter(SEQUENCE).unwrap();
        assert_eq!(inner.expect(INTEGER).unwrap(), [5]);
        assert!(inner.is_at_end() && !reader.is_at_end());
        let text = reader.value().unwrap();
        assert_eq!(
            (text.tag, text.content, text.whole),
            (UTF8_STRING, &b"x"[..], &[12, 1, b'x'][..])
        );
        assert!(reader.value().is_none());
    }

    #[test]
    fn lengths_are_in_their_shortest_form() {
        let long = [&[0x81, 0x80][..], &[0; 128]].concat();
        assert_eq!(length(&long).unwrap().0, 128);
        assert_eq!(length(&[0x82, 1, 0]).unwrap().0, 256);
        for wrong in [&[][..], &[0x80], &[0x81, 0x7f], &[0x82, 0, 0x80], &[0x82, 1], &[0xff]] {
            assert!(length(wrong).is_none(), "{wrong:x?}");
        }
    }

    #[test]
    fn a_value_that_is_cut_off_is_none() {
        for wrong in [&[0x30][..], &[0x30, 1], &[0x30, 0x81], &[0x1f, 1, 1]] {
            assert!(Reader::new(wrong).value().is_none(), "{wrong:x?}");
        }
    }
}
