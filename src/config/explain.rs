//! The values in force and where each comes from, for `ftpd check -v`.

/// A value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The section that the value belongs to, without brackets.
    pub section: String,
    /// The name of the key.
    pub key: &'static str,
    /// The value as it was written, or `***` if it is secret.
    pub value: String,
    /// Where the value was found: `FILE:LINE`, the name of a variable, or `default`.
    pub from: String,
}
