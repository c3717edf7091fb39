//! The options of LIST, NLST and STAT, which clients send in the form that `ls` takes.

/// The options that are supported. Others are ignored: hidden files are always listed, `.` and
/// `..` never are, and each entry has a line of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::control) struct Options {
    /// `R`: lists the directories below as well.
    pub(in crate::control) recurse: bool,
    /// `d`: lists a directory itself instead of its entries.
    pub(in crate::control) itself: bool,
    /// `t`, `S` and `r`: the order of the entries; `None`: as the file system returns them.
    pub(in crate::control) order: Option<Order>,
}

/// The order in which entries are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) struct Order {
    pub(in crate::control) by: By,
    /// `r`: reverses the order.
    pub(in crate::control) reverse: bool,
}

/// What entries are sorted by. Equal entries are sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum By {
    /// By the bytes of the name.
    Name,
    /// By the time of modification, latest first.
    Time,
    /// By the size, largest first.
    Size,
}

impl Options {
    /// Reads the options before a path, and returns them with the rest of the text. A word
    /// that begins with a dash is an option, unless the text from there on is the name of a
    /// file.
    pub(in crate::control) fn read(
        text: &[u8],
        is_there: impl Fn(&[u8]) -> bool,
    ) -> (Self, &[u8]) {
        let mut options = Self::default();
        let mut rest = text;
        while rest.starts_with(b"-") && !is_there(rest) {
            let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind.trim_ascii_start();
            match word {
                b"--" => break,
                // words such as --all are ignored
                [b'-', b'-', ..] => {}
                letters => letters.iter().for_each(|&letter| options.take(letter)),
            }
        }
        (options, rest)
    }

    /// Applies the option of one letter. If two contradict each other, the last one counts, as
    /// for `ls`.
    fn take(&mut self, letter: u8) {
        let (by, reverse) = self.order.map_or((None, false), |it| (Some(it.by), it.reverse));
        let (by, reverse) = match letter {
            b'R' => return self.recurse = true,
            b'd' => return self.itself = true,
            b't' => (By::Time, reverse),
            b'S' => (By::Size, reverse),
            b'r' => (by.unwrap_or(By::Name), true),
            _ => return,
        };
        self.order = Some(Order { by, reverse });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Options, String) {
        let (options, rest) = Options::read(text.as_bytes(), |name| name == b"-t there");
        (options, String::from_utf8(rest.to_vec()).unwrap())
    }

    #[test]
    fn letters_may_stand_together_or_apart_and_unknown_ones_are_ignored() {
        let by_time = Some(Order { by: By::Time, reverse: true });
        for text in ["-lart x", "-t -r x", "-r -t  x", "-r -S -t x", "-zt --all -1r -Q x"] {
            let wanted = Options { order: by_time, ..Options::default() };
            assert_eq!(read(text), (wanted, "x".to_owned()), "{text}");
        }
        let (options, rest) = read("-Rd");
        assert!(options.recurse && options.itself && options.order.is_none());
        assert_eq!(rest, "");
        let (options, _) = read("-r");
        assert_eq!(options.order, Some(Order { by: By::Name, reverse: true }));
    }

    #[test]
    fn a_name_that_is_there_and_what_stands_behind_two_dashes_are_no_options() {
        assert_eq!(read("-t there"), (Options::default(), "-t there".to_owned()));
        assert_eq!(read("-- -t x"), (Options::default(), "-t x".to_owned()));
        assert_eq!(read("x -t"), (Options::default(), "x -t".to_owned()));
        assert_eq!(read(""), (Options::default(), String::new()));
        assert_eq!(read("- x").1, "x");
    }
}
