//! The control connection: it reads lines and sends replies, each with a deadline.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{SockRef, TcpKeepalive};

use super::aside::Aside;
use super::command::Command;
use super::line::{Framer, Line};
use super::reply::{Mark, Reply};
use super::request::parse;
use super::shared::Stop;
use crate::tls::{self, Awaited, Channel, Got, Layer, SessionTls};

/// The control connection of a session: its stream, and the lines that were read but not yet
/// carried out.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    framer: Framer,
    /// The current read timeout of the socket.
    timeout: Option<Duration>,
    /// The stream, with or without TLS.
    channel: Channel,
    /// Scratch space for decrypted input; small.
    input: Vec<u8>,
    /// A preliminary reply that may be sent together with the next one.
    held: Vec<u8>,
    /// Why the client will send nothing more; `None` while it may.
    gone: Option<Gone>,
}

/// Why nothing more will come from the client.
#[derive(Debug)]
pub(super) enum Gone {
    /// The client closed the connection, or at least its sending side.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// The client sent a line without an end.
    Endless,
}

/// The result of waiting for a command.
#[derive(Debug)]
pub(super) enum Heard {
    Line(Line),
    TimedOut,
    Gone,
}

/// Why a TLS handshake failed.
#[derive(Debug)]
pub(super) struct Unshaken {
    /// The reason, for the log.
    pub(super) why: String,
    /// Whether the client sent something other than TLS.
    pub(super) is_noise: bool,
}

/// How long sending a reply may take before the connection counts as broken.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// After this long without traffic the system checks that the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// How long a wait for a command leaves the passive port alone. Most clients connect to the
/// port and then send the command within this time.
const PROMPT: Duration = Duration::from_millis(10);

/// Size of one read; commands are short.
const INPUT: usize = 512;

impl Connection {
    /// Sets up the connection of a client that has just connected. Before the login,
    /// `login_timeout` also limits the time for sending a reply.
    pub(super) fn new(
        stream: &Arc<TcpStream>,
        login_timeout: Option<Duration>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let patience = login_timeout.map_or(WRITE_PATIENCE, |time| time.min(WRITE_PATIENCE));
        stream.set_write_timeout(Some(patience))?;
        let socket = SockRef::from(stream);
        // the urgent byte of a Telnet Synch keeps its place in the stream
        socket.set_out_of_band_inline(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok(Self {
            stream: Arc::clone(stream),
            framer: Framer::default(),
            timeout: None,
            channel: Channel::new(Arc::clone(stream)),
            input: Vec::new(),
            held: Vec::new(),
            gone: None,
        })
    }

    /// Returns why nothing more will come, if that is known.
    pub(super) fn gone(&self) -> Option<&Gone> {
        self.gone.as_ref()
    }

    /// Waits for a command line. Meanwhile it accepts the client on its passive port, turns
    /// strangers away there, and closes a port that was not used in time. If the connection is
    /// broken, lines in the queue are dropped. If the client has only closed its sending side,
    /// they are still carried out and answered.
    pub(super) fn hear(&mut self, until: Option<Instant>, mut aside: Aside<'_>) -> Heard {
        loop {
            aside.expire();
            // checked before the queue, which a stranger could keep full
            if until.is_some_and(|until| until <= Instant::now()) {
                return Heard::TimedOut;
            }
            if matches!(self.gone, Some(Gone::Broken(_))) {
                return Heard::Gone;
            }
            if let Some(line) = self.framer.pop() {
                return Heard::Line(line);
            }
            if self.gone.is_some() {
                return Heard::Gone;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if aside.is_empty() {
                self.wait(aside.soonest(left));
            } else {
                self.wait_beside(left, &mut aside);
            }
        }
    }

    fn wait(&mut self, left: Option<Duration>) {
        // in whole seconds, so that the socket's timeout seldom changes
        let timeout = left.map(|left| Duration::from_secs(left.as_secs() + 1));
        if timeout != self.timeout {
            match self.stream.set_read_timeout(timeout) {
                Ok(()) => self.timeout = timeout,
                Err(why) => self.gone = Some(Gone::Broken(why)),
            }
        }
        self.framer.shrink();
        self.read(RecvFlags::empty());
    }

    fn wait_beside(&mut self, left: Option<Duration>, aside: &mut Aside<'_>) {
        // usually the command comes right after the data connection
        if aside.is_patient() && left.is_none_or(|left| left > PROMPT) {
            let [spoke] = tls::wait([Some(self.channel.readable())], Some(PROMPT));
            if spoke {
                self.read(RecvFlags::DONTWAIT);
                return;
            }
        }
        let [first, second] = aside.lingerers();
        let awaited = [Some(self.channel.readable()), aside.door(), first, second];
        let [spoke, came, _, _] = tls::wait(awaited, aside.soonest(left));
        if came {
            aside.attend();
        }
        if spoke {
            self.read(RecvFlags::DONTWAIT);
        }
    }

    /// Reads what has arrived until the queue is full. If it is, this checks whether the
    /// client has gone away, which can no longer be seen by reading.
    pub(super) fn read_all(&mut self) {
        while self.gone.is_none() {
            if !self.framer.has_room() {
                let [ended] = tls::wait([Some(self.channel.ended())], Some(Duration::ZERO));
                if ended {
                    self.lose_unread();
                }
                return;
            }
            if !self.read(RecvFlags::DONTWAIT) {
                return;
            }
        }
    }

    /// Reads once. Returns `false` if nothing has arrived.
    fn read(&mut self, flags: RecvFlags) -> bool {
        let mut flags = flags;
        loop {
            match self.receive(flags) {
                Ok(Got::Some) => {
                    let answers = self.framer.take_answers();
                    self.send(&answers);
                }
                Ok(Got::Nothing) => return false,
                Ok(Got::Closed | Got::Truncated) => self.gone = Some(Gone::Closed),
                Err(why) => self.gone = Some(Gone::Broken(why)),
            }
            if self.framer.is_hopeless() {
                self.gone = Some(Gone::Endless);
            }
            if self.gone.is_some() || !self.channel.holds() {
                return true;
            }
            flags = RecvFlags::DONTWAIT;
        }
    }

    fn receive(&mut self, flags: RecvFlags) -> io::Result<Got> {
        let Some(stream) = self.channel.clear() else {
            self.input.clear();
            self.input.reserve(INPUT);
            let got = self.channel.receive(flags, &mut self.input);
            if matches!(got, Ok(Got::Some)) {
                self.framer.feed(&self.input);
            }
            return got;
        };
        // on the stack, which an idle session has in any case
        let mut input = [0; INPUT];
        match recv(stream, &mut input, flags) {
            Ok((0, _)) => Ok(Got::Closed),
            Ok((read, _)) => {
                self.framer.feed(input.get(..read).unwrap_or_default());
                Ok(Got::Some)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Got::Nothing),
            Err(why) => Err(why.into()),
        }
    }

    /// Handles a reply that could not be sent. If the client has sent QUIT and then closed the
    /// connection in good order, it has left on purpose; in all other cases the connection is
    /// broken. The error tells which: it is a broken pipe only if the client closed in good
    /// order first. A read cannot tell, because it finds the end of the stream after a reset
    /// as well.
    #[cold]
    fn lose(&mut self, why: io::Error) {
        if self.gone.is_some() {
            return;
        }
        if why.kind() != io::ErrorKind::BrokenPipe {
            self.gone = Some(Gone::Broken(why));
            return;
        }
        while self.framer.has_room()
            && let Ok(Got::Some) = self.receive(RecvFlags::DONTWAIT)
        {}
        let has_left = matches!(self.receive(RecvFlags::DONTWAIT), Ok(Got::Closed));
        self.gone =
            Some(if has_left && self.has_quit() { Gone::Closed } else { Gone::Broken(why) });
    }

    /// Handles a client that has gone away while the queue is full. Nothing is read, but the
    /// system can tell whether the connection broke.
    #[cold]
    fn lose_unread(&mut self) {
        self.gone = Some(match self.stream.take_error() {
            Err(why) | Ok(Some(why)) if why.kind() != io::ErrorKind::BrokenPipe => {
                Gone::Broken(why)
            }
            Ok(_) | Err(_) => Gone::Closed,
        });
    }

    /// Returns whether a QUIT is in the queue.
    pub(super) fn has_quit(&self) -> bool {
        self.framer.waiting().any(|line| says(line, |it| matches!(it, Command::Quit)))
    }

    /// Removes the next line from the queue if it is a command for which `wanted` is true.
    /// Returns whether it was.
    pub(super) fn take_next(&mut self, wanted: impl Fn(&Command) -> bool) -> bool {
        let is_next = self.framer.waiting().next().is_some_and(|line| says(line, wanted));
        if is_next {
            self.framer.pop();
        }
        is_next
    }

    /// Returns whether a command for which `wanted` is true has arrived since the last search.
    pub(super) fn look_for(&mut self, wanted: impl Fn(&Command) -> bool) -> bool {
        self.framer.look_for(|line| says(line, &wanted))
    }

    /// Returns what to wait for on the connection, unless nothing more can come: input, or,
    /// while the queue is full, the end of the connection.
    pub(super) fn awaited(&self) -> Option<Awaited<'_>> {
        let has_room = self.framer.has_room();
        let awaited = if has_room { self.channel.readable() } else { self.channel.ended() };
        self.gone.is_none().then_some(awaited)
    }

    /// Returns whether the client has sent anything that has not been handled yet.
    pub(super) fn has_unread(&self) -> bool {
        !self.framer.is_idle()
    }

    /// Returns whether an incomplete line contains bytes that no command has. The client then
    /// probably speaks another protocol.
    pub(super) fn has_noise(&self) -> bool {
        self.framer.has_noise()
    }

    /// Returns whether TLS protects the connection.
    pub(super) fn is_secure(&self) -> bool {
        self.channel.has_tls()
    }

    /// The TLS layer, which describes itself and the client's certificate; `None` in clear
    /// text.
    pub(super) fn layer(&self) -> Option<&Layer> {
        self.channel.layer()
    }

    /// Starts TLS. The handshake fails if it is not complete by `until`.
    pub(super) fn start_tls(
        &mut self,
        tls: &SessionTls,
        until: Instant,
        stop: &Stop,
    ) -> Result<(), Unshaken> {
        let failed = |why: &str| Unshaken { why: why.to_owned(), is_noise: false };
        let mut channel = Channel::new(Arc::clone(&self.stream));
        channel.begin_control(tls).map_err(|why| failed(&why.to_string()))?;
        loop {
            let want = channel.shake().map_err(|why| {
                let is_noise = channel.layer().is_some_and(Layer::has_noise);
                Unshaken { why: why.to_string(), is_noise }
            })?;
            let Some(want) = want else { break };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failed("timeout"));
            }
            if stop.is_soon() {
                return Err(failed("server is stopping"));
            }
            // the next round checks everything, whatever became ready
            tls::wait([Some(channel.wanted(want)), Some(Awaited::readable(stop))], Some(left));
        }
        self.channel = channel;
        Ok(())
    }

    /// Gives a client that has logged in more time to receive each reply.
    pub(super) fn trust(&mut self) {
        if let Err(why) = self.stream.set_write_timeout(Some(WRITE_PATIENCE)) {
            self.gone = Some(Gone::Broken(why));
        }
    }

    /// Sends a reply in one write.
    pub(super) fn reply(&mut self, reply: &Reply) {
        self.send(&reply.wire());
    }

    /// Sends the last reply, without waiting: if the client's buffer has no room for it, the
    /// reply is dropped, because another client may need this thread.
    pub(super) fn last_reply(&mut self, reply: &Reply) {
        if !self.channel.has_tls() {
            return send_at_once(&self.stream, reply);
        }
        // `finish` must not wait either
        let _ = self.stream.set_nonblocking(true);
        let _ = self.channel.send(&reply.wire(), SendFlags::empty());
    }

    /// Sends a preliminary reply.
    pub(super) fn mark(&mut self, mark: &Mark) {
        self.send(&mark.wire());
    }

    /// Keeps a preliminary reply that the client does not need before its data. It is sent
    /// with the next reply, or before the next wait.
    pub(super) fn hold(&mut self, mark: &Mark) {
        self.held = mark.wire();
    }

    /// Sends a preliminary reply that was held back.
    pub(super) fn send_held(&mut self) {
        self.send(&[]);
    }

    fn send(&mut self, bytes: &[u8]) {
        if !self.held.is_empty() {
            let mut both = std::mem::take(&mut self.held);
            both.extend_from_slice(bytes);
            return self.send(&both);
        }
        if bytes.is_empty() {
            return;
        }
        if let Err(why) = self.send_all(bytes) {
            self.lose(why);
        }
    }

    fn send_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(stream) = self.channel.clear() else {
            self.channel.send(bytes, SendFlags::empty())?;
            let all = self.channel.flush()?;
            return if all { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) };
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match send(stream, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Lets the last reply reach the client. Input that has arrived meanwhile is discarded,
    /// because closing a connection with unread input would discard the reply.
    pub(super) fn finish(&mut self) {
        self.channel.close();
        let _ = self.channel.flush();
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        discard(&self.stream);
    }
}

/// Discards some input that has arrived, because closing a connection with unread input would discard
/// the last reply.
pub(super) fn discard(stream: &TcpStream) {
    let mut rest = [0; 256];
    for _ in 0..64 {
        let read = recv(stream, &mut rest, RecvFlags::DONTWAIT);
        if !matches!(read, Ok((1.., _))) {
            return;
        }
    }
}

/// Sends a reply if the client's buffer has room for it; otherwise drops it.
pub(super) fn send_at_once(stream: &TcpStream, reply: &Reply) {
    let _ = send(stream, &reply.wire(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

/// Returns whether a line is a command for which `wanted` is true.
fn says(line: &Line, wanted: impl Fn(&Command) -> bool) -> bool {
    let Line::Text(text) = line else { return false };
    parse(text).asks().is_ok_and(|(_, command)| wanted(command))
}
