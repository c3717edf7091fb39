//! What `ftpd trash` is told, from what the trash says.

use super::protocol::{DeletedView, Emptied, RefusedView, Restored, TrashList};
use crate::control::{FromTrash, InTrash, Removed};
use crate::log::stamp;

impl From<(Vec<InTrash>, bool)> for TrashList {
    fn from((list, complete): (Vec<InTrash>, bool)) -> Self {
        let view = |one: InTrash| DeletedView {
            path: one.path,
            kind: one.kind.to_owned(),
            bytes: one.bytes,
            deleted: stamp(one.since),
            seconds: one.since.elapsed().unwrap_or_default().as_secs(),
        };
        Self { deleted: list.into_iter().map(view).collect(), complete }
    }
}

impl From<FromTrash> for Restored {
    fn from(FromTrash { count, refused }: FromTrash) -> Self {
        let view = |(path, why)| RefusedView { path, why };
        Self { restored: count, refused: refused.into_iter().map(view).collect() }
    }
}

impl From<Removed> for Emptied {
    fn from(Removed { files, bytes, folders, failed }: Removed) -> Self {
        Self { files, directories: folders, bytes, failed }
    }
}
