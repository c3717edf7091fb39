//! Charsets other than UTF-8 in which clients send names.

use std::borrow::Cow;

use encoding_rs::EncoderResult;

/// The value of `charset`: the charset of the names that a client sends and is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, and whatever other bytes a name consists of, unchanged.
    #[default]
    Utf8,
    /// This encoding.
    Only(Encoding),
    /// This encoding or UTF-8, whichever the names of the client turn out to be.
    Auto(Encoding),
}

/// An encoding of the WHATWG Encoding Standard other than UTF-8. ASCII letters are the same in all of
/// them, and no other character contains the byte of a slash, a space, a quote or a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Charset {
    /// Reads a value. A fault follows the text: `'utf-16' is not the name of a charset`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let automatic = text.get(..5).filter(|start| start.eq_ignore_ascii_case("auto:"));
        let label = automatic.map_or(text, |start| text.get(start.len()..).unwrap_or_default());
        match (Encoding::of_label(label)?, automatic) {
            (None, None) => Ok(Self::Utf8),
            (None, Some(_)) => {
                Err("needs another charset than UTF-8, such as auto:gbk".to_owned())
            }
            (Some(encoding), None) => Ok(Self::Only(encoding)),
            (Some(encoding), Some(_)) => Ok(Self::Auto(encoding)),
        }
    }
}

impl Encoding {
    /// Returns the encoding that a label names; `None` for UTF-8.
    ///
    /// # Errors
    ///
    /// When there is no such encoding, or names cannot be in it.
    pub fn of_label(label: &str) -> Result<Option<Self>, String> {
        match encoding_rs::Encoding::for_label(label.as_bytes()) {
            Some(encoding) if encoding == encoding_rs::UTF_8 => Ok(None),
            Some(encoding) if encoding.is_ascii_compatible() => Ok(Some(Self(encoding))),
            Some(encoding) => Err(format!(
                "is {}, in which ASCII letters are not themselves",
                encoding.name()
            )),
            None => {
                Err("is not the name of a charset, such as utf-8, gbk or windows-1251"
                    .to_owned())
            }
        }
    }

    /// Returns the name of the encoding.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns whether each letter takes one byte.
    pub fn is_single_byte(self) -> bool {
        self.0.is_single_byte()
    }

    /// Reads a text; `None` if it is not in this encoding.
    pub fn read(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        self.0.decode_without_bom_handling_and_without_replacement(bytes)
    }

    /// Writes a text; `None` if it cannot be said in this encoding, or would be read as another one.
    pub fn write(self, text: &str) -> Option<Vec<u8>> {
        let mut encoder = self.0.new_encoder();
        let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len())?;
        let mut bytes = vec![0; room];
        let (result, _, written) =
            encoder.encode_from_utf8_without_replacement(text, &mut bytes, true);
        bytes.truncate(written);
        let is_said = result == EncoderResult::InputEmpty;
        (is_said && self.read(&bytes).is_some_and(|read| read == text)).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LABELS: [&str; 12] = [
        "gbk",
        "gb18030",
        "big5",
        "shift_jis",
        "euc-jp",
        "euc-kr",
        "windows-1251",
        "koi8-r",
        "windows-1252",
        "iso-8859-2",
        "windows-874",
        "macintosh",
    ];

    fn encoding(label: &str) -> Encoding {
        Encoding::of_label(label).unwrap().unwrap()
    }

    #[test]
    fn values_are_labels_with_or_without_auto() {
        assert_eq!(Charset::parse("UTF-8"), Ok(Charset::Utf8));
        assert_eq!(Charset::parse("utf8"), Ok(Charset::Utf8));
        assert_eq!(Charset::parse("GB2312"), Ok(Charset::Only(encoding("gbk"))));
        assert_eq!(Charset::parse("Auto:cp1251"), Ok(Charset::Auto(encoding("windows-1251"))));
        for text in ["", "klingon", "auto:", "auto", "auto:utf-8", "utf-16le", "iso-2022-jp"] {
            assert!(Charset::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_back_cannot_be_said() {
        // Shift_JIS has one byte for the backslash and for the yen sign, and reads the former
        assert_eq!(encoding("shift_jis").write("\u{a5}"), None);
        assert_eq!(encoding("gbk").write("\u{1f600}"), None);
        assert_eq!(encoding("gbk").write("\u{4e2d}"), Some(b"\xd6\xd0".to_vec()));
        // the second byte is a backslash
        assert_eq!(encoding("shift_jis").write("\u{8868}"), Some(b"\x95\\".to_vec()));
        assert_eq!(encoding("gbk").read(b"\xd6"), None);
    }

    #[test]
    fn no_character_contains_a_byte_that_separates_names_or_words() {
        for label in LABELS {
            let encoding = encoding(label);
            for first in 0x80..=u8::MAX {
                for second in 0..0x40 {
                    let Some(read) = encoding.read(&[first, second]).map(Cow::into_owned)
                    else {
                        continue;
                    };
                    assert!(read.ends_with(char::from(second)), "{label} {first} {second}");
                    assert_eq!(read.chars().count(), 2, "{label} {first} {second}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_can_be_said_comes_back(text: String, at in 0..LABELS.len()) {
            let encoding = encoding(LABELS[at]);
            if let Some(said) = encoding.write(&text) {
                let read = encoding.read(&said);
                prop_assert_eq!(read.as_deref(), Some(text.as_str()));
            }
        }

        #[test]
        fn slashes_stay_where_they_are(bytes: Vec<u8>, at in 0..LABELS.len()) {
            if let Some(read) = encoding(LABELS[at]).read(&bytes) {
                let slashes = |bytes: &[u8]| bytes.split(|&byte| byte == b'/').count();
                prop_assert_eq!(slashes(&bytes), slashes(read.as_bytes()));
            }
        }
    }
}
