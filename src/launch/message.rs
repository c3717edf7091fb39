//! Messages between the server and the process that starts programs, as bytes. No bytes make
//! the reading fail otherwise than by returning `None`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The variables that a program can be given. The server names them by their place here, so that
/// it cannot set any other, such as `LD_PRELOAD`.
pub const VARIABLES: &[&str] = &[
    "FTPD_EVENT",
    "FTPD_USER",
    "FTPD_ADDRESS",
    "FTPD_PATH",
    "FTPD_PART",
    "FTPD_VIRTUAL_PATH",
    "FTPD_FROM",
    "FTPD_VIRTUAL_FROM",
    "FTPD_SIZE",
    "FTPD_SECONDS",
    "FTPD_RESULT",
    "AUTHD_ACCOUNT",
    "AUTHD_PASSWORD",
    "AUTHD_LOCAL_IP",
    "AUTHD_LOCAL_PORT",
    "AUTHD_REMOTE_IP",
    "AUTHD_ENCRYPTED",
];

/// Maximum length of a message, in bytes. The longest ones contain four paths.
pub(super) const LONGEST: usize = 64 * 1024;

/// Variables with their values.
pub(super) type Environment = Vec<(&'static str, OsString)>;

/// A message to the process that starts programs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The first message: the table can be read from the pipe that comes with it.
    Table,
    /// The program with this digest is to be started, as this user. With the message come a
    /// socket for this program, its standard output, its standard error, and perhaps its standard
    /// input.
    Start(Vec<u8>, String, Environment),
    /// The settings are to be read again. With the message comes a socket for the answer.
    Reload,
}

/// A message on the socket of a program or a reload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The program has started, with this process number.
    Started(u32),
    /// The program has ended, with this status of the system.
    Ended(i32),
    /// The settings have been read, and this is the digest of the table.
    Read(Vec<u8>),
    /// It cannot be done, for this reason.
    Failed(String),
    /// From the server: the program must end.
    End,
    /// From the server: the program must end at once, without a signal that it can ignore.
    Kill,
    /// From the server: the settings that were read are in effect.
    Commit,
}

const TABLE: &[u8] = b"table";
const START: &[u8] = b"start";
const RELOAD: &[u8] = b"reload";
const STARTED: &[u8] = b"started";
const ENDED: &[u8] = b"ended";
const READ: &[u8] = b"read";
const FAILED: &[u8] = b"failed";
const END: &[u8] = b"end";
const KILL: &[u8] = b"kill";
const COMMIT: &[u8] = b"commit";

impl Request {
    /// Returns the message as bytes; `None` if a variable is not in [`VARIABLES`].
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Table => put(&mut bytes, TABLE),
            Self::Reload => put(&mut bytes, RELOAD),
            Self::Start(digest, user, environment) => {
                put(&mut bytes, START);
                put(&mut bytes, digest);
                put(&mut bytes, user.as_bytes());
                for (name, value) in environment {
                    let at = VARIABLES.iter().position(|known| known == name)?;
                    put(&mut bytes, &[u8::try_from(at).ok()?]);
                    put(&mut bytes, value.as_bytes());
                }
            }
        }
        Some(bytes)
    }

    /// Reads a message; `None` if it is not one.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let fields = Fields::of(bytes)?;
        match fields.as_slice() {
            [TABLE] => Some(Self::Table),
            [RELOAD] => Some(Self::Reload),
            [START, digest, user, environment @ ..] => {
                let user = std::str::from_utf8(user).ok()?.to_owned();
                let (pairs, []) = environment.as_chunks() else { return None };
                let pair = |[at, value]: &[&[u8]; 2]| {
                    let [at] = at else { return None };
                    let name = VARIABLES.get(usize::from(*at))?;
                    Some((*name, OsString::from_vec((*value).to_owned())))
                };
                let environment = pairs.iter().map(pair).collect::<Option<_>>()?;
                Some(Self::Start((*digest).to_owned(), user, environment))
            }
            _ => None,
        }
    }
}

impl Word {
    /// Returns the message as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut all = |fields: &[&[u8]]| fields.iter().for_each(|field| put(&mut bytes, field));
        match self {
            Self::Started(pid) => all(&[STARTED, pid.to_string().as_bytes()]),
            Self::Ended(status) => all(&[ENDED, status.to_string().as_bytes()]),
            Self::Read(digest) => all(&[READ, digest]),
            Self::Failed(why) => all(&[FAILED, why.as_bytes()]),
            Self::End => all(&[END]),
            Self::Kill => all(&[KILL]),
            Self::Commit => all(&[COMMIT]),
        }
        bytes
    }

    /// Reads a message; `None` if it is not one.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match Fields::of(bytes)?.as_slice() {
            [STARTED, pid] => Some(Self::Started(text(pid)?.parse().ok()?)),
            [ENDED, status] => Some(Self::Ended(text(status)?.parse().ok()?)),
            [READ, digest] => Some(Self::Read((*digest).to_owned())),
            [FAILED, why] => Some(Self::Failed(text(why)?.to_owned())),
            [END] => Some(Self::End),
            [KILL] => Some(Self::Kill),
            [COMMIT] => Some(Self::Commit),
            _ => None,
        }
    }
}

/// Appends a field: its length and its bytes.
pub(super) fn put(to: &mut Vec<u8>, field: &[u8]) {
    to.extend((field.len() as u64).to_le_bytes());
    to.extend(field);
}

/// Reads the fields that [`put`] has made.
pub(super) struct Fields;

impl Fields {
    /// Returns all fields; `None` if the bytes are not whole fields.
    pub(super) fn of(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (field, rest) = rest.split_at_checked(length)?;
            fields.push(field);
            bytes = rest;
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_survive_their_bytes_and_no_other_variable_is_named() {
        let environment = vec![
            ("FTPD_USER", "bob".into()),
            ("FTPD_PATH", OsString::from_vec(vec![0xff, 10])),
        ];
        for request in [
            Request::Table,
            Request::Reload,
            Request::Start(vec![7; 32], "-".to_owned(), environment),
        ] {
            assert_eq!(Request::of_bytes(&request.bytes().unwrap()), Some(request));
        }
        let foreign =
            Request::Start(Vec::new(), String::new(), vec![("LD_PRELOAD", "x".into())]);
        assert_eq!(foreign.bytes(), None);
        let mut bytes = Request::Start(vec![7; 32], String::new(), Vec::new()).bytes().unwrap();
        put(&mut bytes, &[u8::try_from(VARIABLES.len()).unwrap()]);
        assert_eq!(Request::of_bytes(&bytes), None, "a name without a value");
        put(&mut bytes, b"value");
        assert_eq!(Request::of_bytes(&bytes), None, "a name that is not in the table");
        for word in [
            Word::Started(u32::MAX),
            Word::Ended(-1),
            Word::Read(vec![7; 32]),
            Word::Failed("why".to_owned()),
            Word::End,
            Word::Kill,
            Word::Commit,
        ] {
            assert_eq!(Word::of_bytes(&word.bytes()), Some(word));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(request) = Request::of_bytes(&bytes) {
                prop_assert_eq!(request.bytes(), Some(bytes.clone()));
            }
            let _ = Word::of_bytes(&bytes);
        }
    }
}
