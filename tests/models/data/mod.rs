//! The files of `data` that are modelled.

use crate::check::Model;

#[path = "../../../src/data/error.rs"]
mod error;
#[path = "../../../src/data/ports.rs"]
mod ports;

mod leases;

/// What `error` uses of a file that is not modelled.
mod watch {
    pub(crate) use ftpd::data::Interrupt;
}

pub(crate) const MODELS: &[Model] = &[Model {
    name: "ports",
    shows: "no passive port is given twice at once, and each is given back",
    clock: false,
    threads: leases::no_port_is_given_twice,
}];
