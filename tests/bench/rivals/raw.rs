//! The work of the servers over sockets without FTP: what the kernel and the TLS library allow.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use rustix::fs::{AtFlags, RawDir, statat};
use rustix::net::sockopt::set_tcp_congestion;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::client::{self, Link, Reader, UNPACED, copy, drain};
use crate::servers::Place;
use crate::tree;
use crate::workloads::{Figure, GIB, SMALL, Workload};

pub fn sendfile_discard(place: &Place, workload: &Workload) -> Figure {
    sendfile(place, workload, Reader::Discard)
}

pub fn sendfile_copy(place: &Place, workload: &Workload) -> Figure {
    sendfile(place, workload, Reader::Copy)
}

/// One stream of the big file.
fn sendfile(place: &Place, workload: &Workload, reader: Reader) -> Figure {
    let file = File::open(place.home().join("data/big")).expect("big");
    let (mut client, server) = pair();
    let one = Workload::timed(workload, None, || {
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
    });
    // the loop has one stream, whatever the workload has
    Figure { rate: GIB as f64 / 1e9 / one.took, ..one }
}

/// One stream into a file, through a pipe.
pub fn splice_up(place: &Place, workload: &Workload) -> Figure {
    let path = place.home().join("data/up/raw");
    let (mut client, server) = pair();
    let chunk = vec![b'x'; 256 << 10];
    let one = Workload::timed(workload, None, || {
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
    Figure { rate: GIB as f64 / 1e9 / one.took, ..one }
}

/// One stream of the big file over TLS, read and sent 256 KiB at a time.
pub fn tls_down(place: &Place, workload: &Workload) -> Figure {
    over_tls(
        place,
        workload,
        |place, mut server| {
            let mut file = File::open(place.home().join("data/big")).expect("big");
            let mut chunk = vec![0; 256 << 10];
            server.conn.set_buffer_limit(None);
            loop {
                let read = file.read(&mut chunk).expect("read");
                if read == 0 {
                    break;
                }
                server.write_all(&chunk[..read]).expect("send");
            }
            server.conn.send_close_notify();
            server.flush().expect("end");
        },
        |mut client| assert_eq!(copy(&mut client), GIB),
    )
}

/// One stream over TLS into a file.
pub fn tls_up(place: &Place, workload: &Workload) -> Figure {
    let chunk = vec![b'x'; 256 << 10];
    let figure = over_tls(
        place,
        workload,
        |place, mut server| {
            let mut file = File::create(place.home().join("data/up/raw")).expect("raw");
            let mut chunk = vec![0; 64 << 10];
            loop {
                match server.read(&mut chunk).expect("data") {
                    0 => break,
                    read => file.write_all(&chunk[..read]).expect("write"),
                }
            }
        },
        |mut client| {
            (0..GIB / chunk.len() as u64).for_each(|_| client.write_all(&chunk).expect("send"));
            client.end();
            // a close with tickets unread would take back what is on its way
            assert_eq!(copy(&mut client), 0);
        },
    );
    let _ = fs::remove_file(place.home().join("data/up/raw"));
    figure
}

type Secured = StreamOwned<ServerConnection, client::Buffered>;

fn over_tls(
    place: &Place,
    workload: &Workload,
    serve: impl Fn(&Place, Secured) + Sync,
    ask: impl Fn(Link),
) -> Figure {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![place.certificate.clone()], place.key.clone_key())
        .expect("certificate");
    let config = Arc::new(config);
    let (client, server) = pair();
    let one = workload.timed(None, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                let connection = ServerConnection::new(config).expect("TLS");
                serve(place, StreamOwned::new(connection, client::Buffered::of(server)));
            });
            ask(Link::secured(client, &client::config(&place.certificate)));
        });
    });
    Figure { rate: GIB as f64 / 1e9 / one.took, ..one }
}

/// The system calls of a listing: reading the names, each file's attributes, and sending 64 KiB
/// at a time. No line is formatted: eighty bytes are sent for each name.
pub fn listing(place: &Place, workload: &Workload) -> Figure {
    let name = if workload.count() == 1 { "data/list100000" } else { "data/list10000" };
    let path = place.home().join(name);
    workload.timed(None, || {
        for _ in 0..workload.count() {
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
pub fn small_down(place: &Place, workload: &Workload) -> Figure {
    let dir = place.home().join("data/small");
    on_one_cpu(
        workload,
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
pub fn small_up(place: &Place, workload: &Workload) -> Figure {
    let dir = place.home().join("data/up");
    let figure = on_one_cpu(
        workload,
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
    for number in 0..2000 {
        let _ = fs::remove_file(dir.join(format!("raw{number:04}")));
    }
    figure
}

/// Connect, five lines each way, close: on one processor.
pub fn logins(_: &Place, workload: &Workload) -> Figure {
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
        workload,
        |mut server, _| lines(&mut server, true),
        |mut client| {
            lines(&mut client, false);
        },
    )
}

/// Opens one connection for each unit of work, one after the other.
fn on_one_cpu(
    workload: &Workload,
    serve: impl Fn(TcpStream, usize) + Sync,
    ask: impl Fn(TcpStream),
) -> Figure {
    let count = workload.count();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    tree::pin(None, true);
    let figure = Workload::timed(workload, None, || {
        thread::scope(|scope| {
            let serve = &serve;
            scope.spawn(move || {
                for number in 0..count {
                    serve(listener.accept().expect("accept").0, number);
                }
            });
            for _ in 0..count {
                ask(TcpStream::connect(address).expect("connect"));
            }
        });
    });
    tree::pin(None, false);
    figure
}

/// The two ends of a connection. The server's end does not pace what it sends, as it would
/// where BBR is the system's congestion control.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    set_tcp_congestion(&listener, UNPACED).expect("reno");
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    (client, listener.accept().expect("accept").0)
}
