//! Removes from the trash what has been there for long enough, from time to time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::hub::Hub;
use crate::control::{self, Clock};

/// Time between two looks at the trash. What is there stays for an hour or longer.
const PAUSE: Duration = Duration::from_secs(3600);

/// How long nothing is removed after the clock was set forward: what was deleted before then seems to
/// be older than it is.
const DOUBT: Duration = Duration::from_secs(24 * 3600);

/// Starts the thread, if any user has a trash and it does not run yet. It ends when no user has one
/// any more.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    let is_needed = |hub: &Hub| hub.shared.settings().config.has_trash();
    if !is_needed(hub) || hub.ageing.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let own = Arc::clone(hub);
    let work = move || {
        let (mut clock, mut doubt) = (Clock::now(), None);
        while is_needed(&own) {
            if doubt.is_none_or(|since: Instant| since.elapsed() >= DOUBT) {
                let config = Arc::clone(&own.shared.settings().config);
                let goes_on = || !own.shared.stop.is_soon();
                control::age_trash(&config, &own.shared.quotas, &goes_on);
            }
            thread::sleep(PAUSE);
            if clock.look().is_some() {
                log::warn!(
                    "the clock was set forward; no file leaves the trash by its age for a day"
                );
                doubt = Some(Instant::now());
            }
        }
        own.ageing.store(false, Ordering::Release);
        // a reload may have asked for the thread just before
        if is_needed(&own) {
            let _ = start(&own);
        }
    };
    let started = thread::Builder::new().name("trash".to_owned()).spawn(work).map(drop);
    started.inspect_err(|_| hub.ageing.store(false, Ordering::Release))
}
