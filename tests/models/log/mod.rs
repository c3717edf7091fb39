//! The files of `log` that are modelled.

use crate::check::Model;

#[path = "../../../src/log/entry.rs"]
mod entry;
#[path = "../../../src/log/event.rs"]
mod event;
#[path = "../../../src/log/file.rs"]
mod file;
#[path = "../../../src/log/heard.rs"]
mod heard;
#[path = "../../../src/log/outlet.rs"]
mod outlet;
#[path = "../../../src/log/packed.rs"]
mod packed;
#[path = "../../../src/log/queue.rs"]
mod queue;
#[path = "../../../src/log/sink.rs"]
mod sink;
#[path = "../../../src/log/way.rs"]
mod way;

mod lines;

pub(crate) use event::Event;
pub(crate) use ftpd::log::path;

/// Events of the server are not modelled.
pub(crate) fn own(_: &Event<'_>) {}

pub(crate) const MODELS: &[Model] = &[Model {
    name: "log",
    shows: "each line is written once, in the order of its session, and nobody waits for ever",
    clock: true,
    threads: lines::none_is_lost,
}];
