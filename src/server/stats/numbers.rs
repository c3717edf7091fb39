//! The metrics as JSON: what the server sends, and `ftpd stats` reads.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::metric::{COUNT, Metric, SUM, Sample};
use super::moment::Moment;

/// The values of all metrics. A metric without labels is a number; a metric with labels is an
/// object whose members are the values of the label, nested if there are several labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Numbers(Map<String, Value>);

impl Numbers {
    /// Reads these metrics.
    pub(super) fn read(metrics: &[&Metric], now: &Moment<'_>) -> Self {
        let mut all = Self(Map::new());
        for metric in metrics {
            all.add(metric, &(metric.read)(now));
        }
        all
    }

    fn add(&mut self, metric: &Metric, samples: &[Sample]) {
        for Sample { suffix, labels, value } in samples {
            let key = format!("{}{suffix}", metric.key());
            let mut place = self.0.entry(key).or_insert(Value::Null);
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

    /// Returns the value of a metric without labels; 0 if the server does not know it.
    pub fn number(&self, metric: &Metric) -> u64 {
        self.find(metric, "", &[]).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Returns the value of a metric for these values of its labels; 0 if the server does not
    /// know it.
    pub fn labelled(&self, metric: &Metric, labels: &[&str]) -> u64 {
        self.find(metric, "", labels).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Returns the values of the last label of a metric with their numbers, except those that
    /// are 0. `labels` are the values of the labels before the last one.
    pub fn counts(&self, metric: &Metric, labels: &[&str]) -> Vec<(&str, u64)> {
        let found = self.find(metric, "", labels).and_then(Value::as_object);
        let counts = found.into_iter().flatten();
        let counts =
            counts.filter_map(|(label, count)| Some((label.as_str(), count.as_u64()?)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Returns the average of a histogram for this value of its label; `None` if it has counted
    /// nothing.
    pub fn average(&self, metric: &Metric, label: &str) -> Option<f64> {
        let count = self.find(metric, COUNT, &[label]).and_then(Value::as_u64)?;
        let sum = self.find(metric, SUM, &[label]).and_then(Value::as_f64)?;
        #[expect(clippy::cast_precision_loss, reason = "an average for people")]
        let average = sum / count as f64;
        (count > 0).then_some(average)
    }

    fn find(&self, metric: &Metric, suffix: &str, labels: &[&str]) -> Option<&Value> {
        let first = self.0.get(&format!("{}{suffix}", metric.key()))?;
        labels.iter().try_fold(first, |value, label| value.get(label))
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::Form;
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let metric = |name| Metric { name, form: Form::Gauge, help: "", read: |_| vec![] };
        let (many, plain) = (metric("ftpd_x_total"), metric("ftpd_y"));
        let sample = |suffix, labels: &[&str], value: u64| Sample {
            suffix,
            labels: labels.iter().map(|label| ("label", (*label).to_owned())).collect(),
            value: value.into(),
        };
        let mut numbers = Numbers(Map::new());
        let results = [sample("", &["a", "good"], 1), sample("", &["a", "bad"], 0)];
        numbers.add(&many, &results);
        numbers.add(&plain, &[sample("", &[], 3)]);
        numbers.add(&plain, &[sample(SUM, &["a"], 3), sample(COUNT, &["a"], 2)]);
        assert_eq!(
            serde_json::to_string(&numbers).unwrap(),
            r#"{"x":{"a":{"bad":0,"good":1}},"y":3,"y_count":{"a":2},"y_sum":{"a":3}}"#
        );
        assert_eq!((numbers.number(&plain), numbers.number(&many)), (3, 0));
        assert_eq!(numbers.labelled(&many, &["a", "good"]), 1);
        assert_eq!(numbers.counts(&many, &["a"]), [("good", 1)]);
        assert_eq!(numbers.average(&plain, "a"), Some(1.5));
        assert_eq!(numbers.average(&many, "a"), None);
    }
}
