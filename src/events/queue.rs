//! Queues of waiting events, one for each user. The users take turns, so that no user waits for
//! all the events of another one. This file starts no program or thread, and reads no clock.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// The owner of a queue: a user, or the anonymous users of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    user: String,
    /// The network of an anonymous user.
    network: Network,
}

/// An IPv4 address or an IPv6 /64; `None` for a user who is not anonymous.
type Network = Option<IpAddr>;

/// The name under which all anonymous users share one turn.
const ANONYMOUS: &str = "anonymous";

/// Number of events at which the queue of one owner is full.
const MOST: usize = 256;

/// Number of events at which the queues of all anonymous users together are full. A limit for
/// each network is not enough, since one client may have many addresses.
const MOST_ANONYMOUS: usize = 4096;

impl Owner {
    /// Returns the owner for a user of the settings. All sessions of the user share a queue.
    pub fn user(name: &str) -> Self {
        Self { user: name.to_owned(), network: None }
    }

    /// Returns the owner for an anonymous user from this address.
    pub fn anonymous(address: IpAddr) -> Self {
        const FIRST_64: u128 = !0 << 64;
        let network = match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & FIRST_64).into(),
            v4 @ IpAddr::V4(_) => v4,
        };
        Self { user: ANONYMOUS.to_owned(), network: Some(network) }
    }

    /// Returns the name of the user.
    pub fn name(&self) -> &str {
        &self.user
    }
}

/// The queues of all users.
#[derive(Debug)]
pub(super) struct Queues<E> {
    /// The names of users with events. The first is next.
    turns: VecDeque<String>,
    users: HashMap<String, Turns<E>>,
    waiting: usize,
}

/// The queues of one user. Anonymous users together have one queue for each network.
#[derive(Debug)]
struct Turns<E> {
    order: VecDeque<Network>,
    queues: HashMap<Network, VecDeque<E>>,
    waiting: usize,
}

impl<E> Default for Queues<E> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), users: HashMap::new(), waiting: 0 }
    }
}

impl<E> Default for Turns<E> {
    fn default() -> Self {
        Self { order: VecDeque::new(), queues: HashMap::new(), waiting: 0 }
    }
}

impl<E> Queues<E> {
    /// Returns the number of events that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether the queue of this owner is full. This is checked before an action. The event of
    /// an action that was carried out is queued in any case.
    pub(super) fn is_full(&self, owner: &Owner) -> bool {
        let Some(user) = self.users.get(&owner.user) else { return false };
        let own = user.queues.get(&owner.network).map_or(0, VecDeque::len);
        own >= MOST || (owner.network.is_some() && user.waiting >= MOST_ANONYMOUS)
    }

    /// Whether any event of this user waits.
    pub(super) fn has(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Adds an event.
    pub(super) fn push(&mut self, owner: &Owner, event: E) {
        if !self.users.contains_key(&owner.user) {
            self.turns.push_back(owner.user.clone());
        }
        self.users.entry(owner.user.clone()).or_default().push(owner.network, event);
        self.waiting += 1;
    }

    /// Removes the next event, and returns it with the name of its user.
    pub(super) fn pop(&mut self) -> Option<(String, E)> {
        let name = self.turns.pop_front()?;
        let user = self.users.get_mut(&name)?;
        let event = user.pop()?;
        self.waiting -= 1;
        if user.waiting > 0 {
            self.turns.push_back(name.clone());
        } else {
            self.users.remove(&name);
        }
        Some((name, event))
    }
}

impl<E> Turns<E> {
    fn push(&mut self, network: Network, event: E) {
        let order = &mut self.order;
        let queue = self.queues.entry(network).or_insert_with(|| {
            order.push_back(network);
            VecDeque::new()
        });
        queue.push_back(event);
        self.waiting += 1;
    }

    fn pop(&mut self) -> Option<E> {
        let network = self.order.pop_front()?;
        let queue = self.queues.get_mut(&network)?;
        let event = queue.pop_front()?;
        self.waiting -= 1;
        if queue.is_empty() {
            self.queues.remove(&network);
        } else {
            self.order.push_back(network);
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(queues: &mut Queues<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queues.pop().map(|(_, event)| event)).collect()
    }

    #[test]
    fn users_take_turns_and_the_events_of_each_keep_their_order() {
        let mut queues = Queues::default();
        let (ann, ben) = (Owner::user("ann"), Owner::user("ben"));
        for event in [1, 2, 3] {
            queues.push(&ann, event);
        }
        queues.push(&ben, 10);
        assert_eq!(queues.pop(), Some(("ann".to_owned(), 1)));
        queues.push(&ben, 11);
        queues.push(&ann, 4);
        assert_eq!(queues.len(), 5);
        assert_eq!(all(&mut queues), [10, 2, 11, 3, 4]);
        assert_eq!((queues.len(), queues.pop()), (0, None));
        queues.push(&ben, 12);
        assert_eq!(all(&mut queues), [12]);
    }

    #[test]
    fn anonymous_users_share_one_turn_and_take_turns_in_it() {
        let mut queues = Queues::default();
        let from = |text: &str| Owner::anonymous(text.parse().unwrap());
        for (at, owner) in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2"]
            .into_iter()
            .enumerate()
        {
            queues.push(&from(owner), u32::try_from(at).unwrap());
        }
        queues.push(&Owner::user("ann"), 10);
        queues.push(&Owner::user("ann"), 11);
        assert_eq!(all(&mut queues), [0, 10, 2, 11, 1, 3]);
    }

    #[test]
    fn a_full_queue_takes_what_has_happened_and_nobody_else_s_is_full() {
        let mut queues = Queues::default();
        let (ann, ben) = (Owner::user("ann"), Owner::user("ben"));
        for _ in 0..MOST {
            assert!(!queues.is_full(&ann));
            queues.push(&ann, 0);
        }
        assert!(queues.is_full(&ann) && !queues.is_full(&ben));
        queues.push(&ann, 0);
        queues.push(&ben, 1);
        queues.pop();
        assert!(queues.is_full(&ann));
        queues.pop();
        queues.pop();
        assert!(!queues.is_full(&ann));
    }

    #[test]
    fn anonymous_users_are_bounded_each_and_together() {
        let mut queues = Queues::default();
        let from = |last: u32| Owner::anonymous(IpAddr::from(last.to_be_bytes()));
        for _ in 0..MOST {
            queues.push(&from(0), 0);
        }
        assert!(queues.is_full(&from(0)) && !queues.is_full(&from(1)));
        for last in 1..=u32::try_from(MOST_ANONYMOUS - MOST).unwrap() {
            assert!(!queues.is_full(&from(last)));
            queues.push(&from(last), 0);
        }
        assert!(queues.is_full(&from(9999)) && !queues.is_full(&Owner::user("anonymous")));
    }
}
