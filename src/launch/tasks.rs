//! The first arguments with which the server's own program does a task of this room. Only the
//! server starts it so.

/// Starts programs for a server. The argument after it is the settings file, if there is one.
pub const START: &str = "start-programs";

/// Prints the table of programs. The argument after it is the settings file, if there is one.
pub const LIST: &str = "list-programs";

/// Becomes a program. The arguments after it are the user to become, the program, and the
/// program's arguments.
pub const EXEC: &str = "exec-program";

/// The server's own program, even if another file has replaced it.
pub(super) const OWN: &str = "/proc/self/exe";
