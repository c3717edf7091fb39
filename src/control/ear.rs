//! Listens to the control connection during a transfer.

use super::command::Command;
use super::connection::{Connection, Gone};
use super::counters::Meter;
use super::live::Live;
use super::reply::{Code, Reply};
use super::shared::Stop;
use crate::data::{Interrupt, Progress, Watch};
use crate::log::kib_per_second;
use crate::tls::Awaited;

/// Listens to the control connection during a transfer.
pub(super) struct Ear<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) stop: &'a Stop,
    /// Where the progress of the transfer is published.
    pub(super) live: &'a Live,
    /// Counts the bytes; `None` before the transfer.
    pub(super) meter: Option<Meter<'a>>,
    /// The running command, for the reply to STAT.
    pub(super) verb: &'static str,
    /// Whether a client that has sent QUIT may close the control connection without ending the
    /// transfer.
    pub(super) flowing: bool,
    /// Whether the loss of the control connection does not end the transfer any more.
    pub(super) outlives: bool,
}

impl<'a> Ear<'a> {
    /// Makes an ear for the time before the transfer, in which no bytes are counted.
    pub(super) fn before(
        connection: &'a mut Connection,
        stop: &'a Stop,
        live: &'a Live,
        verb: &'static str,
        flowing: bool,
    ) -> Self {
        Self { connection, stop, live, meter: None, verb, flowing, outlives: false }
    }

    /// Handles the commands that have arrived. ABOR ends the transfer and stays in the queue,
    /// to be answered after the transfer. STAT is answered at once if it is the first in the
    /// queue, so that replies keep the order of their commands. QUIT and all others wait (RFC
    /// 959 §4.1.1). If the client is gone, the transfer ends too.
    pub(super) fn obey(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        while self.connection.take_next(|command| matches!(command, Command::Stat)) {
            let reply = transfer_status(self.verb, progress);
            self.connection.reply(&reply);
        }
        let aborted = self.connection.look_for(|command| matches!(command, Command::Abort));
        if aborted { Err(Interrupt::Abort) } else { self.ask() }
    }

    /// Checks that the transfer may go on: that the client is still there, as far as reads and
    /// replies have shown, and that no order has ended the session. A client that has sent
    /// QUIT may close the control connection and still gets its file.
    fn ask(&self) -> Result<(), Interrupt> {
        if let Some(why) = self.live.ended() {
            return Err(Interrupt::Ended(why));
        }
        match self.connection.gone() {
            None => Ok(()),
            Some(Gone::Closed) if self.flowing && self.connection.has_quit() => Ok(()),
            Some(_) if self.outlives => Ok(()),
            Some(_) => Err(Interrupt::ControlLost),
        }
    }
}

impl Watch for Ear<'_> {
    fn speak(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        self.live.moved(progress.bytes);
        if let Some(meter) = &mut self.meter {
            meter.moved(progress.bytes);
        }
        self.connection.send_held();
        self.ask()
    }

    fn control(&self) -> Option<Awaited<'_>> {
        self.connection.awaited()
    }

    fn stop(&self) -> Awaited<'_> {
        Awaited::readable(self.stop)
    }

    fn outlive(&mut self) {
        self.outlives = true;
    }

    fn look(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        self.connection.read_all();
        self.obey(progress)
    }
}

/// Makes the 211 reply to STAT during a transfer (RFC 959 §4.1.3).
fn transfer_status(verb: &str, progress: &Progress) -> Reply {
    let took = progress.since.elapsed();
    let (bytes, rate) = (progress.bytes, kib_per_second(progress.bytes, took));
    let seconds = took.as_secs_f64();
    let text = format!("{verb} is running: {bytes} bytes in {seconds:.1} s, {rate:.1} KiB/s");
    Reply::new(Code::SystemStatus, text)
}
