//! The setting that decides whether the kernel confines the process.

/// The value of `sandbox`: whether the kernel (Landlock) confines the process to the files it
/// needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confine {
    /// The process is confined as far as the kernel supports it.
    Auto,
    /// The process is not confined.
    Off,
    /// The server does not start without a sandbox.
    Require,
}
