//! How a session tells of events: it waits until there is room for one in the queue of hook programs,
//! and tells the program and the receiver once it has happened.

use std::iter;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::Verb;
use super::ear::Ear;
use super::refusal::Refusal;
use super::session::Session;
use crate::config::Occasion;
use crate::data::{self, Progress};
use crate::events::{Event, Hook, Outcome, Owner, Turn};
use crate::tls::{Awaited, Layer};
use crate::vfs::{Upload, VirtualPath};

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
                shared.events.await_room(owner).map_err(|_| Refusal::ProgramsBusy)?
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

    /// Returns a turn at a path, and at the one that a rename is from, if the receiver is told of such events.
    /// The session takes the turn before it changes anything, so that a receiver is told of the changes to
    /// one path in their order.
    pub(super) fn turn(
        &self,
        occasion: Occasion,
        path: &VirtualPath,
        from: Option<&VirtualPath>,
    ) -> Option<Turn> {
        let user = self.user().ok()?;
        let real = |path| user.tree.real(path);
        let paths = || iter::once(path).chain(from).map(real).collect();
        self.shared.events.turn(occasion, paths)
    }

    /// Takes a turn, as [`Session::turn`] describes it.
    pub(super) fn begin_turn(
        &self,
        occasion: Occasion,
        path: &VirtualPath,
        from: Option<&VirtualPath>,
    ) -> Option<Turn> {
        self.turn(occasion, path, from).inspect(Turn::take)
    }

    /// Tells of an event that has happened.
    pub(super) fn happened(
        &self,
        occasion: Occasion,
        path: &VirtualPath,
        from: Option<&VirtualPath>,
        transfer: Option<(u64, Duration, Option<&str>)>,
    ) {
        let Ok(user) = self.user() else { return };
        let rules = &user.account.user.rules;
        let program = rules.hooks.of(occasion);
        if program.is_none() && !self.shared.events.are_sent(occasion) {
            return;
        }
        let real = |path| user.tree.real(path);
        let (here, before) = (real(path), from.map(real));
        let event = Event {
            occasion,
            user: &user.account.name,
            is_anonymous: user.account.is_anonymous(),
            address: Some(self.peer.ip()),
            tls: self.connection.layer().map(Layer::version),
            path: Some((&here, path.as_bytes())),
            from: before.as_deref().zip(from.map(VirtualPath::as_bytes)),
            transfer: transfer.map(|(size, took, _)| (size, took)),
            outcome: match transfer {
                None => Outcome::Done,
                Some((.., None)) => Outcome::Complete,
                Some((.., Some(why))) => Outcome::Failed(why),
            },
        };
        let ids = user.account.user.run_as.as_ref();
        let hook = program.map(|program| Hook { program, owner: &user.hook_owner, ids });
        self.shared.events.tell(&event, hook, rules.uploads.sync);
    }

    /// Tells of something that was refused: a login with this name, or a command of a user, with the path that
    /// it names.
    pub(super) fn tell_refused(
        &self,
        occasion: Occasion,
        (name, path): (&[u8], Option<(&Path, &[u8])>),
        outcome: Outcome<'_>,
    ) {
        if self.shared.events.are_sent(occasion) {
            let event = Event {
                occasion,
                user: &String::from_utf8_lossy(name),
                is_anonymous: false,
                address: Some(self.peer.ip()),
                tls: self.connection.layer().map(Layer::version),
                path,
                from: None,
                transfer: None,
                outcome,
            };
            self.shared.events.tell(&event, None, false);
        }
    }
}

/// Takes a turn, if there is one, right before an upload is put in place.
pub(super) fn in_turn(upload: &mut Upload, turn: Option<&Arc<Turn>>) {
    if let Some(turn) = turn.map(Arc::clone) {
        upload.before_finish(move || turn.take());
    }
}
