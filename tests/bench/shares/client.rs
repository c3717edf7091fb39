//! A client that transfers until the server ends, in clear text or over TLS.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::SockRef;

use crate::trusting::Trusting;

/// One transfer.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) user: &'static str,
    pub(crate) up: bool,
    /// 0: clear text, 1: TLS 1.2, 2: TLS 1.3.
    pub(crate) over: usize,
    /// Bytes per second that the client takes or sends; 0: as many as it can.
    pub(crate) pace: u64,
}

/// A connection.
enum Wire {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Shakes hands, if there is a configuration.
    fn over(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Self {
        let Some(tls) = tls else { return Self::Clear(stream) };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(tls), name).unwrap();
        Self::Tls(Box::new(StreamOwned::new(connection, stream)))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A client that has logged in.
pub(crate) struct Client {
    control: BufReader<Wire>,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Client {
    pub(crate) fn login(address: SocketAddr, job: &Job) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let tls = job.over.checked_sub(1).map(|at| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[[&TLS12, &TLS13][at]])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
                .with_no_client_auth();
            Arc::new(config)
        });
        let control = BufReader::new(Wire::Clear(stream.try_clone().unwrap()));
        let mut client = Self { control, address, tls };
        client.reply(220);
        if client.tls.is_some() {
            client.cmd("AUTH TLS", 234);
            client.control = BufReader::new(Wire::over(stream, client.tls.as_ref()));
        }
        client.cmd(&format!("USER {}", job.user), 331);
        client.cmd("PASS secret", 230);
        if client.tls.is_some() {
            client.cmd("PBSZ 0", 200);
            client.cmd("PROT P", 200);
        }
        client.cmd("TYPE I", 200);
        client
    }

    fn reply(&mut self, wanted: u16) -> String {
        let mut line = String::new();
        while line.as_bytes().get(3) != Some(&b' ') {
            line.clear();
            assert!(self.control.read_line(&mut line).unwrap() > 0, "closed before {wanted}");
        }
        assert!(line.starts_with(&wanted.to_string()), "{line}");
        line
    }

    fn cmd(&mut self, line: &str, wanted: u16) -> String {
        let control = self.control.get_mut();
        control.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        control.flush().unwrap();
        self.reply(wanted)
    }

    /// Transfers, and counts what has been moved, until the server ends.
    pub(crate) fn run(mut self, job: &Job, which: usize, count: &AtomicU64) {
        let port = self.cmd("EPSV", 229);
        let port = port.split('|').nth(3).unwrap().parse().unwrap();
        let data = TcpStream::connect(SocketAddr::new(self.address.ip(), port)).unwrap();
        if job.pace > 0 {
            let socket = SockRef::from(&data);
            socket.set_recv_buffer_size(64 << 10).unwrap();
            socket.set_send_buffer_size(64 << 10).unwrap();
        }
        let line = if job.up { format!("STOR {which:03}") } else { "RETR file".to_owned() };
        self.cmd(&line, 150);
        let mut data = Wire::over(data, self.tls.as_ref());
        let mut buffer = vec![0; if job.pace > 0 { 4 << 10 } else { 64 << 10 }];
        let began = Instant::now();
        loop {
            let moved = if job.up { data.write(&buffer) } else { data.read(&mut buffer) };
            let Some(moved) = moved.ok().filter(|moved| *moved > 0) else { return };
            let sum = count.fetch_add(moved as u64, Ordering::Relaxed) + moved as u64;
            if let Some(took) = (sum * 1_000_000).checked_div(job.pace) {
                let due = began + Duration::from_micros(took);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
    }
}
