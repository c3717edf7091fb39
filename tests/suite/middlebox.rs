//! Something between client and server that reads FTP and does not leave it alone, such as an
//! inspecting firewall.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use crate::namespaces::Machine;

/// What a middlebox does about a line.
pub(crate) enum Act {
    Pass,
    /// Passes this line on instead.
    Change(String),
    /// Passes nothing on.
    Drop,
    /// Passes nothing on, and answers with this line.
    Answer(&'static str),
}

/// The rules of a middlebox. Lines are without their ends.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) commands: fn(&str) -> Act,
    pub(crate) replies: fn(&str) -> Act,
    /// What the client sends after AUTH TLS.
    pub(crate) tls: Tls,
}

/// What becomes of the bytes of TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Pass,
    Drop,
    Reset,
}

/// A running middlebox, which ends when it is dropped.
pub(crate) struct Middlebox {
    listener: Arc<TcpListener>,
}

impl Middlebox {
    /// Listens on a machine at the address of the server, and connects to the real one.
    pub(crate) fn start(
        machine: &Machine,
        at: &'static str,
        server: &'static str,
        rules: Rules,
    ) -> Self {
        let listener = machine.inside(move || {
            let listener = Arc::new(TcpListener::bind(at).unwrap());
            let own = Arc::clone(&listener);
            std::thread::spawn(move || {
                // until the listener is shut down
                while let Ok((client, _)) = own.accept() {
                    let Ok(server) = TcpStream::connect(server) else { continue };
                    stand_between(&client, &server, rules);
                }
            });
            listener
        });
        Self { listener }
    }
}

impl Drop for Middlebox {
    fn drop(&mut self) {
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
    }
}

/// Passes lines, and then TLS, in both directions.
fn stand_between(client: &TcpStream, server: &TcpStream, rules: Rules) {
    let is_tls = Arc::new(AtomicBool::new(false));
    let clone = |stream: &TcpStream| stream.try_clone().unwrap();
    let (from, to, begins) = (clone(client), clone(server), Arc::clone(&is_tls));
    std::thread::spawn(move || {
        commands(&from, &to, rules, &begins);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
    let (from, to) = (clone(server), clone(client));
    std::thread::spawn(move || {
        replies(&from, &to, rules, &is_tls);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn commands(client: &TcpStream, server: &TcpStream, rules: Rules, is_tls: &AtomicBool) {
    let (mut from, mut to) = (BufReader::new(client), server);
    let mut answer = client;
    while !is_tls.load(Ordering::SeqCst) {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end();
        let sent = match (rules.commands)(line) {
            Act::Pass => to.write_all(format!("{line}\r\n").as_bytes()),
            Act::Change(other) => to.write_all(format!("{other}\r\n").as_bytes()),
            Act::Answer(reply) => answer.write_all(format!("{reply}\r\n").as_bytes()),
            Act::Drop => Ok(()),
        };
        // nothing comes after AUTH until the server has answered, which begins TLS
        if sent.is_err() {
            return;
        }
        if line == "AUTH TLS" {
            // the first bytes of TLS come after the reply
            if from.fill_buf().is_err() {
                return;
            }
        }
    }
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            return;
        }
        match rules.tls {
            Tls::Pass if to.write_all(&buffer[..count]).is_ok() => {}
            Tls::Pass => return,
            Tls::Drop => {}
            Tls::Reset => return reset(client, server),
        }
    }
}

fn replies(server: &TcpStream, client: &TcpStream, rules: Rules, is_tls: &AtomicBool) {
    let (mut from, mut to) = (BufReader::new(server), client);
    while !is_tls.load(Ordering::SeqCst) {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end();
        if line.starts_with("234 ") {
            is_tls.store(true, Ordering::SeqCst);
        }
        let line = match (rules.replies)(line) {
            Act::Change(other) => other,
            Act::Drop => continue,
            _ => line.to_owned(),
        };
        if to.write_all(format!("{line}\r\n").as_bytes()).is_err() {
            return;
        }
    }
    let _ = std::io::copy(&mut from, &mut to);
}

/// Ends both connections at once.
fn reset(client: &TcpStream, server: &TcpStream) {
    for stream in [client, server] {
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}
