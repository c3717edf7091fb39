//! Clients that never log in: guessers of passwords, which must be banned in time and not
//! earlier, and silent clients, which must not keep others out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::World;
use crate::random::Random;
use crate::session::{Done, Fault, Notes, PROMPT, Session, fault};
use crate::ways::USERS;
use crate::wire::{self, Manner, Wire};

/// What a stranger does until the run ends.
pub type Stranger = Box<dyn FnOnce() -> Done + Send>;

/// The number of failures after which the settings ban an address, and how long the ban lasts.
const BAN_AFTER: usize = 5;
const BAN_TIME: Duration = Duration::from_secs(3);

/// The strangers of a way.
pub fn all(world: &Arc<World>, seed: u64) -> Vec<Stranger> {
    let way = world.way;
    let count = match way {
        _ if way.everything => 6,
        _ if way.bans || way.limits || way.certificates => 3,
        _ => 0,
    };
    let stranger = |number: u64| -> Stranger {
        let world = Arc::clone(world);
        let own = IpAddr::V4(Ipv4Addr::new(127, 0, 5, 1 + number as u8));
        let random = Random::new(seed, 1000 + number);
        if way.bans && number < 3 {
            Box::new(move || guess(&world, own, random))
        } else if way.certificates {
            Box::new(move || pretend(&world, own, random))
        } else {
            Box::new(move || say_nothing(&world, own))
        }
    };
    (0..count).map(stranger).collect()
}

fn come(world: &World, own: IpAddr, notes: &Arc<Notes>) -> Done<Session> {
    let failed = |why: std::io::Error| Fault(format!("a stranger cannot connect: {why}"));
    let stream = wire::connect(own, world.address).map_err(failed)?;
    Session::over(Wire::over(stream).map_err(failed)?, notes)
}

/// Guesses passwords until it is banned, and again when the ban has ended.
fn guess(world: &World, own: IpAddr, mut random: Random) -> Done {
    let notes = Notes::new();
    let run = if world.way.limits { guess_for_room } else { guess_on };
    let result = run(world, own, &mut random, &notes);
    result.map_err(|why| {
        Fault(format!("{}\n--- FAULT, a guesser: {}", notes.transcript().join("\n"), why.0))
    })
}

fn guess_on(world: &World, own: IpAddr, random: &mut Random, notes: &Arc<Notes>) -> Done {
    let mut guesses = 0;
    while !world.is_over() {
        let mut session = come(world, own, notes)?;
        session.expect(&[220])?;
        for _ in 0..3 {
            let user = random.pick(&["root", "admin", "a0", "b1"]);
            session.ask(format!("USER {user}").as_bytes(), &[331], random)?;
            session.ask(guessed(random).as_bytes(), &[530], random)?;
            guesses += 1;
            if guesses == BAN_AFTER {
                break;
            }
        }
        if guesses < BAN_AFTER {
            session.expect_end()?;
            continue;
        }
        // the ban may have ended its session
        drop(session);
        let since = Instant::now();
        let mut session = come(world, own, notes)?;
        session.expect(&[421])?;
        session.expect_end()?;
        while since.elapsed() < BAN_TIME + Duration::from_millis(200) {
            thread::sleep(Duration::from_millis(100));
        }
        guesses = 0;
    }
    Ok(())
}

/// Guesses as `guess_on` does, where the server may have no room for guessers.
fn guess_for_room(world: &World, own: IpAddr, random: &mut Random, notes: &Arc<Notes>) -> Done {
    let mut guesses = 0;
    while !world.is_over() {
        let mut session = come(world, own, notes)?;
        let mut is_there = matches!(session.reply(PROMPT)?, Some(reply) if reply.code == 220);
        if is_there && guesses >= BAN_AFTER {
            return fault("a guesser is not banned");
        }
        while is_there && guesses < BAN_AFTER {
            for (line, code) in [("USER root".to_owned(), 331), (guessed(random), 530)] {
                let line = [line.as_bytes(), b"\r\n"].concat();
                session.raw_if_there(&line, Manner::Once, random);
                is_there &= matches!(session.reply(PROMPT)?, Some(reply) if reply.code == code);
            }
            guesses += usize::from(is_there);
        }
        drop(session);
        if guesses < BAN_AFTER {
            // it was the third guess, there is no room, or the server has counted more guesses
            // than it could answer
            thread::sleep(Duration::from_millis(100));
            continue;
        }
        let mut session = come(world, own, notes)?;
        if !matches!(session.reply(PROMPT)?, Some(reply) if reply.code == 421) {
            return fault("a guesser is not banned");
        }
        thread::sleep(BAN_TIME + Duration::from_millis(200));
        guesses = 0;
    }
    Ok(())
}

fn guessed(random: &mut Random) -> String {
    format!("PASS {:x}", random.next())
}

/// Logs in with a right password, but with the certificate of another user, or without TLS.
fn pretend(world: &World, own: IpAddr, mut random: Random) -> Done {
    let notes = Notes::new();
    let result = pretend_on(world, own, &mut random, &notes);
    result.map_err(|why| {
        Fault(format!("{}\n--- FAULT, a pretender: {}", notes.transcript().join("\n"), why.0))
    })
}

fn pretend_on(world: &World, own: IpAddr, random: &mut Random, notes: &Arc<Notes>) -> Done {
    while !world.is_over() {
        let mut session = come(world, own, notes)?;
        session.expect(&[220])?;
        if random.chance(30) {
            session.ask(b"USER a0", &[530], random)?;
        } else {
            let user = random.index(USERS);
            let other = (user + 1 + random.index(USERS - 1)) % USERS;
            let version = *random.pick(world.way.versions);
            let config = version.config(Some(&world.pairs[other]));
            session.ask(b"AUTH TLS", &[234], random)?;
            let until = Instant::now() + PROMPT;
            let shaken = session.wire.begin_tls(&config);
            let shaken = shaken.and_then(|()| session.wire.shake(random, until));
            shaken.map_err(|why| Fault(format!("handshake: {why}")))?;
            session.ask(format!("USER a{user}").as_bytes(), &[331], random)?;
            session.ask(format!("PASS secret{user}").as_bytes(), &[530], random)?;
        }
        session.ask(b"QUIT", &[221], random)?;
        session.expect_end()?;
    }
    Ok(())
}

/// Connects and stays silent until the server turns it away.
fn say_nothing(world: &World, own: IpAddr) -> Done {
    let notes = Notes::new();
    let mut random = Random::new(0, 0);
    while !world.is_over() {
        let mut session = come(world, own, &notes)?;
        if random.chance(50) {
            session.raw_if_there(b"\r\n", Manner::Once, &mut random);
        }
        let since = Instant::now();
        while session.reply(PROMPT + PROMPT)?.is_some() {
            if since.elapsed() > PROMPT + PROMPT {
                return fault("a stranger is never sent away");
            }
        }
    }
    Ok(())
}
