//! What a session tells the guard of its client.

use super::arg::text::Secret;
use super::offence::{Guess, Offence};
use super::session::Session;

/// Refused commands of one session from which on each is an offence, as long as nobody has
/// logged in: ordinary clients try a few things that a server may not have.
const FREE: u32 = 20;

/// Refused commands of a session without a login that never count, however many sessions come
/// from one address.
const FEW: u32 = 5;

impl Session {
    /// Tells the guard, once for each connection: what is another protocol comes as many lines.
    pub(super) fn blame(&mut self, how: Offence) {
        if !std::mem::replace(&mut self.blamed, true) {
            self.accuse(how, None);
        }
    }

    /// Tells the guard of a login that failed.
    pub(super) fn blame_login(&self, name: &[u8], password: &Secret) {
        let guess = Guess::of(&self.shared.guesses, name, password.expose());
        self.accuse(Offence::Login, Some(guess));
    }

    /// Counts a stranger's refused command.
    pub(super) fn count_refused(&mut self) {
        self.refused += 1;
        if self.refused >= FREE {
            self.accuse(Offence::Refused, None);
        }
    }

    /// Tells the guard of the refused commands of a session that ends without a login.
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
        self.shared.counters.offences.count(how);
        let settings = self.shared.settings();
        self.shared.guard.offended(self.peer, how, guess, &settings.config.server.bans);
    }
}
