//! The least that an FTP server can do for small files: the replies of the protocol and the
//! necessary system calls, without any check. No server can use less. It is a process of its
//! own, as servers are, because switching between processes costs more than switching between
//! threads.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, openat, renameat};
use rustix::net::{SendFlags, send};

use crate::client::{Client, Reader};
use crate::servers::Place;
use crate::tree;
use crate::workloads::{Figure, SMALL, Workload, names};

pub fn small_down(place: &Place, workload: &Workload) -> Figure {
    beside(place, workload, |client| {
        client.enter("small");
        for name in names() {
            assert_eq!(client.download("RETR ", &name, Reader::Copy), SMALL);
        }
    })
}

pub fn small_up(place: &Place, workload: &Workload) -> Figure {
    let chunk = [b'x'; SMALL as usize];
    beside(place, workload, |client| {
        client.enter("up");
        names().for_each(|name| client.upload(&name, &chunk, SMALL));
    })
}

/// Passive ports, from 10,000 on, as those of the servers.
const PORTS: u32 = 22_000;

/// From one of them to the next. It has no factor in common with their number, so that each has
/// its turn.
const STEP: u32 = 7_919;

/// Environment variable of the process that serves: the directory of the files.
pub const SERVES: &str = "FTPD_BENCH_FLOOR";

fn beside(place: &Place, workload: &Workload, work: impl Fn(&mut Client)) -> Figure {
    let mut server = Command::new(env::current_exe().expect("program"))
        .env(SERVES, place.home().join("data"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("floor");
    let mut port = String::new();
    let said = server.stdout.take().expect("output");
    BufReader::new(said).read_line(&mut port).expect("port");
    let mut client = Client::login(port.trim().parse().expect("port"), "x", "y");
    tree::pin(Some(server.id()), true);
    let figure = workload.timed(Some(server.id()), || work(&mut client));
    tree::pin(None, false);
    drop(client);
    server.wait().expect("floor");
    place.clear();
    figure
}

/// Measures one client of a server in a process of its own.
pub fn serve_one(data: &Path) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    println!("{}", listener.local_addr().expect("address").port());
    serve(listener.accept().expect("accept").0, data);
}

fn serve(mut control: TcpStream, data: &Path) {
    let mut dir = File::open(data).expect("data");
    control.set_nodelay(true).expect("nodelay");
    control.write_all(b"220 \r\n").expect("greeting");
    // all over the range: a port that was used just now has connections that rest on it
    let first = SystemTime::now().duration_since(UNIX_EPOCH).expect("time").subsec_micros();
    let (mut line, mut passive, mut step) = ([0; 256], None, first % PORTS);
    loop {
        let read = control.read(&mut line).expect("line");
        let text = std::str::from_utf8(&line[..read]).expect("text").trim_end();
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "" => return,
            "EPSV" => {
                step = (step + STEP) % PORTS;
                let port = 10_000 + u16::try_from(step).expect("port");
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("passive");
                passive = Some(listener);
                let reply = format!("229 Entering Extended Passive Mode (|||{port}|)\r\n");
                control.write_all(reply.as_bytes()).expect("reply");
            }
            "RETR" => {
                let stream = passive.take().expect("EPSV").accept().expect("client").0;
                let mut chunk = [0; SMALL as usize];
                let flags = OFlags::RDONLY;
                let file = openat(&dir, argument, flags, Mode::empty()).expect("file");
                File::from(file).read_exact(&mut chunk).expect("read");
                send(stream.as_fd(), &chunk, SendFlags::MORE).expect("send");
                drop(stream);
                control.write_all(b"150 \r\n226 \r\n").expect("reply");
            }
            "STOR" => {
                let stream = passive.take().expect("EPSV").accept().expect("client").0;
                control.write_all(b"150 \r\n").expect("reply");
                store(&dir, argument, stream);
                control.write_all(b"226 \r\n").expect("reply");
            }
            "CWD" => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                if let Ok(inner) = openat(&dir, argument, flags, Mode::empty()) {
                    dir = File::from(inner);
                }
                control.write_all(b"250 \r\n").expect("reply");
            }
            "USER" => control.write_all(b"331 \r\n").expect("reply"),
            _ => control.write_all(b"200 \r\n").expect("reply"),
        }
    }
}

/// Puts an upload in place by a rename.
fn store(dir: &File, name: &str, mut stream: TcpStream) {
    let part = format!(".{name}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = openat(dir, &part, flags, Mode::from_raw_mode(0o644)).expect("part");
    let (mut file, mut chunk) = (File::from(file), [0; 2 * SMALL as usize]);
    loop {
        match stream.read(&mut chunk).expect("data") {
            0 => break,
            read => file.write_all(&chunk[..read]).expect("write"),
        }
    }
    drop(file);
    renameat(dir, &part, dir, name).expect("rename");
    let _ = stream.shutdown(Shutdown::Write);
}
