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
