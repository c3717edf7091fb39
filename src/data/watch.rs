//! Waits for a data connection while listening to the control connection.

use std::time::{Duration, Instant};

use crate::tls::{self, Awaited};

/// Interval at which the control connection is looked at while a data connection never blocks,
/// and during work without a data connection.
pub const LOOK: Duration = Duration::from_millis(20);

/// Interval at which a wait checks whether the session must end, when nothing more can come
/// from the client.
const DEAF: Duration = Duration::from_millis(500);

/// Why a transfer must end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The client sent ABOR.
    Abort,
    /// The client's control connection is gone.
    ControlLost,
    /// The server is stopping, and its grace period is over.
    Stopped,
    /// The administrator or the server has ended the session, for this reason.
    Ended(&'static str),
}

/// The interface through which the server-DTP lets the server-PI (the `control` room) listen
/// to the client during a transfer. Each wait calls `speak` before it begins, and `look` when
/// something has arrived on the control connection. Both end the transfer if the control
/// connection is lost.
pub trait Watch {
    /// Sends replies that were held back and reports the progress, because a wait is about to
    /// begin.
    ///
    /// # Errors
    ///
    /// When the transfer must end.
    fn speak(&mut self, progress: &Progress) -> Result<(), Interrupt>;

    /// Returns what to wait for on the control connection, unless nothing more can come.
    fn control(&self) -> Option<Awaited<'_>>;

    /// Returns what every wait must wait for as well: it becomes readable when all transfers
    /// must end.
    fn stop(&self) -> Awaited<'_>;

    /// From now on, the loss of the control connection does not end the transfer.
    fn outlive(&mut self);

    /// Reads what has arrived on the control connection.
    ///
    /// # Errors
    ///
    /// When the client has asked to end the transfer, or is gone.
    fn look(&mut self, progress: &Progress) -> Result<(), Interrupt>;
}

/// The progress of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Number of bytes moved over the data connection.
    pub bytes: u64,
    /// When the transfer began.
    pub since: Instant,
}

impl Progress {
    /// Returns the progress of a transfer that begins now.
    pub fn start() -> Self {
        Self { bytes: 0, since: Instant::now() }
    }
}

/// The result of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// The data connection, or whatever else was waited for, is ready.
    Yes,
    /// The time is up.
    TimedOut,
}

/// Waits until `data` is ready or the time is up, while listening to the control connection.
///
/// # Errors
///
/// When the transfer must end.
pub(super) fn wait(
    watch: &mut dyn Watch,
    progress: &Progress,
    data: Option<Awaited<'_>>,
    until: Option<Instant>,
) -> Result<Ready, Interrupt> {
    watch.speak(progress)?;
    loop {
        let mut left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let control = watch.control();
        let is_deaf = control.is_none();
        if is_deaf {
            // an order to end the session wakes only a wait that listens to the client
            left = Some(left.map_or(DEAF, |left| left.min(DEAF)));
        }
        let [stopped, is_ready, spoke] = tls::wait([Some(watch.stop()), data, control], left);
        if stopped {
            return Err(Interrupt::Stopped);
        }
        if spoke {
            watch.look(progress)?;
        }
        if is_ready {
            return Ok(Ready::Yes);
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(Ready::TimedOut);
        }
        if is_deaf {
            watch.speak(progress)?;
        }
    }
}

/// Looks at the control connection without waiting, during work that sends nothing.
///
/// # Errors
///
/// When the work must end.
pub fn heed(watch: &mut dyn Watch, progress: &Progress) -> Result<(), Interrupt> {
    wait(watch, progress, None, Some(Instant::now())).map(drop)
}

/// Waits until `bell` becomes readable, while listening to the control connection. Returns
/// whether it did before the time was up.
///
/// # Errors
///
/// When the client or the server ends the wait.
pub fn wait_for(
    watch: &mut dyn Watch,
    bell: Awaited<'_>,
    until: Option<Instant>,
) -> Result<bool, Interrupt> {
    let ready = wait(watch, &Progress::start(), Some(bell), until)?;
    Ok(ready == Ready::Yes)
}
