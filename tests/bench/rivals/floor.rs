//! The least that an FTP server can do: the replies of the protocol and the necessary system
//! calls, without any check. No server of this kind can use less. It is a process of its own, as
//! servers are, because switching between processes costs more than switching between threads.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::fs::{Mode, OFlags, openat, renameat};
use rustix::net::{SendFlags, send};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::workloads::SMALL;

/// Environment variables of the process that serves: the home, and the port.
pub const SERVES: &str = "FTPD_BENCH_FLOOR";
pub const PORT: &str = "FTPD_BENCH_PORT";
/// Files of its certificate and key.
pub const CERT: &str = "FTPD_BENCH_CERT";
pub const KEY: &str = "FTPD_BENCH_KEY";

/// Number of clients at once.
const THREADS: usize = 32;

/// Passive ports, from 10,000 on, as those of the servers.
const PORTS: u32 = 22_000;

/// From one of them to the next. It has no factor in common with their number, so that each has
/// its turn: a port that was used just now has connections that rest on it.
const STEP: u32 = 7_919;

/// What all threads share.
struct Floor {
    listener: TcpListener,
    home: File,
    tls: Option<Arc<ServerConfig>>,
    step: AtomicU32,
}

/// Serves until it is killed.
pub fn serve(home: &Path) {
    let port: u16 = env::var(PORT).expect("port").parse().expect("port");
    let floor = Floor {
        listener: TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("listen"),
        home: File::open(home).expect("home"),
        tls: env::var_os(CERT).map(|_| tls()),
        step: AtomicU32::new(u32::from(port)),
    };
    // a client that goes away must not end the others
    std::panic::set_hook(Box::new(|_| ()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let client = floor.listener.accept().expect("accept").0;
                    let _ = floor.session(&client);
                }
            });
        }
    });
}

/// The settings of rustls that a server has which does not limit anything.
fn tls() -> Arc<ServerConfig> {
    let file = |name| env::var_os(name).expect("certificate");
    let certificate = CertificateDer::from_pem_file(file(CERT)).expect("certificate");
    let key = PrivateKeyDer::from_pem_file(file(KEY)).expect("key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("certificate");
    // no client resumes here
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

impl Floor {
    fn session(&self, mut control: &TcpStream) -> io::Result<()> {
        control.set_nodelay(true)?;
        control.write_all(b"220 \r\n")?;
        let mut session = Session { floor: self, dir: None, passive: None };
        let mut plain = BufReader::new(control);
        if session.obey(&mut plain, |line| control.write_all(line))? {
            let config = self.tls.as_ref().expect("TLS");
            let connection = ServerConnection::new(Arc::clone(config)).expect("TLS");
            let stream = std::cell::RefCell::new(StreamOwned::new(connection, control));
            let mut lines = Lines(&stream);
            session.obey(&mut BufReader::new(&mut lines), |line| {
                stream.borrow_mut().write_all(line)
            })?;
        }
        Ok(())
    }

    /// Opens the next passive port.
    fn listen(&self) -> io::Result<(TcpListener, u16)> {
        let step = self.step.fetch_add(STEP, Ordering::Relaxed) % PORTS;
        let port = 10_000 + u16::try_from(step).expect("port");
        Ok((TcpListener::bind((Ipv4Addr::LOCALHOST, port))?, port))
    }
}

type Secured<'a> = StreamOwned<ServerConnection, &'a TcpStream>;

/// Reads from a stream that is written to as well.
struct Lines<'a, 'b>(&'a std::cell::RefCell<Secured<'b>>);

impl Read for Lines<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

struct Session<'a> {
    floor: &'a Floor,
    /// `None`: the home.
    dir: Option<File>,
    passive: Option<TcpListener>,
}

impl Session<'_> {
    /// Answers commands until the client ends, or begins TLS: then it returns true.
    fn obey(
        &mut self,
        lines: &mut impl BufRead,
        mut reply: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        let mut line = String::new();
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            let (verb, argument) =
                line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            match verb {
                "AUTH" => {
                    reply(b"234 \r\n")?;
                    return Ok(true);
                }
                "EPSV" => {
                    let (listener, port) = self.floor.listen()?;
                    self.passive = Some(listener);
                    reply(format!("229 Extended Passive Mode (|||{port}|)\r\n").as_bytes())?;
                }
                "RETR" => {
                    self.retrieve(argument)?;
                    reply(b"150 \r\n226 \r\n")?;
                }
                "STOR" => {
                    let stream = self.data()?;
                    reply(b"150 \r\n")?;
                    self.store(argument, stream)?;
                    reply(b"226 \r\n")?;
                }
                "CWD" => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                    self.dir = Some(openat(self.dir(), argument, flags, Mode::empty())?.into());
                    reply(b"250 \r\n")?;
                }
                "USER" => reply(b"331 \r\n")?,
                "QUIT" => {
                    reply(b"221 \r\n")?;
                    return Ok(false);
                }
                _ => reply(b"200 \r\n")?,
            }
        }
    }

    fn dir(&self) -> &File {
        self.dir.as_ref().unwrap_or(&self.floor.home)
    }

    fn data(&mut self) -> io::Result<TcpStream> {
        Ok(self.passive.take().expect("EPSV").accept()?.0)
    }

    fn retrieve(&mut self, name: &str) -> io::Result<()> {
        let stream = self.data()?;
        let mut chunk = [0; SMALL as usize];
        let file = openat(self.dir(), name, OFlags::RDONLY, Mode::empty())?;
        File::from(file).read_exact(&mut chunk)?;
        send(stream.as_fd(), &chunk, SendFlags::MORE)?;
        Ok(())
    }

    /// Puts an upload in place by a rename.
    fn store(&self, name: &str, mut stream: TcpStream) -> io::Result<()> {
        let (dir, part) = (self.dir(), format!(".{name}"));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = openat(dir, &part, flags, Mode::from_raw_mode(0o644))?;
        let (mut file, mut chunk) = (File::from(file), [0; 2 * SMALL as usize]);
        loop {
            match stream.read(&mut chunk)? {
                0 => break,
                read => file.write_all(&chunk[..read])?,
            }
        }
        drop(file);
        renameat(dir, &part, dir, name)?;
        let _ = stream.shutdown(Shutdown::Write);
        Ok(())
    }
}
