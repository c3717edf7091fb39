//! Orders to the server, given by signals and over the admin socket. No order is lost, however
//! many are given at once; an order that is given twice before it is taken is carried out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// An order to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop without waiting for running transfers.
    StopNow,
    /// Let running transfers end, and stop.
    Stop,
    /// Accept no more clients, let the sessions end, and stop.
    Drain,
    /// Read the settings again.
    Reload,
}

/// The orders that were given but not taken yet. Clones share them.
#[derive(Debug, Clone)]
pub struct Orders {
    given: Arc<AtomicU8>,
    ring: Sender<()>,
    bell: Receiver<()>,
}

impl Default for Orders {
    fn default() -> Self {
        let (ring, bell) = bounded(1);
        Self { given: Arc::default(), ring, bell }
    }
}

impl Orders {
    /// Gives an order.
    pub fn give(&self, order: Order) {
        self.given.fetch_or(order.bit(), Ordering::SeqCst);
        // if the channel is full, the server is woken already
        let _ = self.ring.try_send(());
    }

    /// Wakes the thread that waits for an order without giving one.
    pub fn nudge(&self) {
        let _ = self.ring.try_send(());
    }

    /// Waits for an order, a nudge, or for this long (`None`: without a limit), and takes the
    /// most urgent order.
    pub(super) fn wait(&self, time: Option<Duration>) -> Option<Order> {
        self.take().or_else(|| {
            let _ = match time {
                Some(time) => self.bell.recv_timeout(time).ok(),
                None => self.bell.recv().ok(),
            };
            self.take()
        })
    }

    fn take(&self) -> Option<Order> {
        let taken = |order: &Order| {
            self.given.fetch_and(!order.bit(), Ordering::SeqCst) & order.bit() != 0
        };
        [Order::StopNow, Order::Stop, Order::Drain, Order::Reload].into_iter().find(taken)
    }
}

impl Order {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(10));

    #[test]
    fn no_order_is_lost_and_the_more_urgent_comes_first() {
        let orders = Orders::default();
        for _ in 0..1000 {
            orders.give(Order::Reload);
        }
        orders.give(Order::Stop);
        orders.clone().give(Order::StopNow);
        let all: Vec<_> = (0..3).map(|_| orders.wait(LONG)).collect();
        assert_eq!(all, [Some(Order::StopNow), Some(Order::Stop), Some(Order::Reload)]);
        assert_eq!(orders.wait(Some(Duration::ZERO)), None);
    }

    #[test]
    fn who_waits_is_woken() {
        let orders = Orders::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| orders.wait(LONG));
            orders.give(Order::Stop);
            assert_eq!(waiting.join().unwrap(), Some(Order::Stop));
        });
    }
}
