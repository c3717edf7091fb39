//! Models of the turns that uploads take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use shuttle::rand::{Rng, thread_rng};

use super::turns::{Turn, Turns};
use crate::vfs::error::FsError;

const UPLOADS: usize = 4;
const DIR: (u64, u64) = (1, 2);

/// The number of uploads that have a turn now, for each of two files.
type Having = Arc<[AtomicUsize; 2]>;

/// What each of the uploads to two files has come to.
fn uploads(interrupted: f64) -> Vec<Result<(), FsError>> {
    let (turns, having) = (Arc::new(Turns::default()), Having::default());
    let upload = |number: usize| {
        let (turns, having) = (Arc::clone(&turns), Arc::clone(&having));
        thread::spawn(move || {
            let file = number % 2;
            let name = file.to_string().into_bytes();
            let mut heed = || !thread_rng().gen_bool(interrupted);
            let _claim = turns.claim(Turn::Name(DIR, name.clone()), &mut heed)?;
            assert_eq!(having[file].fetch_add(1, Ordering::SeqCst), 0, "two have the turn");
            // of two uploads with a new name, one gets it
            let promise = turns.promise(DIR, &name);
            assert!(promise.is_some(), "nobody else wants the name now");
            assert!(turns.promise(DIR, &name).is_none(), "the name is promised twice");
            having[file].fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
    };
    let uploads: Vec<_> = (0..UPLOADS).map(upload).collect();
    uploads.into_iter().map(|upload| upload.join().expect("takes its turn")).collect()
}

/// No upload waits for ever, although no wait ends by itself.
pub(super) fn each_upload_gets_its_turn() {
    assert!(uploads(0.0).iter().all(Result::is_ok));
}

/// An upload that gives up keeps nobody else from having the turn.
pub(super) fn some_give_up() {
    for end in uploads(0.2) {
        let end = end.map_err(|why| why.to_string());
        let late = [FsError::Busy, FsError::Interrupted].map(|why| Err(why.to_string()));
        assert!(end.is_ok() || late.contains(&end), "{end:?}");
    }
}
