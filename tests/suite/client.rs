//! A client that sends exactly what a test says, and prints the whole transcript when a reply
//! is not the expected one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustls::ClientConnection;
use socket2::{Domain, SockRef, Socket, Type};

use crate::server::{PATIENCE, Server};

/// One control connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    transcript: String,
    /// The TLS connection after [`Client::start_tls`].
    pub(crate) tls: Option<Box<ClientConnection>>,
}

impl Read for Client {
    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.read(chunk),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.stream).read(chunk),
        }
    }
}

impl Client {
    /// Connects without reading the greeting.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// A client on a connection that is already open.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new(), transcript: String::new(), tls: None }
    }

    /// Connects and reads the greeting.
    pub(crate) fn connect(server: &Server) -> Self {
        let mut client = Self::silent(server.address());
        client.expect(220);
        client
    }

    /// Connects and logs in as bob.
    pub(crate) fn bob(server: &Server) -> Self {
        Self::login(server, "bob", "secret")
    }

    /// Connects and logs in, with binary type.
    pub(crate) fn login(server: &Server, user: &str, password: &str) -> Self {
        let mut client = Self::connect(server);
        client.cmd(&format!("USER {user}"), 331);
        client.cmd(&format!("PASS {password}"), 230);
        client.cmd("TYPE I", 200);
        client
    }

    /// The control connection itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.transcript += &format!("> {}\n", bytes.escape_ascii());
        let sent = match &mut self.tls {
            None => self.stream.write_all(bytes),
            Some(tls) => {
                let mut stream = rustls::Stream::new(tls.as_mut(), &mut self.stream);
                stream.write_all(bytes).and_then(|()| stream.flush())
            }
        };
        if let Err(why) = sent {
            self.fail(&format!("sending: {why}"));
        }
    }

    /// Sends a line, to which CR LF is added.
    pub(crate) fn send(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes());
    }

    /// Reads a whole reply of one line or several, which must have this code. Returns its text
    /// with lines ended by LF.
    pub(crate) fn expect(&mut self, code: u16) -> String {
        String::from_utf8_lossy(&self.expect_bytes(code)).into_owned()
    }

    /// Reads a whole reply like [`Client::expect`], and returns its bytes.
    pub(crate) fn expect_bytes(&mut self, code: u16) -> Vec<u8> {
        let (answered, all) = self.answer();
        if answered != code {
            self.fail(&format!("expected {code}"));
        }
        all
    }

    /// Sends a line and reads the reply, which must have this code.
    pub(crate) fn cmd(&mut self, line: &str, code: u16) -> String {
        self.send(line);
        self.expect(code)
    }

    /// Reads a line and returns it without its CR LF.
    fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                self.transcript += &format!("< {}\n", line.escape_ascii());
                return line;
            }
            let mut chunk = [0; 4096];
            match self.read(&mut chunk) {
                Ok(0) => self.fail("the server closed the control connection"),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => self.fail(&format!("no reply: {why}")),
            }
        }
    }

    /// Checks that the server sends nothing more and closes the control connection.
    pub(crate) fn expect_close(&mut self) {
        let mut rest = std::mem::take(&mut self.buffer);
        match self.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::ConnectionReset => {}
            Err(why) => self.fail(&format!("expected the end: {why}")),
        }
        if !rest.is_empty() {
            self.fail(&format!("expected the end, not: {}", rest.escape_ascii()));
        }
    }

    /// Checks that nothing arrives for this long; no event could tell that.
    pub(crate) fn expect_silence(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let read = self.read(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if let Ok(read) = read {
            self.buffer.extend_from_slice(&byte[..read]);
            self.fail("expected silence");
        }
    }

    /// Fails the test and prints the transcript.
    pub(crate) fn fail(&self, why: &str) -> ! {
        panic!("{why}\n--- transcript ---\n{}", self.transcript)
    }

    /// The address of a 227 or 229 reply.
    pub(crate) fn passive_address(&mut self, command: &str) -> SocketAddr {
        self.send(command);
        self.passive_reply(command.to_ascii_uppercase().starts_with("EPSV"))
    }

    /// Reads the address out of the reply to a PASV or EPSV that was sent before.
    pub(crate) fn passive_reply(&mut self, extended: bool) -> SocketAddr {
        let reply = self.expect(if extended { 229 } else { 227 });
        let inside = reply.split(['(', ')']).nth(1).unwrap();
        if extended {
            let port = inside.trim_matches('|').parse().unwrap();
            return SocketAddr::new(self.stream.peer_addr().unwrap().ip(), port);
        }
        let parts: Vec<u8> = inside.split(',').map(|part| part.parse().unwrap()).collect();
        let [a, b, c, d, high, low] = parts[..] else { panic!("{reply}") };
        SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))
    }

    /// Sends EPSV to a server that may end at any moment. Returns `None` when it has.
    pub(crate) fn try_passive(&mut self) -> Option<SocketAddr> {
        if !self.try_send("EPSV") {
            return None;
        }
        let mut reply = Vec::new();
        let mut chunk = [0; 256];
        while !reply.ends_with(b"\r\n") {
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => reply.extend_from_slice(&chunk[..read]),
            }
        }
        let reply = String::from_utf8(reply).ok()?;
        let port = reply.split('|').nth(3)?.parse().ok()?;
        Some(SocketAddr::new(self.stream.peer_addr().ok()?.ip(), port))
    }

    /// Sends a line to a server that may have ended.
    pub(crate) fn try_send(&mut self, line: &str) -> bool {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).is_ok()
    }

    /// Reads a reply of one line from a server that may end at any moment, and returns its code.
    pub(crate) fn try_code(&mut self) -> Option<u16> {
        let mut chunk = [0; 256];
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return std::str::from_utf8(line.get(..3)?).ok()?.parse().ok();
            }
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.buffer.extend(&chunk[..read]),
            }
        }
    }

    /// Reads a reply of one line from a server that may end at any moment.
    pub(crate) fn try_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            if !matches!(self.stream.read(&mut byte), Ok(1)) {
                return None;
            }
            line.extend_from_slice(&byte);
        }
        String::from_utf8(line).ok()
    }

    /// Reads replies up to a 226, from a server that may end at any moment.
    pub(crate) fn try_end(&mut self) {
        let mut said = Vec::new();
        let mut chunk = [0; 256];
        while let Ok(read @ 1..) = self.stream.read(&mut chunk) {
            said.extend_from_slice(&chunk[..read]);
            if said.windows(4).any(|word| word == b"226 ") {
                return;
            }
        }
    }

    /// Sends EPSV and opens the data connection.
    pub(crate) fn passive(&mut self) -> TcpStream {
        let address = self.passive_address("EPSV");
        self.data(address)
    }

    /// Opens a data connection to a passive port.
    pub(crate) fn data(&self, address: SocketAddr) -> TcpStream {
        let data = TcpStream::connect_timeout(&address, PATIENCE);
        let data = data.unwrap_or_else(|why| self.fail(&format!("data connection: {why}")));
        data.set_read_timeout(Some(PATIENCE)).unwrap();
        data.set_write_timeout(Some(PATIENCE)).unwrap();
        data
    }

    /// Carries out a whole download (RETR, LIST and others) over EPSV and returns the bytes.
    pub(crate) fn download(&mut self, command: &str) -> Vec<u8> {
        let mut data = self.passive();
        self.cmd(command, 150);
        let mut bytes = Vec::new();
        if let Err(why) = data.read_to_end(&mut bytes) {
            self.fail(&format!("reading data: {why}"));
        }
        self.expect(226);
        bytes
    }

    /// Downloads a listing and returns its lines.
    pub(crate) fn lines(&mut self, command: &str) -> Vec<String> {
        let bytes = self.download(command);
        let text = String::from_utf8_lossy(&bytes);
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Carries out a whole upload (STOR, APPE, STOU) over EPSV and returns the text of the 150.
    pub(crate) fn upload(&mut self, command: &str, bytes: &[u8]) -> String {
        let mut data = self.passive();
        let mark = self.cmd(command, 150);
        if let Err(why) = data.write_all(bytes) {
            self.fail(&format!("sending data: {why}"));
        }
        data.shutdown(Shutdown::Write).unwrap();
        drop(data);
        self.expect(226);
        mark
    }

    /// Reads a whole reply whose code must lie in this range.
    pub(crate) fn expect_in(&mut self, codes: std::ops::Range<u16>) -> String {
        let code = self.next_code();
        if !codes.contains(&code) {
            self.fail(&format!("{code}: expected one of {codes:?}"));
        }
        self.expect(code)
    }

    /// Returns the code of the next reply without reading it.
    pub(crate) fn next_code(&mut self) -> u16 {
        let line = self.line();
        self.buffer.splice(..0, [&line[..], b"\r\n"].concat());
        let code =
            line.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        code.unwrap_or_else(|| self.fail("expected a reply"))
    }

    /// Sends a line and reads a reply of one line with any code.
    pub(crate) fn read_any(&mut self, line: &str) -> String {
        self.send(line);
        self.next_line()
    }

    /// Reads the next line, whatever it says.
    pub(crate) fn next_line(&mut self) -> String {
        String::from_utf8_lossy(&self.next_line_bytes()).into_owned()
    }

    /// Reads the next line and returns its bytes.
    pub(crate) fn next_line_bytes(&mut self) -> Vec<u8> {
        self.line()
    }

    /// Reads the greeting and logs in as bob on a connection that is already open.
    pub(crate) fn bob_over(stream: TcpStream) -> Self {
        let mut client = Self::over(stream);
        client.expect(220);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("TYPE I", 200);
        client
    }

    /// Opens a listener on the client's own address and announces it by PORT or EPRT.
    pub(crate) fn listener(&mut self) -> TcpListener {
        let own = self.stream.local_addr().unwrap().ip();
        let listener = TcpListener::bind((own, 0)).unwrap();
        let command = port_command(listener.local_addr().unwrap());
        self.cmd(&command, 200);
        listener
    }

    /// Announces a port that refuses connections by PORT or EPRT. No other test gets the port while the
    /// result is held.
    #[must_use]
    pub(crate) fn refusing_port(&mut self) -> Socket {
        let own = self.stream.local_addr().unwrap().ip();
        let own = SocketAddr::new(own, 0);
        let socket = Socket::new(Domain::for_address(own), Type::STREAM, None).unwrap();
        socket.bind(&own.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        self.cmd(&port_command(address), 200);
        socket
    }

    /// Reads a whole reply with any code, lines ended by LF.
    pub(crate) fn answer(&mut self) -> (u16, Vec<u8>) {
        let first = self.line();
        let mut all = first.clone();
        let digits: Vec<u8> = first.iter().take(3).copied().collect();
        if first.get(3) == Some(&b'-') {
            loop {
                let line = self.line();
                all.push(b'\n');
                all.extend_from_slice(&line);
                if line.starts_with(&digits) && line.get(3) == Some(&b' ') {
                    break;
                }
            }
        }
        let code = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
        (code.unwrap_or_else(|| self.fail("a reply without a code")), all)
    }

    /// Sends a line and reads a reply with any code.
    pub(crate) fn ask(&mut self, line: &str) -> (u16, String) {
        self.send(line);
        let (code, text) = self.answer();
        (code, String::from_utf8_lossy(&text).into_owned())
    }

    /// Sends a line of any bytes as a Telnet client does, with each byte 255 doubled, and reads
    /// the reply, in which the doubling is undone.
    pub(crate) fn tell(&mut self, line: impl AsRef<[u8]>, code: u16) -> Vec<u8> {
        self.raw(&[&doubled(line.as_ref())[..], b"\r\n"].concat());
        let mut reply = self.expect_bytes(code);
        let mut after_iac = false;
        reply.retain(|&byte| {
            after_iac = byte == 255 && !after_iac;
            !after_iac
        });
        reply
    }

    /// Runs a transfer of either direction to its end, if the server begins it. Uploads `sent`,
    /// and returns the downloaded bytes with the last reply's code and text.
    pub(crate) fn exchange(&mut self, line: &str, sent: &[u8]) -> (u16, String, Vec<u8>) {
        let mut data = self.passive();
        let (code, text) = self.ask(line);
        if code != 150 {
            return (code, text, Vec::new());
        }
        data.write_all(sent).unwrap_or_else(|why| self.fail(&format!("sending data: {why}")));
        data.shutdown(Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        if let Err(why) = data.read_to_end(&mut bytes) {
            self.fail(&format!("reading data: {why}"));
        }
        let (code, text) = self.answer();
        (code, String::from_utf8_lossy(&text).into_owned(), bytes)
    }
}

/// A byte 255 is sent twice on a Telnet connection (RFC 854).
pub(crate) fn doubled(bytes: &[u8]) -> Vec<u8> {
    let times = |&byte: &u8| std::iter::repeat_n(byte, if byte == 255 { 2 } else { 1 });
    bytes.iter().flat_map(times).collect()
}

/// The command that announces an address: PORT for IPv4 and EPRT for IPv6.
pub(crate) fn port_command(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => {
            let ([a, b, c, d], [high, low]) = (v4.ip().octets(), v4.port().to_be_bytes());
            format!("PORT {a},{b},{c},{d},{high},{low}")
        }
        SocketAddr::V6(v6) => format!("EPRT |2|{}|{}|", v6.ip(), v6.port()),
    }
}

/// Connects from another address of this machine.
pub(crate) fn connect_from(own: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(own, 0).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// Reads everything up to the end of the stream, or to a reset.
pub(crate) fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(why) if why.kind() != ErrorKind::ConnectionReset => panic!("no end: {why}"),
        _ => bytes,
    }
}

/// Closes with a reset instead of an end. The reset is sent at once, even if a program that another
/// test is starting has a copy of the descriptor.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    rustix::net::connect_unspec(&stream).unwrap();
    drop(stream);
}
