//! The kinds of things that the server counts separately.

use super::offence::Offence;
use crate::auth::AuthError;
use crate::data::{DataError, Interrupt};
use crate::log::Way;
use crate::vfs::FsError;

/// An enum whose variants are counted separately. Each variant is shown under a word.
pub trait Countable: Copy + PartialEq + 'static {
    /// All variants, in the order in which they are shown.
    const ALL: &'static [Self];

    /// The word under which the variant is shown, in lower case.
    fn word(self) -> &'static str;
}

/// Defines an enum of kinds: a row for each variant, with its word.
macro_rules! kinds {
    ($(#[$about:meta])* $name:ident: $($kind:ident = $word:literal,)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`.")] $kind,)*
        }

        impl Countable for $name {
            const ALL: &'static [Self] = &[$(Self::$kind,)*];

            fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }
        }
    };
}

kinds! {
    /// Why a client was turned away before its session, or evicted before its login.
    Away:
    Server = "max_cons",
    Address = "max_per_ip",
    Banned = "banned",
    Evicted = "evicted",
    Worker = "no_worker",
    Files = "no_files",
    Header = "no_proxy_header",
}

kinds! {
    /// How a login ended.
    LoginResult:
    Good = "good",
    User = "no_such_user",
    Password = "wrong_password",
    Certificate = "wrong_certificate",
    Address = "not_from_there",
    Sessions = "max_per_user",
    Busy = "busy",
    Elsewhere = "refused_elsewhere",
    Outage = "no_answer",
}

kinds! {
    /// Why a command was refused.
    Reason:
    Syntax = "syntax",
    Login = "not_logged_in",
    Permission = "permission",
    Missing = "not_found",
    Space = "no_space",
    Port = "no_passive_port",
    Data = "no_data_connection",
    Tls = "tls",
    Other = "other",
}

kinds! {
    /// What kind of data a command moves over a data connection.
    Traffic:
    Upload = "upload",
    Download = "download",
    Listing = "listing",
}

kinds! {
    /// How a transfer ended.
    Outcome:
    Complete = "complete",
    Aborted = "aborted",
    Lost = "lost",
    Stalled = "stalled",
    Disk = "disk",
    Refused = "refused",
    Unjudged = "unjudged",
    Stopped = "stopped",
    Ended = "ended_by_administrator",
}

impl Countable for Offence {
    const ALL: &'static [Self] =
        &[Self::Login, Self::Http, Self::Noise, Self::Tls, Self::Endless, Self::Refused];

    fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Http => "http",
            Self::Noise => "not_ftp",
            Self::Tls => "not_tls",
            Self::Endless => "endless_line",
            Self::Refused => "refused_commands",
        }
    }
}

impl Traffic {
    /// Returns the direction in which the bytes move.
    pub fn way(self) -> Way {
        match self {
            Self::Upload => Way::Up,
            Self::Download | Self::Listing => Way::Down,
        }
    }
}

impl From<&AuthError> for LoginResult {
    fn from(why: &AuthError) -> Self {
        match why {
            AuthError::UnknownUser | AuthError::Disabled | AuthError::Expired => Self::User,
            AuthError::WrongPassword => Self::Password,
            AuthError::RefusedElsewhere { .. } => Self::Elsewhere,
            AuthError::Outage(_) => Self::Outage,
            AuthError::NoCertificate => Self::Certificate,
            AuthError::NotFromHere => Self::Address,
            AuthError::TooManySessions => Self::Sessions,
            AuthError::Busy => Self::Busy,
        }
    }
}

impl From<Option<&DataError>> for Outcome {
    fn from(why: Option<&DataError>) -> Self {
        match why {
            None => Self::Complete,
            Some(why) => match why {
                DataError::Interrupted(Interrupt::Abort) => Self::Aborted,
                DataError::Interrupted(Interrupt::Stopped) => Self::Stopped,
                DataError::Interrupted(Interrupt::Ended(_)) => Self::Ended,
                DataError::Stalled => Self::Stalled,
                DataError::Write(FsError::Rejected(_)) => Self::Refused,
                DataError::Write(FsError::Unjudged(_)) => Self::Unjudged,
                DataError::Read(_) | DataError::Write(_) | DataError::Shortened => Self::Disk,
                DataError::Interrupted(Interrupt::ControlLost)
                | DataError::Lost(_)
                | DataError::NoPort
                | DataError::NoAddress
                | DataError::CannotListen(_)
                | DataError::NeverCame(_)
                | DataError::NeverUsed(_)
                | DataError::CannotConnect(_)
                | DataError::NotClosed
                | DataError::Handshake(_)
                | DataError::LevelChanged
                | DataError::OtherCertificate
                | DataError::NotResumed => Self::Lost,
            },
        }
    }
}
