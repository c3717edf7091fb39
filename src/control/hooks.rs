//! How a session uses hook programs: it waits until there is room for an event in their queue,
//! and starts the program once the event has happened.

use std::time::{Duration, Instant};

use super::command::Verb;
use super::ear::Ear;
use super::refusal::Refusal;
use super::session::Session;
use crate::config::Occasion;
use crate::data::{self, Progress};
use crate::hook::{Happening, Owner};
use crate::tls::Awaited;
use crate::vfs::VirtualPath;

impl Session {
    /// Waits, for at most `data_timeout`, until there is room for this event in the queue of
    /// hook programs. Called before the event happens, so that no event is dropped or reported
    /// late.
    pub(super) fn await_program(
        &mut self,
        occasion: Occasion,
        verb: &Verb,
    ) -> Result<(), Refusal> {
        let Ok(user) = self.user() else { return Ok(()) };
        if user.account.user.rules.hooks.of(occasion).is_none() {
            return Ok(());
        }
        let owner = user.hook_owner.clone();
        let time = self.settings.config.server.data.timeout;
        let until = time.map(|time| Instant::now() + time);
        self.await_room(&owner, verb, until)
    }

    /// Waits until there is room for an event of `owner` in the queue, or until `until`.
    #[inline(never)]
    pub(super) fn await_room(
        &mut self,
        owner: &Owner,
        verb: &Verb,
        until: Option<Instant>,
    ) -> Result<(), Refusal> {
        let Self { connection, shared, live, .. } = self;
        loop {
            let Some(bell) =
                shared.hooks.await_room(owner).map_err(|_| Refusal::ProgramsBusy)?
            else {
                return Ok(());
            };
            if shared.stop.is_soon() || connection.gone().is_some() {
                return Err(Refusal::ProgramsBusy);
            }
            let mut ear = Ear::before(connection, &shared.stop, live, verb.name(), false);
            // an ABOR may have arrived right after its command
            let heard = ear.obey(&Progress::start());
            match heard.and_then(|()| data::wait_for(&mut ear, Awaited::readable(&bell), until))
            {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(Refusal::ProgramsBusy),
            }
        }
    }

    /// Starts the hook program for an event.
    pub(super) fn happened(
        &self,
        occasion: Occasion,
        path: &VirtualPath,
        from: Option<&VirtualPath>,
        transfer: Option<(u64, Duration, Option<&str>)>,
    ) {
        let Ok(user) = self.user() else { return };
        let Some(program) = user.account.user.rules.hooks.of(occasion) else { return };
        let real = |path| user.tree.real(path);
        let (here, before) = (real(path), from.map(real));
        let happening = Happening {
            occasion,
            user: &user.account.name,
            owner: &user.hook_owner,
            ids: user.account.user.run_as.as_ref(),
            address: self.peer.ip(),
            path: (&here, path.as_bytes()),
            from: before.as_deref().zip(from.map(VirtualPath::as_bytes)),
            transfer,
        };
        self.shared.hooks.start(program, &happening);
    }
}
