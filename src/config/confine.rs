//! How far the process is to be confined.

/// `sandbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confine {
    /// As far as it can be.
    Auto,
    /// Not at all.
    Off,
    /// It must be.
    Require,
}

impl Confine {
    pub(super) const WORDS: [&'static str; 3] = ["auto", "off", "require"];

    pub(super) fn of(word: &str) -> Self {
        match word {
            "off" => Self::Off,
            "require" => Self::Require,
            _ => Self::Auto,
        }
    }
}
