//! Waits for a data connection while listening to the control connection.

use std::time::{Duration, Instant};

use crate::tls::{self, Awaited};

/// How often the control connection is looked at while a data connection never blocks, and
/// during work that needs no data connection.
pub const LOOK: Duration = Duration::from_millis(20);

/// How often a wait is interrupted when nothing more can come from the client, to see whether
/// something else ends it.
const DEAF: Duration = Duration::from_millis(500);

/// Why a transfer must end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The client sent ABOR.
    Abort,
    /// The client's control connection is gone.
    ControlLost,
    /// The server's grace period is over.
    Stopped,
    /// The session was ended from outside, for this reason.
    Ended(&'static str),
}

/// How the server-PI (the `control` room) listens while the server-DTP works. Each wait asks it
/// before and after, so that nothing continues once the control connection is lost, whether a
/// read or an unsent reply has shown that.
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

    /// Becomes readable when all transfers must end.
    fn stop(&self) -> Awaited<'_>;

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
    /// The start of a transfer.
    pub fn start() -> Self {
        Self { bytes: 0, since: Instant::now() }
    }
}

/// The result of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// The file descriptor is ready.
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
            // only a wait that listens to the client is woken by an order to end the session
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
