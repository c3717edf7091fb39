//! Gives memory that is no longer used back to the system. The C library keeps it otherwise: after
//! 1,500 clients at once, 20 MB that no session uses.

use std::hint::black_box;
use std::thread;

/// Size of an allocation whose release makes glibc join the small chunks that are free, and give
/// the end of the heap back to the system. glibc does so from 64 KiB on; from 128 KiB on it takes
/// the allocation directly from the system. An allocation that is not used takes no memory.
const LARGE: usize = 96 << 10;

/// Size of the stacks that glibc keeps for the next threads. A stack of this size displaces all
/// others.
const ALL_STACKS: usize = 40 << 20;

/// Gives the free memory of the calling thread's heap back. Called by a thread before it ends.
pub(super) fn give_back_heap() {
    drop(black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// Gives the stacks of the threads that have ended back, by means of a thread that ends at once.
/// Its large stack is hardly touched, so it takes next to no memory.
#[expect(clippy::disallowed_methods, reason = "a thread that does nothing")]
pub(super) fn give_back_stacks() {
    // without the memory for it, the stacks remain for the next threads
    let _ = thread::Builder::new().stack_size(ALL_STACKS).spawn(|| {});
}
