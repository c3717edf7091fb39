//! The rates of the transfers, from one update to the next.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::cli::screen::per_second;
use crate::server::protocol::{SessionView, TransferView};

/// Rates are measured over at least this time. A pressed key updates the picture earlier, with
/// the rates that it had.
const LEAST: Duration = Duration::from_millis(500);

/// The rates of the transfers.
#[derive(Debug, Default)]
pub(super) struct Rates {
    at: Option<Instant>,
    /// Bytes and rate of each transfer when it was measured, by the number of its session.
    measured: HashMap<u64, (u64, u64)>,
}

impl Rates {
    /// Measures the rates of these sessions.
    pub(super) fn update(&mut self, sessions: &[SessionView]) {
        let elapsed = self.at.map(|at| at.elapsed());
        if elapsed.is_some_and(|elapsed| elapsed < LEAST) {
            return;
        }
        let transfers =
            sessions.iter().filter_map(|one| Some((one.id, one.transfer.as_ref()?)));
        let measured = transfers
            .map(|(id, transfer)| (id, (transfer.bytes, self.measure(id, transfer, elapsed))));
        self.measured = measured.collect();
        self.at = Some(Instant::now());
    }

    /// Returns the bytes per second of the session's transfer.
    pub(super) fn of(&self, id: u64, transfer: &TransferView) -> u64 {
        let known = self.measured.get(&id).filter(|(bytes, _)| *bytes <= transfer.bytes);
        known.map_or_else(|| per_second(transfer.bytes, transfer.seconds), |(_, rate)| *rate)
    }

    /// Returns the bytes per second since the last update, or since the beginning of the
    /// transfer if that was later.
    fn measure(&self, id: u64, transfer: &TransferView, elapsed: Option<Duration>) -> u64 {
        let earlier = self.measured.get(&id).filter(|(bytes, _)| *bytes <= transfer.bytes);
        match (earlier, elapsed) {
            (Some((bytes, _)), Some(elapsed)) => {
                per_second(transfer.bytes - bytes, elapsed.as_secs_f64())
            }
            _ => per_second(transfer.bytes, transfer.seconds),
        }
    }
}
