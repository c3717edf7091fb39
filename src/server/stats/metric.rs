//! What a metric is, and how a row of the table becomes numbers.

use std::fmt::Write;

use serde_json::Number;

use super::moment::Moment;

/// One thing that is measured: its name, its explanation, and how it is read.
pub struct Metric {
    /// Its name for Prometheus.
    pub name: &'static str,
    pub(super) form: Form,
    /// What it counts or measures, in a sentence.
    pub help: &'static str,
    pub(super) read: fn(&Moment<'_>) -> Vec<Sample>,
}

/// The kinds of metrics that Prometheus tells apart.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Counter,
    Gauge,
    Histogram,
}

/// One number of a metric.
pub(super) struct Sample {
    /// Suffix of the name of the metric; empty except for the parts of a histogram.
    pub(super) suffix: &'static str,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: Number,
}

/// Suffix of a histogram for the number of events within a bound.
pub(super) const BUCKET: &str = "_bucket";

/// Suffix of a histogram for the sum of all values.
pub(super) const SUM: &str = "_sum";

/// Suffix of a histogram for the number of all events.
pub(super) const COUNT: &str = "_count";

impl Metric {
    /// Returns the name in the JSON of `ftpd stats`: without the prefix `ftpd_` and the suffix
    /// `_total`.
    pub(super) fn key(&self) -> &'static str {
        self.name.trim_start_matches("ftpd_").trim_end_matches("_total")
    }
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

/// Returns the current values of all metrics in the text format of Prometheus, version 0.0.4.
pub(super) fn prometheus(metrics: &[&Metric], now: &Moment<'_>) -> String {
    let mut text = String::new();
    for metric in metrics {
        write(metric, &(metric.read)(now), &mut text);
    }
    text
}

fn write(Metric { name, form, help, .. }: &Metric, samples: &[Sample], text: &mut String) {
    // writing to a String cannot fail
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n", form.word());
    for Sample { suffix, labels, value } in samples {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", tame(value))).collect();
        let labels = labels.join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}{suffix}{labels} {value}");
    }
}

/// Escapes the value of a label, such as the name of a user.
fn tame(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_line_with_its_labels() {
        let metric = Metric {
            name: "ftpd_x_total",
            form: Form::Counter,
            help: "Help.",
            read: |_| vec![],
        };
        let label = |name, value: &str| (name, value.to_owned());
        let sample = |result, value: u64| Sample {
            suffix: "",
            labels: vec![label("kind", "a"), label("result", result)],
            value: value.into(),
        };
        let mut text = String::new();
        write(&metric, &[sample("good", 1), sample("bad", 2)], &mut text);
        let plain = Metric { name: "ftpd_y", form: Form::Gauge, ..metric };
        write(&plain, &[Sample { suffix: "", labels: vec![], value: 3.into() }], &mut text);
        assert_eq!(
            text,
            "# HELP ftpd_x_total Help.\n# TYPE ftpd_x_total counter\n\
             ftpd_x_total{kind=\"a\",result=\"good\"} 1\nftpd_x_total{kind=\"a\",result=\"bad\"} 2\n\
             # HELP ftpd_y Help.\n# TYPE ftpd_y gauge\nftpd_y 3\n"
        );
    }
}
