//! A client that uses as little processor time as possible: it allocates nothing for a command,
//! and reads and writes with as few system calls as the protocol allows.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use socket2::{Domain, Socket, Type};

use crate::link::{Link, Reader, copy, drain};
use crate::workloads::SMALL;

/// A congestion control that every kernel has, and that does not pace.
pub const UNPACED: &str = "reno";

/// A control connection.
pub struct Client {
    control: Link,
    /// The TLS connection, if TLS was begun.
    tls: Option<Arc<ClientConfig>>,
    buffer: Vec<u8>,
    line: Vec<u8>,
}

/// How often a client tries to begin TLS.
const ATTEMPTS: usize = 20;

/// A server that hangs must not hold up the run.
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(port: u16) -> Self {
        let control = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        control.set_nodelay(true).expect("nodelay");
        control.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let (control, tls) = (Link::Plain(control), None);
        let mut client =
            Self { control, tls, buffer: Vec::new(), line: Vec::with_capacity(128) };
        client.expect(b'2');
        client
    }

    /// Connects, logs in and sets binary type.
    pub fn login(port: u16, user: &str, password: &str) -> Self {
        let mut client = Self::connect(port);
        client.log_in(user, password);
        client
    }

    /// Connects, logs in and sets binary type over TLS, with TLS on data connections as well.
    pub fn secure_login(
        port: u16,
        user: &str,
        password: &str,
        config: Arc<ClientConfig>,
    ) -> Self {
        let mut client =
            (0..ATTEMPTS).find_map(|_| Self::begin_tls(port, &config)).expect("TLS");
        client.tls = Some(config);
        client.log_in(user, password);
        client.say("PBSZ 0", "", b'2');
        client.say("PROT P", "", b'2');
        client
    }

    /// Begins TLS. `None`: the server has taken the client's first record for a command, as unftp
    /// sometimes does.
    fn begin_tls(port: u16, config: &Arc<ClientConfig>) -> Option<Self> {
        let mut client = Self::connect(port);
        client.say("AUTH TLS", "", b'2');
        let Link::Plain(stream) = client.control else { unreachable!("it was just made") };
        let control = Link::secured(stream, config).shaken()?;
        Some(Self { control, ..client })
    }

    fn log_in(&mut self, user: &str, password: &str) {
        self.say("USER ", user, b'3');
        self.say("PASS ", password, b'2');
        self.say("TYPE I", "", b'2');
    }

    pub fn enter(&mut self, directory: &str) {
        self.say("CWD ", directory, b'2');
    }

    /// Sends a command and reads its reply, which must begin with this digit.
    pub fn say(&mut self, command: &str, argument: &str, digit: u8) {
        self.send(command, argument);
        self.expect(digit);
    }

    fn send(&mut self, command: &str, argument: &str) {
        self.line.clear();
        self.line.extend_from_slice(command.as_bytes());
        self.line.extend_from_slice(argument.as_bytes());
        self.line.extend_from_slice(b"\r\n");
        self.control.write_all(&self.line).expect("send");
        self.control.flush().expect("send");
    }

    /// Reads a reply of one line or several.
    fn expect(&mut self, digit: u8) -> Vec<u8> {
        loop {
            if let Some(end) = end_of_reply(&self.buffer) {
                let rest = self.buffer.split_off(end);
                let reply = std::mem::replace(&mut self.buffer, rest);
                assert_eq!(reply[0], digit, "{}", String::from_utf8_lossy(&reply));
                return reply;
            }
            let mut chunk = [0; 1024];
            let read = self.control.read(&mut chunk).expect("reply");
            assert!(read > 0, "the server has closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }

    /// Servers that send 150 and 226 without `TCP_NODELAY` wait for the acknowledgement of the
    /// first, which the system would put off by 40 ms.
    fn acknowledge(&self) {
        rustix::net::sockopt::set_tcp_quickack(self.control.stream(), true).expect("quickack");
    }

    /// Sends EPSV and opens the data connection. Large uploads on it are not paced, so that the
    /// server is measured and not the pace.
    fn data(&mut self, sends: u64) -> TcpStream {
        self.send("EPSV", "");
        let reply = self.expect(b'2');
        let digits = reply.split(|&byte| byte == b'|').nth(3).expect("port");
        let port = digits.iter().fold(0, |port, digit| port * 10 + u16::from(digit - b'0'));
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let data = if sends > SMALL {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
            socket.set_tcp_congestion(UNPACED.as_bytes()).expect("reno");
            socket.connect(&to.into()).expect("data connection");
            socket.into()
        } else {
            TcpStream::connect(to).expect("data connection")
        };
        data.set_read_timeout(Some(PATIENCE)).expect("timeout");
        data
    }

    /// Downloads a file or a listing, and returns its size.
    pub fn download(&mut self, command: &str, path: &str, reader: Reader) -> u64 {
        let mut data = self.data(0);
        self.send(command, path);
        self.acknowledge();
        let bytes = match &self.tls {
            None => drain(&mut data, reader),
            Some(config) => copy(&mut Link::secured(data.try_clone().expect("data"), config)),
        };
        // ProFTPD waits for this end as well
        drop(data);
        self.expect(b'1');
        self.expect(b'2');
        bytes
    }

    /// Uploads this many bytes.
    pub fn upload(&mut self, path: &str, chunk: &[u8], bytes: u64) {
        let data = self.data(bytes);
        self.send("STOR ", path);
        self.acknowledge();
        self.expect(b'1');
        let mut data = match &self.tls {
            None => Link::Plain(data),
            Some(config) => Link::secured(data, config),
        };
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            data.write_all(&chunk[..most]).expect("send data");
            left -= most as u64;
        }
        data.end();
        if self.tls.is_some() {
            // a close with tickets unread would reset the connection
            assert_eq!(copy(&mut data), 0);
        }
        drop(data);
        self.expect(b'2');
    }

    pub fn quit(mut self) {
        self.say("QUIT", "", b'2');
    }
}

/// Where a reply ends, if all of it is there.
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let end = start + bytes.get(start..)?.iter().position(|&byte| byte == b'\n')? + 1;
        let line = &bytes[start..end];
        if line.len() > 3 && line[3] == b' ' && line[..3].iter().all(u8::is_ascii_digit) {
            return Some(end);
        }
        start = end;
    }
}
