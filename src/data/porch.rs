//! Holds the connections of balancers to one passive port until one of them has named the client. Their
//! headers are read side by side, so that a connection that sends none does not hold up the client's.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::proxy::{Introduced, Reading, Unread};

/// The connections whose headers are being read.
#[derive(Debug)]
pub(super) struct Porch {
    /// Readable once something has arrived on one of the connections or at the port.
    epoll: OwnedFd,
    /// The connections, the oldest one first.
    arriving: VecDeque<Arriving>,
}

/// A connection of a balancer whose header is not complete.
#[derive(Debug)]
struct Arriving {
    stream: TcpStream,
    reading: Reading,
}

/// Maximum number of connections whose headers are read side by side.
pub const MOST: usize = 8;

impl Porch {
    pub(super) fn new(listener: &TcpListener) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let porch = Self { epoll, arriving: VecDeque::new() };
        porch.watch(listener)?;
        Ok(porch)
    }

    /// Takes in a connection, whose header may take this long. If there are too many, the oldest one is
    /// dropped, because most headers arrive at once. Returns whether one was.
    pub(super) fn put(&mut self, stream: TcpStream, time: Duration) -> io::Result<bool> {
        self.watch(&stream)?;
        let reading = Reading::new(Instant::now() + time);
        let is_full = self.arriving.len() >= MOST;
        if is_full {
            self.arriving.pop_front();
        }
        self.arriving.push_back(Arriving { stream, reading });
        Ok(is_full)
    }

    /// Reads what has arrived. Returns the oldest connection whose header is complete, late or
    /// faulty; `None` if there is none, so that all must go on waiting.
    pub(super) fn next(&mut self) -> Option<(TcpStream, Result<Introduced, Unread>)> {
        for at in 0..self.arriving.len() {
            let arriving = self.arriving.get_mut(at)?;
            if let Some(read) = arriving.reading.go_on(&arriving.stream).transpose() {
                return Some((self.arriving.remove(at)?.stream, read));
            }
        }
        None
    }

    /// Drops all connections whose header is not complete, and returns their number.
    pub(super) fn clear(&mut self) -> usize {
        self.arriving.drain(..).count()
    }

    /// Returns when the next header is late.
    pub(super) fn until(&self) -> Option<Instant> {
        self.arriving.iter().map(|arriving| arriving.reading.until()).min()
    }

    fn watch(&self, fd: impl AsFd) -> io::Result<()> {
        let data = EventData::new_u64(0);
        epoll::add(&self.epoll, fd, data, EventFlags::IN).map_err(Into::into)
    }
}

impl AsFd for Porch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
