//! The latest logins, refusals and transfers, which the status page shows.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::event::{Event, Who};
use super::text::write_story;

/// Maximum number of kept events of users, and also of kept events of clients that have not
/// logged in. They are counted separately, so that strangers cannot push out the events of
/// users.
const MOST: usize = 25;

/// Maximum length of a kept text, in characters.
const LONGEST: usize = 400;

/// An event that is kept for the status page.
#[derive(Debug, Clone)]
pub struct Told {
    /// The time of the event.
    pub at: SystemTime,
    /// The client's address.
    pub address: IpAddr,
    /// The user, once logged in.
    pub user: Option<String>,
    /// The kind of the event: `login`, `failed`, `refused` or `transfer`.
    pub kind: &'static str,
    /// What happened, escaped as in the log.
    pub text: String,
}

/// The latest events of all sessions.
#[derive(Debug)]
pub struct Recent {
    /// Whether events are kept at all.
    is_on: bool,
    users: Mutex<VecDeque<Told>>,
    strangers: Mutex<VecDeque<Told>>,
}

impl Recent {
    /// Returns an empty list. If `is_on` is false, it stays empty.
    pub fn new(is_on: bool) -> Self {
        Self { is_on, users: Mutex::default(), strangers: Mutex::default() }
    }

    /// Keeps an event if it is a login, a refusal or a transfer.
    pub fn note(&self, who: Who<'_>, event: &Event<'_>) {
        if !self.is_on {
            return;
        }
        let account = event.account();
        let Some(kind) = account.recent else { return };
        let mut text = String::new();
        write_story(&mut text, &account);
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

    /// Returns all events that are kept, the latest first.
    pub fn list(&self) -> Vec<Told> {
        let those = |those: &Mutex<VecDeque<Told>>| {
            let those = those.lock().unwrap_or_else(PoisonError::into_inner);
            those.iter().cloned().collect::<Vec<_>>()
        };
        let mut all = those(&self.users);
        for told in those(&self.strangers) {
            let at = all.partition_point(|other| other.at >= told.at);
            all.insert(at, told);
        }
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
