//! The charset in which a session speaks: what the names that a client sends are on the disk, and how
//! names are sent to it. Names on the disk are in UTF-8; a name that is not is left as it is.
//!
//! A part of a pathname can be read in two ways, and the files tell which one is meant. These
//! functions see the files through a closure only. As long as a session speaks UTF-8, they return what
//! they get, and ask for no file.

use std::borrow::Cow;

use crate::config::{Charset, Encoding};

/// How a session speaks: by its settings, and by what the client has sent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Speech {
    charset: Charset,
    signs: Signs,
    /// What the names that the client has sent are in, once one of them has decided that.
    decided: Option<Tongue>,
}

/// What a client has shown of itself, even before its login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Whether it has turned UTF-8 on.
    pub(super) utf8: bool,
    /// Whether it has asked for FEAT, as clients do that know of UTF-8.
    pub(super) feat: bool,
}

/// What names are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tongue {
    Utf8,
    Other(Encoding),
    /// This encoding or UTF-8.
    Either(Encoding),
}

impl Speech {
    /// Returns how a client is spoken to that has sent no name yet.
    pub(super) fn new(charset: Charset, signs: Signs) -> Self {
        Self { charset, signs, decided: None }
    }

    /// Takes note of what the client has shown of itself.
    pub(super) fn note(&mut self, signs: Signs) {
        self.signs = signs;
    }

    fn tongue(self) -> Tongue {
        match (self.charset, self.decided) {
            _ if self.signs.utf8 => Tongue::Utf8,
            (Charset::Utf8, _) => Tongue::Utf8,
            (Charset::Only(encoding), _) => Tongue::Other(encoding),
            (Charset::Auto(_), Some(decided)) => decided,
            (Charset::Auto(encoding), None) => Tongue::Either(encoding),
        }
    }

    /// Returns whether all names are sent and taken as they are.
    pub(super) fn is_plain(self) -> bool {
        self.tongue() == Tongue::Utf8
    }

    /// Whether a name can still decide what the client speaks.
    pub(super) fn is_open(self) -> bool {
        matches!(self.tongue(), Tongue::Either(_))
    }

    /// Learns from a name that the client has sent. What is not UTF-8 is in the other charset. In
    /// UTF-8, a character of three bytes decides, because a letter of GBK can look like a character of
    /// two bytes. Where letters take one byte, hardly any word looks like UTF-8.
    pub(super) fn hear(&mut self, name: &[u8]) {
        let Tongue::Either(encoding) = self.tongue() else { return };
        let least = if encoding.is_single_byte() { 2 } else { 3 };
        self.decided = match std::str::from_utf8(name) {
            Err(_) => Some(Tongue::Other(encoding)),
            Ok(text) if text.chars().any(|letter| letter.len_utf8() >= least) => {
                Some(Tongue::Utf8)
            }
            Ok(_) => None,
        };
    }

    /// Returns the name on the disk that one part of a pathname means. `is_there` tells whether
    /// something has a name in the directory of that part.
    pub(super) fn name(self, part: &[u8], is_there: impl Fn(&[u8]) -> bool) -> Cow<'_, [u8]> {
        let encoding = match self.tongue() {
            Tongue::Utf8 => return Cow::Borrowed(part),
            Tongue::Other(encoding) | Tongue::Either(encoding) => encoding,
        };
        if part.is_ascii() {
            let plain = unescaped(part).filter(|plain| !is_there(part) && is_there(plain));
            return plain.map_or(Cow::Borrowed(part), Cow::Owned);
        }
        let Some(converted) = encoding.read(part).map(Cow::into_owned) else {
            return Cow::Borrowed(part);
        };
        let converted = converted.into_bytes();
        // as it came, it may be UTF-8, as long as that has not been decided
        let prefers_plain =
            self.tongue() == Tongue::Either(encoding) && std::str::from_utf8(part).is_ok();
        let takes_plain = (prefers_plain || !is_there(&converted)) && is_there(part);
        if takes_plain { Cow::Borrowed(part) } else { Cow::Owned(converted) }
    }

    /// Returns what to send for a name on the disk: the name in the charset; or, if that does not have
    /// it, the name as it is; or, if the client would get something else by that, the name with
    /// escapes. `is_there` tells whether something has a name in the same directory.
    pub(super) fn said(self, name: &[u8], is_there: impl Fn(&[u8]) -> bool) -> Cow<'_, [u8]> {
        if name.is_ascii() || self.is_plain() {
            return Cow::Borrowed(name);
        }
        let said = self.converted(name).map_or(Cow::Borrowed(name), Cow::Owned);
        let is_there = |other: &[u8]| other == name || is_there(other);
        if self.leads_back(&said, name, &is_there) { said } else { Cow::Owned(escaped(name)) }
    }

    /// Returns whether a client gets the file that has `name` for what it was sent, and never another
    /// one, also if other names decide meanwhile what it speaks.
    fn leads_back(self, said: &[u8], name: &[u8], is_there: &impl Fn(&[u8]) -> bool) -> bool {
        let mut after = self;
        after.hear(said);
        let Tongue::Either(encoding) = self.tongue() else {
            return *after.name(said, is_there) == *name;
        };
        let later = [Tongue::Utf8, Tongue::Other(encoding)].map(Some);
        *after.name(said, is_there) == *name
            && later.into_iter().all(|decided| {
                let meant = Self { decided, ..self }.name(said, is_there);
                *meant == *name || !is_there(&meant)
            })
    }

    /// Returns a text of the settings, or of a message, as it is sent. What cannot be said becomes a
    /// question mark.
    pub(super) fn text(self, text: &str) -> Cow<'_, [u8]> {
        let Some(encoding) = self.encoding().filter(|_| !text.is_ascii()) else {
            return Cow::Borrowed(text.as_bytes());
        };
        let said = |letter: char| {
            let said = encoding.write(letter.encode_utf8(&mut [0; 4]));
            said.unwrap_or_else(|| b"?".to_vec())
        };
        Cow::Owned(text.chars().flat_map(said).collect())
    }

    /// Returns the name in the charset; `None` if names are sent in UTF-8, or the charset does not have
    /// this one.
    fn converted(self, name: &[u8]) -> Option<Vec<u8>> {
        self.encoding()?.write(std::str::from_utf8(name).ok()?)
    }

    /// Returns the encoding in which names are sent, unless that is UTF-8.
    fn encoding(self) -> Option<Encoding> {
        match self.tongue() {
            Tongue::Utf8 => None,
            Tongue::Either(_) if self.signs.feat => None,
            Tongue::Other(encoding) | Tongue::Either(encoding) => Some(encoding),
        }
    }
}

/// Writes a name in ASCII: what is not, and each backslash, as `\xNN`.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in name {
        if byte.is_ascii() && byte != b'\\' {
            text.push(byte);
        } else {
            text.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
        }
    }
    text
}

/// Reads what [`escaped`] has written; `None` if it has not written this.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        let digits = behind.strip_prefix(b"x")?.get(..2)?;
        name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind.get(3..)?;
    }
    (!name.is_ascii() && escaped(&name) == text).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LABELS: [&str; 6] = ["gbk", "gb18030", "big5", "shift_jis", "windows-1251", "euc-kr"];

    fn encoding(label: &str) -> Encoding {
        Encoding::of_label(label).unwrap().unwrap()
    }

    fn only(label: &str) -> Speech {
        Speech::new(Charset::Only(encoding(label)), Signs::default())
    }

    fn auto(label: &str, feat: bool) -> Speech {
        Speech::new(Charset::Auto(encoding(label)), Signs { utf8: false, feat })
    }

    type Names = BTreeSet<Vec<u8>>;

    fn names(names: &[&[u8]]) -> Names {
        names.iter().map(|name| name.to_vec()).collect()
    }

    /// What a client gets that asks for a name in a directory with these names.
    fn got(mut speech: Speech, sent: &[u8], there: &Names) -> Vec<u8> {
        speech.hear(sent);
        speech.name(sent, |name| there.contains(name)).into_owned()
    }

    fn told(speech: Speech, name: &[u8], there: &Names) -> Vec<u8> {
        speech.said(name, |name| there.contains(name)).into_owned()
    }

    const ZHONG: &[u8] = "\u{4e2d}.txt".as_bytes();
    const ZHONG_GBK: &[u8] = b"\xd6\xd0.txt";
    /// A letter whose bytes in GBK are also those of [`CEDILLA`] in UTF-8.
    const MODEL: &[u8] = "\u{6a21}".as_bytes();
    const CEDILLA: &[u8] = "\u{123}".as_bytes();

    #[test]
    fn a_session_in_utf8_changes_no_name_and_asks_for_no_file() {
        let never = |_: &[u8]| panic!("asked for a file");
        let signs = Signs { utf8: true, feat: false };
        for speech in [
            Speech::default(),
            Speech::new(Charset::Only(encoding("gbk")), signs),
            Speech::new(Charset::Auto(encoding("gbk")), signs),
        ] {
            for name in [b"a".as_slice(), b"\xff\\", ZHONG, ZHONG_GBK, b"\\xD6"] {
                assert!(
                    matches!(speech.name(name, never), Cow::Borrowed(same) if same == name)
                );
                assert!(
                    matches!(speech.said(name, never), Cow::Borrowed(same) if same == name)
                );
            }
            assert!(matches!(speech.text("\u{e9}"), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn names_go_out_and_come_in_in_the_charset() {
        let there = names(&[ZHONG]);
        assert_eq!(told(only("gbk"), ZHONG, &there), ZHONG_GBK);
        assert_eq!(got(only("gbk"), ZHONG_GBK, &there), ZHONG);
        // a new name
        assert_eq!(got(only("gbk"), ZHONG_GBK, &names(&[])), ZHONG);
        assert_eq!(got(only("gbk"), b"\xff\xff", &names(&[])), b"\xff\xff");
    }

    #[test]
    fn a_raw_name_stays_itself_unless_another_one_looks_like_it() {
        let raw = names(&[ZHONG_GBK]);
        assert_eq!(told(only("gbk"), ZHONG_GBK, &raw), ZHONG_GBK);
        assert_eq!(got(only("gbk"), ZHONG_GBK, &raw), ZHONG_GBK);
        let both = names(&[ZHONG, ZHONG_GBK]);
        assert_eq!(told(only("gbk"), ZHONG, &both), ZHONG_GBK);
        assert_eq!(told(only("gbk"), ZHONG_GBK, &both), b"\\xD6\\xD0.txt");
        assert_eq!(got(only("gbk"), b"\\xD6\\xD0.txt", &both), ZHONG_GBK);
        // a name that has this spelling itself
        let literal = names(&[b"\\xD6\\xD0.txt"]);
        assert_eq!(got(only("gbk"), b"\\xD6\\xD0.txt", &literal), b"\\xD6\\xD0.txt");
        assert_eq!(got(only("gbk"), b"\\xD6\\xD0.txt", &names(&[])), b"\\xD6\\xD0.txt");
    }

    #[test]
    fn a_name_decides_once_what_the_client_speaks() {
        let mut speech = auto("gbk", false);
        // a letter of GBK, or one of UTF-8
        speech.hear(CEDILLA);
        assert_eq!(speech.tongue(), Tongue::Either(encoding("gbk")));
        speech.hear(b"\xd6\xd0");
        assert_eq!(speech.tongue(), Tongue::Other(encoding("gbk")));
        speech.hear(ZHONG);
        assert_eq!(speech.tongue(), Tongue::Other(encoding("gbk")));
        for (label, name) in [("gbk", ZHONG), ("windows-1251", "\u{44f}".as_bytes())] {
            let mut speech = auto(label, false);
            speech.hear(b"ascii");
            speech.hear(name);
            speech.hear(b"\xd6\xd0");
            assert_eq!(speech.tongue(), Tongue::Utf8);
        }
    }

    #[test]
    fn until_it_is_decided_the_file_that_is_there_is_meant() {
        for feat in [false, true] {
            let speech = auto("gbk", feat);
            assert_eq!(got(speech, CEDILLA, &names(&[MODEL])), MODEL);
            assert_eq!(got(speech, CEDILLA, &names(&[CEDILLA])), CEDILLA);
            assert_eq!(got(speech, CEDILLA, &names(&[MODEL, CEDILLA])), CEDILLA);
            assert_eq!(got(speech, CEDILLA, &names(&[])), MODEL);
        }
        assert_eq!(told(auto("gbk", true), ZHONG, &names(&[ZHONG])), ZHONG);
        assert_eq!(told(auto("gbk", false), ZHONG, &names(&[ZHONG])), ZHONG_GBK);
    }

    #[test]
    fn texts_are_said_as_far_as_the_charset_goes() {
        assert_eq!(*only("gbk").text("\u{4e2d} \u{1f600}!"), *b"\xd6\xd0 ?!");
        assert_eq!(*auto("gbk", true).text("\u{4e2d}"), *"\u{4e2d}".as_bytes());
    }

    #[test]
    fn escapes_are_read_back_and_nothing_else_is() {
        for name in [b"\xff".as_slice(), b"a\\\xd6b", b"\\x\xd0"] {
            assert_eq!(unescaped(&escaped(name)).as_deref(), Some(name));
        }
        for text in
            ["", "a", "\\", "\\x", "\\xF", "\\xff", "\\x41", "\\x2F", "\\x5C", "\\xD0\\"]
        {
            assert_eq!(unescaped(text.as_bytes()), None, "{text}");
        }
    }

    /// A name on the disk: text, bytes that are no text, or a text in a charset.
    fn any_name(at: usize) -> impl Strategy<Value = Vec<u8>> {
        let encoding = encoding(LABELS[at]);
        // letters whose second byte is one of \ | @ ~ in some charset, and others
        let letters = "[a\\\\|@~\u{8868}\u{80fd}\u{4e57}\u{8a31}\u{6a21}\u{123}\u{44f}\u{a5}\u{4e00}-\u{4e40}]{1,3}";
        let text = letters.prop_map(String::into_bytes);
        let raw = letters.prop_map(move |text: String| {
            encoding.write(&text).unwrap_or_else(|| text.into_bytes())
        });
        let bytes = prop::collection::vec(prop_oneof![0x40_u8..=0x7f, 0x80_u8..], 1..4);
        prop_oneof![text, raw, bytes]
    }

    fn any_directory() -> impl Strategy<Value = (usize, Names)> {
        (0..LABELS.len())
            .prop_flat_map(|at| (Just(at), prop::collection::btree_set(any_name(at), 1..6)))
    }

    #[test]
    fn a_name_that_was_sent_never_comes_to_mean_another_file() {
        let both = names(&[MODEL, CEDILLA]);
        for feat in [false, true] {
            let mut speech = auto("gbk", feat);
            let (sent, other) = (told(speech, CEDILLA, &both), told(speech, MODEL, &both));
            assert_eq!(sent, b"\\xC4\\xA3");
            assert_eq!(got(speech, &other, &both), MODEL);
            for decides in [ZHONG, ZHONG_GBK] {
                speech.hear(decides);
                assert_ne!(got(speech, &sent, &both), MODEL);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_means_no_other_file_later((at, there) in any_directory()) {
            let is_spelt_out = |name: &Vec<u8>| there.contains(&escaped(name));
            prop_assume!(!there.iter().any(|name| !name.is_ascii() && is_spelt_out(name)));
            let label = LABELS[at];
            for speech in [auto(label, false), auto(label, true)] {
                for name in &there {
                    let sent = told(speech, name, &there);
                    for decided in [Tongue::Utf8, Tongue::Other(encoding(label))] {
                        let later = Speech { decided: Some(decided), ..speech };
                        let meant = got(later, &sent, &there);
                        prop_assert!(meant == *name || !there.contains(&meant), "{:?}", sent);
                    }
                }
            }
        }

        #[test]
        fn what_is_sent_comes_back_to_the_same_file((at, there) in any_directory()) {
            let is_spelt_out = |name: &Vec<u8>| there.contains(&escaped(name));
            prop_assume!(!there.iter().any(|name| !name.is_ascii() && is_spelt_out(name)));
            let label = LABELS[at];
            for speech in [only(label), auto(label, false), auto(label, true)] {
                let mut all = BTreeSet::new();
                for name in &there {
                    let sent = told(speech, name, &there);
                    prop_assert_eq!(&got(speech, &sent, &there), name, "{} as {:?}", label, sent);
                    prop_assert!(all.insert(sent), "{} sends two names alike", label);
                }
            }
        }

        #[test]
        fn what_is_stored_is_found_again((at, mut there) in any_directory(), new: Vec<u8>) {
            let label = LABELS[at];
            for mut speech in [only(label), auto(label, false), auto(label, true)] {
                speech.hear(&new);
                let stored = got(speech, &new, &there);
                there.insert(stored.clone());
                prop_assert_eq!(got(speech, &new, &there), stored);
            }
        }
    }
}
