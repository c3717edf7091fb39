//! Errors in command lines.

use std::fmt;

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntaxError {
    /// The name of the command is unknown.
    UnknownCommand,
    /// The word after SITE is unknown.
    UnknownSite,
    /// The word after OPTS is unknown.
    UnknownOption,
    /// The line is an HTTP request, from a browser or of a cross-protocol attack.
    Http,
    /// The line is a header of the PROXY protocol, or a part of one.
    Proxy,
    /// The argument is missing.
    MissingArgument,
    /// The command takes no argument.
    UnwantedArgument,
    /// The argument does not have the required form.
    BadArgument,
    /// The argument is not a number, or the number is too large.
    BadNumber,
    /// The argument is not a time of the form `YYYYMMDDHHMMSS`.
    BadTime,
    /// MFF names a fact that cannot be set.
    UnknownFact,
    /// The argument is not permission bits from 000 to 777.
    BadMode,
    /// The pathname contains NUL, CR or LF.
    BadPathname,
    /// The network protocol is neither IPv4 nor IPv6.
    UnknownProtocol,
}

/// The text for the log, and for the client in most cases.
impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCommand => "Unknown command",
            Self::UnknownSite => "Unknown SITE command",
            Self::UnknownOption => "Unknown option",
            Self::Http => "This is an FTP server",
            Self::Proxy => {
                "PROXY headers are read from addresses in proxy_from only, before anything else"
            }
            Self::MissingArgument => "Argument required",
            Self::UnwantedArgument => "No argument allowed",
            Self::BadArgument => "Argument not understood",
            Self::BadNumber => "Not a number, or too large",
            Self::BadTime => "Not a time of the form YYYYMMDDHHMMSS",
            Self::UnknownFact => "The facts are modify, UNIX.mode and UNIX.group",
            Self::BadMode => "Not permission bits from 000 to 777",
            Self::BadPathname => "Pathname with NUL, CR or LF",
            Self::UnknownProtocol => "Network protocol not supported, use (1,2)",
        })
    }
}
