//! Models of the parts of uploads: several sessions of one user store the same file.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};

use super::home::{World, path};
use crate::vfs::error::FsError;
use crate::vfs::files::Files;
use crate::vfs::upload::destination::Destination;
use crate::vfs::upload::open::Upload;
use crate::vfs::upload::plan::Store;

const KEPT: Duration = Duration::from_secs(3600);
const LONG: u64 = 6;
const PIECE: usize = 2;

/// The uploads that have begun to write: the letter of each, and the offset where it began.
type Begun = Arc<Mutex<Vec<(u8, u64)>>>;

fn begin(files: &Files, store: Store) -> Result<Upload, FsError> {
    let mut upload = files
        .upload(&Destination::exactly(path()), store, 0o644, true, None, &mut || true)?
        .ready()?;
    upload.begin()?;
    Ok(upload)
}

/// Stores the file from the end of what is shown on, in pieces of its own letter. May give up in
/// between. Returns whether the upload was completed.
fn resume(files: &Files, letter: u8, begun: &Begun) -> Result<bool, FsError> {
    let shown = files.shown(&path()).map_or(0, |entry| entry.size);
    // a complete file is stored again from the beginning
    let from = if shown < LONG { shown } else { 0 };
    let store = if from > 0 { Store::At(from) } else { Store::Replace };
    let mut upload = begin(files, store)?;
    begun.lock().unwrap_or_else(PoisonError::into_inner).push((letter, from));
    for _ in (from..LONG).step_by(PIECE) {
        if thread_rng().gen_bool(0.2) {
            upload.fail(true);
            return Ok(false);
        }
        let written = upload.write_all(&[letter; PIECE]);
        if let Err(why) = written {
            upload.fail(true);
            return Err(why);
        }
    }
    upload.finish()?;
    Ok(true)
}

/// Whatever sessions resume from each other, no two of them write to one part at once: in a
/// complete file, the bytes of a session begin where its upload began.
pub(super) fn no_two_sessions_write_one_part() {
    let world = World::new(KEPT);
    let begun = Begun::default();
    let session = |letter: u8| {
        let (files, begun) = (world.session(), Arc::clone(&begun));
        thread::spawn(move || {
            let mut completed = false;
            for letter in [letter, letter + 1] {
                completed |= resume(&files, letter, &begun).unwrap_or_else(|why| {
                    expected(&why);
                    false
                });
            }
            completed
        })
    };
    let sessions: Vec<_> = [b'a', b'c', b'e'].into_iter().map(session).collect();
    let ends = sessions.into_iter().map(|session| session.join().expect("stores files"));
    let completed = ends.fold(false, |any, end| any | end);
    match world.read() {
        Some(text) => check_text(&text, &begun.lock().unwrap_or_else(PoisonError::into_inner)),
        None => assert!(!completed, "a complete file is not there"),
    }
    check_parts(&world);
}

/// A refusal that a client is told of, and may answer by another attempt.
fn expected(why: &FsError) {
    use FsError::{BadOffset, Busy, Replaced, TakenOver};
    assert!(matches!(why, BadOffset(_) | Busy | Replaced | TakenOver), "{why:?}");
}

fn check_text(text: &[u8], begun: &[(u8, u64)]) {
    let shown = String::from_utf8_lossy(text);
    assert_eq!(text.len() as u64, LONG, "{shown:?} of {begun:?}");
    let mut last = 0;
    for (at, &letter) in text.iter().enumerate() {
        if letter != last {
            let run = (letter, at as u64);
            assert!(begun.contains(&run), "{shown:?} of {begun:?}");
            last = letter;
        }
    }
}

/// No upload is active any more, and the store knows each part that is on the disk. It may also
/// know a part that another session has removed.
fn check_parts(world: &World) {
    let known = world.parts.known();
    let (disk, count) = (world.parts_on_disk(), known.count());
    assert_eq!(known.count_dead(), count, "parts that nobody writes to are active");
    assert!(disk.len() <= count, "nobody knows {disk:?}");
    assert_eq!(world.parts.are_there(), count > 0);
}

/// A part that a failed upload has left is either removed or resumed, never both.
pub(super) fn a_removed_part_is_not_resumed() {
    let world = World::new(KEPT);
    let mut first = begin(&world.session(), Store::Replace).expect("begins");
    first.write_all(b"old").expect("is written");
    first.fail(true);
    let start = |work: fn(&Files) -> Result<Option<Upload>, FsError>| {
        let files = world.session();
        thread::spawn(move || work(&files))
    };
    let removers = [(); 2].map(|()| start(|files| files.remove_file(&path()).map(|_| None)));
    let resumer = start(|files| begin(files, Store::At(3)).map(Some));
    let other = start(|files| {
        let mut upload = begin(files, Store::Replace)?;
        upload.write_all(b"me")?;
        upload.fail(false);
        Ok(None)
    });
    let removed = removers.map(|remover| remover.join().expect("removes").is_ok());
    let resumed = resumer.join().expect("resumes");
    assert!(other.join().expect("stores").is_ok());
    let removed = removed.into_iter().filter(|removed| *removed).count();
    let winners = removed + usize::from(resumed.is_ok());
    assert_eq!(winners, 1, "{removed} have removed it; {resumed:?}");
    if let Ok(Some(mut upload)) = resumed {
        upload.write_all(b"new").expect("is written");
        upload.finish().expect("is put in place");
        assert_eq!(world.read().as_deref(), Some(&b"oldnew"[..]));
    }
    check_parts(&world);
    assert!(!world.parts.are_there(), "{:?}", world.parts_on_disk());
}

/// The sweeper removes a part that has been kept long enough, but neither that part once an
/// upload has taken it over nor what that upload leaves.
pub(super) fn the_sweeper_removes_nothing_that_is_resumed() {
    let world = World::new(KEPT);
    let mut first = begin(&world.session(), Store::Replace).expect("begins");
    first.write_all(b"old").expect("is written");
    world.age_parts(2 * KEPT);
    first.fail(true);
    let parts = Arc::clone(&world.parts);
    let sweeper = thread::spawn(move || (0..2).for_each(|_| parts.sweep()));
    let files = world.session();
    let resumer = thread::spawn(move || {
        let mut upload = begin(&files, Store::At(3))?;
        upload.write_all(b"new")?;
        upload.fail(true);
        Ok(())
    });
    let resumed: Result<(), FsError> = resumer.join().expect("resumes");
    sweeper.join().expect("sweeps");
    let left = world.parts_on_disk();
    match resumed {
        Ok(()) => assert_eq!(left.len(), 1, "the young part was removed"),
        Err(why) => {
            assert!(matches!(why, FsError::BadOffset(_)), "{why:?}");
            assert!(left.is_empty(), "{left:?}");
        }
    }
    check_parts(&world);
    assert_eq!(world.parts.are_there(), !left.is_empty());
}

/// Whenever the power fails, the journal names each directory that has a part.
pub(super) fn the_journal_knows_each_part() {
    let world = Arc::new(World::new(KEPT));
    let looks = Arc::clone(&world);
    std::before_switch(move || {
        let parts = looks.parts_on_disk();
        assert!(
            parts.is_empty() || looks.journal().lines().count() > 1,
            "{parts:?} are not in the journal"
        );
    });
    let begun = Begun::default();
    let session = |letter: u8| {
        let (files, begun) = (world.session(), Arc::clone(&begun));
        thread::spawn(move || match resume(&files, letter, &begun) {
            Ok(_) => {}
            Err(why) => expected(&why),
        })
    };
    let sessions: Vec<_> = [b'a', b'b'].into_iter().map(session).collect();
    // as if it had become too long
    for _ in 0..2 {
        world.parts.rewrite_journal();
    }
    sessions.into_iter().for_each(|session| session.join().expect("stores files"));
    std::before_switch(|| {});
}
