//! The table of workloads, the goals of each, and how it is measured.

use std::thread;
use std::time::Instant;

use crate::client::{Client, Reader};
use crate::floor;
use crate::raw;
use crate::servers::{Place, Server};
use crate::tree;

/// One workload. Its figure is a rate: higher is better.
pub struct Workload {
    pub name: &'static str,
    /// The unit that is counted per second.
    pub unit: &'static str,
    /// Number of units in one run.
    work: f64,
    /// Number of clients at once.
    clients: usize,
    /// Whether client and server share one processor.
    one_cpu: bool,
    /// Whether it uses TLS.
    pub tls: bool,
    run: fn(&Clients<'_>),
    /// Measures the work without FTP.
    pub raw: Option<fn(&Place, &Workload) -> Figure>,
    /// Measures the work with the replies of FTP and nothing else.
    pub floor: Option<fn(&Place, &Workload) -> Figure>,
    /// Least ratio to the rate of the best rival.
    pub goal: f64,
    /// Greatest ratio to the processor time of the fastest rival.
    pub goal_cpu: Option<f64>,
    /// Least ratio to the rate of the raw loop.
    pub goal_raw: Option<f64>,
}

/// The result of one run.
#[derive(Clone, Copy)]
pub struct Figure {
    /// Units per second.
    pub rate: f64,
    /// Processor seconds of the server.
    pub cpu: f64,
    /// Processor seconds of the client.
    pub client_cpu: f64,
    /// Duration in seconds.
    pub took: f64,
}

pub const GIB: u64 = 1 << 30;
pub const SMALL: u64 = 4096;
const FILES: usize = 2000;

const fn workload(
    name: &'static str,
    unit: &'static str,
    work: f64,
    run: fn(&Clients<'_>),
    goal: f64,
) -> Workload {
    let (clients, one_cpu, raw, floor, goal_cpu, goal_raw) = (1, false, None, None, None, None);
    let tls = false;
    Workload {
        name,
        unit,
        work,
        clients,
        one_cpu,
        tls,
        run,
        raw,
        floor,
        goal,
        goal_cpu,
        goal_raw,
    }
}

impl Workload {
    const fn clients(self, clients: usize) -> Self {
        Self { clients, ..self }
    }

    const fn over_tls(self) -> Self {
        Self { tls: true, ..self }
    }

    const fn on_one_cpu(self) -> Self {
        Self { one_cpu: true, ..self }
    }

    const fn beside(self, raw: fn(&Place, &Workload) -> Figure, goal: Option<f64>) -> Self {
        Self { raw: Some(raw), goal_raw: goal, ..self }
    }

    const fn above(self, floor: fn(&Place, &Workload) -> Figure) -> Self {
        Self { floor: Some(floor), ..self }
    }

    const fn with_cpu(self, goal: f64) -> Self {
        Self { goal_cpu: Some(goal), ..self }
    }

    /// Runs the workload once against a server.
    pub fn measure(&self, server: &Server, place: &Place) -> Figure {
        tree::pin(Some(server.pid()), self.one_cpu);
        let clients = Clients { server, count: self.clients, tls: self.tls };
        let figure = self.timed(Some(server.pid()), || (self.run)(&clients));
        tree::pin(Some(server.pid()), false);
        place.clear();
        figure
    }

    /// Number of units that one client does.
    pub fn count(&self) -> usize {
        self.work as usize
    }

    /// Measures one run of any work.
    pub fn timed(&self, server: Option<u32>, run: impl FnOnce()) -> Figure {
        let cpu = || server.map_or(0.0, tree::cpu);
        let (before, client_before) = (cpu(), client_cpu());
        let began = Instant::now();
        run();
        let took = began.elapsed().as_secs_f64();
        let (cpu, client_cpu) = (cpu() - before, client_cpu() - client_before);
        Figure { rate: self.work / took, cpu, client_cpu, took }
    }
}

fn client_cpu() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9
}

/// The clients that do the work.
struct Clients<'a> {
    server: &'a Server,
    count: usize,
    tls: bool,
}

const HALF: u64 = GIB / 2;

/// Every workload, with the goals.
#[rustfmt::skip]
pub static WORKLOADS: &[Workload] = &[
    workload("retr_discard", "GB/s", GIB as f64 / 1e9, |c| big(c, GIB, Reader::Discard), 1.3)
        .with_cpu(0.75).beside(raw::sendfile_discard, Some(0.9)),
    workload("retr_copy", "GB/s", GIB as f64 / 1e9, |c| big(c, GIB, Reader::Copy), 1.2)
        .beside(raw::sendfile_copy, None),
    workload("retr_8", "GB/s", 8.0 * GIB as f64 / 1e9, |c| big(c, GIB, Reader::Discard), 1.3)
        .clients(8).beside(raw::sendfile_discard, None),
    workload("stor_1", "GB/s", GIB as f64 / 1e9, |c| big_up(c, GIB), 1.15)
        .beside(raw::splice_up, Some(0.95)),
    workload("stor_8", "GB/s", 4.0 * GIB as f64 / 1e9, |c| big_up(c, HALF), 1.15)
        .clients(8).beside(raw::splice_up, Some(0.95)),
    workload("small_down", "files/s", FILES as f64, small_down, 1.5)
        .on_one_cpu().beside(raw::small_down, None).above(floor::small_down),
    workload("small_up", "files/s", FILES as f64, small_up, 1.4)
        .on_one_cpu().beside(raw::small_up, None).above(floor::small_up),
    workload("small_down_8", "files/s", 8.0 * FILES as f64, small_down, 1.4).clients(8),
    workload("small_up_8", "files/s", 8.0 * FILES as f64, small_up, 1.4).clients(8),
    workload("login_1", "logins/s", 200.0, |c| logins(c, 200), 1.2)
        .on_one_cpu().beside(raw::logins, None),
    workload("login_16", "logins/s", 320.0, |c| logins(c, 20), 1.0).clients(16),
    workload("list_10k", "listings/s", 5.0, |c| listing(c, "LIST list10000", 5), 1.67)
        .beside(raw::listing, None),
    workload("list_100k", "listings/s", 1.0, |c| listing(c, "LIST list100000", 1), 1.67)
        .beside(raw::listing, None),
    workload("mlsd_100k", "listings/s", 1.0, |c| listing(c, "MLSD list100000", 1), 1.67)
        .beside(raw::listing, None),
    workload("tls_retr_1", "GB/s", GIB as f64 / 1e9, |c| big(c, GIB, Reader::Copy), 1.2).over_tls()
        .beside(raw::tls_down, None),
    workload("tls_retr_8", "GB/s", 4.0 * GIB as f64 / 1e9, |c| big(c, HALF, Reader::Copy), 1.2)
        .clients(8).over_tls(),
    workload("tls_stor_1", "GB/s", GIB as f64 / 1e9, |c| big_up(c, GIB), 1.3).over_tls()
        .beside(raw::tls_up, None),
    workload("tls_stor_8", "GB/s", 4.0 * GIB as f64 / 1e9, |c| big_up(c, HALF), 1.3)
        .clients(8).over_tls(),
    workload("tls_list_10k", "listings/s", 5.0, |c| listing(c, "LIST list10000", 5), 1.67)
        .over_tls(),
    workload("tls_login_1", "logins/s", 300.0, |c| logins(c, 300), 1.1).over_tls(),
    workload("tls_login_16", "logins/s", 800.0, |c| logins(c, 50), 1.1).clients(16).over_tls(),
    workload("noop", "replies/s", 20_000.0, noop, 1.0).on_one_cpu(),
];

impl Clients<'_> {
    /// One client, logged in and in the directory of the files.
    fn one(&self) -> Client {
        self.server.client(self.tls)
    }

    /// Runs all clients at once.
    fn each(&self, work: impl Fn(usize) + Sync) {
        if self.count == 1 {
            return work(0);
        }
        thread::scope(|scope| {
            for number in 0..self.count {
                let work = &work;
                scope.spawn(move || work(number));
            }
        });
    }

    /// Runs all clients at once; each has logged in before the work begins.
    fn together(&self, work: impl Fn(&mut Client, usize) + Sync) {
        self.each(|number| work(&mut self.one(), number));
    }
}

/// Downloads a file of this size.
fn big(clients: &Clients<'_>, bytes: u64, reader: Reader) {
    let name = if bytes == GIB { "big" } else { "half" };
    clients.together(|client, _| {
        assert_eq!(client.download("RETR ", name, reader), bytes);
    });
}

fn big_up(clients: &Clients<'_>, bytes: u64) {
    let chunk = vec![b'x'; 256 << 10];
    clients.together(|client, number| {
        client.upload(&format!("up/big{number}"), &chunk, bytes);
    });
}

fn small_down(clients: &Clients<'_>) {
    clients.together(|client, _| {
        client.enter("small");
        for name in names() {
            assert_eq!(client.download("RETR ", &name, Reader::Copy), SMALL);
        }
    });
}

/// Uploads new files, which are removed after the run.
fn small_up(clients: &Clients<'_>) {
    let chunk = [b'x'; SMALL as usize];
    clients.together(|client, number| {
        client.enter("up");
        for name in names() {
            client.upload(&format!("{number}{name}"), &chunk, SMALL);
        }
    });
}

pub fn names() -> impl Iterator<Item = String> {
    (0..FILES).map(|number| format!("f{number:04}"))
}

fn logins(clients: &Clients<'_>, each: usize) {
    clients.each(|_| (0..each).for_each(|_| clients.server.login(clients.tls).quit()));
}

fn listing(clients: &Clients<'_>, line: &str, times: usize) {
    let mut client = clients.one();
    let (command, path) = line.split_once(' ').expect("a path");
    for _ in 0..times {
        let bytes = client.download(&format!("{command} "), path, Reader::Discard);
        assert!(bytes > 100_000, "{bytes}");
    }
}

fn noop(clients: &Clients<'_>) {
    let mut client = clients.one();
    (0..20_000).for_each(|_| client.say("NOOP", "", b'2'));
}
