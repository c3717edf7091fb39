//! Values of a settings file in Python: strings, numbers, sums and products of numbers, and
//! tuples.

/// A value of a Python file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Truth(bool),
    None,
    Tuple(Vec<Value>),
}

impl Value {
    /// Reads the text after the `=`, which may end in a comment.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.sum(0)?;
        reader.skip();
        reader.rest.is_empty().then_some(value)
    }

    /// Returns the value as a settings file of this server writes it.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Truth(truth) => Some(if *truth { "on" } else { "off" }.to_owned()),
            Self::None => Some(String::new()),
            Self::Tuple(_) => None,
        }
    }
}

/// Maximum depth of nested brackets.
const DEEPEST: u32 = 16;

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    /// Skips spaces, and a comment at the end.
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn sum(&mut self, depth: u32) -> Option<Value> {
        let mut value = self.product(depth)?;
        loop {
            if self.take("+") {
                value = joined(value, self.product(depth)?, u64::checked_add)?;
            } else if self.take("-") {
                value = joined(value, self.product(depth)?, u64::checked_sub)?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self, depth: u32) -> Option<Value> {
        let mut value = self.single(depth)?;
        while self.take("*") {
            value = joined(value, self.single(depth)?, u64::checked_mul)?;
        }
        Some(value)
    }

    fn single(&mut self, depth: u32) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        for (open, close) in [("(", ")"), ("[", "]")] {
            if self.take(open) {
                return self.brackets(close, depth + 1);
            }
        }
        for prefix in ["r", "u", ""] {
            for quote in ["'", "\""] {
                if self.take(&format!("{prefix}{quote}")) {
                    return self.quoted(quote, prefix == "r");
                }
            }
        }
        let end = self.rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match word {
            "True" => Some(Value::Truth(true)),
            "False" => Some(Value::Truth(false)),
            "None" => Some(Value::None),
            digits if digits.starts_with(|letter: char| letter.is_ascii_digit()) => {
                digits.replace('_', "").parse().ok().map(Value::Number)
            }
            _ => None,
        }
    }

    /// Reads a tuple, a list, or a single value in brackets, after the opening bracket.
    fn brackets(&mut self, close: &str, depth: u32) -> Option<Value> {
        let mut values = Vec::new();
        let mut is_tuple = close == "]";
        while !self.take(close) {
            values.push(self.sum(depth)?);
            if self.take(",") {
                is_tuple = true;
            } else if !self.take(close) {
                return None;
            } else {
                break;
            }
        }
        match values.pop() {
            Some(value) if values.is_empty() && !is_tuple => Some(value),
            last => {
                values.extend(last);
                Some(Value::Tuple(values))
            }
        }
    }

    fn quoted(&mut self, quote: &str, raw: bool) -> Option<Value> {
        // three quotes begin a string of several lines, which is not supported
        if self.rest.starts_with(&quote.repeat(2)) {
            return None;
        }
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' if raw => text.push('\\'),
                '\\' => match letters.next()?.1 {
                    same @ ('\\' | '\'' | '"') => text.push(same),
                    _ => return None,
                },
                _ if quote.starts_with(letter) => {
                    self.rest = self.rest.get(at + letter.len_utf8()..)?;
                    return Some(Value::Text(text));
                }
                _ => text.push(letter),
            }
        }
        None
    }
}

fn joined(one: Value, other: Value, with: fn(u64, u64) -> Option<u64>) -> Option<Value> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => with(one, other).map(Value::Number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    #[test]
    fn values_are_read_as_python_reads_them() {
        for (source, wanted) in [
            ("'0.0.0.0'", text("0.0.0.0")),
            ("\"it's\"  # and a comment", text("it's")),
            ("r'C:\\x'", text("C:\\x")),
            ("'a # b'", text("a # b")),
            ("'\\\\\\''", text("\\'")),
            ("300 * 1024", Some(Value::Number(307_200))),
            ("2 + 3 * 4 - 1", Some(Value::Number(13))),
            ("(2 + 3) * 4", Some(Value::Number(20))),
            ("1_000", Some(Value::Number(1000))),
            ("False", Some(Value::Truth(false))),
            ("None", Some(Value::None)),
        ] {
            assert_eq!(Value::parse(source), wanted, "{source}");
        }
        let both = Some(Value::Tuple(vec![Value::Number(2000), Value::Number(2200)]));
        for source in ["(2000, 2200)", "[2000,2200,]", "( 2000 , 1100 * 2 )"] {
            assert_eq!(Value::parse(source), both, "{source}");
        }
        assert_eq!(Value::parse("(7,)"), Some(Value::Tuple(vec![Value::Number(7)])));
        for source in [
            "",
            "'",
            "'x",
            "x",
            "1 1",
            "os.environ['X']",
            "'''x'''",
            "1 / 2",
            "-1",
            "'a' + 'b'",
            "(1, 2",
            "1 - 2",
            "99999999999999999999",
            "'\\x41'",
            "f'x'",
        ] {
            assert_eq!(Value::parse(source), None, "{source}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[-+*()\\[\\]'\"\\\\r0-9 ,#a-z\u{e4}]{0,60}") {
            let _ = Value::parse(&text);
            let _ = Value::parse(&"(".repeat(text.len() * 100));
        }
    }
}
