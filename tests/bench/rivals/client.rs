//! A client that costs as little as it can: it allocates nothing for a command, and reads and
//! writes with as few system calls as the protocol lets it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::RecvFlags;

/// A control connection.
pub struct Client {
    control: TcpStream,
    buffer: Vec<u8>,
    line: Vec<u8>,
}

/// What a reader does with what it gets.
#[derive(Clone, Copy)]
pub enum Reader {
    /// The kernel throws it away.
    Discard,
    /// It is copied, 64 KiB at a time.
    Copy,
}

/// A server that hangs must not hold up the run.
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    /// Connects and takes the greeting.
    pub fn connect(port: u16) -> Self {
        let control = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        control.set_nodelay(true).expect("nodelay");
        control.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut client = Self { control, buffer: Vec::new(), line: Vec::with_capacity(128) };
        client.expect(b'2');
        client
    }

    /// Logs in, in binary type.
    pub fn login(port: u16, user: &str, password: &str) -> Self {
        let mut client = Self::connect(port);
        client.say("USER ", user, b'3');
        client.say("PASS ", password, b'2');
        client.say("TYPE I", "", b'2');
        client
    }

    pub fn enter(&mut self, directory: &str) {
        self.say("CWD ", directory, b'2');
    }

    /// Sends a command and takes its reply, which must begin with this digit.
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
    }

    /// Takes a reply, of one line or of several.
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
        rustix::net::sockopt::set_tcp_quickack(&self.control, true).expect("quickack");
    }

    /// EPSV, and the data connection.
    fn data(&mut self) -> TcpStream {
        self.send("EPSV", "");
        let reply = self.expect(b'2');
        let digits = reply.split(|&byte| byte == b'|').nth(3).expect("port");
        let port = digits.iter().fold(0, |port, digit| port * 10 + u16::from(digit - b'0'));
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let data = TcpStream::connect(to).expect("data connection");
        data.set_read_timeout(Some(PATIENCE)).expect("timeout");
        data
    }

    /// A download, or a listing; gives its size.
    pub fn download(&mut self, command: &str, path: &str, reader: Reader) -> u64 {
        let mut data = self.data();
        self.send(command, path);
        self.acknowledge();
        let bytes = drain(&mut data, reader);
        // ProFTPD waits for this end as well
        drop(data);
        self.expect(b'1');
        self.expect(b'2');
        bytes
    }

    /// An upload of so many bytes.
    pub fn upload(&mut self, path: &str, chunk: &[u8], bytes: u64) {
        let mut data = self.data();
        self.send("STOR ", path);
        self.acknowledge();
        self.expect(b'1');
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            data.write_all(&chunk[..most]).expect("send data");
            left -= most as u64;
        }
        data.shutdown(Shutdown::Write).expect("end of data");
        drop(data);
        self.expect(b'2');
    }

    pub fn quit(mut self) {
        self.say("QUIT", "", b'2');
    }
}

/// Reads to the end.
pub fn drain(data: &mut TcpStream, reader: Reader) -> u64 {
    let mut bytes = 0;
    match reader {
        Reader::Discard => {
            // nothing is copied: the buffer is only a length to the kernel, and never touched
            let mut none: Vec<u8> = vec![0; 1 << 20];
            loop {
                let flags = RecvFlags::TRUNC;
                match rustix::net::recv(data.as_fd(), none.as_mut_slice(), flags) {
                    Ok((_, 0)) => return bytes,
                    Ok((_, read)) => bytes += read as u64,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(why) => panic!("data: {why}"),
                }
            }
        }
        Reader::Copy => {
            let mut chunk = vec![0; 1 << 16];
            loop {
                match data.read(&mut chunk).expect("data") {
                    0 => return bytes,
                    read => bytes += read as u64,
                }
            }
        }
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
