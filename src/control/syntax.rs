//! What can be wrong with a command line.

use std::fmt;

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntaxError {
    /// No row has this name.
    UnknownCommand,
    /// No row has this word behind SITE.
    UnknownSite,
    /// No row has this word behind OPTS.
    UnknownOption,
    /// A browser, or somebody's HTTP request sent here (a cross-protocol attack).
    Http,
    /// Something must follow.
    MissingArgument,
    /// Nothing may follow.
    UnwantedArgument,
    /// Not of the form that is needed.
    BadArgument,
    /// Not a number, or too large.
    BadNumber,
    /// Not a time of the form `YYYYMMDDHHMMSS`.
    BadTime,
    /// Not permission bits from 000 to 777.
    BadMode,
    /// A name with NUL, CR or LF in it.
    BadPathname,
    /// Neither IPv4 nor IPv6.
    UnknownProtocol,
}

/// For the client and the log alike.
impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCommand => "Unknown command",
            Self::UnknownSite => "Unknown SITE command",
            Self::UnknownOption => "Unknown option",
            Self::Http => "This is an FTP server",
            Self::MissingArgument => "Argument needed",
            Self::UnwantedArgument => "No argument allowed",
            Self::BadArgument => "Argument not understood",
            Self::BadNumber => "Not a number, or too large",
            Self::BadTime => "Not a time of the form YYYYMMDDHHMMSS",
            Self::BadMode => "Not permission bits from 000 to 777",
            Self::BadPathname => "Pathname with NUL, CR or LF",
            Self::UnknownProtocol => "Network protocol not supported, use (1,2)",
        })
    }
}
