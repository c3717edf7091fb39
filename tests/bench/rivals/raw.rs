//! The work of the servers over sockets without FTP: what the kernel allows.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

use rustix::fs::{AtFlags, RawDir, statat};
use rustix::net::sockopt::set_tcp_congestion;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

use crate::client::UNPACED;
use crate::link::{Reader, drain};
use crate::place::{FILES, Place};
use crate::tree;
use crate::work::{SPAN, client_cpu};
use crate::workload::{Figure, Workload};
use crate::workloads::{GIB, SMALL};

pub fn sendfile_discard(place: &Place, _: &Workload) -> Figure {
    sendfile(place, Reader::Discard)
}

pub fn sendfile_copy(place: &Place, _: &Workload) -> Figure {
    sendfile(place, Reader::Copy)
}

/// One stream of the big file.
fn sendfile(place: &Place, reader: Reader) -> Figure {
    let file = File::open(place.home().join("data/big")).expect("big");
    let (mut client, server) = pair();
    timed(GIB as f64 / 1e9, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                let server = server;
                let mut offset = 0;
                while offset < GIB {
                    let left = usize::try_from(GIB - offset).unwrap_or(usize::MAX);
                    let sent = rustix::fs::sendfile(&server, &file, Some(&mut offset), left);
                    sent.expect("sendfile");
                }
            });
            assert_eq!(drain(&mut client, reader), GIB);
        });
    })
}

/// One stream into a file, through a pipe.
pub fn splice_up(place: &Place, _: &Workload) -> Figure {
    let path = place.home().join("data/up/raw");
    let (mut client, server) = pair();
    let chunk = vec![b'x'; 256 << 10];
    let figure = timed(GIB as f64 / 1e9, || {
        thread::scope(|scope| {
            let path = &path;
            scope.spawn(move || {
                let file = File::create(path).expect("raw");
                let (read, write) = rustix::pipe::pipe().expect("pipe");
                let _ = fcntl_setpipe_size(&write, 1 << 20);
                loop {
                    let flags = SpliceFlags::MOVE | SpliceFlags::MORE;
                    let got = splice(&server, None, &write, None, 1 << 20, flags).expect("in");
                    if got == 0 {
                        break;
                    }
                    let mut left = got;
                    while left > 0 {
                        left -= splice(&read, None, &file, None, left, flags).expect("out");
                    }
                }
            });
            let mut left = GIB;
            while left > 0 {
                client.write_all(&chunk).expect("send");
                left -= chunk.len() as u64;
            }
            client.shutdown(Shutdown::Write).expect("end");
        });
    });
    let _ = fs::remove_file(path);
    figure
}

pub fn listing_10k(place: &Place, _: &Workload) -> Figure {
    listing(place, "list10000", 10)
}

pub fn listing_100k(place: &Place, _: &Workload) -> Figure {
    listing(place, "list100000", 1)
}

/// The system calls of a listing: reading the names, each file's attributes, and sending 64 KiB
/// at a time. No line is formatted: eighty bytes are sent for each name.
fn listing(place: &Place, name: &str, times: usize) -> Figure {
    let path = place.home().join("data").join(name);
    timed(times as f64, || {
        for _ in 0..times {
            let (mut client, mut server) = pair();
            thread::scope(|scope| {
                scope.spawn(|| {
                    let dir = File::open(&path).expect("list");
                    let mut entries = vec![MaybeUninit::uninit(); 32 << 10];
                    let mut entries = RawDir::new(&dir, &mut entries);
                    let mut lines = Vec::with_capacity(66 << 10);
                    while let Some(entry) = entries.next() {
                        let name = entry.expect("entry").file_name().to_owned();
                        statat(dir.as_fd(), &name, AtFlags::SYMLINK_NOFOLLOW).expect("stat");
                        lines.resize(lines.len() + 80, b'x');
                        if lines.len() > 64 << 10 {
                            server.write_all(&lines).expect("send");
                            lines.clear();
                        }
                    }
                    server.write_all(&lines).expect("send");
                    drop(server);
                });
                assert!(drain(&mut client, Reader::Discard) > 100_000);
            });
        }
    })
}

/// Connect, 4 KiB from a file, close: on one processor.
pub fn small_down(place: &Place, _: &Workload) -> Figure {
    let dir = place.home().join("data/small");
    on_one_cpu(
        |mut server, number| {
            let mut chunk = [0; SMALL as usize];
            let mut file = File::open(dir.join(format!("f{number:04}"))).expect("file");
            file.read_exact(&mut chunk).expect("read");
            server.write_all(&chunk).expect("send");
        },
        |mut client| assert_eq!(drain(&mut client, Reader::Copy), SMALL),
    )
}

/// Connect, 4 KiB into a new file, close: on one processor.
pub fn small_up(place: &Place, _: &Workload) -> Figure {
    let dir = place.home().join("data/up");
    let figure = on_one_cpu(
        |mut server, number| {
            let mut chunk = [0; 2 * SMALL as usize];
            let mut file = File::create(dir.join(format!("raw{number:04}"))).expect("file");
            loop {
                match server.read(&mut chunk).expect("data") {
                    0 => break,
                    read => file.write_all(&chunk[..read]).expect("write"),
                }
            }
        },
        |mut client| {
            client.write_all(&[b'x'; SMALL as usize]).expect("send");
            client.shutdown(Shutdown::Write).expect("end");
            assert_eq!(drain(&mut client, Reader::Copy), 0);
        },
    );
    for number in 0..FILES {
        let _ = fs::remove_file(dir.join(format!("raw{number:04}")));
    }
    figure
}

/// Connect, five lines each way, close: on one processor.
pub fn logins(_: &Place, _: &Workload) -> Figure {
    let lines = |stream: &mut TcpStream, first: bool| {
        let mut chunk = [0; 64];
        for number in 0..10 {
            if (number % 2 == 0) == first {
                stream.write_all(b"220 a line of some length\r\n").expect("send");
            } else {
                assert!(stream.read(&mut chunk).expect("line") > 0);
            }
        }
    };
    on_one_cpu(
        |mut server, _| lines(&mut server, true),
        |mut client| {
            lines(&mut client, false);
        },
    )
}

/// Opens one connection for each unit of work, one after the other.
fn on_one_cpu(serve: impl Fn(TcpStream, usize) + Sync, ask: impl Fn(TcpStream)) -> Figure {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    tree::pin(None, true);
    let figure = timed(FILES as f64, || {
        thread::scope(|scope| {
            let serve = &serve;
            scope.spawn(move || {
                for number in 0..FILES {
                    serve(listener.accept().expect("accept").0, number);
                }
            });
            for _ in 0..FILES {
                ask(TcpStream::connect(address).expect("connect"));
            }
        });
    });
    tree::pin(None, false);
    figure
}

/// The two ends of a connection. The server's end does not pace what it sends, as it would
/// where BBR is the system's congestion control.
pub fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    set_tcp_congestion(&listener, UNPACED).expect("reno");
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    (client, listener.accept().expect("accept").0)
}

/// Times one run of work that counts this many units.
pub fn timed(units: f64, run: impl FnOnce()) -> Figure {
    let cpu = client_cpu();
    let began = Instant::now();
    run();
    let rate = units / began.elapsed().as_secs_f64();
    Figure { rate, cpu: 0.0, client_cpu: (client_cpu() - cpu) / units }
}

/// Repeats a run for a while, and returns the mean.
pub fn steadily(run: impl Fn() -> Figure) -> Figure {
    let began = Instant::now();
    let (mut runs, mut seconds, mut client_cpu) = (0.0, 0.0, 0.0);
    while runs == 0.0 || began.elapsed() < SPAN {
        let figure = run();
        runs += 1.0;
        seconds += 1.0 / figure.rate;
        client_cpu += figure.client_cpu;
    }
    Figure { rate: runs / seconds, cpu: 0.0, client_cpu: client_cpu / runs }
}
