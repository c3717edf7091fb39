//! A running transfer: counts the bytes, sleeps for the rate limit, and looks at the control
//! connection between chunks and whenever the data connection would block.

use std::time::{Duration, Instant};

use super::error::DataError;
use super::throttle::Throttle;
use super::watch::{Interrupt, LOOK, Progress, Ready, Watch, heed, wait};
use crate::tls::Awaited;

/// A running transfer.
pub struct Pump<'a> {
    pub(super) watch: &'a mut dyn Watch,
    pub(super) throttle: Throttle,
    pub(super) patience: Option<Duration>,
    looked: Instant,
    /// Since when no byte has moved; `None` while bytes move.
    stalled: Option<Instant>,
    /// The progress so far.
    pub progress: Progress,
}

impl<'a> Pump<'a> {
    /// Starts a transfer, which fails after `patience` without progress.
    pub fn new(
        watch: &'a mut dyn Watch,
        throttle: Throttle,
        patience: Option<Duration>,
    ) -> Self {
        let progress = Progress::start();
        Self { watch, throttle, patience, looked: progress.since, stalled: None, progress }
    }

    /// From now on, the loss of the control connection does not end the transfer.
    pub fn outlive(&mut self) {
        self.watch.outlive();
    }

    /// Looks at the control connection without waiting, during work on a file whose bytes have all
    /// arrived.
    ///
    /// # Errors
    ///
    /// When the work must end.
    pub fn look(&mut self) -> Result<(), Interrupt> {
        heed(self.watch, &self.progress)
    }

    /// Looks at the control connection if that is due. Called while bytes are generated, which
    /// may take long.
    pub(super) fn glance(&mut self) -> Result<(), DataError> {
        let now = Instant::now();
        if now.duration_since(self.looked) >= LOOK {
            heed(self.watch, &self.progress)?;
            self.looked = now;
        }
        Ok(())
    }

    /// Waits for the data connection, for `patience` at most. The system reports it as ready
    /// only once a good part of its buffers is free, which may take longer if the peer is
    /// slow. The caller therefore tries once more to move some bytes; only the next call
    /// fails.
    pub(super) fn until_ready(&mut self, data: Awaited<'_>) -> Result<(), DataError> {
        self.look_for(data).map(drop)
    }

    /// Waits for the data connection. Fails if it made no progress within `patience` and the
    /// caller has tried since.
    pub(super) fn look_for(&mut self, data: Awaited<'_>) -> Result<Ready, DataError> {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let until = self.patience.map(|patience| since + patience);
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(DataError::Stalled);
        }
        Ok(wait(self.watch, &self.progress, Some(data), until)?)
    }

    /// Counts bytes, sleeps for the rate limit, and looks at the control connection now and
    /// then.
    pub(super) fn moved(&mut self, bytes: usize) -> Result<(), DataError> {
        let bytes = bytes as u64;
        self.progress.bytes += bytes;
        self.stalled = None;
        let now = Instant::now();
        let mut sleep = self.throttle.spend(bytes, now);
        if sleep.is_zero() && now.duration_since(self.looked) < LOOK {
            return Ok(());
        }
        self.looked = now;
        loop {
            wait(self.watch, &self.progress, None, Some(self.looked + sleep))?;
            if sleep.is_zero() {
                return Ok(());
            }
            self.looked = Instant::now();
            sleep = self.throttle.left(self.looked);
            if sleep.is_zero() {
                return Ok(());
            }
        }
    }
}
