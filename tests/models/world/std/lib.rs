//! The standard library as the modelled files see it: shuttle chooses which thread runs next, at
//! each operation on a lock, a condition variable, an atomic or a channel, and the [`clock`]
//! chooses when time passes.

pub use std::*;

use std::cell::RefCell;
use std::rc::Rc;

pub mod clock;
mod condvar;
pub mod thread;
pub mod time;

/// As `std::sync`. Only what several threads may wait for or change is replaced.
pub mod sync {
    pub use std::sync::*;

    pub use shuttle::sync::{
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
    };

    pub use crate::condvar::{Condvar, WaitTimeoutResult};

    /// As `std::sync::atomic`, but always sequentially consistent.
    pub mod atomic {
        pub use shuttle::sync::atomic::*;
    }
}

thread_local! {
    static BEFORE_SWITCH: RefCell<Rc<dyn Fn()>> = RefCell::new(Rc::new(|| ()));
}

/// A point at which another thread may run.
pub fn switch() {
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    let before = BEFORE_SWITCH.with_borrow(Rc::clone);
    before();
    AtomicBool::new(false).load(Ordering::SeqCst);
}

/// Does this before each [`switch`] from now on.
pub fn before_switch(work: impl Fn() + 'static) {
    BEFORE_SWITCH.set(Rc::new(work));
}
