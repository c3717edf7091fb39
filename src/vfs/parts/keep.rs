//! How long parts of failed uploads are kept (`keep_parts`).

use std::time::{Duration, SystemTime};

/// How long the part of a failed upload is kept; `None`: not at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep(pub(super) Option<Duration>);

impl Keep {
    /// Whether parts of failed uploads are kept.
    pub(super) fn any(self) -> bool {
        self.0.is_some()
    }

    /// Whether a part that was last written to at this time has been kept long enough.
    pub(super) fn is_due(self, since: SystemTime) -> bool {
        self.0.is_none_or(|keep| age(since) >= keep)
    }

    /// Whether a part that may belong to another server has been kept long enough: at least a
    /// day, since that server may keep its parts longer than this one.
    pub(super) fn is_forgotten(self, since: SystemTime) -> bool {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        age(since) >= self.0.map_or(DAY, |keep| keep.max(DAY))
    }

    /// How often to look for parts that are due.
    pub(super) fn sweep_every(self) -> Duration {
        const OFTEN: Duration = Duration::from_millis(500);
        const SELDOM: Duration = Duration::from_secs(60);
        self.0.map_or(SELDOM, |keep| (keep / 4).clamp(OFTEN, SELDOM))
    }
}

fn age(since: SystemTime) -> Duration {
    SystemTime::now().duration_since(since).unwrap_or_default()
}
