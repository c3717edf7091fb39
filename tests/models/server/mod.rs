//! The files of `server` that are modelled.

use crate::check::Model;

#[path = "../../../src/server/admission/mod.rs"]
mod admission;
#[path = "../../../src/server/pool.rs"]
mod pool;
#[path = "../../../src/server/spare.rs"]
mod spare;

mod clients;
mod jobs;

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "pool",
        shows: "each client that the pool accepts is served once, and all workers end",
        clock: false,
        threads: jobs::each_is_served_once,
    },
    Model {
        name: "pool-idle",
        shows: "the same while workers end because they have waited long enough",
        clock: true,
        threads: jobs::each_is_served_once,
    },
    Model {
        name: "pool-unfit",
        shows: "the same while workers end because their threads are not fit for another client",
        clock: false,
        threads: jobs::none_waits_for_a_worker_that_is_not_fit,
    },
    Model {
        name: "limits",
        shows: "max_cons and max_per_ip are never exceeded, and each place is given back",
        clock: false,
        threads: clients::places_are_given_back,
    },
];
