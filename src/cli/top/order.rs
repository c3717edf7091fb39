//! The order in which `ftpd top` lists the sessions.

use std::cmp::{Ordering, Reverse};

use crate::server::protocol::SessionView;

/// What the sessions can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Number,
    User,
    Address,
    Time,
    Rate,
}

/// The order of the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// Sessions with a transfer come first.
    #[default]
    Busy,
    /// Sorted by a column: text upwards, and times and rates from the largest to the smallest.
    By(Column),
    /// Sorted the other way round.
    Reversed(Column),
}

impl Order {
    /// Returns the order after the key of this column was pressed: the first time it sorts, the
    /// second time it reverses, the third time the usual order is back.
    pub(super) fn press(self, column: Column) -> Self {
        match self {
            Self::By(now) if now == column => Self::Reversed(column),
            Self::Reversed(now) if now == column => Self::Busy,
            Self::Busy | Self::By(_) | Self::Reversed(_) => Self::By(column),
        }
    }

    /// Returns whether the sessions are sorted by this column, and how: `v` or `^`, or a blank.
    pub(super) fn mark(self, column: Column) -> char {
        match self {
            Self::By(now) if now == column => 'v',
            Self::Reversed(now) if now == column => '^',
            Self::Busy | Self::By(_) | Self::Reversed(_) => ' ',
        }
    }

    /// Sorts the sessions, each with its rate. Those that are equal keep the order in which they
    /// began.
    pub(super) fn sort(self, sessions: &mut [(&SessionView, u64)]) {
        sessions.sort_by_key(|(session, _)| session.id);
        match self {
            Self::Busy => sessions.sort_by_key(|(session, _)| session.transfer.is_none()),
            Self::By(column) => sessions.sort_by(|a, b| column.compare(a, b)),
            Self::Reversed(column) => sessions.sort_by(|a, b| column.compare(b, a)),
        }
    }
}

impl Column {
    fn compare(self, a: &(&SessionView, u64), b: &(&SessionView, u64)) -> Ordering {
        match self {
            Self::Number => a.0.id.cmp(&b.0.id),
            // nobody comes after all users
            Self::User => (a.0.user.is_none(), &a.0.user).cmp(&(b.0.user.is_none(), &b.0.user)),
            Self::Address => a.0.address.cmp(&b.0.address),
            Self::Time => Reverse(a.0.seconds).cmp(&Reverse(b.0.seconds)),
            Self::Rate => {
                let key = |(session, rate): &(&SessionView, u64)| {
                    (session.transfer.is_none(), Reverse(*rate))
                };
                key(a).cmp(&key(b))
            }
        }
    }
}
