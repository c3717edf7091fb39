//! How a session uses the server-DTP (the `data` room): it makes data connections and moves
//! bytes over them, while it listens to the control connection.

use std::time::{Duration, Instant};

use super::command::Verb;
use super::counters::Meter;
use super::ear::Ear;
use super::kinds::Traffic;
use super::refusal::Refusal;
use super::session::Session;
use super::state::{Resumption, Setup};
use crate::config::Resume;
use crate::data::{
    self, DataConnection, DataError, Interrupt, LOOK, Lingering, Progress, Pump, Throttle,
};
use crate::log::{Event, Who};
use crate::vfs::{Counted, FsError, Heed};

/// Maximum number of data connections that wait for the client to close its end. A client that
/// has started a third download has read the first one.
const MOST_LINGERING: usize = 2;

/// How long work on a whole file waits for that of others if there is no `data_timeout`.
const PATIENCE: Duration = Duration::from_secs(60);

impl Session {
    /// Keeps a data connection over which everything was sent, until the client has closed its
    /// end. The reply is sent without waiting for that.
    pub(super) fn linger(&mut self, data: DataConnection) {
        if self.lingering.len() >= MOST_LINGERING {
            self.lingering.remove(0);
        }
        self.lingering.extend(Lingering::after(data));
    }

    /// Runs work on files that may take long, before there is a data connection. It is
    /// interrupted by ABOR, by the loss of the control connection, and when the session must
    /// end.
    pub(super) fn attend<T>(
        &mut self,
        verb: &Verb,
        work: impl FnOnce(&mut Heed<'_>) -> Result<T, FsError>,
    ) -> Result<T, Refusal> {
        self.attend_counting(verb, |told| work(&mut || told(0)))
    }

    /// Returns how long work on a whole file waits for that of others.
    pub(super) fn patience(&self) -> Duration {
        self.settings.config.server.data.timeout.unwrap_or(PATIENCE)
    }

    /// Like [`Session::attend`], for work that tells how many bytes are done.
    pub(super) fn attend_counting<T>(
        &mut self,
        verb: &Verb,
        work: impl FnOnce(&mut Counted<'_>) -> Result<T, FsError>,
    ) -> Result<T, Refusal> {
        self.live.set_at_work(true);
        let Self { connection, shared, live, .. } = self;
        // a client that has sent QUIT still waits for the answer
        let mut ear = Ear::before(connection, &shared.stop, live, verb.name(), true);
        let mut progress = Progress::start();
        let (mut looked, mut interrupt) = (progress.since, None);
        let mut told = |bytes| {
            if looked.elapsed() < LOOK {
                return true;
            }
            looked = Instant::now();
            progress.bytes = bytes;
            let soon = if shared.stop.is_soon() { Err(Interrupt::Stopped) } else { Ok(()) };
            // an ABOR may have arrived right after its command
            let heard = soon.and_then(|()| ear.obey(&progress));
            interrupt = heard.and_then(|()| data::heed(&mut ear, &progress)).err();
            interrupt.is_none()
        };
        let done = work(&mut told);
        match interrupt {
            Some(interrupt) => Err(DataError::from(interrupt).into()),
            None => Ok(done?),
        }
    }

    /// Returns whether the client has connected to its passive port, so that nothing is left to
    /// wait for before the transfer: no connection, and no TLS handshake.
    pub(super) fn is_connected(&mut self) -> bool {
        if self.private().is_some() {
            return false;
        }
        let who = Who { peer: self.peer, user: self.state.login.name() };
        match &mut self.state.parameters.setup {
            Setup::Passive(passive) => passive.has_client(who),
            Setup::None | Setup::Active(_) => false,
        }
    }

    /// Makes the data connection that PASV or PORT has set up.
    pub(super) fn connect(&mut self, verb: &Verb) -> Result<DataConnection, Refusal> {
        if self.required().data && self.private().is_none() {
            return Err(Refusal::ProtectionNeeded);
        }
        // set before the signal to stop is checked, because the thread that gives the signal
        // reads this afterwards
        self.live.set_at_work(true);
        if self.shared.stop.is_soon() {
            return Err(DataError::from(Interrupt::Stopped).into());
        }
        let patience = self.settings.config.server.data.timeout;
        let setup = std::mem::take(&mut self.state.parameters.setup);
        let Self { connection, shared, settings, live, state, peer, local, .. } = self;
        let who = Who { peer: *peer, user: state.login.name() };
        // a client that has sent QUIT and left will not connect to a passive port any more
        let flowing = !matches!(setup, Setup::Passive(_));
        let mut ear = Ear::before(connection, &shared.stop, live, verb.name(), flowing);
        // an ABOR may have arrived right after its command
        if let Err(interrupt) = ear.obey(&Progress::start()) {
            if let Setup::Passive(passive) = setup {
                passive.give_up(who);
            }
            return Err(DataError::from(interrupt).into());
        }
        match setup {
            Setup::None => Err(Refusal::NoDataSetup),
            Setup::Active(to) => {
                let mut local = *local;
                local.set_port(settings.config.server.data.active_port);
                Ok(data::connect(to, local, &mut ear, patience)?)
            }
            Setup::Passive(passive) => Ok(passive.connection(who, &mut ear, patience)?),
        }
    }

    /// Runs the TLS handshake on a data connection if PROT P is in effect now, whatever the
    /// level was at PASV. The client must prove that it owns the control connection: by
    /// resuming its TLS session, if `tls_resume` demands it, and by showing the same
    /// certificate.
    pub(super) fn secure(
        &mut self,
        verb: &Verb,
        data: &mut DataConnection,
    ) -> Result<(), Refusal> {
        let Some(tls) = self.private() else {
            let is_clear = !data.has_tls();
            return if is_clear { Ok(()) } else { Err(DataError::LevelChanged.into()) };
        };
        let strict = self.user()?.account.user.rules.tls.require_close_notify;
        let server = &self.settings.config.server;
        let (patience, resume) = (server.data.timeout, server.tls.resume);
        let Self { connection, shared, live, .. } = self;
        let mut ear = Ear::before(connection, &shared.stop, live, verb.name(), true);
        data.begin_tls(&tls)?;
        data.secure(&mut ear, patience)?;
        if !strict {
            data.be_lenient();
        }
        let Some((own, control)) = data.layer().zip(self.connection.layer()) else {
            return Ok(());
        };
        let is_resumed = own.is_resumed();
        if resume == Resume::Require && !is_resumed {
            return Err(DataError::NotResumed.into());
        }
        if !control.may_be_peer_of(own) {
            return Err(DataError::OtherCertificate.into());
        }
        self.log_resumption(is_resumed);
        Ok(())
    }

    /// Logs whether data connections resume the TLS session. One that does not, although
    /// earlier ones did, may be a stranger's; that is logged once.
    fn log_resumption(&mut self, resumed: bool) {
        let next = match (self.resumption, resumed) {
            (Resumption::Unknown | Resumption::Always, true) => Resumption::Always,
            (Resumption::Unknown | Resumption::Never, false) => Resumption::Never,
            _ => Resumption::Sometimes,
        };
        if next != self.resumption {
            let stopped = self.resumption == Resumption::Always;
            let event =
                if stopped { Event::ResumptionStopped } else { Event::DataSecured(resumed) };
            self.log(&event);
        }
        self.resumption = next;
    }

    /// Runs a transfer over a data connection while listening to the control connection, and
    /// counts it.
    pub(super) fn pump<T>(
        &mut self,
        verb: &Verb,
        traffic: Traffic,
        throttle: Throttle,
        run: impl FnOnce(&mut Pump<'_>) -> Result<T, DataError>,
    ) -> (Progress, Result<T, DataError>) {
        let patience = self.settings.config.server.data.timeout;
        let Self { connection, shared, live, .. } = self;
        let running = shared.counters.begin_transfer();
        shared.guard.stir();
        let meter = Some(Meter::new(&shared.counters, traffic));
        let (stop, verb) = (&shared.stop, verb.name());
        let mut ear =
            Ear { connection, stop, live, meter, verb, flowing: true, outlives: false };
        let mut pump = Pump::new(&mut ear, throttle, patience);
        let result = run(&mut pump);
        let progress = pump.progress;
        if let Some(mut meter) = ear.meter {
            meter.moved(progress.bytes);
        }
        drop(running);
        let took = progress.since.elapsed();
        shared.counters.transferred(traffic, took, result.as_ref().err());
        self.live.over();
        (progress, result)
    }
}
