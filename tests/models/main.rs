//! Models of what the threads of ftpd share: the pool of workers, the passive ports, the turns
//! and the parts of uploads, the queue of the log and the counts of clients. `make models` runs
//! them.
//!
//! A model is a few threads that use the real files of `src`, which are compiled here a second
//! time with other crates in the place of `std`, `crossbeam-channel` and `rustix` (see `world`).
//! There, shuttle chooses which thread runs next, at each operation on a lock, a condition
//! variable or an atomic and before each system call that concerns a name; the clock moves only
//! when a model lets a wait end. Each model runs many times. Half of the schedules are random;
//! the others give each thread a priority and change it at a few random points (PCT), which finds
//! what needs one long delay at the wrong moment.
//!
//! Not modelled: the order in which processors see each other's writes (all atomics are
//! sequentially consistent), and the inside of crossbeam-channel.

#![allow(unfulfilled_lint_expectations, reason = "the modelled files start no real threads")]

// the modelled files say `std`
extern crate model_std as std;

use std::process::ExitCode;

use ftpd::{config, control, rights};

mod check;
#[allow(dead_code, reason = "a model uses a part of each file")]
mod data;
#[allow(dead_code, reason = "a model uses a part of each file")]
mod log;
#[allow(dead_code, reason = "a model uses a part of each file")]
mod server;
#[allow(dead_code, reason = "a model uses a part of each file")]
mod vfs;

fn main() -> ExitCode {
    let models = [server::MODELS, data::MODELS, vfs::MODELS, log::MODELS].concat();
    check::all(&models)
}
