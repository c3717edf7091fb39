//! The beginning of a balancer's connection: a worker reads for whom it is, before anything depends on
//! the address of the client.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::bell::poll;
use super::client::Client;
use super::registry::Unwelcome;
use super::usher::Usher;
use crate::control::{self, CameBy, TurnedAway};
use crate::proxy::{Introduced, Reading, Unread};

/// Reads for whom a balancer has connected, and admits that client. Returns `false` if there will be no
/// session.
pub(super) fn introduce(client: &mut Client, usher: &Usher) -> bool {
    let balancer = client.registration.live.peer;
    let settings = usher.shared.settings();
    let server = &settings.config.server;
    let (peer, way) = match read(&client.stream, server.balancers.timeout) {
        Ok(Introduced::Client(peer)) => (peer, CameBy::Balancer),
        Ok(Introduced::Balancer) => (balancer, CameBy::Check),
        // a balancer that looks whether the port is open
        Err(Unread::Closed) => return false,
        Err(why) => {
            usher.dismiss(balancer, &why.to_string());
            return false;
        }
    };
    let is_banned = || way == CameBy::Balancer && usher.refuses(peer, &settings);
    if is_banned() {
        usher.turn_away_banned(&client.stream);
        return false;
    }
    match client.registration.introduce(peer, way, server.clients.max_per_ip) {
        Ok(()) => {}
        Err(Unwelcome::Ended) => {
            control::turn_away(&client.stream, TurnedAway::Full);
            return false;
        }
        Err(Unwelcome::Full(full)) => {
            usher.turn_away(&client.stream, peer, full.away(), full.why());
            return false;
        }
    }
    // a ban that began before the client was registered did not end the session
    if is_banned() {
        usher.turn_away_banned(&client.stream);
        return false;
    }
    true
}

/// Reads the header of a balancer, within this time.
fn read(stream: &TcpStream, time: Duration) -> Result<Introduced, Unread> {
    let until = Instant::now() + time;
    let mut reading = Reading::default();
    loop {
        if let Some(introduced) = reading.go_on(stream)? {
            return Ok(introduced);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Unread::Late);
        }
        let mut fds = [PollFd::new(stream, PollFlags::IN)];
        poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    }
}
