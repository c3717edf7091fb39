//! What retention would remove, for `ftpd keep` without a running server.

use std::sync::Arc;

use crate::config::Config;
use crate::vfs::{Keeper, Parts, Quotas, Report, Turns};

/// Looks at what retention would remove by these settings. Removes nothing.
pub fn keep_report(config: &Config) -> Report {
    let storage = &config.server.storage;
    let quotas = Arc::new(Quotas::none());
    let parts = Arc::new(Parts::start(None, storage.keep_parts, &[], quotas));
    Keeper::alone(config, storage.state_dir.as_deref(), &parts, &Arc::new(Turns::default()))
        .preview(&|| false)
}
