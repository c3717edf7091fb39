//! The table of metrics, which `metrics_listen` and `ftpd stats` show. Each row is a metric:
//! its name, its description, and how its value is read.
//!
//! A description is a sentence that begins with Number, Maximum, Duration, Start or Version,
//! because it is also read alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, UNIX_EPOCH};

use serde_json::Number;

use super::metric::{BUCKET, COUNT, Form, Metric, SUM, Sample};
use super::moment::Moment;
use crate::config::User;
use crate::control::{
    BOUNDS, Countable, Dropped, Durations, Expected, QuotaState, Tally, Traffic, trash_tally,
};

/// Makes a constant of each row, by which `ftpd stats` refers to the metric, and a list of all
/// rows.
macro_rules! metrics {
    ($($row:ident: $form:ident $name:literal, $help:literal, $read:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub static $row: Metric =
                Metric { name: $name, form: Form::$form, help: $help, read: $read };
        )*

        /// All metrics, in the order in which they are shown.
        pub static METRICS: &[&Metric] = &[$(&$row,)*];
    };
}

metrics! {
    BUILD_INFO: Gauge "ftpd_build_info",
        "Version of the server, as a label; the value is always 1.",
        |_| vec![sample(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1)];
    START_TIME: Gauge "ftpd_start_time_seconds",
        "Start of the server, in seconds since 1970.",
        |now| one(seconds(started(now)));
    SESSIONS_ACTIVE: Gauge "ftpd_sessions_active",
        "Number of sessions now, with and without a login.",
        |now| one(now.sights.len());
    SESSIONS_LOGGED_IN: Gauge "ftpd_sessions_logged_in",
        "Number of sessions now in which a user is logged in.",
        |now| one(now.sights.iter().filter(|sight| sight.user.is_some()).count());
    SESSIONS_LIMIT: Gauge "ftpd_sessions_limit",
        "Maximum number of sessions at once (max_cons).",
        |now| one(now.settings.config.server.clients.max);
    SESSIONS: Counter "ftpd_sessions_total",
        "Number of sessions that have begun since the start of the server.",
        |now| one(now.counters.sessions.load(Ordering::Relaxed));
    SESSIONS_TLS: Counter "ftpd_sessions_tls_total",
        "Number of sessions whose control connection has switched to TLS.",
        |now| one(now.counters.tls.load(Ordering::Relaxed));
    TURNED_AWAY: Counter "ftpd_turned_away_total",
        "Number of clients turned away before a session, by reason; evicted: before their login, to make room for others.",
        |now| by("reason", &now.counters.away);
    LOGINS: Counter "ftpd_logins_total",
        "Number of login attempts, by result.",
        |now| by("result", &now.counters.logins);
    REFUSED: Counter "ftpd_refused_total",
        "Number of commands refused, by reason.",
        |now| by("reason", &now.counters.refused);
    OFFENCES: Counter "ftpd_offences_total",
        "Number of failures of clients that count towards a ban, by kind.",
        |now| by("kind", &now.counters.offences);
    BANS_ACTIVE: Gauge "ftpd_bans_active",
        "Number of addresses that are banned now.",
        |now| one(now.hub.bans.active(Instant::now()));
    BANS: Counter "ftpd_bans_total",
        "Number of bans that have begun since the start of the server.",
        |now| one(now.hub.bans.total());
    TRANSFERS_RUNNING: Gauge "ftpd_transfers_running",
        "Number of transfers and listings that run now, by kind.",
        running;
    TRANSFERS: Counter "ftpd_transfers_total",
        "Number of transfers and listings that have ended, by kind and result.",
        transfers;
    TRANSFER_BYTES: Counter "ftpd_transfer_bytes_total",
        "Number of bytes sent and received over data connections, by kind, including running transfers.",
        |now| by("kind", &now.counters.bytes);
    TRANSFER_SECONDS: Histogram "ftpd_transfer_seconds",
        "Duration of transfers and listings that have ended, in seconds, by kind.",
        transfer_seconds;
    PASSIVE_PORTS: Gauge "ftpd_passive_ports",
        "Number of ports in passive_ports that data connections may use.",
        |now| one(now.settings.passive_ports().1);
    PASSIVE_PORTS_TAKEN: Gauge "ftpd_passive_ports_taken",
        "Number of passive ports that are open now and wait for their client to connect.",
        |now| one(now.settings.passive_ports().0);
    KEEP_REMOVED_FILES: Counter "ftpd_keep_removed_files_total",
        "Number of files that retention has removed.",
        |now| one(now.hub.shared.keeper.removed().0);
    KEEP_REMOVED_BYTES: Counter "ftpd_keep_removed_bytes_total",
        "Number of bytes in the files that retention has removed.",
        |now| one(now.hub.shared.keeper.removed().1);
    KEEP_MADE_ROOM: Counter "ftpd_keep_made_room_total",
        "Number of uploads for which retention has made room (min_free).",
        |now| one(now.hub.shared.keeper.made_room());
    TRASH_MOVED: Counter "ftpd_trash_moved_total",
        "Number of files and directories that were moved to the trash.",
        |_| one(trash_tally().moved);
    TRASH_RESTORED: Counter "ftpd_trash_restored_total",
        "Number of files and directories that were brought back from the trash.",
        |_| one(trash_tally().restored);
    TRASH_REMOVED_FILES: Counter "ftpd_trash_removed_files_total",
        "Number of files that were removed from the trash for good: by age, for room or by hand.",
        |_| one(trash_tally().files);
    TRASH_REMOVED_BYTES: Counter "ftpd_trash_removed_bytes_total",
        "Number of bytes in the files that were removed from the trash for good.",
        |_| one(trash_tally().bytes);
    EVENTS_SENT: Counter "ftpd_events_sent_total",
        "Number of events that the receiver in events has taken.",
        |now| one(now.hub.shared.events.numbers().sent);
    EVENTS_WAITING: Gauge "ftpd_events_waiting",
        "Number of events that the receiver has not taken yet.",
        |now| one(now.hub.shared.events.numbers().waiting);
    EVENTS_DROPPED: Counter "ftpd_events_dropped_total",
        "Number of events that the receiver will not get, by reason.",
        dropped;
    GATE: Counter "ftpd_gate_total",
        "Number of uploads that were to be judged, by result.",
        gate;
    USER_SILENT: Gauge "ftpd_user_silent",
        "Number that is 1 if nothing has come from the user for expect_every, and 0 otherwise, by user.",
        silent;
    QUOTA_BYTES: Gauge "ftpd_quota_bytes",
        "Number of bytes in the home of each user with a quota.",
        |now| quotas(now, |quota| Some(quota.used.bytes));
    QUOTA_BYTES_LIMIT: Gauge "ftpd_quota_bytes_limit",
        "Maximum number of bytes in the home of each user with quota_bytes.",
        |now| quotas(now, |quota| quota.limits.bytes);
    QUOTA_FILES: Gauge "ftpd_quota_files",
        "Number of files in the home of each user with a quota.",
        |now| quotas(now, |quota| Some(quota.used.files));
    QUOTA_FILES_LIMIT: Gauge "ftpd_quota_files_limit",
        "Maximum number of files in the home of each user with quota_files.",
        |now| quotas(now, |quota| quota.limits.files);
    WORKERS: Gauge "ftpd_workers",
        "Number of threads that serve sessions.",
        |now| one(now.hub.pool.workers());
}

fn sample(labels: Vec<(&'static str, String)>, value: impl Into<Number>) -> Sample {
    Sample { suffix: "", labels, value: value.into() }
}

/// Returns the samples of a metric without labels.
fn one(value: impl Into<Number>) -> Vec<Sample> {
    vec![sample(Vec::new(), value)]
}

/// Returns the samples of a metric with one label, the kind of what is counted.
fn by<K: Countable>(label: &'static str, tally: &Tally<K>) -> Vec<Sample> {
    let row = |kind: &K| sample(vec![(label, kind.word().to_owned())], tally.get(*kind));
    K::ALL.iter().map(row).collect()
}

/// Returns a number of each user with a quota.
fn quotas(now: &Moment<'_>, number: fn(QuotaState) -> Option<u64>) -> Vec<Sample> {
    let users = now.settings.config.users_by_name();
    let row = |(name, user): (&String, &Arc<User>)| {
        let number = now.hub.shared.quotas.of(user).and_then(number)?;
        Some(sample(vec![("user", name.clone())], number))
    };
    users.into_iter().filter_map(row).collect()
}

fn seconds(value: f64) -> Number {
    Number::from_f64(value).unwrap_or_else(|| 0.into())
}

fn started(now: &Moment<'_>) -> f64 {
    let since = now.counters.since.date().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn running(now: &Moment<'_>) -> Vec<Sample> {
    let running = |way: Traffic| {
        let transfers = now.sights.iter().filter_map(|sight| sight.transfer.as_ref());
        transfers.filter(|under| under.traffic == Some(way)).count()
    };
    let row = |way: &Traffic| sample(vec![("kind", way.word().to_owned())], running(*way));
    Traffic::ALL.iter().map(row).collect()
}

fn dropped(now: &Moment<'_>) -> Vec<Sample> {
    let counts = now.hub.shared.events.numbers().dropped;
    let row =
        |(why, count): (&Dropped, u64)| sample(vec![("reason", why.word().to_owned())], count);
    Dropped::ALL.iter().zip(counts).map(row).collect()
}

fn gate(now: &Moment<'_>) -> Vec<Sample> {
    let numbers = now.hub.shared.gate.numbers();
    let rows = [
        ("accepted", numbers.accepted),
        ("refused", numbers.refused),
        ("unanswered", numbers.unanswered),
    ];
    rows.map(|(result, count)| sample(vec![("result", result.to_owned())], count)).into()
}

fn silent(now: &Moment<'_>) -> Vec<Sample> {
    let expected = now.hub.shared.silence.expected(&now.settings.config);
    let row =
        |one: Expected| sample(vec![("user", one.user.clone())], u64::from(one.is_silent()));
    expected.into_iter().map(row).collect()
}

fn transfers(now: &Moment<'_>) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (way, outcomes) in Traffic::ALL.iter().zip(&now.counters.outcomes) {
        for outcome in Countable::ALL {
            let result = ("result", Countable::word(*outcome).to_owned());
            let labels = vec![("kind", way.word().to_owned()), result];
            samples.push(sample(labels, outcomes.get(*outcome)));
        }
    }
    samples
}

fn transfer_seconds(now: &Moment<'_>) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (way, durations) in Traffic::ALL.iter().zip(&now.counters.durations) {
        push_histogram(way.word(), durations, &mut samples);
    }
    samples
}

/// Adds the samples of a histogram. Each bucket includes those before it, as Prometheus
/// expects.
fn push_histogram(kind: &str, durations: &Durations, samples: &mut Vec<Sample>) {
    let label = || ("kind", kind.to_owned());
    let mut all = 0;
    for (at, count) in durations.counts().into_iter().enumerate() {
        all += count;
        let bound =
            BOUNDS.get(at).map_or_else(|| "+Inf".to_owned(), |bound| thousandth(*bound));
        let labels = vec![label(), ("le", bound)];
        samples.push(Sample { suffix: BUCKET, labels, value: all.into() });
    }
    let sum = seconds(durations.sum().as_secs_f64());
    samples.push(Sample { suffix: SUM, labels: vec![label()], value: sum });
    samples.push(Sample { suffix: COUNT, labels: vec![label()], value: all.into() });
}

/// Formats milliseconds as a decimal number of seconds.
fn thousandth(milliseconds: u64) -> String {
    if milliseconds.is_multiple_of(1000) {
        return (milliseconds / 1000).to_string();
    }
    let text = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_of_a_histogram_hold_those_before_them() {
        let mut samples = Vec::new();
        push_histogram("upload", &Durations::default(), &mut samples);
        let bounds: Vec<_> = samples
            .iter()
            .filter(|sample| sample.suffix == "_bucket")
            .map(|sample| sample.labels[1].1.clone())
            .collect();
        assert_eq!(bounds, ["0.01", "0.1", "1", "10", "60", "600", "+Inf"]);
        assert_eq!(samples.last().unwrap().suffix, "_count");
    }
}
