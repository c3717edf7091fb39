//! The files of `vfs::parts`.

use crate::check::Model;

#[path = "../../../../src/vfs/parts/adopt.rs"]
pub(in crate::vfs) mod adopt;
#[path = "../../../../src/vfs/parts/disk.rs"]
pub(in crate::vfs) mod disk;
#[path = "../../../../src/vfs/parts/foreign.rs"]
pub(in crate::vfs) mod foreign;
#[path = "../../../../src/vfs/parts/journal.rs"]
pub(in crate::vfs) mod journal;
#[path = "../../../../src/vfs/parts/keep.rs"]
pub(in crate::vfs) mod keep;
#[path = "../../../../src/vfs/parts/known.rs"]
pub(in crate::vfs) mod known;
#[path = "../../../../src/vfs/parts/left.rs"]
pub(in crate::vfs) mod left;
#[path = "../../../../src/vfs/parts/name.rs"]
pub(in crate::vfs) mod name;
#[path = "../../../../src/vfs/parts/numbers.rs"]
pub(in crate::vfs) mod numbers;
#[path = "../../../../src/vfs/parts/pins.rs"]
pub(in crate::vfs) mod pins;
#[path = "../../../../src/vfs/parts/shares.rs"]
pub(in crate::vfs) mod shares;
#[path = "../../../../src/vfs/parts/store.rs"]
pub(in crate::vfs) mod store;
#[path = "../../../../src/vfs/parts/turns.rs"]
pub(in crate::vfs) mod turns;
#[path = "../../../../src/vfs/parts/upkeep.rs"]
mod upkeep;

mod home;
mod part;
mod turn;

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "turns",
        shows: "one upload at a time has the turn, and each gets its own",
        clock: false,
        threads: turn::each_upload_gets_its_turn,
    },
    Model {
        name: "turns-patience",
        shows: "the same while uploads give up waiting",
        clock: true,
        threads: turn::some_give_up,
    },
    Model {
        name: "parts-resume",
        shows: "no two sessions write one part, and the store knows each part",
        clock: false,
        threads: part::no_two_sessions_write_one_part,
    },
    Model {
        name: "parts-remove",
        shows: "a part is either removed or resumed, never both",
        clock: false,
        threads: part::a_removed_part_is_not_resumed,
    },
    Model {
        name: "parts-sweep",
        shows: "the sweeper removes no part that an upload has taken over",
        clock: false,
        threads: part::the_sweeper_removes_nothing_that_is_resumed,
    },
    Model {
        name: "journal",
        shows: "at any moment, the journal names each directory that has a part",
        clock: false,
        threads: part::the_journal_knows_each_part,
    },
];
