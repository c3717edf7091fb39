//! What the clients of a workload do, and how it is timed. Clients log in first. Then each takes
//! turns for a while, so that a fast server is not measured for a few milliseconds only.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::link::Reader;
use crate::place::FILES;
use crate::server::Server;
use crate::servers::Setup;
use crate::tree;
use crate::workload::{Figure, Workload};
use crate::workloads::{GIB, SMALL};

/// The clients that do the work.
pub struct Clients<'a> {
    pub server: &'a Server,
    pub workload: &'a Workload,
}

/// How long clients take turns. A turn that has begun is finished.
pub const SPAN: Duration = Duration::from_millis(400);

impl Clients<'_> {
    /// The TLS of the clients, and whether their data connections resume it.
    fn tls(&self) -> Option<bool> {
        match self.workload.setup {
            Setup::Plain => None,
            Setup::Tls(_) => Some(self.workload.resume),
        }
    }

    /// Lets clients that are logged in take turns. They are numbered, and so are the turns.
    fn together(
        &self,
        directory: &str,
        turn: impl Fn(&mut Client, usize, usize) + Sync,
    ) -> Figure {
        let count = self.workload.clients;
        let directory = format!("{}{directory}", self.workload.base);
        let enter = |_| self.server.client(self.tls(), &directory);
        let mut clients: Vec<Client> = (0..count).map(enter).collect();
        let (turn, clients) = (&turn, &mut clients);
        self.timed(|began| {
            let run = |number: usize, client: &mut Client| {
                self.turns(began, |at| turn(client, number, at))
            };
            if let [client] = &mut clients[..] {
                return run(0, client);
            }
            thread::scope(|scope| {
                let running: Vec<_> = clients
                    .iter_mut()
                    .enumerate()
                    .map(|(number, client)| scope.spawn(move || run(number, client)))
                    .collect();
                running.into_iter().map(|one| one.join().expect("client")).sum()
            })
        })
    }

    /// Takes turns and returns their number.
    fn turns(&self, began: Instant, mut turn: impl FnMut(usize)) -> usize {
        for at in 0.. {
            turn(at);
            if self.workload.once || began.elapsed() >= SPAN {
                return at + 1;
            }
        }
        unreachable!("there are more numbers than turns")
    }

    /// Times a run, which returns the number of turns.
    fn timed(&self, run: impl FnOnce(Instant) -> usize) -> Figure {
        let cpu = || tree::cpu(self.server.pid());
        let (before, client_before) = (cpu(), client_cpu());
        let began = Instant::now();
        let turns = run(began);
        let units = turns as f64 * self.workload.turn;
        let rate = units / began.elapsed().as_secs_f64();
        let (cpu, client_cpu) = (cpu() - before, client_cpu() - client_before);
        Figure { rate, cpu: cpu / units, client_cpu: client_cpu / units }
    }
}

pub fn client_cpu() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9
}

/// Downloads a file of this size.
pub fn big(clients: &Clients<'_>, bytes: u64, reader: Reader) -> Figure {
    let name = if bytes == GIB { "big" } else { "half" };
    clients.together("", |client, _, _| {
        assert_eq!(client.download("RETR ", name, reader), bytes);
    })
}

/// Uploads new files of this size. They are removed after the run, because that takes its time.
pub fn big_up(clients: &Clients<'_>, bytes: u64) -> Figure {
    let chunk = vec![b'x'; 256 << 10];
    clients.together("/up", |client, number, turn| {
        client.upload(&format!("big{number}-{turn}"), &chunk, bytes);
    })
}

pub fn small_down(clients: &Clients<'_>) -> Figure {
    clients.together("/small", |client, _, turn| {
        let name = format!("f{:04}", turn % FILES);
        assert_eq!(client.download("RETR ", &name, Reader::Copy), SMALL);
    })
}

/// Uploads new files, which are removed after the run.
pub fn small_up(clients: &Clients<'_>) -> Figure {
    let chunk = [b'x'; SMALL as usize];
    clients.together("/up", |client, number, turn| {
        client.upload(&format!("{number}f{turn:04}"), &chunk, SMALL);
    })
}

/// Logs in and out.
pub fn logins(clients: &Clients<'_>) -> Figure {
    let each = |began| clients.turns(began, |_| clients.server.login(clients.tls()).quit());
    clients.timed(|began| {
        if clients.workload.clients == 1 {
            return each(began);
        }
        thread::scope(|scope| {
            let begin = |_| scope.spawn(move || each(began));
            let running: Vec<_> = (0..clients.workload.clients).map(begin).collect();
            running.into_iter().map(|one| one.join().expect("client")).sum()
        })
    })
}

/// Reads a listing of a directory with this many entries.
pub fn listing(clients: &Clients<'_>, command: &str, entries: u64) -> Figure {
    clients.together("", |client, _, _| {
        let path = format!("list{entries}");
        let bytes = client.download(command, &path, Reader::Discard);
        assert!(bytes > entries * 20, "{bytes}");
    })
}

/// How many replies one turn waits for.
pub const NOOPS: usize = 500;

pub fn noop(clients: &Clients<'_>) -> Figure {
    clients.together("", |client, _, _| {
        (0..NOOPS).for_each(|_| client.say("NOOP", "", b'2'));
    })
}
