//! The time of the entry that is being written. Its second is kept as text, since most entries
//! of a busy server belong to the second of the entry before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::stamp::{Date, Second, Zone, local};

static CLOCK: Mutex<Clock> = Mutex::new(Clock {
    moment: None,
    now: OffsetDateTime::UNIX_EPOCH,
    head: String::new(),
    zone: String::new(),
    date: String::new(),
    text: String::new(),
});

/// A local time, and its text.
pub(super) struct Clock {
    /// The second that `now`, `head`, `zone` and `date` are about, since 1970, and the
    /// millisecond of `text`.
    moment: Option<(u64, u32)>,
    now: OffsetDateTime,
    /// The text of the time, as far as its seconds.
    head: String,
    zone: String,
    /// The second in the form of the transfer log.
    date: String,
    text: String,
}

/// Turns the clock to a time, since 1970. Only the thread that writes the log does so.
pub(super) fn turn_to(at: Duration) {
    let mut clock = clock();
    let moment = (at.as_secs(), at.subsec_millis());
    let before = clock.moment.replace(moment);
    if before == Some(moment) {
        return;
    }
    if before.is_none_or(|(second, _)| second != at.as_secs()) {
        clock.now = local(OffsetDateTime::from(SystemTime::UNIX_EPOCH + at));
        clock.head = Second(clock.now).to_string();
        clock.zone = Zone(clock.now.offset()).to_string();
        clock.date = Date(clock.now).to_string();
    }
    let Clock { head, zone, text, .. } = &mut *clock;
    text.clear();
    text.push_str(head);
    text.push('.');
    for place in [100, 10, 1] {
        text.push(char::from_digit(at.subsec_millis() / place % 10, 10).unwrap_or('0'));
    }
    text.push_str(zone);
}

/// Returns the clock.
pub(super) fn clock() -> MutexGuard<'static, Clock> {
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clock {
    /// The time to which the clock was turned last, as far as its seconds.
    pub(super) fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// The text of that time, as [`super::stamp::stamp`] returns it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The date and the second of that time, in the form of the transfer log.
    pub(super) fn date(&self) -> &str {
        &self.date
    }
}
