//! The keys of `ftpd top`.

/// What a pressed key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Stay,
}

impl Key {
    /// The bytes that terminals send for each key.
    const ALL: [(&str, Self); 24] = [
        ("q", Self::Quit),
        ("Q", Self::Quit),
        ("k", Self::Up),
        ("\x1b[A", Self::Up),
        ("\x1bOA", Self::Up),
        ("j", Self::Down),
        ("\x1b[B", Self::Down),
        ("\x1bOB", Self::Down),
        ("b", Self::PageUp),
        ("\x1b[5~", Self::PageUp),
        (" ", Self::PageDown),
        ("f", Self::PageDown),
        ("\x1b[6~", Self::PageDown),
        ("g", Self::First),
        ("\x1b[H", Self::First),
        ("\x1bOH", Self::First),
        ("\x1b[1~", Self::First),
        ("\x1b[7~", Self::First),
        ("G", Self::Last),
        ("\x1b[F", Self::Last),
        ("\x1bOF", Self::Last),
        ("\x1b[4~", Self::Last),
        ("\x1b[8~", Self::Last),
        // without more bytes this is the beginning of a sequence that has not arrived
        // completely
        ("\x1b[", Self::Stay),
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

    /// Returns the number of hidden lines above the first visible line after this key was
    /// pressed.
    pub(super) fn scroll(self, above: usize, page: usize) -> usize {
        match self {
            Self::Quit | Self::Stay => above,
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
        assert_eq!(Key::all(b"\x1b[Bjx"), [Key::Down, Key::Down]);
        assert_eq!(Key::all(b"\x1b[5~\x1b[6~"), [Key::PageUp, Key::PageDown]);
        assert_eq!(Key::all(b"xyz\xff"), []);
        assert_eq!([Key::Up, Key::PageUp, Key::First].map(|key| key.scroll(5, 9)), [4, 0, 0]);
    }
}
