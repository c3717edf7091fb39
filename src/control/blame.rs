//! What a session reports to the guard about its client.

use super::arg::text::Secret;
use super::live::CameBy;
use super::offence::{Guess, Offence};
use super::session::Session;

/// From this number on, each refused command of a session without a login is an offence. A
/// smaller number is not, because ordinary clients try a few commands that a server may not
/// have.
const FREE: u32 = 20;

/// Number of refused commands of a session without a login that never count towards a ban,
/// even if many sessions come from one address.
const FEW: u32 = 5;

impl Session {
    /// Reports an offence to the guard, but only the first of a connection: a client that
    /// speaks another protocol sends many lines, each of which would count.
    pub(super) fn blame(&mut self, how: Offence) {
        if !std::mem::replace(&mut self.blamed, true) {
            self.accuse(how, None);
        }
    }

    /// Reports a failed login to the guard.
    pub(super) fn blame_login(&self, name: &[u8], password: &Secret) {
        let guess = Guess::of(&self.shared.guesses, name, password.expose());
        self.accuse(Offence::Login, Some(guess));
    }

    /// Counts a refused command of a client that has not logged in.
    pub(super) fn count_refused(&mut self) {
        if self.live.way == CameBy::Check {
            return;
        }
        self.refused += 1;
        if self.refused >= FREE {
            self.accuse(Offence::Refused, None);
        }
    }

    /// Reports the number of refused commands of a session without a login, as far as they
    /// count but were not offences by themselves. Called when the session ends.
    pub(super) fn report_refused(&self) {
        let counted = self.refused.min(FREE - 1).saturating_sub(FEW);
        if counted > 0 {
            let settings = self.shared.settings();
            self.shared.guard.refused(
                self.peer,
                counted as usize,
                &settings.config.server.bans,
            );
        }
    }

    fn accuse(&self, how: Offence, guess: Option<Guess>) {
        // a ban of the balancer would be one of all clients
        if self.live.way == CameBy::Check {
            return;
        }
        self.shared.counters.offences.count(how);
        let settings = self.shared.settings();
        self.shared.guard.offended(self.peer, how, guess, &settings.config.server.bans);
    }
}
