//! The keys of `ftpd top`.

use super::order::Column;

/// What a pressed key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Scroll(Scroll),
    /// Sorts the sessions by this column.
    Sort(Column),
    /// Asks for the number of a session to end.
    Kick,
    Digit(char),
    /// Removes the last digit.
    Erase,
    Enter,
    /// Leaves the question.
    Escape,
    Stay,
}

/// Where the visible part moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scroll {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Key {
    /// The bytes that terminals send for each key.
    const ALL: [(&str, Self); 45] = [
        ("q", Self::Quit),
        ("Q", Self::Quit),
        ("k", Self::Scroll(Scroll::Up)),
        ("\x1b[A", Self::Scroll(Scroll::Up)),
        ("\x1bOA", Self::Scroll(Scroll::Up)),
        ("j", Self::Scroll(Scroll::Down)),
        ("\x1b[B", Self::Scroll(Scroll::Down)),
        ("\x1bOB", Self::Scroll(Scroll::Down)),
        ("b", Self::Scroll(Scroll::PageUp)),
        ("\x1b[5~", Self::Scroll(Scroll::PageUp)),
        (" ", Self::Scroll(Scroll::PageDown)),
        ("f", Self::Scroll(Scroll::PageDown)),
        ("\x1b[6~", Self::Scroll(Scroll::PageDown)),
        ("g", Self::Scroll(Scroll::First)),
        ("\x1b[H", Self::Scroll(Scroll::First)),
        ("\x1bOH", Self::Scroll(Scroll::First)),
        ("\x1b[1~", Self::Scroll(Scroll::First)),
        ("\x1b[7~", Self::Scroll(Scroll::First)),
        ("G", Self::Scroll(Scroll::Last)),
        ("\x1b[F", Self::Scroll(Scroll::Last)),
        ("\x1bOF", Self::Scroll(Scroll::Last)),
        ("\x1b[4~", Self::Scroll(Scroll::Last)),
        ("\x1b[8~", Self::Scroll(Scroll::Last)),
        ("i", Self::Sort(Column::Number)),
        ("u", Self::Sort(Column::User)),
        ("a", Self::Sort(Column::Address)),
        ("t", Self::Sort(Column::Time)),
        ("r", Self::Sort(Column::Rate)),
        ("x", Self::Kick),
        ("0", Self::Digit('0')),
        ("1", Self::Digit('1')),
        ("2", Self::Digit('2')),
        ("3", Self::Digit('3')),
        ("4", Self::Digit('4')),
        ("5", Self::Digit('5')),
        ("6", Self::Digit('6')),
        ("7", Self::Digit('7')),
        ("8", Self::Digit('8')),
        ("9", Self::Digit('9')),
        ("\x7f", Self::Erase),
        ("\x08", Self::Erase),
        ("\r", Self::Enter),
        ("\n", Self::Enter),
        // without more bytes this is the beginning of a sequence that has not arrived
        // completely
        ("\x1b[", Self::Stay),
        // last, because other keys begin with it
        ("\x1b", Self::Escape),
    ];

    /// Returns the keys in the bytes that were typed. Unknown keys are skipped.
    pub(super) fn all(mut bytes: &[u8]) -> Vec<Self> {
        let mut keys = Vec::new();
        while let Some((_, rest)) = bytes.split_first() {
            let known = Self::ALL.iter().find(|(sent, _)| bytes.starts_with(sent.as_bytes()));
            keys.extend(known.map(|(_, key)| *key));
            bytes = known.and_then(|(sent, _)| bytes.get(sent.len()..)).unwrap_or(rest);
        }
        keys
    }
}

impl Scroll {
    /// Returns the number of hidden lines above the first visible line, which was `above` before
    /// the key was pressed.
    pub(super) fn from(self, above: usize, page: usize) -> usize {
        match self {
            Self::Up => above.saturating_sub(1),
            Self::Down => above.saturating_add(1),
            Self::PageUp => above.saturating_sub(page),
            Self::PageDown => above.saturating_add(page),
            Self::First => 0,
            // limited to the number of lines when they are drawn
            Self::Last => usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_people_know() {
        assert_eq!(Key::all(b"q"), [Key::Quit]);
        assert_eq!(Key::all(b"\x1b[Bjz"), [Key::Scroll(Scroll::Down); 2]);
        assert_eq!(
            Key::all(b"\x1b[5~\x1b[6~"),
            [Scroll::PageUp, Scroll::PageDown].map(Key::Scroll)
        );
        assert_eq!(Key::all(b"yz\xff"), []);
        assert_eq!(Key::all(b"x1\x7f\r"), [Key::Kick, Key::Digit('1'), Key::Erase, Key::Enter]);
        assert_eq!(Key::all(b"\x1bq"), [Key::Escape, Key::Quit]);
        assert_eq!(
            [Scroll::Up, Scroll::PageUp, Scroll::First].map(|key| key.from(5, 9)),
            [4, 0, 0]
        );
    }
}
