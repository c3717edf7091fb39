//! The colours of `ftpd top`.

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colours(pub(super) bool);

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Title,
    Idle,
    Upload,
    Download,
}

impl Colours {
    /// Colours are used on a terminal that has them, unless `NO_COLOR` is set.
    pub(super) fn of(is_terminal: bool) -> Self {
        let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|kind| kind == "dumb");
        Self(is_terminal && !is_dumb && !has("NO_COLOR"))
    }

    /// Returns a line in its colour.
    pub(super) fn paint(self, style: Style, line: &str) -> String {
        let code = match style {
            Style::Title => "7",
            Style::Idle => "2",
            Style::Upload => "32",
            Style::Download => "36",
            Style::Plain => "",
        };
        if self.0 && !code.is_empty() {
            format!("\x1b[{code}m{line}\x1b[0m")
        } else {
            line.to_owned()
        }
    }
}
