//! HASH, XCRC and its kin, SITE MD5 and OPTS HASH: checksums of files.
//!
//! A checksum is always that of the bytes as they are stored, whatever the TYPE: this is what clients
//! compare with files of their own.

use std::fs::File;
use std::ops::Range;

use super::transfer;
use crate::config::Perm;
use crate::control::arg::range::RangedPath;
use crate::control::arg::text::Pathname;
use crate::control::command::Verb;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::{Parameters, Portion};
use crate::log::{Event, Hashing};
use crate::vfs::{Algorithm, Pin, VirtualPath, Wanted};

/// HASH (draft-bryan-ftpext-hash): replies with the checksum of a file, or of the part that RANG or
/// REST has named before. The reply names the first byte and the one after the last, as other servers
/// do.
pub(crate) fn hash(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
    portion: Portion,
) -> Result<Reply, Refusal> {
    let target = Target::open(session, session.user()?.stored(Perm::Retrieve, path)?)?;
    let range = portion.within(target.size)?;
    let algorithm = session.state.parameters.hash;
    let digest = target.hash(session, verb, algorithm, range.clone())?;
    let Range { start, end } = range;
    let text = format!("{} {start}-{end} {digest} ", algorithm.name());
    Ok(Reply::new(Code::FileStatus, [text.as_bytes(), path.as_bytes()].concat()))
}

/// XCRC, XMD5, XSHA1, XSHA256 and XSHA512, with the range in the argument: from the first byte up to,
/// but not including, the second one.
pub(crate) fn checksum(
    session: &mut Session,
    verb: &Verb,
    algorithm: Algorithm,
    ranged: &RangedPath,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let meant = ranged.meant(|path| user.has(path.as_bytes())).ok_or(Refusal::BadRange)?;
    let (path, bounds) = (user.path(&meant.0), meant.1);
    // which path the line means has been found out again, and it may be another one by now
    user.check(Perm::Retrieve, &path)?;
    let target = Target::open(session, user.stored(Perm::Retrieve, &meant.0)?)?;
    let range = match bounds {
        None => 0..target.size,
        Some((start, end)) if start < end && end <= target.size => start..end,
        Some(_) => return Err(Refusal::BadRange),
    };
    let digest = target.hash(session, verb, algorithm, range)?;
    Ok(Reply::done(&digest.to_ascii_uppercase()))
}

/// SITE MD5, with the reply that FreeBSD's server has made.
pub(crate) fn md5(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let target = Target::open(session, session.user()?.stored(Perm::Retrieve, path)?)?;
    let range = 0..target.size;
    let digest = target.hash(session, verb, Algorithm::Md5, range)?;
    Ok(Reply::ok([b"MD5(", path.as_bytes(), b") = ", digest.as_bytes()].concat()))
}

/// OPTS HASH: shows or chooses the algorithm of HASH.
pub(crate) fn opts(parameters: &mut Parameters, wanted: Option<Algorithm>) -> Reply {
    parameters.hash = wanted.unwrap_or(parameters.hash);
    Reply::ok(parameters.hash.name())
}

/// A file whose checksum is asked for.
struct Target {
    path: VirtualPath,
    file: File,
    size: u64,
    _pin: Pin,
}

impl Target {
    /// Opens a file as RETR does. If data connections must use TLS, the control connection must too,
    /// because the checksum of one byte reveals the byte.
    fn open(session: &Session, path: VirtualPath) -> Result<Self, Refusal> {
        if session.required().data && !session.connection.is_secure() {
            return Err(Refusal::HashInClear);
        }
        let (file, size, pin) = transfer::open(session.user()?, &path)?;
        Ok(Self { path, file, size, _pin: pin })
    }

    fn hash(
        &self,
        session: &mut Session,
        verb: &Verb,
        algorithm: Algorithm,
        range: Range<u64>,
    ) -> Result<String, Refusal> {
        let tree = std::sync::Arc::clone(&session.user()?.tree);
        let real = tree.real(&self.path);
        let patience = session.patience();
        let bytes = range.end - range.start;
        let shared = std::sync::Arc::clone(&session.shared);
        let wanted = Wanted { algorithm, range: range.clone(), patience };
        session.live.show_work(verb.name(), &real, bytes);
        let began = std::time::Instant::now();
        let done = session
            .attend_counting(verb, |told| tree.hash(&shared.hashes, &self.file, &wanted, told));
        session.live.over();
        let digest = done?;
        let (name, took) = (algorithm.name(), began.elapsed());
        let (command, path) = (verb.name(), real.as_path());
        let range = (range.start, range.end);
        session.log(&Event::Hashed(Hashing { command, path, algorithm: name, range, took }));
        Ok(digest)
    }
}
