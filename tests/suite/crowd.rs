//! Fifty clients that do everything at random through the balancer, while it is reloaded and one of the
//! two servers is killed: each file is one that a client has stored under this name, and whole.
//! `FTPD_CROWD=1000` lets each of them do a thousand things instead of a few.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::balancer::{BALANCER, Way, World, crowd, is_possible};
use crate::client::{Client, connect_from};
use crate::server::{PATIENCE, pause};

/// Number of things that each client does.
fn each() -> usize {
    std::env::var("FTPD_CROWD").map_or(16, |each| each.parse().expect("FTPD_CROWD is a number"))
}

/// Number of names that each client uses.
const NAMES: u32 = 4;

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// What a file may be: each time that it was stored has a number, and `None` is no file. After a command
/// whose reply has not come, there are several possibilities.
type States = Vec<Option<u32>>;

/// The content that a client has stored at this time. No two have a part in common.
fn content(client: &str, time: u32) -> Vec<u8> {
    let mut line = String::new();
    writeln!(line, "{client} {time}").unwrap();
    line.bytes().cycle().take(20_000 + 1000 * (time % 50) as usize).collect()
}

/// A client and what it knows of its files.
struct Guest<'w> {
    world: &'w World,
    own: IpAddr,
    numbers: Numbers,
    session: Option<Client>,
    files: BTreeMap<String, States>,
    times: u32,
}

/// A connection or a session has ended before the reply.
struct Lost;

impl Guest<'_> {
    fn new(world: &World, own: IpAddr, seed: u64) -> Guest<'_> {
        let numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let files = (0..NAMES).map(|name| (format!("{own}-{name}"), vec![None])).collect();
        Guest { world, own, numbers, session: None, files, times: 0 }
    }

    fn open(&self, to: SocketAddr) -> Result<TcpStream, Lost> {
        let own = self.own;
        self.world.client.inside(move || connect_from(own, to)).map_err(|_| Lost)
    }

    /// Sends a command and returns the code of the reply.
    fn say(&mut self, line: &str) -> Result<u16, Lost> {
        let session = self.session.as_mut().ok_or(Lost)?;
        session.try_send(line).then_some(()).ok_or(Lost)?;
        self.hear()
    }

    /// Returns the code of the next reply. 421 and 425 are those of a server or a balancer that ends.
    fn hear(&mut self) -> Result<u16, Lost> {
        let code = self.session.as_mut().and_then(Client::try_code).ok_or(Lost)?;
        if matches!(code, 421 | 425 | 426) { Err(Lost) } else { Ok(code) }
    }

    fn expect(&mut self, line: &str, wanted: u16) -> Result<(), Lost> {
        let code = self.say(line)?;
        assert_eq!(code, wanted, "{}: {line}", self.own);
        Ok(())
    }

    fn log_in(&mut self) -> Result<(), Lost> {
        let balancer = SocketAddr::new(BALANCER.parse().unwrap(), 21);
        self.session = Some(Client::over(self.open(balancer)?));
        assert_eq!(self.hear()?, 220);
        self.expect("USER bob", 331)?;
        self.expect("PASS tops3cret", 230)?;
        self.expect("TYPE I", 200)
    }

    /// Begins a transfer. Returns `None` if the file is not there.
    fn begin(&mut self, line: &str) -> Result<Option<TcpStream>, Lost> {
        let to = self.session.as_mut().and_then(Client::try_passive).ok_or(Lost)?;
        let data = self.open(to)?;
        match self.say(line)? {
            150 => Ok(Some(data)),
            550 => Ok(None),
            other => panic!("{}: {line}: {other}", self.own),
        }
    }

    fn store(&mut self, name: &str) -> Result<(), Lost> {
        self.times += 1;
        let time = self.times;
        self.states(name).push(Some(time));
        let mut data = self.begin(&format!("STOR {name}"))?.expect("no upload is refused");
        for piece in content(&self.own.to_string(), time).chunks(3000) {
            data.write_all(piece).map_err(|_| Lost)?;
        }
        data.shutdown(Shutdown::Write).map_err(|_| Lost)?;
        assert_eq!(self.hear()?, 226);
        *self.states(name) = vec![Some(time)];
        Ok(())
    }

    fn fetch(&mut self, name: &str) -> Result<(), Lost> {
        let Some(mut data) = self.begin(&format!("RETR {name}"))? else {
            return self.is(name, None);
        };
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).map_err(|_| Lost)?;
        assert_eq!(self.hear()?, 226);
        let time = self.time_of(name, &bytes);
        self.is(name, Some(time))
    }

    fn delete(&mut self, name: &str) -> Result<(), Lost> {
        let before = self.states(name).clone();
        self.states(name).push(None);
        let code = self.say(&format!("DELE {name}"))?;
        if code == 450 {
            // the session that this client has lost may go on for a while, on either server
            return Err(Lost);
        }
        let is_possible = match code {
            // also for what an upload that broke off has left
            250 => true,
            _ => code == 550 && before.contains(&None),
        };
        assert!(is_possible, "DELE {name}: {code}, but it may be {before:?}");
        self.is(name, None)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Lost> {
        if self.say(&format!("RNFR {from}"))? == 550 {
            return self.is(from, None);
        }
        let moved: States = self.states(from).iter().flatten().copied().map(Some).collect();
        self.states(from).push(None);
        self.states(to).extend(moved.iter());
        self.expect(&format!("RNTO {to}"), 250)?;
        *self.states(from) = vec![None];
        *self.states(to) = moved;
        Ok(())
    }

    /// One thing at random.
    fn act(&mut self) -> Result<(), Lost> {
        if self.session.is_none() || self.numbers.below(6) == 0 {
            self.log_in()?;
        }
        let first = self.numbers.below(NAMES);
        let second = (first + 1 + self.numbers.below(NAMES - 1)) % NAMES;
        let [name, other] = [first, second].map(|number| format!("{}-{number}", self.own));
        match self.numbers.below(10) {
            0..=4 => self.store(&name),
            5..=7 => self.fetch(&name),
            8 => self.rename(&name, &other),
            _ => self.delete(&name),
        }
    }

    fn states(&mut self, name: &str) -> &mut States {
        self.files.get_mut(name).unwrap()
    }

    /// Takes what was seen for the state of a file, which must be possible.
    fn is(&mut self, name: &str, seen: Option<u32>) -> Result<(), Lost> {
        let states = self.states(name);
        assert!(states.contains(&seen), "{name} is {seen:?} and may be {states:?}");
        *states = vec![seen];
        Ok(())
    }

    /// Returns when this content was stored, which is whole.
    fn time_of(&self, name: &str, bytes: &[u8]) -> u32 {
        let own = self.own.to_string();
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let time =
            String::from_utf8_lossy(line).rsplit(' ').next().and_then(|it| it.parse().ok());
        let whole = time.filter(|time| *time <= self.times && bytes == content(&own, *time));
        whole.unwrap_or_else(|| {
            let sizes = (1..=self.times).map(|time| content(&own, time).len());
            let same = sizes.zip(1..).filter(|(size, _)| *size == bytes.len());
            let same: Vec<u32> = same.map(|(_, time)| time).collect();
            panic!(
                "{name} has {} bytes and begins like {time:?}, but is none that was stored; \
                 {same:?} have its size",
                bytes.len()
            )
        })
    }

    /// Does everything, each thing until it succeeds. Returns the longest time that one took.
    fn run(&mut self, done: &AtomicUsize, lost: &AtomicUsize) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..each() {
            let began = Instant::now();
            while self.act().is_err() {
                self.session = None;
                lost.fetch_add(1, Ordering::SeqCst);
                assert!(began.elapsed() < PATIENCE, "{}: nothing succeeds", self.own);
                pause();
            }
            longest = longest.max(began.elapsed());
            done.fetch_add(1, Ordering::SeqCst);
        }
        longest
    }

    /// Compares the files on the disk with what they may be.
    fn check(&mut self) {
        for name in self.files.keys().cloned().collect::<Vec<_>>() {
            let bytes = fs::read(self.world.home().join(&name)).ok();
            let seen = bytes.map(|bytes| self.time_of(&name, &bytes));
            let _ = self.is(&name, seen);
        }
    }
}

#[test]
fn fifty_clients_at_random_lose_nothing_when_a_server_is_killed_and_the_balancer_reloaded() {
    if !is_possible("fifty clients of a balancer") {
        return;
    }
    let mut world = World::new(Way::Balancer);
    let victim = world.connect("192.0.2.1").1;
    let (done, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wait_for = |part: usize| {
        // a client that fails does nothing more; the test then ends with its fault
        let until = Instant::now() + PATIENCE * u32::try_from(each()).unwrap();
        while done.load(Ordering::SeqCst) < crowd().count() * each() * part / 4
            && Instant::now() < until
        {
            pause();
        }
    };
    let visit = |(seed, own)| {
        let mut guest = Guest::new(&world, own, seed);
        let longest = guest.run(&done, &lost);
        guest.check();
        longest
    };
    let mut reloaded = None;
    thread::scope(|scope| {
        let guests: Vec<_> = (1..)
            .zip(crowd())
            .map(|guest| {
                scope.spawn({
                    let visit = &visit;
                    move || visit(guest)
                })
            })
            .collect();
        wait_for(1);
        reloaded = Some(world.reload_haproxy());
        wait_for(2);
        world.places[victim].run("kill -9 -1");
        let longest = guests.into_iter().map(|guest| guest.join().unwrap()).max();
        let lost = lost.load(Ordering::SeqCst);
        eprintln!("{lost} attempts failed; the longest wait of a client: {longest:?}");
        assert!(lost > 0, "the end of the server has disturbed nobody");
    });
    world.haproxies.extend(reloaded);
    for entry in fs::read_dir(world.home()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_ours = crowd().any(|own| name.starts_with(&format!("{own}-")));
        assert!(is_ours || name.starts_with(".ftpd-part-"), "{name}");
    }
}
