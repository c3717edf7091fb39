//! The numbers of the server, for `metrics_listen` and for `ftpd stats`.

mod metric;
mod moment;
mod numbers;
mod rows;

use super::hub::Hub;
use crate::control::Sight;
use moment::Moment;

pub use metric::Metric;
pub use numbers::Numbers;
pub use rows::*;

/// Returns the current values of all metrics in the text format of Prometheus.
pub(super) fn prometheus(hub: &Hub, sights: &[Sight]) -> String {
    metric::prometheus(rows::METRICS, &Moment::of(hub, sights))
}

/// Returns the current values of all metrics as JSON.
pub(super) fn numbers(hub: &Hub, sights: &[Sight]) -> Numbers {
    Numbers::read(rows::METRICS, &Moment::of(hub, sights))
}
