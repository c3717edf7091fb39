//! The state of the server that the metrics are read from.

use std::sync::Arc;

use crate::control::{Counters, Settings, Sight};
use crate::server::hub::Hub;

/// The server at one moment.
pub(super) struct Moment<'a> {
    pub(super) hub: &'a Hub,
    pub(super) counters: &'a Counters,
    pub(super) settings: Arc<Settings>,
    pub(super) sights: &'a [Sight],
}

impl<'a> Moment<'a> {
    pub(super) fn of(hub: &'a Hub, sights: &'a [Sight]) -> Self {
        Self { hub, counters: &hub.shared.counters, settings: hub.shared.settings(), sights }
    }
}
