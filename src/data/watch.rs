//! Waiting for a data connection while the control connection is heard.

use std::time::{Duration, Instant};

use crate::tls::{self, Awaited};

/// A data connection that never blocks, and work before there is one, is left for a look at the
/// control connection so often.
pub const LOOK: Duration = Duration::from_millis(20);

/// A wait during which nothing more can be heard of the client is interrupted so often for a look
/// at what else may end it.
const DEAF: Duration = Duration::from_millis(500);

/// Why a transfer must end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The client sent ABOR.
    Abort,
    /// The client's control connection is gone.
    ControlLost,
    /// The server's grace period is over.
    Stopped,
    /// The session was ended from outside.
    Ended(&'static str),
}

/// The server-PI's ear while the server-DTP works. Whatever finds out that the control connection
/// is lost, a read or a reply that could not be sent, each wait asks here before and after, so
/// that nothing goes on without it.
pub trait Watch {
    /// Says what has been held back and how far the transfer has come, for something is going
    /// to be waited for.
    ///
    /// # Errors
    ///
    /// When the transfer must end.
    fn speak(&mut self, progress: &Progress) -> Result<(), Interrupt>;

    /// The control connection and what to wait for on it, unless nothing more can come.
    fn control(&self) -> Option<Awaited<'_>>;

    /// Becomes ready when every transfer must end.
    fn stop(&self) -> Awaited<'_>;

    /// Takes in what has arrived on the control connection.
    ///
    /// # Errors
    ///
    /// When it says that the transfer must end.
    fn look(&mut self, progress: &Progress) -> Result<(), Interrupt>;
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bytes over the data connection.
    pub bytes: u64,
    /// When it began.
    pub since: Instant,
}

impl Progress {
    /// Nothing yet.
    pub fn start() -> Self {
        Self { bytes: 0, since: Instant::now() }
    }
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// The file descriptor is ready.
    Yes,
    /// The time is over.
    TimedOut,
}

/// Waits until `data` is ready or the time comes, and listens to the control connection.
///
/// # Errors
///
/// When something says that the transfer must end.
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
            // an order to end the session wakes only who listens to its client
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

/// Listens to the control connection without waiting, for work that nothing is sent by.
///
/// # Errors
///
/// When something says that it must end.
pub fn heed(watch: &mut dyn Watch, progress: &Progress) -> Result<(), Interrupt> {
    wait(watch, progress, None, Some(Instant::now())).map(drop)
}

/// Waits until something of the server's own becomes readable, and says whether it has before the
/// time comes; listens to the control connection meanwhile.
///
/// # Errors
///
/// When the client or the server says that there is nothing to wait for any more.
pub fn wait_for(
    watch: &mut dyn Watch,
    bell: Awaited<'_>,
    until: Option<Instant>,
) -> Result<bool, Interrupt> {
    let ready = wait(watch, &Progress::start(), Some(bell), until)?;
    Ok(ready == Ready::Yes)
}
