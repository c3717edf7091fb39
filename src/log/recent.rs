//! The last events of sessions, for who looks at the server now: logins, refusals and transfers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::event::{Event, Who};
use super::text::Story;

/// Events that are kept of users, and of clients that have not logged in, who must not push
/// those of users out.
const MOST: usize = 25;

/// Letters of a text that are kept.
const LONGEST: usize = 400;

/// One event.
#[derive(Debug, Clone)]
pub struct Told {
    /// When it was.
    pub at: SystemTime,
    /// The client.
    pub address: IpAddr,
    /// The user, once logged in.
    pub user: Option<String>,
    /// What kind of event it is: `login`, `failed`, `refused` or `transfer`.
    pub kind: &'static str,
    /// What has happened, escaped as in the log.
    pub text: String,
}

/// The last events of all sessions.
#[derive(Debug)]
pub struct Recent {
    /// Whether somebody may want to see them.
    is_on: bool,
    users: Mutex<VecDeque<Told>>,
    strangers: Mutex<VecDeque<Told>>,
}

impl Recent {
    /// Keeps nothing yet, and never anything if it is off.
    pub fn new(is_on: bool) -> Self {
        Self { is_on, users: Mutex::default(), strangers: Mutex::default() }
    }

    /// Keeps an event, if it is of a kind that people look for.
    pub fn note(&self, who: Who<'_>, event: &Event<'_>) {
        if !self.is_on {
            return;
        }
        let account = event.account();
        let Some(kind) = account.recent else { return };
        let text = Story(&account).to_string();
        let mut short: String = text.chars().take(LONGEST).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        let told = Told {
            at: SystemTime::now(),
            address: who.peer.ip().to_canonical(),
            user: who.user.map(str::to_owned),
            kind,
            text: short,
        };
        let those = if told.user.is_some() { &self.users } else { &self.strangers };
        let mut those = those.lock().unwrap_or_else(PoisonError::into_inner);
        those.truncate(MOST - 1);
        those.push_front(told);
    }

    /// All that is kept, the latest first.
    pub fn list(&self) -> Vec<Told> {
        let mut all = Vec::new();
        for those in [&self.users, &self.strangers] {
            all.extend(those.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        }
        all.sort_by_key(|told| std::cmp::Reverse(told.at));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_push_no_user_out_and_nothing_grows_without_end() {
        let recent = Recent::new(true);
        let peer = "192.0.2.7:1".parse().unwrap();
        let bob = Who { peer, user: Some("bob") };
        recent.note(bob, &Event::Refused("DELE", None, "a\nb"));
        recent.note(bob, &Event::Connected);
        for _ in 0..1000 {
            recent
                .note(Who { peer, user: None }, &Event::LoginFailed(b"eve", "wrong password"));
        }
        let all = recent.list();
        assert_eq!(all.len(), MOST + 1);
        assert!(
            all.iter()
                .any(|told| told.text == "DELE refused: a\\x0ab" && told.kind == "refused")
        );
        assert_eq!(all[0].text, "login failed for 'eve': wrong password");
        let off = Recent::new(false);
        off.note(bob, &Event::Refused("DELE", None, "x"));
        assert!(off.list().is_empty());
    }
}
