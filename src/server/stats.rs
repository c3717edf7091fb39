//! The numbers of the server as one table, from which the metrics and `ftpd stats` are read.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::{Instant, UNIX_EPOCH};

use serde_json::{Map, Number, Value};

use super::hub::Hub;
use crate::control::{BOUNDS, Counters, Durations, Kind, Sight, Tally, Way};

/// One thing that is measured.
pub(super) struct Metric {
    name: &'static str,
    form: Form,
    help: &'static str,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy)]
enum Form {
    Counter,
    Gauge,
    Histogram,
}

struct Sample {
    /// What the name has behind it.
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: Number,
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

fn sample(labels: Vec<(&'static str, String)>, value: impl Into<Number>) -> Sample {
    Sample { suffix: "", labels, value: value.into() }
}

fn seconds(value: f64) -> Number {
    Number::from_f64(value).unwrap_or_else(|| 0.into())
}

fn one(name: &'static str, form: Form, help: &'static str, value: impl Into<Number>) -> Metric {
    Metric { name, form, help, samples: vec![sample(Vec::new(), value)] }
}

fn by<K: Kind>(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    tally: &Tally<K>,
) -> Metric {
    let row = |kind: &K| sample(vec![(label, kind.word().to_owned())], tally.get(*kind));
    Metric { name, form: Form::Counter, help, samples: K::ALL.iter().map(row).collect() }
}

/// Every number as it is now.
pub(super) fn metrics(hub: &Hub, sights: &[Sight]) -> Vec<Metric> {
    let mut all = sessions(hub, sights);
    all.extend(work(hub, sights));
    all
}

/// The server, and the sessions that there are.
fn sessions(hub: &Hub, sights: &[Sight]) -> Vec<Metric> {
    let settings = hub.shared.settings();
    let counters = &hub.shared.counters;
    let since = counters.since.date().duration_since(UNIX_EPOCH).unwrap_or_default();
    let logged_in = sights.iter().filter(|sight| sight.user.is_some()).count();
    let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    vec![
        Metric {
            name: "ftpd_build_info",
            form: Form::Gauge,
            help: "Version of the server, as a label; the value is always 1.",
            samples: vec![sample(build, 1)],
        },
        one(
            "ftpd_start_time_seconds",
            Form::Gauge,
            "Start of the server, in seconds since 1970.",
            seconds(since.as_secs_f64()),
        ),
        one(
            "ftpd_sessions_active",
            Form::Gauge,
            "Number of sessions now, with and without a login.",
            sights.len(),
        ),
        one(
            "ftpd_sessions_logged_in",
            Form::Gauge,
            "Number of sessions now in which a user is logged in.",
            logged_in,
        ),
        one(
            "ftpd_sessions_limit",
            Form::Gauge,
            "Maximum number of sessions at once (max_cons).",
            settings.config.server.clients.max,
        ),
        one(
            "ftpd_sessions_total",
            Form::Counter,
            "Number of sessions that have begun since the start of the server.",
            counters.sessions.load(Ordering::Relaxed),
        ),
        one(
            "ftpd_sessions_tls_total",
            Form::Counter,
            "Number of sessions whose control connection has turned to TLS.",
            counters.tls.load(Ordering::Relaxed),
        ),
    ]
}

/// What clients do, and what is done for them.
fn work(hub: &Hub, sights: &[Sight]) -> Vec<Metric> {
    let settings = hub.shared.settings();
    let counters = &hub.shared.counters;
    let (taken, ports) = settings.passive_ports();
    let running = |way: Way| {
        let is = |sight: &&Sight| {
            sight.transfer.as_ref().is_some_and(|under| Way::of(under.verb) == way)
        };
        sights.iter().filter(is).count()
    };
    let running = Way::ALL
        .iter()
        .map(|way| sample(vec![("kind", way.word().to_owned())], running(*way)))
        .collect();
    vec![
        by(
            "ftpd_turned_away_total",
            "Number of clients turned away before a session, by reason; evicted: before their login, to make room for others.",
            "reason",
            &counters.away,
        ),
        by(
            "ftpd_logins_total",
            "Number of login attempts, by result.",
            "result",
            &counters.logins,
        ),
        by(
            "ftpd_refused_total",
            "Number of commands refused, by reason.",
            "reason",
            &counters.refused,
        ),
        by(
            "ftpd_offences_total",
            "Number of failures of clients that count towards a ban, by kind.",
            "kind",
            &counters.offences,
        ),
        one(
            "ftpd_bans_active",
            Form::Gauge,
            "Number of addresses that are banned now.",
            hub.bans.active(Instant::now()),
        ),
        one(
            "ftpd_bans_total",
            Form::Counter,
            "Number of bans that have begun since the start of the server.",
            hub.bans.begun(),
        ),
        Metric {
            name: "ftpd_transfers_running",
            form: Form::Gauge,
            help: "Number of transfers and listings that run now, by kind.",
            samples: running,
        },
        transfers(counters),
        by(
            "ftpd_transfer_bytes_total",
            "Number of bytes over data connections by kind, those of running transfers included.",
            "kind",
            &counters.bytes,
        ),
        histogram(counters),
        one(
            "ftpd_passive_ports",
            Form::Gauge,
            "Number of ports in passive_ports that data connections may use.",
            ports,
        ),
        one(
            "ftpd_passive_ports_taken",
            Form::Gauge,
            "Number of passive ports that are open now and wait for their client to connect.",
            taken,
        ),
        one(
            "ftpd_workers",
            Form::Gauge,
            "Number of threads that serve sessions.",
            hub.pool.workers(),
        ),
    ]
}

fn transfers(counters: &Counters) -> Metric {
    let mut samples = Vec::new();
    for (way, outcomes) in Way::ALL.iter().zip(&counters.outcomes) {
        for outcome in Kind::ALL {
            let result = ("result", Kind::word(*outcome).to_owned());
            let labels = vec![("kind", way.word().to_owned()), result];
            samples.push(sample(labels, outcomes.get(*outcome)));
        }
    }
    let help = "Number of transfers and listings that have ended, by kind and result.";
    Metric { name: "ftpd_transfers_total", form: Form::Counter, help, samples }
}

fn histogram(counters: &Counters) -> Metric {
    let mut samples = Vec::new();
    for (way, durations) in Way::ALL.iter().zip(&counters.durations) {
        push_histogram(way.word(), durations, &mut samples);
    }
    let help = "Duration of transfers and listings that have ended, in seconds, by kind.";
    Metric { name: "ftpd_transfer_seconds", form: Form::Histogram, help, samples }
}

/// Each bucket of Prometheus holds those before it as well.
fn push_histogram(kind: &str, durations: &Durations, samples: &mut Vec<Sample>) {
    let label = || ("kind", kind.to_owned());
    let mut all = 0;
    for (at, count) in durations.counts().into_iter().enumerate() {
        all += count;
        let bound =
            BOUNDS.get(at).map_or_else(|| "+Inf".to_owned(), |bound| thousandth(*bound));
        let labels = vec![label(), ("le", bound)];
        samples.push(Sample { suffix: "_bucket", labels, value: all.into() });
    }
    let sum = seconds(durations.sum().as_secs_f64());
    samples.push(Sample { suffix: "_sum", labels: vec![label()], value: sum });
    samples.push(Sample { suffix: "_count", labels: vec![label()], value: all.into() });
}

/// Milliseconds as seconds.
fn thousandth(milliseconds: u64) -> String {
    if milliseconds.is_multiple_of(1000) {
        return (milliseconds / 1000).to_string();
    }
    let text = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    text.trim_end_matches('0').to_owned()
}

/// The text format of Prometheus, version 0.0.4. Every label is a word of ours, so nothing in
/// it needs escaping.
pub(super) fn prometheus(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, form, help, samples } in metrics {
        // a String takes whatever is written to it
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n", form.word());
        for Sample { suffix, labels, value } in samples {
            let labels: Vec<_> =
                labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            let labels = labels.join(",");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(text, "{name}{suffix}{labels} {value}");
        }
    }
    text
}

/// The same as JSON: a number, or an object of them by the values of its labels, one in the
/// other. Names are without `ftpd_` and `_total`.
pub(super) fn json(metrics: &[Metric]) -> Value {
    let mut all = Map::new();
    for Metric { name, samples, .. } in metrics {
        let name = name.trim_start_matches("ftpd_").trim_end_matches("_total");
        for Sample { suffix, labels, value } in samples {
            let mut place = all.entry(format!("{name}{suffix}")).or_insert(Value::Null);
            for (_, label) in labels {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let Value::Object(inner) = place else { break };
                place = inner.entry(label.clone()).or_insert(Value::Null);
            }
            *place = Value::Number(value.clone());
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_the_same() {
        let samples = vec![
            sample(vec![("kind", "a".to_owned()), ("result", "good".to_owned())], 1),
            sample(vec![("kind", "a".to_owned()), ("result", "bad".to_owned())], 2),
        ];
        let many = Metric { name: "ftpd_x_total", form: Form::Counter, help: "Help.", samples };
        let metrics = [many, one("ftpd_y", Form::Gauge, "Help.", 3)];
        assert_eq!(
            prometheus(&metrics),
            "# HELP ftpd_x_total Help.\n# TYPE ftpd_x_total counter\n\
             ftpd_x_total{kind=\"a\",result=\"good\"} 1\nftpd_x_total{kind=\"a\",result=\"bad\"} 2\n\
             # HELP ftpd_y Help.\n# TYPE ftpd_y gauge\nftpd_y 3\n"
        );
        assert_eq!(json(&metrics).to_string(), r#"{"x":{"a":{"bad":2,"good":1}},"y":3}"#);
    }

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
