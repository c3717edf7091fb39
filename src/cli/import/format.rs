//! The formats of other servers' files, and how they are recognised.

use super::settings;

/// The formats of files that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The users of pyftpdlib's tutorial: `user password permission home_directory`.
    Tutorial,
    /// `pureftpd.passwd`.
    PureFtpd,
    /// An `AuthUserFile` of `ProFTPD`.
    ProFtpd,
    /// `vsftpd.conf`.
    Vsftpd,
    /// The `settings.py` of pyftpdlib's tutorial.
    Settings,
}

impl Format {
    pub(super) const ALL: [Self; 5] =
        [Self::Tutorial, Self::PureFtpd, Self::ProFtpd, Self::Vsftpd, Self::Settings];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tutorial => "a user.conf of pyftpdlib's tutorial",
            Self::PureFtpd => "a pureftpd.passwd of Pure-FTPd",
            Self::ProFtpd => "an AuthUserFile of ProFTPD",
            Self::Vsftpd => "a vsftpd.conf",
            Self::Settings => "a settings.py of pyftpdlib's tutorial",
        }
    }

    /// Whether a line looks like one of this format.
    fn has(self, line: &str) -> bool {
        let colons = line.matches(':').count();
        if self != Self::Settings && settings::has(line) {
            return false;
        }
        match self {
            Self::Settings => settings::has(line),
            Self::Tutorial => line.split_whitespace().count() == 4,
            // the number of fields depends on the version
            Self::PureFtpd => colons > 6 && !line.starts_with(':'),
            Self::ProFtpd => colons == 6 && !line.starts_with(':'),
            Self::Vsftpd => {
                let key = line.split_once('=').map_or("", |(key, _)| key);
                let in_key =
                    |byte: u8| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte);
                key.contains('_') && key.bytes().all(in_key)
                    || ["listen", "isolate"].contains(&key)
            }
        }
    }

    /// Returns the format that most of the lines look like.
    pub(super) fn of(lines: &[(usize, &str)]) -> Option<Self> {
        // for example a settings file of this server
        let has_sections = lines.iter().any(|(_, line)| line.starts_with('['));
        let count = |format: Self| {
            let is_other = format == Self::Settings && has_sections;
            lines.iter().filter(|(_, line)| !is_other && format.has(line)).count()
        };
        let counted = Self::ALL.map(|format| (count(format), format));
        let most = counted.iter().map(|(count, _)| *count).max().filter(|&most| most > 0)?;
        let mut best = counted.iter().filter(|(count, _)| *count == most);
        best.next().filter(|_| best.next().is_none()).map(|(_, format)| *format)
    }
}
