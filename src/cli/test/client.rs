//! The user-PI: commands and replies on the control connection.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::facts::{Answer, Handshake, Login, Refusal, TlsStart, Trouble, UNKNOWN};
use super::reply::{NoReply, Replies};
use super::trust::Trust;
use super::url::Secret;
use super::wire::{Clock, Wire};

/// How long the client waits for a reply after Ctrl-C.
const PARTING: Duration = Duration::from_secs(10);

/// A control connection.
pub(super) struct Client {
    wire: Wire,
    replies: Replies,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) clock: Clock,
    pub(super) trust: Arc<Trust>,
    /// Whether data connections use TLS.
    pub(super) is_protected: bool,
}

impl Client {
    pub(super) fn new(
        tcp: TcpStream,
        trust: &Arc<Trust>,
        clock: &Clock,
    ) -> Result<Self, Trouble> {
        let wire = Wire::new(tcp, clock)?;
        let (local, peer) = wire.ends().ok_or(Trouble::Closed)?;
        let (replies, trust) = (Replies::default(), Arc::clone(trust));
        Ok(Self {
            wire,
            replies,
            local,
            peer,
            clock: clock.clone(),
            trust,
            is_protected: false,
        })
    }

    /// From now on Ctrl-C has no effect.
    pub(super) fn ignore_signals(&mut self) {
        self.clock = self.clock.without_stop();
        self.wire.ignore_signals();
    }

    /// Sends a command and returns its first reply.
    pub(super) fn ask(&mut self, command: impl AsRef<[u8]>) -> Answer {
        self.send(command.as_ref())?;
        self.reply()
    }

    fn send(&mut self, command: &[u8]) -> Result<(), Trouble> {
        let line = [command, b"\r\n"].concat();
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            let sent = self.wire.write(rest, self.clock.reply())?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        self.wire.flush(self.clock.reply())
    }

    /// Returns the next reply.
    pub(super) fn reply(&mut self) -> Answer {
        self.reply_after(Duration::ZERO)
    }

    /// Returns the next reply, for which the server needs this much longer than usual.
    pub(super) fn reply_after(&mut self, longer: Duration) -> Answer {
        self.reply_within(self.clock.reply() + longer)
    }

    /// Asks the server after Ctrl-C to end an upload. Returns the next reply, which may say where it has
    /// stored what has arrived.
    pub(super) fn abort(&mut self) -> Answer {
        self.ignore_signals();
        self.send(b"ABOR")?;
        self.parting_reply()
    }

    /// Returns the reply after the one to [`Client::abort`].
    pub(super) fn parting_reply(&mut self) -> Answer {
        self.reply_within(PARTING)
    }

    fn reply_within(&mut self, time: Duration) -> Answer {
        let mut buffer = [0; 4096];
        // a server that sends a byte now and then must not hold the client for ever
        let until = Instant::now() + time;
        loop {
            match self.replies.take() {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(NoReply::Foreign(bytes)) => return Err(Trouble::Foreign(bytes)),
                Err(NoReply::TooLong) => return Err(Trouble::TooLong),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::Silent);
            }
            match self.wire.read(&mut buffer, left)? {
                0 => return Err(Trouble::Closed),
                count => self.replies.push(buffer.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Begins TLS: at once, or with AUTH TLS (RFC 4217 §4).
    pub(super) fn start_tls(&mut self, at_once: bool) -> TlsStart {
        let auth = (!at_once).then(|| self.ask("AUTH TLS"));
        if !matches!(&auth, None | Some(Ok(_)))
            || matches!(&auth, Some(Ok(no)) if !no.is_done())
        {
            let refusal = matches!(&auth, Some(Ok(_))).then(|| self.ask_otherwise());
            return TlsStart { auth, handshake: None, is_small: false, refusal };
        }
        // what came in clear text behind the reply is not the server's word
        self.replies.clear();
        let handshake = Some(self.shake_hands());
        TlsStart { auth, handshake, is_small: self.clock.is_small(), refusal: None }
    }

    /// Asks what shows whether the server itself has refused AUTH.
    fn ask_otherwise(&mut self) -> Refusal {
        Refusal { features: self.ask("FEAT"), unknown: self.ask(UNKNOWN) }
    }

    fn shake_hands(&mut self) -> Result<Handshake, Trouble> {
        let connection = self.trust.connection(true)?;
        self.wire.start_tls(connection, self.clock.step())?;
        let tls = self.wire.tls().ok_or(Trouble::Closed)?;
        Ok(self.trust.look(tls))
    }

    /// Logs in.
    pub(super) fn log_in(&mut self, user: &[u8], password: &Secret) -> Login {
        let answer = self.ask([b"USER ", user].concat());
        match answer {
            Ok(reply) if reply.code == 331 => {
                let answer = self.ask([b"PASS ", password.0.as_slice()].concat());
                Login { command: "PASS", answer }
            }
            answer => Login { command: "USER", answer },
        }
    }

    /// Requires TLS on data connections (RFC 4217 §9). Returns the reply to PROT.
    pub(super) fn protect(&mut self) -> Answer {
        self.ask("PBSZ 0")?;
        let reply = self.ask("PROT P")?;
        self.is_protected = reply.is_done();
        Ok(reply)
    }
}
