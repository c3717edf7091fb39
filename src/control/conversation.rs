//! The course of a session: the greeting, one command after the other, and the last reply.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::aside::Aside;
use super::charset::{Signs, Speech};
use super::connection::{self, Gone, Heard, Unshaken};
use super::line::Line;
use super::offence::Offence;
use super::refusal::Refusal;
use super::reply::{Code, Reply};
use super::session::Session;
use super::state::{Login, Protection, SessionState, Setup};
use super::verbs::login;
use crate::log::{Event, Who};
use crate::tls::SessionTls;

/// The end of a session: its last reply, and the reason.
#[derive(Debug)]
pub struct Parting {
    reply: Option<Reply>,
    /// The reason, for the log.
    why: String,
}

/// Why a client is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// The server has no room for another client.
    Full,
    /// The client's address is banned.
    Banned,
    /// The server is stopping.
    Stopping,
}

/// The text of 421 for a client whose session ends, or does not begin, because of a stop.
const STOPPING: &str = "Server is stopping";

/// Turns a client away with 421, without waiting for it.
pub fn turn_away(stream: &TcpStream, why: TurnedAway) {
    let text = match why {
        TurnedAway::Full => "Too many connections, try again later",
        TurnedAway::Banned => "Too many failures from your address, try again later",
        TurnedAway::Stopping => STOPPING,
    };
    let reply = Reply::new(Code::Unavailable, text);
    connection::send_at_once(stream, &reply);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // what a balancer has sent before the client
    connection::discard(stream);
}

impl Session {
    /// Runs the session up to its last command. A client that has read the last reply may
    /// connect again at once, so everything that others may wait for is released before
    /// [`Session::part`] sends that reply.
    #[must_use]
    pub fn run(&mut self) -> Parting {
        if let Err(why) = self.greet() {
            return Parting { reply: None, why };
        }
        let parting = self.converse();
        self.report_refused();
        // if the server is stopping, an unused passive port is no sign of a firewall and is
        // not logged
        if !self.shared.stop.is_soon() {
            self.drop_setup();
        }
        self.state.parameters.setup = Setup::None;
        if let Login::In(user) = &mut self.state.login {
            user.account.leave();
        }
        parting
    }

    #[inline(never)]
    fn greet(&mut self) -> Result<(), String> {
        self.log(&Event::Connected);
        if self.implicit {
            self.begin_implicit_tls()?;
        }
        let config = &self.settings.config;
        let speech = Speech::new(config.rules.talk.charset, Signs::default());
        let text = speech.text(&config.server.clients.welcome_msg);
        let greeting = Reply::new(Code::ServiceReady, text);
        self.connection.reply(&greeting);
        Ok(())
    }

    /// Sends the last reply and closes the connection.
    #[inline(never)]
    pub fn part(&mut self, parting: &Parting) {
        if let Some(reply) = &parting.reply {
            self.connection.last_reply(reply);
        }
        self.connection.finish();
        self.log(&Event::Ended(&parting.why, self.began.elapsed()));
    }

    /// Carries out one command after the other, and answers all but the last.
    #[inline(never)]
    fn converse(&mut self) -> Parting {
        loop {
            let answer = match self.hear() {
                Heard::Line(Line::Text(line)) => self.obey(&line),
                Heard::Line(Line::TooLong) => self.obey_nothing(),
                Heard::TimedOut => self.time_out(),
                Heard::Gone => return self.farewell(),
            };
            match answer {
                Answer::GoOn(reply) => self.connection.reply(&reply),
                Answer::LoggedIn(reply) => {
                    // not called by the handler of PASS, which runs deeper in the stack of the
                    // thread
                    login::told(self);
                    self.connection.reply(&reply);
                }
                Answer::StartTls(reply, tls) => {
                    self.connection.reply(&reply);
                    if let Err(why) = self.begin_tls(tls) {
                        return Parting { reply: None, why };
                    }
                }
                Answer::End(reply, why) => {
                    return Parting { reply: Some(reply), why: why.to_owned() };
                }
            }
        }
    }

    #[inline(never)]
    fn time_out(&mut self) -> Answer {
        if self.connection.has_noise() && self.user().is_err() {
            self.blame(Offence::Noise);
        }
        let why = if self.user().is_ok() { "idle" } else { "no login in time" };
        Answer::End(Reply::new(Code::Unavailable, "Timeout"), why)
    }

    fn begin_implicit_tls(&mut self) -> Result<(), String> {
        let tls = self.settings.tls.as_ref().ok_or("no certificate")?;
        let own = tls.session().map_err(|why| why.to_string())?;
        self.begin_tls(own)
    }

    /// Runs the TLS handshake. The session forgets what was sent in clear text (RFC 4217 §4).
    fn begin_tls(&mut self, tls: SessionTls) -> Result<(), String> {
        self.log_out();
        let login_timeout = self.settings.config.server.login.timeout;
        let until = login_timeout
            .map_or_else(|| Instant::now() + SHAKING, |time| self.login_since + time);
        let shaken = self.connection.start_tls(&tls, until, &self.shared.stop);
        if let Err(Unshaken { why, is_noise }) = shaken {
            if is_noise {
                self.blame(Offence::Tls);
            }
            // an order to end the session, such as to make room, has ended the handshake too
            let ended = self.live.ended().map(str::to_owned);
            return Err(ended.unwrap_or_else(|| format!("TLS handshake failed: {why}")));
        }
        // how names are spelt is no secret, and some clients turn UTF-8 on before AUTH only
        let signs = self.state.parameters.signs;
        self.state = SessionState::new(self.implicit);
        self.note(signs);
        self.tls = Some(tls);
        self.live.set_tls();
        self.shared.counters.tls.fetch_add(1, Ordering::Relaxed);
        if let Some(layer) = self.connection.layer() {
            let peer = layer.peer();
            let subject = peer.as_ref().map(|peer| peer.subject.as_str());
            self.log(&Event::Secured(&layer.describe(), subject));
        }
        Ok(())
    }

    /// Waits for the next command. If the server is stopping, or the session must end,
    /// commands that have arrived are not carried out.
    fn hear(&mut self) -> Heard {
        self.live.set_at_work(false);
        if self.shared.stop.is_soon() || self.live.ended().is_some() {
            return Heard::Gone;
        }
        let (idle, login) = match &self.state.login {
            Login::In(user) => (user.idle_timeout, None),
            Login::Out | Login::Named(_) => {
                let config = &self.settings.config;
                let login = config.server.login.timeout.map(|time| self.login_since + time);
                (config.rules.limits.idle_timeout, login)
            }
        };
        let idle = idle.map(|idle| Instant::now() + idle);
        let until = [idle, login].into_iter().flatten().min();
        let is_private = self.state.parameters.protection == Protection::Private;
        let passive = match &mut self.state.parameters.setup {
            Setup::Passive(passive) => Some(passive),
            Setup::None | Setup::Active(_) => None,
        };
        let aside = Aside {
            passive,
            tls: self.tls.as_ref().filter(|_| is_private),
            lingering: &mut self.lingering,
            who: Who { peer: self.peer, user: self.state.login.name() },
        };
        self.connection.hear(until, aside)
    }

    /// Returns the last reply and the reason when no further command will be carried out.
    #[inline(never)]
    fn farewell(&mut self) -> Parting {
        let ended = if self.shared.stop.is_soon() {
            Some((STOPPING, "server stopped"))
        } else {
            self.live.ended().map(|why| (why, why))
        };
        if let Some((text, why)) = ended {
            let reply = Some(Reply::new(Code::Unavailable, text));
            return Parting { reply, why: why.to_owned() };
        }
        if self.connection.has_noise() && self.user().is_err() {
            self.blame(Offence::Noise);
        }
        let (reply, why) = match self.connection.gone() {
            Some(Gone::Broken(why)) => (None, format!("connection lost: {why}")),
            Some(Gone::Endless) => {
                self.blame(Offence::Endless);
                let reply = Reply::from(&Refusal::LineTooLong).closing();
                (Some(reply), "a line without an end".to_owned())
            }
            Some(Gone::Closed) | None => (None, "closed by the client".to_owned()),
        };
        Parting { reply, why }
    }
}

/// How long a TLS handshake may take if there is no `login_timeout`.
const SHAKING: Duration = Duration::from_secs(60);
