//! Whether the kernel confines the process.

/// The value of `sandbox`: whether the kernel confines the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confine {
    /// As far as the kernel can.
    Auto,
    /// Not at all.
    Off,
    /// The server does not start without a sandbox.
    Require,
}
